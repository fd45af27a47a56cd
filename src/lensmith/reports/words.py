"""Numbers, times and names as a reader wants to see them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup, escape

# Control characters break HTML and XML, lone surrogates cannot be written as UTF-8, and direction overrides make
# a name look like another one.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_JOINT = re.compile(r"(?<=/)(?=\S)|(?<=\w\.)(?=\w)")  # where a long name may go on in the next line

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
    "budget": "Time allowed",
    "optimizer": "Optimiser",
    "learning_rate": "Learning rate",
    "find_rate": "Learning rate looked for",
    "clip": "Longest gradient step (clipping)",
    "label_smoothing": "Label smoothing",
    "class_weights": "Class weights",
    "ema": "Averaging of weights (EMA)",
    "mixup": "Mixing pictures (mixup)",
    "cutmix": "Pasting patches (cutmix)",
    "augment": "Augmentation",
    "unfreeze": "Base trained after",
    "init": "First weights",
    "loss": "Loss",
    "output": "Output",
    "target": "Column to predict",
    "task": "Task",
    "preprocess": "Preprocessing asked for",
    "preprocessing": "Preprocessing",
    "precision": "Precision of training",
    "stop_right": "Stop at this share right in training",
    "stop_rest": "Stop when weights change less than",
    "l2": "Weight penalties tried (L2)",
    "weight_decay": "Weight decay",
    "min_delta": "Smallest gain that counts",
    "patience": "Patience, in epochs",
    "engine": "Engine",
    "device": "Device",
    "seed": "Seed",
}
# Settings that do nothing at zero.
SWITCHES = ("mixup", "cutmix", "ema", "label_smoothing", "dropout", "weight_decay")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def clean(value: object) -> object:
    """Return text without characters that break or disguise a page; markup and other values as they are."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _UNPRINTABLE.sub("\ufffd", value)


def breaking(name: str) -> Markup:
    """Return a name that a long line may break behind a slash, or a point inside it, in place of inside a word."""
    return Markup(_JOINT.sub("<wbr>", str(escape(clean(name)))))


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
    return "–" if number is None else f"{number:.3f}".replace("-", "−")


def quantity(number: float | None) -> str:
    """Return a measure in the unit of what is predicted, with three digits: `3.20`, `0.0312`, `12,345`."""
    if number is None:
        return "–"
    size = abs(number)
    if size >= 1e9 or 0 < size < 1e-4:
        return f"{number:.2e}".replace("-", "−")
    return (f"{number:,.0f}" if size >= 99.95 or number == 0 else f"{number:#.3g}").replace("-", "−")


def told(number: float) -> str:
    """Return a number as the data may hold it, such as an age or a year: `21.9`, `72.71`, `1995`."""
    if 1e3 <= abs(number) < 1e9:
        return f"{number:.0f}".replace("-", "−")
    return f"{number:.4g}".replace("-", "−")


def tick(number: float) -> str:
    """Return a round number for an axis, short whatever its size."""
    return (
        f"{number:g}".replace("-", "−") if abs(number) < 1e5 else f"{number:.0e}".replace("e+0", "e").replace("e+", "e")
    )


def power(number: float) -> str:
    """Return a learning rate as `0.01`, `10⁻⁴` or `3·10⁻⁵`: short enough for an axis."""
    if number <= 0 or 0.0095 <= number < 1000:
        return f"{number:.2g}" if number < 1 else f"{number:g}"
    digits, _, exponent = f"{number:.1e}".partition("e")
    small = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    lead = f"{float(digits):g}"
    return small if lead == "1" else f"{lead}·{small}"


def points(difference: float | None) -> str:
    """Return a difference of shares in points of a hundred, with its sign: `+3.2 points`."""
    if difference is None:
        return "–"
    return "0" if abs(difference) < 5e-4 else f"{100 * difference:+.1f}{THIN}points".replace("-", "−")


def closer(difference: float | None) -> str:
    """Return a difference of two mean errors, the smaller of which is better: `0.4 less`, `0.1 more`."""
    if difference is None:
        return "–"
    return "0" if difference == 0 else f"{quantity(abs(difference))} {'less' if difference < 0 else 'more'}"


def plural(number: int, word: str, words: str = "") -> str:
    """Return `1 picture`, `2 pictures`, `2 classes`."""
    return f"{number:,} {word if number == 1 else words or word + 's'}"


def seconds(number: float | None) -> str:
    """Return a duration: `4.2 s`, `3 min 20 s`, `10 min`, `1 h 5 min`."""
    if number is None:
        return "–"
    if number < 59.95:
        return f"{number:.1f}{THIN}s"
    whole = round(number)
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 >= 60 else "")


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


def kept_together(text: str) -> str:
    """Return a text in which no line ends between a number and its per cent sign."""
    return text.replace(" %", f"{THIN}%")


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; a full stop between quotation marks, as in a class name, ends none.

    A number and its per cent sign are kept on one line.
    """
    text = kept_together(text)
    found, start = [], 0
    for end in re.finditer(r"[.!?] (?=[A-Z\"])", text):
        if text.count('"', 0, end.start()) % 2 == 0:
            found.append(text[start : end.start() + 1])
            start = end.end()
    return [*found, text[start:]]


def setting_of(key: str, value: object) -> str:
    """Return the value of the setting `key` as text."""
    return "off" if key in SWITCHES and value == 0 and not isinstance(value, bool) else setting(value)


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
