"""One way in for every kind of data that a user can name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lensmith.data.dataset import Dataset
from lensmith.data.folders import open_folder
from lensmith.data.labels import AUTO, require_task
from lensmith.data.listed import open_listed
from lensmith.data.table import TABLE_SUFFIXES
from lensmith.errors import UsageError


def open_data(
    path: str | Path, *, task: str = AUTO, target: str | None = None, classes: Sequence[str] | None = None
) -> Dataset:
    """Return the data set of a folder of class folders, or of a table (.csv, .tsv, .jsonl, .ndjson) of pictures.

    task: classification, multilabel, regression or auto. target: the column of the table to learn. classes: those of
    a trained model that the data is to be evaluated with; give its task along.

    Raises DataError where it is neither, UsageError where task or target do not go with a folder.
    """
    require_task(task)
    path = Path(path)
    if path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir():
        return open_listed(path, task=task, target=target, classes=classes)
    if path.is_dir() and (target is not None or task not in (AUTO, "classification")):
        asked = f"the target {target!r}" if target is not None else f"the task {task}"
        raise UsageError(
            f"{asked} belongs to a table of pictures; {path} is a folder, and its sub-folders are the classes. Leave "
            f"it away, or give a table ({', '.join(TABLE_SUFFIXES)})."
        )
    return open_folder(path, classes)
