"""Numbers, times and names as a reader wants to see them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup

# Control characters break HTML and XML, lone surrogates cannot be written as UTF-8, and direction overrides make
# a name look like another one.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")

# A thin space that does not break: the number and its unit stay on one line.
THIN = "\u202f"

LABELS = {
    "recipe": "Recipe",
    "network": "Network",
    "weights": "Starting weights",
    "weights_licence": "Licence of the weights",
    "cut": "Cut after",
    "pool": "Pooling",
    "dense": "Dense layers",
    "dropout": "Dropout",
    "image_size": "Picture size",
    "resize": "Fitting to that size",
    "crop": "Share kept by the crop",
    "interpolation": "Interpolation",
    "batch_size": "Batch size",
    "epochs": "Most epochs",
    "learning_rate": "Learning rate",
    "l2": "Weight penalties tried (L2)",
    "weight_decay": "Weight decay",
    "min_delta": "Smallest gain that counts",
    "patience": "Patience, in epochs",
    "engine": "Engine",
}


def clean(value: object) -> object:
    """Return text without characters that break or disguise a page; markup and other values as they are."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _UNPRINTABLE.sub("\ufffd", value)


def shorten(name: str, most: int) -> str:
    """Return `name` in at most `most` characters, its middle replaced by an ellipsis."""
    if len(name) <= most:
        return name
    head = most // 2
    tail = most - 1 - head
    return f"{name[:head]}…{name[len(name) - tail :]}"


def percent(share: float | None) -> str:
    """Return a share of 1 as a percentage with one decimal; only nothing is 0 %, only all is 100 %."""
    if share is None:
        return "–"
    if share in (0, 1):
        return f"{100 * share:g}{THIN}%"
    if 0 < share < 0.0005:
        return f"<{THIN}0.1{THIN}%"
    if 0.9995 <= share < 1:
        return f">{THIN}99.9{THIN}%"
    return f"{100 * share:.1f}{THIN}%"


def count(number: float | None) -> str:
    """Return a whole number with thousands marked, or a dash."""
    return "–" if number is None else f"{round(number):,}"


def decimal(number: float | None) -> str:
    """Return a plain number with three decimals, or a dash."""
    return "–" if number is None else f"{number:.3f}"


def plural(number: int, word: str, words: str = "") -> str:
    """Return `1 picture`, `2 pictures`, `2 classes`."""
    return f"{number:,} {word if number == 1 else words or word + 's'}"


def seconds(number: float | None) -> str:
    """Return a duration: `4.2 s`, `3 min 20 s`, `1 h 5 min`."""
    if number is None:
        return "–"
    if number < 59.95:
        return f"{number:.1f}{THIN}s"
    whole = round(number)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def date(text: object) -> str:
    """Return an ISO time as `22 November 2026, 09:30 UTC`; what is not a time comes back as it is."""
    try:
        moment = datetime.fromisoformat(str(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return str(text)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def millions(number: float | None) -> str:
    """Return a number of parameters: `940`, `2,562`, `2.2 million`."""
    if number is None:
        return "–"
    return f"{number / 1e6:.1f} million" if number >= 1e6 else count(number)


def label(key: str) -> str:
    """Return what a setting is called in the report."""
    return LABELS.get(key) or key.replace("_", " ").capitalize()


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; a full stop between quotation marks, as in a class name, ends none.

    A number and its per cent sign are kept on one line.
    """
    text = text.replace(" %", f"{THIN}%")
    found, start = [], 0
    for end in re.finditer(r"[.!?] (?=[A-Z\"])", text):
        if text.count('"', 0, end.start()) % 2 == 0:
            found.append(text[start : end.start() + 1])
            start = end.end()
    return [*found, text[start:]]


def setting(value: object) -> str:
    """Return the value of a setting as text."""
    if value is None or value == [] or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        small = 1e-7 <= abs(value) < 1e-4
        return f"{value:.9f}".rstrip("0") if small else f"{value:g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(setting(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {setting(item)}" for key, item in value.items())
    return str(value)
