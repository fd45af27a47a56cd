"""One way in for every kind of data that a user can name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lensmith.data.clips import holds_videos, open_clips
from lensmith.data.dataset import Dataset, said_of
from lensmith.data.folders import open_folder
from lensmith.data.labels import AUTO, require_task
from lensmith.data.listed import names_pictures, open_listed
from lensmith.data.measured import open_measured
from lensmith.data.sentences import holds_sentences, open_sentences
from lensmith.data.table import TABLE_SUFFIXES, read_table
from lensmith.errors import UsageError


def open_data(
    path: str | Path,
    *,
    task: str = AUTO,
    target: str | None = None,
    classes: Sequence[str] | None = None,
    frames: bool = False,
) -> Dataset:
    """Return the data set of a folder of class folders, or of a table (.csv, .tsv, .jsonl, .ndjson).

    A table with a column that names picture files is a list of pictures; of any other the rows are learned from. A
    folder of text files, a class each, holds sentences; one with video files, or whose folders of pictures are the
    `frames` of clips, holds clips.

    task: classification, multilabel, regression or auto. target: the column of the table to learn. classes: those of
    a trained model that the data is to be evaluated with; give its task along.

    Raises DataError where it is neither, UsageError where task or target do not go with a folder.
    """
    require_task(task)
    path = Path(path)
    if path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir():
        table = read_table(path)
        if names_pictures(table, target):
            return open_listed(table, task=task, target=target, classes=classes)
        with said_of("row"):
            return open_measured(table, task=task, target=target, classes=classes)
    if path.is_dir() and (target is not None or task not in (AUTO, "classification")):
        asked = f"the target {target!r}" if target is not None else f"the task {task}"
        raise UsageError(
            f"{asked} belongs to a table of pictures; {path} is a folder, and its sub-folders are the classes. Leave "
            f"it away, or give a table ({', '.join(TABLE_SUFFIXES)})."
        )
    if path.is_dir() and (frames or holds_videos(path)):
        return open_clips(path, classes)
    if path.is_dir() and holds_sentences(path):
        return open_sentences(path, classes)
    return open_folder(path, classes)
