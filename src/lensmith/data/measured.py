"""Tables whose rows are what is learned from: numbers and words in columns, or one column of sentences.

acidity,alcohol,colour,quality        text,label
7.4,9.4,red,5                         "a fine, quiet film",good
7.8,9.8,white,6                       "long and loud",bad
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from lensmith.data.dataset import Dataset
from lensmith.data.encoding import SCALINGS, fit_encoding
from lensmith.data.labels import AUTO, guess_task, one_form, read_values, require_task, to_targets
from lensmith.data.read import Record
from lensmith.data.table import NUMBER, Table
from lensmith.data.target import Row, class_names, given_splits, listed, split_columns, target_column, without_empty
from lensmith.errors import DataError, nearest

TEXT_COLUMNS = ("text", "sentence", "review", "comment", "message", "content", "body")
WORDS = 4  # a lone column with so many words a cell, on average, holds sentences


def open_measured(
    table: Table, *, task: str = AUTO, target: str | None = None, classes: Sequence[str] | None = None
) -> Dataset:
    """Return the data set of the rows of a table; `paths` are its name and the line of each row.

    Every column but the target and `split` is an input. Where one is called text, or the only input holds sentences,
    the examples are sentences and other columns are passed over. task, target, classes: as in `open_listed`.

    Raises DataError, with line and fix, where the table cannot be learned from, UsageError for an unknown task.
    """
    require_task(task)
    column = target_column(table, (), target)
    inputs, notes = _inputs(table, column.name), list[str]()
    if not inputs:
        raise DataError(f"{table.file}: there is no column besides {column.name!r} to learn from. Add one.")
    text = _text_column(table, inputs)
    if text and inputs != [text]:
        passed = listed([name for name in inputs if name != text])
        notes.append(f"The sentences are learned from, in the column {text!r}; passed over: {passed}.")
    inputs = [text] if text else inputs
    if task == AUTO:
        task, why = guess_task(column)
        notes.append(f"The column {column.name!r} is read as {task}, since {why}. --task overrules it.")
    elif target is None and classes is None:
        notes.append(f"The column {column.name!r} is what is learned. --target overrules it.")
    places = [table.columns.index(name) for name in inputs]
    given = given_splits(table, (), column.name, evaluating=classes is not None)
    paths = [f"{table.file.name}:{line}" for line in table.lines]
    values = read_values(column, task)
    rows = [Row(*row) for row in zip(table.lines, paths, values, given, strict=True)]
    rows = without_empty(column, rows, task, notes)
    names = class_names(column, rows, task, classes, notes)
    cells = {
        line: tuple(_text(row[place]) for place in places) for line, row in zip(table.lines, table.cells, strict=True)
    }
    kept = tuple(cells[row.line] for row in rows)
    if classes is None and not text:
        notes += fit_encoding(inputs, kept, SCALINGS[0])[1]
    return Dataset(
        root=table.file.parent,
        task=task,
        classes=names,
        paths=tuple(row.path for row in rows),
        targets=to_targets([row.value for row in rows if row.value is not None], task, names),
        given=tuple(row.given for row in rows),
        notes=tuple(notes),
        target_name=column.name,
        table=table.file.name,
        example="sentence" if text else "row",
        columns=tuple(inputs),
        cells=kept,
    )


def unlabelled(table: Table, columns: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the cells of these columns, for a model that learned from them. Raises DataError where one is missing."""
    places = _places(str(table.file), table.columns, columns)
    return tuple(tuple(_text(row[place]) for place in places) for row in table.cells)


def cells_of(dataset: Dataset, columns: Sequence[str], chosen: Sequence[int]) -> list[tuple[str, ...]]:
    """Return the cells of these columns of the chosen examples. Raises DataError where a column is missing."""
    places = _places(str(dataset.source), dataset.columns, columns)
    return [tuple(dataset.cells[index][place] for place in places) for index in chosen]


def records_of(dataset: Dataset, chosen: Sequence[int] | None = None) -> tuple[Record, ...]:
    """Return a record of every example, or of the chosen ones.

    Rows that say the same have the same content, numbers however written.
    """
    places = range(len(dataset)) if chosen is None else chosen
    texts = ("\x1f".join(_same(cell) for cell in dataset.cells[place]) for place in places)
    contents = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts)
    return tuple(
        Record(dataset.paths[place], content, 0, 0, "") for place, content in zip(places, contents, strict=True)
    )


def _same(cell: str) -> str:
    return f"{float(cell)!r}" if NUMBER.fullmatch(cell) else " ".join(one_form(cell).split())


def _places(source: str, there: Sequence[str], columns: Sequence[str]) -> list[int]:
    missing = [name for name in columns if name not in there]
    if missing:
        raise DataError(
            f"{source}: the model needs the column {missing[0]!r}; there are {listed(there)}."
            f"{nearest(missing[0], there)} Name the columns as the table that was trained on does."
        )
    return [list(there).index(name) for name in columns]


def _inputs(table: Table, target: str) -> list[str]:
    besides = {target, *split_columns(table, (), target)}
    return [name for name in table.columns if name not in besides]


def _text_column(table: Table, inputs: Sequence[str]) -> str:
    """Return the column that holds sentences, "" if none does."""
    for name in inputs:
        if name.casefold() in TEXT_COLUMNS:
            return name
    if len(inputs) > 1:
        return ""
    words = [len(_text(cell).split()) for cell in table.column(inputs[0])]
    return inputs[0] if sum(words) >= WORDS * len(words) else ""


def _text(cell: str | tuple[str, ...]) -> str:
    return cell if isinstance(cell, str) else " ".join(cell)
