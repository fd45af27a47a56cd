"""`lensmith preview`: what an augmentation does to a few of one's own pictures, before anything is trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files, read_pictures
from lensmith.data.source import open_data
from lensmith.data.store import Store
from lensmith.errors import DataError
from lensmith.files import writing

ROWS, COLUMNS, SIDE = 6, 7, 128


def preview(
    data: str | Path,
    *,
    augment: str = "small-data",
    task: str = "auto",
    target: str | None = None,
    seed: int = 0,
    out: str | Path = "preview.png",
) -> Path:
    """Write a contact sheet of augmented pictures and return its path: a picture a row, then what training shows of it.

    data: a folder or a table, as for train. augment: none, shift, small-data, strong, or such a word and changes, as
    small-data,rotation=30. task, target: as for train. seed: the sheet shows what training with this seed would show.
    out: the file to write, a PNG.

    Raises UsageError for an augmentation that does not exist, DataError where no picture can be read, RunError for a
    place that cannot be written.
    """
    from lensmith.training.augmentation import parse
    from lensmith.training.colour import colour_components
    from lensmith.training.sheet import contact_sheet

    augmentation = parse(augment)
    dataset = open_data(data, task=task, target=target)
    if dataset.example != "picture":
        raise DataError(f"{data} holds {dataset.example}s, and only pictures are augmented.")
    # The draws of a picture follow from its place in the data set, so there is a place for each; memory that is never
    # touched costs nothing.
    pictures = np.zeros((len(dataset), SIDE, SIDE, 3), np.uint8)
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(ROWS, len(dataset))).round().astype(int))
    files = Files(dataset.root, [dataset.paths[row] for row in rows], Store())
    geometry = Preprocessing(SIDE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    read = []
    for row, picture in zip(rows.tolist(), read_pictures(files, geometry), strict=True):
        if picture.pixels is not None:
            pictures[row] = picture.pixels
            read.append(row)
    if not read:
        raise DataError(f"none of the pictures looked at in {data} can be read. `lensmith check` names broken ones.")
    components = colour_components(augmentation, pictures, np.array(read))
    sheet = contact_sheet(pictures, augmentation, seed, COLUMNS, read, components)
    path = Path(out)
    with writing(path.parent):
        sheet.save(path, "PNG", optimize=True)
    return path
