"""Pictures listed in a table, one a row, each with a label, several labels or a number.

picture,label          picture,tags            picture,age,split
cats/1.jpg,cat         beach/1.jpg,sea;sand    faces/1.jpg,31.5,train
dogs/1.jpg,dog         beach/2.jpg,sea         faces/2.jpg,64.0,test
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lensmith.data.dataset import NOT_GIVEN, Dataset
from lensmith.data.folders import SPLIT_NAMES
from lensmith.data.labels import (
    AUTO,
    Column,
    Value,
    guess_task,
    names_in,
    one_form,
    read_values,
    require_task,
    shown,
    to_targets,
)
from lensmith.data.table import PICTURE_COLUMNS, Table, example, is_file, read_table
from lensmith.errors import DataError, nearest

TARGET_COLUMNS = ("label", "labels", "class", "target", "category", "tags", "value", "y")
SPLIT_COLUMN = "split"
MOST_LEFT_OUT = 0.10  # of the rows; from there on something is wrong with the table as a whole
ROWS_TRIED = 5  # for finding the column that names files
NAMES_SHOWN = 8


@dataclass(frozen=True)
class _Row:
    """One picture as it is listed; `value` is None where its cell is empty."""

    line: int
    path: str
    value: Value | None
    given: str


def open_listed(
    file: Path, *, task: str = AUTO, target: str | None = None, classes: Sequence[str] | None = None
) -> Dataset:
    """Return the data set that a .csv, .tsv, .jsonl or .ndjson file lists; no picture is opened.

    Paths are relative to the table's folder, which is the root; absolute ones, and ones that climb by .., are the
    user's to write. task: one of TASKS, or auto (see guess_task; the choice is in the notes). target: the column to
    learn (None: the one with a usual name, or the only one). classes: those of a trained model, where the table is
    to be evaluated with it; labels must then be among them, and targets count in their order.

    Raises DataError, with line and fix, where the table cannot be read as a data set, UsageError for an unknown task.
    """
    require_task(task)
    file = Path(file)
    table = read_table(file)
    picture = _picture_column(table, target)
    column = _target_column(table, picture, target)
    paths = _paths(table, picture)
    notes = []
    if task == AUTO:
        task, why = guess_task(column)
        notes.append(f"The column {column.name!r} is read as {task}, since {why}. --task overrules it.")
    values = read_values(column, task)
    given = _given(table, picture, column.name, evaluating=classes is not None)
    rows = [_Row(*row) for row in zip(table.lines, paths, values, given, strict=True)]
    rows = _without_empty(column, rows, task, notes)
    rows = _without_repeated(column, rows, task, notes)
    rows.sort(key=lambda row: (row.path, row.line))
    kept = [row.value for row in rows if row.value is not None]
    if classes is None:
        _require_variety(column, kept)
        names = tuple(sorted({name for value in kept for name in names_in(value)}))
        notes += _alike(names)
    else:
        _require_known(file, rows, classes)
        names = () if task == "regression" else tuple(classes)
    return Dataset(
        root=file.parent,
        task=task,
        classes=names,
        paths=tuple(row.path for row in rows),
        targets=to_targets(kept, task, names),
        given=tuple(row.given for row in rows),
        notes=tuple(notes),
        target_name=column.name,
        table=file.name,
    )


# ---- columns


def _picture_column(table: Table, target: str | None) -> str:
    """Return the column that names files: one with a usual name before others, if any of its first rows is there."""
    columns = [name for name in table.columns if name != target]
    named = sorted(
        (name for name in columns if name.casefold() in PICTURE_COLUMNS),
        key=lambda name: PICTURE_COLUMNS.index(name.casefold()),
    )
    for name in [*named, *(name for name in columns if name not in named)]:
        cells = [cell for cell in table.column(name) if cell][:ROWS_TRIED]
        if any(isinstance(cell, str) and is_file(table.file.parent / cell) for cell in cells):
            return name
    if named:
        return named[0]
    besides = f" besides the target {target!r}" if target in table.columns else ""
    raise DataError(
        f"{table.file}: none of its columns{besides} ({_listed(columns)}) names pictures in "
        f"{table.file.parent.absolute()}. Call the column of pictures path. {example(table.file)}"
    )


def _target_column(table: Table, picture: str, target: str | None) -> Column:
    others = [name for name in table.columns if name not in (picture, *_split_columns(table, picture, target))]
    usual = [name for name in others if name.casefold() in TARGET_COLUMNS]
    if target is None:
        candidates = usual or others
        if len(candidates) != 1:
            seen = f"its columns are {_listed(table.columns)}"
            raise DataError(f"{table.file}: it is not clear what to learn; {seen}. Name one: --target COLUMN.")
        target = candidates[0]
    if target not in table.columns:
        raise DataError(
            f"{table.file}: there is no column {target!r}; allowed are {_listed(others)}."
            f"{nearest(target, others)} Name one: --target COLUMN."
        )
    return Column(table.file, target, table.lines, tuple(table.column(target)))


def _split_columns(table: Table, picture: str, target: str | None) -> list[str]:
    """Return the column of splits, if there is one."""
    named = (name for name in table.columns if name.casefold() == SPLIT_COLUMN and name not in (picture, target))
    return list(named)[:1]


def _paths(table: Table, picture: str) -> list[str]:
    """Return the pictures' paths, and make sure that one at least is there; the reader names those that are not."""
    paths = []
    for line, cell in zip(table.lines, table.column(picture), strict=True):
        if not cell or not isinstance(cell, str):
            seen = "a list" if cell else "empty"
            raise DataError(f"{table.file}, line {line}: {picture} is {seen}. Name one picture, or delete the row.")
        paths.append(Path(cell).as_posix())
    root = table.file.parent
    if not any(is_file(root / path) for path in paths):
        raise DataError(
            f"{table.file}: none of the {len(paths)} pictures listed is there. The first is {shown(paths[0])} (line "
            f"{table.lines[0]}), looked for in {root.absolute()}: paths count from the table's folder."
            f"{_hint(root, str(table.column(picture)[0]))}"
        )
    return paths


