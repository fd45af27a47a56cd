"""What an exhibit of the gallery is, and the words that several of them use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from markupsafe import Markup

from lensmith.gallery.lessons import Row, Steps, Values
from lensmith.gallery.pictures import Lot, png_uri
from lensmith.reports.words import power


class Said(NamedTuple):
    """What was seen: the finding in one sentence, and two paragraphs with the numbers of the run."""

    headline: str
    paragraphs: tuple[str, str]


class Plate(NamedTuple):
    """A figure and the line above it."""

    title: str
    figure: Markup


class Part(NamedTuple):
    """A section of a page: its title, how to read what it shows, and figures, which stand in pairs."""

    title: str
    text: str
    figures: Sequence[Plate]


class Exhibit(Protocol):
    """One experiment and how it is told. The fields of a class are its sizes, which tests cut and benchmarks enlarge.

    `said` and `parts` know nothing but the values, which may have gone through JSON: a page can be made again from
    the file beside it. Every sentence follows from the numbers; where what one expects was not seen, it says so.
    """

    question: ClassVar[str]

    @property
    def notes(self) -> int:
        """How many notes `measured` yields."""

    def measured(self, seed: int) -> Steps:
        """Train and measure; yield a note after every epoch, return the values."""

    @staticmethod
    def said(values: Values) -> Said:
        """Return what was seen."""

    @staticmethod
    def parts(values: Values) -> list[Part]:
        """Return what is shown."""


def facts(lot: Lot, trainings: int, epochs: int) -> dict[str, Any]:
    """Return what every exhibit's values say of its pictures and trainings."""
    return {
        "data": {"what": lot.what, "train": lot.train, "held_out": lot.held_out},
        "examples": examples(lot),
        "trainings": trainings,
        "epochs": epochs,
    }


def examples(lot: Lot) -> dict[str, list[str]]:
    """Return a picture of every class, by name and as a data URI: the first that was held out, if there is one."""
    held_out = lot.targets[lot.train :]
    known = [place for place in range(len(lot.classes)) if (held_out == place).any()]
    uris = [png_uri(lot.pictures[lot.train + int((held_out == place).argmax())]) for place in known]
    return {"classes": [lot.classes[place] for place in known], "uris": uris}


def last(rows: Sequence[Row], name: str) -> float:
    """Return a number of the last epoch; one that is none counts as infinite, an accuracy as zero."""
    found = rows[-1][name]
    if found is None:
        return 0.0 if name.endswith("accuracy") else math.inf
    return float(found)


def differ(one: float, other: float, n: int) -> bool:
    """Return whether two shares of n pictures lie farther apart than chance puts them, two standard errors."""
    error = math.sqrt((one * (1 - one) + other * (1 - other)) / n)
    return abs(one - other) > 2 * error


def share(value: float) -> str:
    """Return a share of 1 in per cent for a sentence: `97.4 %`, `100 %`."""
    return f"{100 * value:.0f} %" if value in (0, 1) else f"{100 * value:.1f} %"


def points(value: float) -> str:
    """Return a difference of shares without its sign: `3.2 points`."""
    return f"{100 * abs(value):.1f} points"


def figure(value: float) -> str:
    """Return a loss or a ratio with the digits that count, two or three; one that is infinite in words."""
    if not math.isfinite(value):
        return "no number any more"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.1 else f"{value:.2g}"


def small(value: float) -> str:
    """Return a number that may be many powers of ten below one: `0.0157`, `2.3·10⁻¹¹`."""
    return power(value) if 0 < value < 0.01 else figure(value)


def listed(words: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


NUMERALS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def number(count: int) -> str:
    """Return a small number in letters."""
    return NUMERALS[count] if 0 <= count < len(NUMERALS) else f"{count:,}"
