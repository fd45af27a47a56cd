"""Rows of numbers found by position: in memory while they are few, in a nameless file where they are many."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from lensmith.training.nameless import NamelessFile

SMALL = 32 * 2**20  # bytes: the features that mobilenet_v2 gives of 6,500 pictures
GAP = 8  # so many rows are read over rather than left out


class Matrix(Protocol):
    """Rows (n, width) float32, given by position as an array gives them; an array is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, width)."""

    def __len__(self) -> int:
        """Return n."""

    def __getitem__(self, positions: np.ndarray | slice, /) -> np.ndarray:
        """Return the rows at whole-numbered positions, (k, width) float32."""


class Rows:
    """`count` rows of zeros, float32, to be filled one by one; the first one that is set decides how wide they are.

    More than SMALL bytes lie in a nameless file in `folder`. Where the disk has no room, memory has to do.
    """

    def __init__(self, count: int, folder: Path) -> None:
        self._count, self._folder = count, folder
        self._values = np.zeros((count, 0), np.float32)
        self._file: NamelessFile | None = None
        self._width = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, width); the width is 0 until a row is set."""
        return self._count, self._width

    def __len__(self) -> int:
        return self._count

    def __setitem__(self, position: int, row: np.ndarray) -> None:
        """Set the row at a position. Raises ValueError if it is not as wide as the first."""
        if not self._width:
            self._make_room(len(row))
        if len(row) != self._width:
            raise ValueError(f"row {position} holds {len(row)} numbers; must hold {self._width} as the others do.")
        if self._file is not None and not self._file.write(4 * position * self._width, row.astype(np.float32)):
            self._values, self._file = self[:], None
        if self._file is None:
            self._values[position] = row

    def __getitem__(self, positions: np.ndarray | slice, /) -> np.ndarray:
        """Return the rows at positions (k, width); not to be written to, since a slice may be no copy."""
        if self._file is None:
            return self._values[positions]
        asked = np.arange(self._count)[positions]
        found = np.empty((len(asked), self._width), np.float32)
        # Rows asked for in order take one call for many: one call for each would take longer than the rows themselves.
        steps = np.diff(asked, prepend=-GAP - 1)
        begins = np.flatnonzero((steps < 1) | (steps > GAP)).tolist()
        for begin, end in pairwise([*begins, len(asked)]):
            first, last = int(asked[begin]), int(asked[end - 1])
            if last - first == end - 1 - begin:
                self._read(first, found[begin:end])
            else:
                between = self._read(first, np.empty((last - first + 1, self._width), np.float32))
                found[begin:end] = between[asked[begin:end] - first]
        return found

    def _make_room(self, width: int) -> None:
        self._width = width
        if 4 * self._count * width > SMALL:
            with suppress(OSError):
                self._file = NamelessFile(self._folder, 4 * self._count * width)
        if self._file is None:
            self._values = np.zeros((self._count, width), np.float32)

    def _read(self, position: int, rows: np.ndarray) -> np.ndarray:
        """Return (k, width), filled with as many rows from a position on."""
        assert self._file is not None
        self._file.read(4 * position * self._width, rows)
        return rows
