"""Text tables as rows of cells: .csv, .tsv and .jsonl, with the line that each row begins on.

Nothing is made of the cells here: a number in a JSON line keeps the characters it is written in. What is no table
is refused with its line and the way to mend it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensmith.data.formats import PICTURE_SUFFIXES
from lensmith.errors import DataError, nearest

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
DELIMITERS = {".csv": (",", ";", "\t"), ".tsv": ("\t",)}  # the first that divides the first line is taken
DELIMITER_WORDS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
PICTURE_COLUMNS = ("path", "file", "filename", "image", "picture", "img", "name")
HEADLESS = ("picture", "label")

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
GROUPED = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+", re.ASCII)
IN_GROUPS = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d*)(,\d+)?", re.ASCII)
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
DECIMAL_POINT = re.compile(r"[+-]?[\d,]*\.\d+([eE][+-]?\d+)?", re.ASCII)

Cell = str | tuple[str, ...]  # "" where there is nothing; a list of a JSON line is a tuple


@dataclass(frozen=True)
class Table:
    """The rows of a table: `cells[i][j]` stands in `columns[j]`, in the row that begins on line `lines[i]`."""

    file: Path
    columns: tuple[str, ...]
    lines: tuple[int, ...]
    cells: tuple[tuple[Cell, ...], ...]

    def column(self, name: str) -> list[Cell]:
        """Return the cells of one column, in order."""
        place = self.columns.index(name)
        return [row[place] for row in self.cells]


def read_table(file: Path) -> Table:
    """Return the rows of a table; lines that are empty are passed over. Raises DataError."""
    suffix = file.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise DataError(f"{file} is no table; allowed are {', '.join(TABLE_SUFFIXES)}. Save it as CSV in UTF-8.")
    text = _text(file)
    table = _delimited(file, text) if suffix in DELIMITERS else _objects(file, text)
    if not table.cells:
        raise DataError(f"{file} has no rows. {example(file)}")
    return table


def example(file: Path) -> str:
    """Return a few lines that show how such a table is written."""
    rows = [("cats/1.jpg", "cat"), ("dogs/1.jpg", "dog")]
    if file.suffix.lower() in DELIMITERS:
        between = DELIMITERS[file.suffix.lower()][0]
        lines = [between.join(row) for row in (HEADLESS, *rows)]
    else:
        lines = [json.dumps(dict(zip(HEADLESS, row, strict=True))) for row in rows]
    return f"{file.name} should look like this:" + "".join(f"\n  {line}" for line in lines)


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        beside = [path.name for path in file.parent.iterdir()] if file.parent.is_dir() else []
        near = nearest(file.name, beside)
        raise DataError(f"{file}: no such file.{near} Check the name and where you are.") from None
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}). Allow it, or copy it.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}, line {line}: this is not UTF-8. Save the table as CSV in UTF-8.") from None
    if "\0" in text:
        raise DataError(f"{file} holds zero bytes, so it is no text. Save the table as CSV in UTF-8.")
    return text


def _delimited(file: Path, text: str) -> Table:
    delimiter = _delimiter(file, text)
    rows = [(line, row) for line, row in _rows(file, text, delimiter) if any(row)]
    if not rows:
        raise DataError(f"{file} is empty. {example(file)}")
    header = tuple(rows[0][1])
    if _looks_like_a_picture(file.parent, header[0]):
        if len(header) != len(HEADLESS):
            raise DataError(
                f"{file}: line 1 names a picture where the names of the {len(header)} columns should stand. Put a line "
                f"such as {delimiter.join((*HEADLESS, 'split'))} above it."
            )
        header = HEADLESS
    elif _is_nameless(header, delimiter):
        header = tuple(str(place) for place in range(1, len(header) + 1))
    else:
        rows = rows[1:]
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(
                f"{file}, line {line}: {len(row)} cell{'s' * (len(row) != 1)}, where the first line has {len(header)}. "
                f"Put a cell that holds "
                f'{DELIMITER_WORDS[delimiter]} in double quotes: "a{delimiter}b".'
            )
    named = [place for place, name in enumerate(header) if name]  # some tools write row numbers under no name
    columns = tuple(header[place] for place in named)
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise DataError(f"{file}: two columns are called {twice[0]!r}. Rename one.")
    lines = tuple(line for line, _ in rows)
    texts = [[row[place] for _, row in rows] for place in named]
    if delimiter != ",":
        texts = [_with_points(column) for column in texts]
    return Table(file, columns, lines, tuple(zip(*texts, strict=True)))


def _with_points(cells: list[str]) -> list[str]:
    """Return a column with its decimal commas as points, unless points stand in it too: its commas then part thousands,
    or, where a comma follows them as in 1.570,50, the points do.

    Only where no comma divides the cells can one be told from a decimal comma.
    """
    if any(map(GROUPED.fullmatch, cells)):
        return [cell.replace(".", "").replace(",", ".") if IN_GROUPS.fullmatch(cell) else cell for cell in cells]
    if any(map(DECIMAL_POINT.fullmatch, cells)):
        return cells
    return [cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell) else cell for cell in cells]


def _delimiter(file: Path, text: str) -> str:
    """Return what divides the cells: a comma wherever the first line has one, since ';' also joins labels.

    Where every comma is a decimal comma between semicolons, as in 0,5;1,5;yes, it divides nothing.
    """
    first = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    allowed = DELIMITERS[file.suffix.lower()]
    parts = [part.strip() for part in first.split(";")]
    if ";" in allowed and len(parts) > 1 and all(DECIMAL_COMMA.fullmatch(part) for part in parts if "," in part):
        return ";"
    for delimiter in allowed:
        if len(next(csv.reader([first], delimiter=delimiter), [])) > 1:
            return delimiter
    if not first:
        return allowed[0]
    words = ", ".join(DELIMITER_WORDS[delimiter] for delimiter in allowed)
    raise DataError(
        f"{file}: the first line ({first.strip()[:60]!r}) has one cell; a picture and a label are needed, divided by "
        f"{words}. {example(file)}"
    )


def _rows(file: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line that each row begins on, and its cells without the blanks around them."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            yield line, [cell.strip() for cell in row]
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{file}, line {line}: the quotes are broken ({error}). A quoted cell begins and ends with a double quote; "
            f"one inside it is written twice."
        ) from None


def _is_nameless(first: tuple[str, ...], delimiter: str) -> bool:
    """Return whether the first line is a row already: it holds a number, and nothing that names a column of pictures.

    A number as the name of a column (a year, say) is read as a row: name it `y2020`.
    """
    named = any(cell.casefold() in PICTURE_COLUMNS for cell in first)
    commas = delimiter != ","
    return not named and any(NUMBER.fullmatch(cell) or (commas and DECIMAL_COMMA.fullmatch(cell)) for cell in first)


def _looks_like_a_picture(folder: Path, cell: str) -> bool:
    if cell.casefold() in PICTURE_COLUMNS or not cell:
        return False
    return Path(cell).suffix.lower() in PICTURE_SUFFIXES or is_file(folder / cell)


def is_file(path: Path) -> bool:
    """Return whether a file is there; a text that can be no path (too long, say) is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _objects(file: Path, text: str) -> Table:
    """Return the rows of JSON lines; the columns are the names of all lines, in the order they turn up."""
    columns: dict[str, None] = {}
    lines, rows = [], []
    for line, written in enumerate(text.split("\n"), 1):  # splitlines would break at signs that JSON allows inside
        if not written.strip():
            continue
        found = _object(file, line, written)
        columns |= dict.fromkeys(found)
        lines.append(line)
        rows.append(found)
    cells = tuple(tuple(row.get(name, "") for name in columns) for row in rows)
    return Table(file, tuple(columns), tuple(lines), cells)


def _object(file: Path, line: int, written: str) -> dict[str, Cell]:
    try:
        found = json.loads(written, parse_int=str, parse_float=str, parse_constant=str)
        # Escapes can spell what no name on disk holds: half a character (which does not encode), or a zero.
        if "\\u0000" in json.dumps(found, ensure_ascii=False).encode().decode():
            raise ValueError
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        said = f"{file}, line {line}: this is not JSON that can be used ({why})."
        raise DataError(f"{said} Each line is one object. {example(file)}") from None
    if not isinstance(found, dict):
        raise DataError(f"{file}, line {line}: a JSON object is needed on each line. {example(file)}")
    return {str(name).strip(): _json_cell(value) for name, value in found.items()}


def _json_cell(value: Any) -> Cell:
    """Return a JSON value as text; anything deeper than a list becomes the JSON it was written as."""
    if value is None:
        return ""
    if isinstance(value, list):
        return tuple(_json_text(item) for item in value)
    return _json_text(value)


def _json_text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
