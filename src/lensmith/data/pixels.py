"""All pictures of a data set as one array, for training from scratch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files, Record, read_pictures

MOST_IN_MEMORY = 2 * 2**30  # bytes; what is larger is mapped from a temporary file
STATISTICS_PICTURES = 2000
SMALLEST_STD = 1 / 255


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


def channel_statistics(
    pixels: np.ndarray, chosen: np.ndarray
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and standard deviation by channel on the 0..1 scale, over an even spread of the chosen pictures."""
    step = max(1, len(chosen) // STATISTICS_PICTURES)
    total, squares, count = np.zeros(3), np.zeros(3), 0
    for index in chosen[::step]:
        values = pixels[index].reshape(-1, 3).astype(np.float64) / 255
        total, squares, count = total + values.sum(0), squares + (values**2).sum(0), count + len(values)
    mean = total / count
    std = np.maximum(np.sqrt(np.maximum(squares / count - mean**2, 0)), SMALLEST_STD)
    return _triple(mean), _triple(std)


def _room(shape: tuple[int, ...], folder: Path) -> np.ndarray:
    if int(np.prod(shape)) <= MOST_IN_MEMORY:
        return np.zeros(shape, np.uint8)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), 6) for value in values)
    return red, green, blue
