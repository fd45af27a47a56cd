"""A file without a name, for numbers that are too many for memory and that nobody needs afterwards."""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path

import numpy as np

from lensmith.errors import RunError


class NamelessFile:
    """`size` bytes in a file in `folder` that has no name there and goes when the object does.

    Each call says where it reads or writes, so threads may share it. It is read, not mapped: the system's own cache
    holds it, and the process nothing. What was never written takes no room on disk and is zero. Raises OSError where no
    file can be made.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._file.truncate(size)

    def write(self, place: int, values: np.ndarray) -> bool:
        """Write an array from a byte on; return False where the disk is full."""
        left = memoryview(values.tobytes())
        try:
            while left:
                written = os.pwrite(self._file.fileno(), left, place)
                left, place = left[written:], place + written
        except OSError:
            return False
        return True

    def read(self, place: int, values: np.ndarray) -> None:
        """Fill a contiguous array with what stands from a byte on. Raises RunError if the file was cut short."""
        left = values.data.cast("B")
        while left:
            found = os.preadv(self._file.fileno(), [left], place)
            if not found:
                raise RunError(f"a file in {self._folder} is shorter than it was: is its disk failing? Train again.")
            left, place = left[found:], place + found
