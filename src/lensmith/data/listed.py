"""Pictures listed in a table, one a row, each with a label, several labels or a number.

picture,label          picture,tags            picture,age,split
cats/1.jpg,cat         beach/1.jpg,sea;sand    faces/1.jpg,31.5,train
dogs/1.jpg,dog         beach/2.jpg,sea         faces/2.jpg,64.0,test
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lensmith.data.dataset import Dataset
from lensmith.data.formats import PICTURE_SUFFIXES
from lensmith.data.labels import AUTO, Column, guess_task, read_values, require_task, shown, to_targets
from lensmith.data.table import PICTURE_COLUMNS, Table, example, is_file
from lensmith.data.target import (
    MOST_LEFT_OUT,
    Row,
    class_names,
    given_splits,
    lines,
    listed,
    number,
    target_column,
    without_empty,
)
from lensmith.errors import DataError, nearest

ROWS_TRIED = 5  # for finding the column that names files


def open_listed(
    table: Table, *, task: str = AUTO, target: str | None = None, classes: Sequence[str] | None = None
) -> Dataset:
    """Return the data set of the pictures that a table lists; no picture is opened.

    Paths are relative to the table's folder, which is the root; absolute ones, and ones that climb by .., are the
    user's to write. task: one of TASKS, or auto (see guess_task; the choice is in the notes). target: the column to
    learn (None: the one with a usual name, or the only one). classes: those of a trained model, where the table is
    to be evaluated with it; labels must then be among them, and targets count in their order.

    Raises DataError, with line and fix, where the table cannot be read as a data set, UsageError for an unknown task.
    """
    require_task(task)
    picture = _picture_column(table, target)
    column = target_column(table, (picture,), target)
    paths = _paths(table, picture)
    notes = []
    if task == AUTO:
        task, why = guess_task(column)
        notes.append(f"The column {column.name!r} is read as {task}, since {why}. --task overrules it.")
    elif target is None and classes is None and len(table.columns) > 2:
        notes.append(f"The column {column.name!r} is what is learned. --target overrules it.")
    values = read_values(column, task)
    given = given_splits(table, (picture,), column.name, evaluating=classes is not None)
    rows = [Row(*row) for row in zip(table.lines, paths, values, given, strict=True)]
    rows = without_empty(column, rows, task, notes)
    rows = _without_repeated(column, rows, task, notes)
    rows.sort(key=lambda row: (row.path, row.line))
    names = class_names(column, rows, task, classes, notes)
    kept = [row.value for row in rows if row.value is not None]
    return Dataset(
        root=table.file.parent,
        task=task,
        classes=names,
        paths=tuple(row.path for row in rows),
        targets=to_targets(kept, task, names),
        given=tuple(row.given for row in rows),
        notes=tuple(notes),
        target_name=column.name,
        table=table.file.name,
    )


def names_pictures(table: Table, target: str | None) -> bool:
    """Return whether a column other than the target names picture files, be they there or not."""
    folder = table.file.parent
    for name in table.columns:
        cells = [cell for cell in table.column(name) if cell][:ROWS_TRIED] if name != target else []
        texts = (text for cell in cells for text in ((cell,) if isinstance(cell, str) else cell))
        if any(_could_be_picture(folder, text) for text in texts):
            return True
    return False


def _could_be_picture(folder: Path, cell: str) -> bool:
    return Path(cell).suffix.lower() in PICTURE_SUFFIXES or is_file(folder / cell)


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
        f"{table.file}: none of its columns{besides} ({listed(columns)}) names pictures in "
        f"{table.file.parent.absolute()}. Call the column of pictures path. {example(table.file)}"
    )


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


# ---- rows


def _without_repeated(column: Column, rows: list[Row], task: str, notes: list[str]) -> list[Row]:
    """Return each picture once a split, without those that are listed with different values."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.path].append(row)
    kept: list[Row] = []
    against: list[list[Row]] = []
    for group in groups.values():
        if len({row.value for row in group}) > 1:
            against.append(group)
        else:
            kept += {row.given: row for row in reversed(group)}.values()
    if against:
        first = f"{shown(against[0][0].path)} ({lines([row.line for row in against[0]])})"
        said = f"{number(len(against), 'picture')} listed with different {column.name}, such as {first}"
        if len(against) >= MOST_LEFT_OUT * len(groups):
            together = "" if task == "regression" else " Several labels of one picture belong into one cell: 'cat;dog'."
            raise DataError(f"{column.file}: {said}. Decide which row is right, and delete the others.{together}")
        notes.append(f"{said}: left out. Decide which row is right.")
    if again := len(rows) - len(kept) - sum(len(group) for group in against):
        notes.append(f"{number(again, 'row')} listed again, word for word: taken once.")
    return kept
