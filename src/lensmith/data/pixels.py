"""All pictures of a data set as one array, for training from scratch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files, Record, read_pictures

MOST_IN_MEMORY = 2 * 2**30  # bytes; what is larger is mapped from a temporary file


def load_pixels(
    files: Files,
    preprocessing: Preprocessing,
    folder: Path,
    *,
    advance: Callable[[int], None] = lambda done: None,
) -> tuple[np.ndarray, tuple[Record, ...]]:
    """Return (n, s, s, 3) uint8 in the order of the files, and their records; unreadable files are left black.

    A large array is mapped from a nameless file in `folder`, which goes when the array does.
    """
    shape = (len(files.paths), preprocessing.image_size, preprocessing.image_size, 3)
    pixels = _room(shape, folder)
    records = []
    for index, picture in enumerate(read_pictures(files, preprocessing)):
        records.append(picture.record)
        if picture.pixels is not None:
            pixels[index] = picture.pixels
        advance(index + 1)
    return pixels, tuple(records)


def _room(shape: tuple[int, ...], folder: Path) -> np.ndarray:
    if int(np.prod(shape)) <= MOST_IN_MEMORY:
        return np.zeros(shape, np.uint8)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)
