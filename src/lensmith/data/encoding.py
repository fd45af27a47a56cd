"""How the columns of a table become numbers: fitted to the training rows, kept with the model.

A column whose filled cells are all numbers is one number, standardised or scaled to 0..1; any other holds words, and
becomes one number for each of them, 1 where it stands and 0 elsewhere. A word that training never saw is none of them.
A missing number counts as the middle one of the training rows, and a further column says that it was missing; so does
one that is not finite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lensmith.data.labels import LARGEST, NOT_FINITE, one_form
from lensmith.data.table import NUMBER
from lensmith.errors import DataError, UsageError

SCALINGS = ("standardise", "min-max")
MISSING = frozenset(("", "?", "-", "na", "n/a", "nan", "null", "none"))
MOST_WORDS = 100  # of one column; more name each row instead of saying what it is like
MOST_ODD = 0.05  # of the filled cells of a column of numbers may be words: they count as missing
Cells = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Column:
    """One column: its `words`, sorted, or where there are none a number x that becomes (x - shift) * scale.

    middle: what stands in for a missing number. marked: whether a further number says that it was missing.
    """

    name: str
    words: tuple[str, ...] = ()
    shift: float = 0.0
    scale: float = 1.0
    middle: float = 0.0
    marked: bool = False

    @property
    def width(self) -> int:
        """How many numbers it becomes."""
        return len(self.words) or 1 + self.marked

    def encode(self, cells: Sequence[str]) -> np.ndarray:
        """Return (n, width) float32."""
        if self.words:
            place = {word: number for number, word in enumerate(self.words)}
            found = np.zeros((len(cells), len(self.words)), np.float32)
            for row, cell in enumerate(cells):
                if (number := place.get(one_form(cell))) is not None:
                    found[row, number] = 1
            return found
        numbers = np.array([_number(cell) for cell in cells], np.float64)
        missing = np.isnan(numbers)
        scaled = (np.where(missing, self.middle, numbers) - self.shift) * self.scale
        return np.column_stack([scaled, missing] if self.marked else [scaled]).astype(np.float32)


@dataclass(frozen=True)
class Encoding:
    """The columns that a model takes, in order, and how their numbers are scaled (one of SCALINGS)."""

    columns: tuple[Column, ...]
    kind: str

    @property
    def width(self) -> int:
        """How many numbers a row becomes."""
        return sum(column.width for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def encode(self, cells: Cells) -> np.ndarray:
        """Return (n, width) float32 of the cells of these columns, (n, columns)."""
        if not cells:
            return np.zeros((0, self.width), np.float32)
        parts = [column.encode(texts) for column, texts in zip(self.columns, zip(*cells, strict=True), strict=True)]
        return np.concatenate(parts, 1)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {"kind": self.kind, "columns": [asdict(column) for column in self.columns]}


def encoding_from_dict(fields: dict[str, Any]) -> Encoding:
    """Return the Encoding that `as_dict` wrote."""
    columns = (Column(**{**column, "words": tuple(column["words"])}) for column in fields["columns"])
    return Encoding(tuple(columns), str(fields["kind"]))


def fit_encoding(names: Sequence[str], cells: Cells, kind: str) -> tuple[Encoding, list[str]]:
    """Return the encoding that the training rows give, and sentences on what is odd in them.

    Raises DataError where no column can be learned from, UsageError for an unknown kind of scaling.
    """
    if kind not in SCALINGS:
        raise UsageError(f"preprocess is {kind!r}; for the columns of a table allowed are {', '.join(SCALINGS)}.")
    notes: list[str] = []
    found = [_fitted(name, texts, kind, notes) for name, texts in zip(names, zip(*cells, strict=True), strict=True)]
    columns = tuple(column for column in found if column is not None)
    if not any(column.words or column.scale for column in columns):
        raise DataError("no column differs from row to row in the training rows, so there is nothing to learn from.")
    return Encoding(columns, kind), notes


def _fitted(name: str, cells: Sequence[str], kind: str, notes: list[str]) -> Column | None:
    """Return how one column is encoded, None where it is left out."""
    filled = [one_form(cell) for cell in cells if cell.casefold() not in MISSING]
    endless = [cell for cell in filled if _is_endless(cell)]
    odd = [cell for cell in filled if not _is_endless(cell) and not NUMBER.fullmatch(cell)]
    numbers = len(filled) - len(endless) - len(odd)
    if not filled:
        notes.append(f"The column {name!r} is empty: left out.")
        return None
    if len(endless) == len(filled):
        notes.append(f"The column {name!r} holds no finite number, only such as {endless[0]!r}: left out.")
        return None
    if numbers and len(odd) <= MOST_ODD * len(filled):
        if odd:
            notes.append(f"The column {name!r} holds numbers, and words such as {odd[0]!r}: these count as missing.")
        if endless:
            many = f"{len(endless)} of its {len(filled)} cells, such as {endless[0]!r}"
            notes.append(f"The column {name!r} holds numbers that are not finite, in {many}: these count as missing.")
        return _numbers(name, cells, kind)
    counts = Counter(filled)
    left_out = len(counts) > MOST_WORDS or len(counts) == len(filled) > 2
    if 2 * numbers > len(filled):
        seen = f"numbers, but {len(filled) - numbers} of its {len(filled)} cells are none, such as {odd[0]!r}"
        taken = "left out" if left_out else "all are taken as words"
        notes.append(f"The column {name!r} holds {seen}: {taken}. Correct them, or leave them empty.")
    elif left_out:
        # Numbers that are written in another way are the likeliest reason; so one cell is always shown.
        seen = f"{len(counts)} different words, such as {filled[0]!r}, which name rows apart"
        notes.append(f"The column {name!r} holds {seen}: left out.")
    return None if left_out else Column(name, words=tuple(sorted(counts)))


def _is_endless(cell: str) -> bool:
    """Return whether a cell holds a number that is not finite, or too large for float32."""
    if cell.lstrip("+-").casefold() in NOT_FINITE:
        return True
    return NUMBER.fullmatch(cell) is not None and abs(float(cell)) > LARGEST


def _numbers(name: str, cells: Sequence[str], kind: str) -> Column:
    numbers = np.array([_number(cell) for cell in cells], np.float64)
    there = numbers[~np.isnan(numbers)]
    shift, spread = (there.min(), np.ptp(there)) if kind == "min-max" else (there.mean(), there.std())
    # A column that never changes says nothing; a new value in it must not shout.
    scale = 1 / spread if spread > 0 else 0.0
    return Column(name, (), float(shift), float(scale), float(np.median(there)), bool(len(there) < len(cells)))


def _number(cell: str) -> float:
    """Return the number in a cell, NaN where there is none, or one that is not finite."""
    return float(cell) if NUMBER.fullmatch(cell) and not _is_endless(cell) else float("nan")
