"""What a table says of its rows: the column to learn, the splits it gives, and rows that cannot be learned from.

The same for a table that lists pictures and for one whose rows are what is learned from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lensmith.data.dataset import NOT_GIVEN
from lensmith.data.folders import SPLIT_NAMES
from lensmith.data.labels import Column, Value, names_in, one_form, shown
from lensmith.data.table import Table
from lensmith.errors import DataError, nearest

TARGET_COLUMNS = ("label", "labels", "class", "target", "category", "tags", "value", "y")
SPLIT_COLUMN = "split"
MOST_LEFT_OUT = 0.10  # of the rows; from there on something is wrong with the table as a whole
NAMES_SHOWN = 8


@dataclass(frozen=True)
class Row:
    """One row to learn from: its line, what it is called, its value (None where the cell is empty), its given split."""

    line: int
    path: str
    value: Value | None
    given: str


def target_column(table: Table, inputs: Sequence[str], target: str | None) -> Column:
    """Return the column to learn: the one asked for, one with a usual name, or the only one that is not an input."""
    besides = {*inputs, *split_columns(table, inputs, target)}
    others = [name for name in table.columns if name not in besides]
    usual = [name for name in others if name.casefold() in TARGET_COLUMNS]
    if any(name.casefold() == "x" for name in others):  # then y is a place, not what is to be learned
        usual = [name for name in usual if name.casefold() != "y"]
    if target is None:
        candidates = usual or others
        if len(candidates) != 1:
            seen = f"its columns are {listed(table.columns)}"
            raise DataError(f"{table.file}: it is not clear what to learn; {seen}. Name one: --target COLUMN.")
        target = candidates[0]
    if target not in table.columns:
        raise DataError(
            f"{table.file}: there is no column {target!r}; allowed are {listed(others)}."
            f"{nearest(target, others)} Name one: --target COLUMN."
        )
    return Column(table.file, target, table.lines, tuple(table.column(target)))


def split_columns(table: Table, inputs: Sequence[str], target: str | None) -> list[str]:
    """Return the column of splits, if there is one."""
    besides = (*inputs, target)
    return [name for name in table.columns if name.casefold() == SPLIT_COLUMN and name not in besides][:1]


def given_splits(table: Table, inputs: Sequence[str], target: str, *, evaluating: bool) -> list[str]:
    """Return the split that each row names, "" for all where there is no such column or nothing in it."""
    columns = split_columns(table, inputs, target)
    cells = table.column(columns[0]) if columns else []
    if not any(cells):
        return [NOT_GIVEN] * len(table.lines)
    given = []
    for line, cell in zip(table.lines, cells, strict=True):
        word = cell.casefold() if isinstance(cell, str) else ""
        if word not in SPLIT_NAMES:
            raise DataError(
                f"{table.file}, line {line}: {columns[0]} is {shown(cell)}; allowed are {', '.join(SPLIT_NAMES)}."
                f"{nearest(word, SPLIT_NAMES)} Fill it in in every row, or take the column away."
            )
        given.append(SPLIT_NAMES[word])
    if "train" not in given and not evaluating:
        raise DataError(
            f"{table.file}: no row of the column {columns[0]!r} says train; it holds {listed(sorted(set(given)))}. "
            f"Call the pictures to learn from train, or take the column away."
        )
    return given


def without_empty(column: Column, rows: list[Row], task: str, notes: list[str]) -> list[Row]:
    """Return the rows that have a value; says in `notes` which have none."""
    if task == "multilabel":
        if none := sum(not row.value for row in rows):
            notes.append(f"{number(none, 'row')} without {column.name}: taken as having none of the labels.")
        return rows
    empty = [row.line for row in rows if row.value is None]
    if not empty:
        return rows
    if len(empty) >= MOST_LEFT_OUT * len(rows):
        several = "" if task == "regression" else " Where empty means none of the labels: --task multilabel."
        raise DataError(
            f"{column.file}: {column.name} is empty in {len(empty)} of {number(len(rows), 'row')}, first in line "
            f"{empty[0]}. Rows are left out only where they are fewer than one in ten: fill them in, or delete them."
            f"{several}"
        )
    notes.append(f"{number(len(empty), 'row')} without {column.name} left out: {lines(empty)}.")
    return [row for row in rows if row.value is not None]


def class_names(
    column: Column, rows: Sequence[Row], task: str, classes: Sequence[str] | None, notes: list[str]
) -> tuple[str, ...]:
    """Return the classes or labels of the rows, sorted; or those of a trained model, which all must be among.

    Raises DataError where every row has the same value, or one that the model does not know.
    """
    if classes is not None:
        _require_known(column, rows, classes)
        return () if task == "regression" else tuple(classes)
    values = [row.value for row in rows if row.value is not None]
    _require_variety(column, values)
    names = tuple(sorted({name for value in values for name in names_in(value)}))
    notes += _alike(names)
    return names


def _require_variety(column: Column, values: Sequence[Value]) -> None:
    """Raise DataError if every row has the same value."""
    if len(set(values)) > 1:
        return
    only = values[0]
    seen = f"{only:g}" if isinstance(only, float) else shown(only) if only else "empty"
    raise DataError(
        f"{column.file}: {column.name} is {seen} in every row ({len(values)}), so there is nothing to learn. Add "
        f"pictures of something else, or name another column: --target COLUMN."
    )


def _alike(names: Sequence[str]) -> list[str]:
    folded: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folded[name.casefold()].append(name)
    return [
        f"Two labels differ only in capital letters: {listed(group)}. Is it one label?"
        for group in folded.values()
        if len(group) > 1
    ]


def _require_known(column: Column, rows: Sequence[Row], classes: Sequence[str]) -> None:
    known = {one_form(name) for name in classes}
    for row in rows:
        for name in names_in(row.value) if row.value is not None else ():
            if name not in known:
                raise DataError(
                    f"{column.file}, line {row.line}: the label {shown(name)} is none of the {len(classes)} of the "
                    f"model ({listed(classes)}).{nearest(name, classes)} Correct it, or delete the row."
                )


def require_classes(root: Path, names: Sequence[str], classes: Sequence[str], noun: str) -> None:
    """Raise DataError where a class that a folder or file (`noun`) is named after is none of a model's."""
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise DataError(
            f"{root}: the class {unknown[0]!r} is none of the {len(classes)} of the model ({listed(classes)})."
            f"{nearest(unknown[0], classes)} Rename the {noun}, or take it away."
        )


def listed(names: Sequence[str]) -> str:
    """Return the first few names in quotes, and how many more there are."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(repr(name) for name in names[:NAMES_SHOWN]) + more


def lines(numbers: Sequence[int]) -> str:
    """Return the first few lines of a file, by number, and how many more there are."""
    more = f" and {len(numbers) - NAMES_SHOWN} more" if len(numbers) > NAMES_SHOWN else ""
    return f"line{'s' * (len(numbers) > 1)} {', '.join(str(line) for line in numbers[:NAMES_SHOWN])}{more}"


def number(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}{'s' * (count != 1)}"