def _hint(root: Path, path: str) -> str:
    """Return why a path may lead nowhere: an address of the web, a backslash, or a name that is nearly there."""
    if "://" in path:
        return " Addresses are not fetched: download the pictures and list the files."
    if is_file(root / path.replace("\\", "/")):
        return " Write paths with forward slashes."
    with suppress(OSError, ValueError):  # no path at all, or a folder that may not be looked into
        *folders, name = Path(path).parts
        for folder in folders:
            if not (root / folder).is_dir():
                return nearest(folder, [entry.name for entry in root.iterdir() if entry.is_dir()])
            root = root / folder
        return nearest(name, [entry.name for entry in root.iterdir()])
    return ""


def _given(table: Table, picture: str, target: str, *, evaluating: bool) -> list[str]:
    """Return the split that each row names, "" for all where there is no such column or nothing in it."""
    columns = _split_columns(table, picture, target)
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
            f"{table.file}: no row of the column {columns[0]!r} says train; it holds {_listed(sorted(set(given)))}. "
            f"Call the pictures to learn from train, or take the column away."
        )
    return given


# ---- rows


def _without_empty(column: Column, rows: list[_Row], task: str, notes: list[str]) -> list[_Row]:
    """Return the rows that have a value; says in `notes` which have none."""
    if task == "multilabel":
        if none := sum(not row.value for row in rows):
            notes.append(f"{_number(none, 'row')} without {column.name}: taken as having none of the labels.")
        return rows
    empty = [row.line for row in rows if row.value is None]
    if not empty:
        return rows
    if len(empty) >= MOST_LEFT_OUT * len(rows):
        several = "" if task == "regression" else " Where empty means none of the labels: --task multilabel."
        raise DataError(
            f"{column.file}: {column.name} is empty in {len(empty)} of {_number(len(rows), 'row')}, first in line "
            f"{empty[0]}; less than {MOST_LEFT_OUT:.0%} would be left out. Fill them in, or delete the rows.{several}"
        )
    notes.append(f"{_number(len(empty), 'row')} without {column.name} left out: {_lines(empty)}.")
    return [row for row in rows if row.value is not None]


def _without_repeated(column: Column, rows: list[_Row], task: str, notes: list[str]) -> list[_Row]:
    """Return each picture once a split, without those that are listed with different values."""
    groups: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[row.path].append(row)
    kept: list[_Row] = []
    against: list[list[_Row]] = []
    for group in groups.values():
        if len({row.value for row in group}) > 1:
            against.append(group)
        else:
            kept += {row.given: row for row in reversed(group)}.values()
    if against:
        first = f"{shown(against[0][0].path)} ({_lines([row.line for row in against[0]])})"
        said = f"{_number(len(against), 'picture')} listed with different {column.name}, such as {first}"
        if len(against) >= MOST_LEFT_OUT * len(groups):
            together = "" if task == "regression" else " Several labels of one picture belong into one cell: 'cat;dog'."
            raise DataError(f"{column.file}: {said}. Decide which row is right, and delete the others.{together}")
        notes.append(f"{said}: left out. Decide which row is right.")
    if again := len(rows) - len(kept) - sum(len(group) for group in against):
        notes.append(f"{_number(again, 'row')} listed again, word for word: taken once.")
    return kept


def _require_variety(column: Column, values: Sequence[Value]) -> None:
    """Raise DataError if every picture has the same value."""
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
        f"Two labels differ only in capital letters: {_listed(group)}. Is it one label?"
        for group in folded.values()
        if len(group) > 1
    ]


def _require_known(file: Path, rows: Sequence[_Row], classes: Sequence[str]) -> None:
    known = {one_form(name) for name in classes}
    for row in rows:
        for name in names_in(row.value) if row.value is not None else ():
            if name not in known:
                raise DataError(
                    f"{file}, line {row.line}: the label {shown(name)} is none of the {len(classes)} of the model "
                    f"({_listed(classes)}).{nearest(name, classes)} Correct it, or delete the row."
                )


# ---- words


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(repr(name) for name in names[:NAMES_SHOWN]) + more


def _lines(lines: Sequence[int]) -> str:
    more = f" and {len(lines) - NAMES_SHOWN} more" if len(lines) > NAMES_SHOWN else ""
    return f"line{'s' * (len(lines) > 1)} {', '.join(str(line) for line in lines[:NAMES_SHOWN])}{more}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
