"""Words that the verdicts of all tasks share."""

from __future__ import annotations

import math

SMALL_TEST = 50
"""Below so many pictures the verdict says that its figures are rough."""

SPLIT_WORDS = {
    "test": "it had never seen",
    "validation": "held back for validation",
    "train": "it learned from",
}


def pictures_of(n: int, split: str) -> str:
    """Return `pictures it had never seen`, or of whatever split they are."""
    return f"{'picture' if n == 1 else 'pictures'} {SPLIT_WORDS.get(split, f'of {split}')}"


def rough(n: int) -> str:
    """Return the warning that a small split deserves, or an empty string."""
    if n >= SMALL_TEST:
        return ""
    tested = "one picture was" if n == 1 else f"{n} pictures were"
    return f"Only {tested} tested, so these figures are rough."


def joined(sentences: list[str]) -> str:
    """Return the sentences that say something, one after the other."""
    return " ".join(sentence for sentence in sentences if sentence)


def digits(low: float, high: float) -> int:
    """Return the decimals of a percentage: ends closer than two hundredths need one to differ in print."""
    return 0 if high - low >= 0.02 else 1 if high - low >= 0.002 else 2


def out_of(share: float) -> str:
    """Return a small share as whole cases, rounded up: `0.0245` as `3 in 100`, `0.0038` as `4 in 1,000`."""
    base = 100
    while share * base < 1 and base < 1_000_000:
        base *= 10
    return f"{math.ceil(share * base - 1e-9)} in {base:,}"


def amount(value: float, smallest: float) -> str:
    """Return a quantity with as many decimals as `smallest` needs to show two digits: `2.3`, `0.034`, `1,234`."""
    decimals = max(0, 1 - math.floor(math.log10(smallest))) if smallest > 0 else 0
    return f"{value:,.{decimals}f}" if decimals <= 6 else f"{value:.2g}"
