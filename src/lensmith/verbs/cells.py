"""Names in printed tables: what would break a line is escaped, and letters are counted as a terminal shows them."""

from __future__ import annotations

import unicodedata

TURNING = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # these turn the direction of a line


def plain(text: str) -> str:
    """Return a text on one line: control characters, line ends and turns of direction as escapes such as \\n."""
    return "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter
        for letter in text
    ).translate({ord(letter): f"\\u{ord(letter):04x}" for letter in TURNING})


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes: wide letters two, marks set over others none."""
    return sum(_columns(letter) for letter in text)


def cell(text: str, columns: int, *, end: bool = False) -> str:
    """Return a text on one line, in exactly so many columns; of a long one the beginning, or the end, as of a path."""
    text = plain(text)
    if width(text) > columns:
        letters = reversed(text) if end else iter(text)
        kept, room = "", columns - 1
        for letter in letters:
            room -= _columns(letter)
            if room < 0:
                break
            kept += letter
        text = f"…{kept[::-1]}" if end else f"{kept}…"
    return text + " " * (columns - width(text))


def _columns(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
