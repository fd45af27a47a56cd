"""A folder of sentences: one text file a class, one sentence a line.

reviews/good.txt      reviews/bad.txt
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lensmith.data.dataset import NOT_GIVEN, Dataset
from lensmith.data.target import require_classes
from lensmith.errors import DataError

SUFFIX = ".txt"
COLUMN = "text"


def holds_sentences(folder: Path) -> bool:
    """Return whether there are text files in a folder and no folders, which would be classes of pictures."""
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return any(path.suffix.lower() == SUFFIX for path in found) and not any(path.is_dir() for path in found)


def open_sentences(folder: Path, classes: Sequence[str] | None = None) -> Dataset:
    """Return the data set of a folder of text files; `paths` are the file and line of each sentence.

    classes: those of a trained model that the folder is to be evaluated with. Empty lines are passed over.
    Raises DataError for one class, one the model does not know, a file without sentences, or one that is not UTF-8.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == SUFFIX and path.name[0] != ".")
    names = [path.stem for path in files]
    if classes is not None:
        require_classes(folder, names, classes, "file")
    elif len(files) < 2:
        raise DataError(
            f"{folder} has one class of sentences, {names[0]!r}; two are needed at least. Put each class into a text "
            f"file of its own, one sentence a line: {folder.name}/good.txt, {folder.name}/bad.txt."
        )
    shown = list(names if classes is None else classes)
    paths, targets, cells = list[str](), list[int](), list[tuple[str, ...]]()
    for file in files:
        found = list(_sentences(file))
        if not found:
            raise DataError(f"{file} has no sentences. Write one a line, or remove the file.")
        for line, sentence in found:
            paths.append(f"{file.name}:{line}")
            targets.append(shown.index(file.stem))
            cells.append((sentence,))
    return Dataset(
        root=folder,
        task="classification",
        classes=tuple(shown),
        paths=tuple(paths),
        targets=np.array(targets, np.int64),
        given=(NOT_GIVEN,) * len(paths),
        example="sentence",
        columns=(COLUMN,),
        cells=tuple(cells),
    )


def _sentences(file: Path) -> list[tuple[int, str]]:
    """Return the lines that say something, with their numbers."""
    return [(line, text) for line, text in enumerate(read_lines(file), 1) if text]


def read_lines(file: Path) -> list[str]:
    """Return the lines of a text file without the blanks around them. Raises DataError for what is no UTF-8."""
    data = file.read_bytes()
    try:
        return [line.strip() for line in data.decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}, line {line}: this is not UTF-8. Save the file in UTF-8.") from None
