"""One column of a table as what is to be learned: which task it sets, and each cell as a value of that task."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lensmith.data.dataset import TASKS
from lensmith.data.table import DECIMAL_COMMA, NUMBER, Cell
from lensmith.errors import DataError, UsageError, nearest

AUTO = "auto"
JOINS = ";"  # several labels in one cell
MOST_NUMBERS_AS_CLASSES = 20
NOT_FINITE = ("nan", "inf", "infinity")
LARGEST = float(np.finfo(np.float32).max)
CHARACTERS_SHOWN = 60

Value = str | tuple[str, ...] | float  # a class, the labels sorted, a number


@dataclass(frozen=True)
class Column:
    """The cells of one column, with the line of the file that each row begins on."""

    file: Path
    name: str
    lines: tuple[int, ...]
    cells: tuple[Cell, ...]

    def where(self, place: int) -> str:
        """Return the file and line of a cell, for an error."""
        return f"{self.file}, line {self.lines[place]}"


def require_task(task: str) -> None:
    """Raise UsageError unless a task is a known one, or auto."""
    if task not in (AUTO, *TASKS):
        raise UsageError(f"task is {task!r}; allowed are {', '.join((AUTO, *TASKS))}.{nearest(task, TASKS)}")


def guess_task(column: Column) -> tuple[str, str]:
    """Return the task that a column sets, and the reason in words.

    Lists, or a ';' anywhere: multilabel. Numbers, with a decimal point anywhere or more than twenty different ones:
    regression. Otherwise classification. Raises DataError where the column is empty, or mixes numbers and words.
    """
    filled = [place for place, cell in enumerate(column.cells) if cell]
    texts = {place: cell for place in filled if isinstance(cell := column.cells[place], str)}
    if not filled:
        raise DataError(f"{column.file}: the column {column.name!r} is empty. Name another one: --target COLUMN.")
    if len(texts) < len(filled):
        return "multilabel", "it holds lists of labels"
    if any(JOINS in text for text in texts.values()):
        return "multilabel", f"it holds labels joined by {JOINS!r}"
    numbers = [place for place, text in texts.items() if NUMBER.fullmatch(text)]
    words = [place for place, text in texts.items() if not NUMBER.fullmatch(text)]
    if words and (numbers or all(DECIMAL_COMMA.fullmatch(texts[place]) for place in words)):
        raise DataError(_mixed(column, numbers, words))
    if words:
        return "classification", "its values are words"
    if any(sign in text for text in texts.values() for sign in ".eE"):
        return "regression", "its values are numbers with decimals"
    distinct = len({float(text) for text in texts.values()})
    if distinct > MOST_NUMBERS_AS_CLASSES:
        return "regression", f"its values are {distinct} different numbers"
    return "classification", f"its values are {distinct} different whole numbers and no more"


def read_values(column: Column, task: str) -> list[Value | None]:
    """Return one value a cell, None where it is empty; in multilabel data an empty cell means no label: ().

    Raises DataError at a cell that is no value of the task.
    """
    if task == "multilabel":
        return [_labels(cell) for cell in column.cells]
    texts = [_single(column, place) for place in range(len(column.cells))]
    if task == "classification":
        return [one_form(text) or None for text in texts]
    filled = [place for place, text in enumerate(texts) if text]
    words = [place for place in filled if not NUMBER.fullmatch(texts[place])]
    if words:
        raise DataError(_mixed(column, [place for place in filled if place not in set(words)], words))
    for place in filled:
        if abs(float(texts[place])) > LARGEST:
            raise DataError(f"{column.where(place)}: {column.name} is {texts[place]}, too large. Correct it.")
    return [float(text) if text else None for text in texts]


def to_targets(values: Sequence[Value], task: str, classes: Sequence[str]) -> np.ndarray:
    """Return the targets of a Dataset; every class and label must be one of `classes`."""
    if task == "regression":
        return np.array(values, np.float32)
    position = {one_form(name): place for place, name in enumerate(classes)}
    if task == "classification":
        return np.array([position[str(value)] for value in values], np.int64)
    targets = np.zeros((len(values), len(classes)), np.uint8)
    for row, value in enumerate(values):
        targets[row, [position[name] for name in names_in(value)]] = 1
    return targets


def names_in(value: Value) -> tuple[str, ...]:
    """Return the classes or labels of one value; a number has none."""
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, str) else ()


def one_form(name: str) -> str:
    """Return the form in which names are compared: some systems store é as one letter, some as two."""
    return unicodedata.normalize("NFC", name)


def shown(cell: Cell) -> str:
    """Return a cell for a sentence: in quotes, cut where it is long."""
    text = cell if isinstance(cell, str) else ", ".join(cell)
    return repr(text if len(text) <= CHARACTERS_SHOWN else text[:CHARACTERS_SHOWN] + "…")


def _labels(cell: Cell) -> tuple[str, ...]:
    items = (cell,) if isinstance(cell, str) else cell
    parts = (part.strip() for item in items for part in item.split(JOINS))
    return tuple(sorted({one_form(part) for part in parts if part}))


def _single(column: Column, place: int) -> str:
    cell = column.cells[place]
    if isinstance(cell, str):
        return cell
    if len(cell) > 1:
        raise DataError(
            f"{column.where(place)}: {column.name} is a list of {len(cell)} ({shown(cell)}). Leave one, or let "
            f"pictures have several labels: --task multilabel."
        )
    return cell[0] if cell else ""


def _mixed(column: Column, numbers: Sequence[int], words: Sequence[int]) -> str:
    """Return what is wrong with a column that holds words where numbers should be."""
    texts = {place: _single(column, place) for place in words}
    first = words[0]
    said = f"{column.where(first)}: {column.name} is {shown(texts[first])}"
    if all(text.lstrip("+-").casefold() in NOT_FINITE for text in texts.values()):
        return f"{said}, which is no finite number. Correct it, or delete the row."
    if all(DECIMAL_COMMA.fullmatch(text) for text in texts.values()):
        return (
            f"{said}: numbers are written with a point here, not with a comma. Replace it, or take every value as the "
            f"name of a class: --task classification."
        )
    if not numbers:
        return (
            f"{said}, which is no number; --task regression needs one in every row. Leave --task away, or name another "
            f"column: --target COLUMN."
        )
    return (
        f"{column.file}: the column {column.name!r} mixes numbers (line {column.lines[numbers[0]]}: "
        f"{shown(column.cells[numbers[0]])}) and words (line {column.lines[first]}: {shown(texts[first])}). Correct "
        f"them, or take every value as the name of a class: --task classification."
    )
