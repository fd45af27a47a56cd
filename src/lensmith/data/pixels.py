"""The pictures of a data set as pixels: kept when they are decoded for the first time, found again by content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np

from lensmith.data import decode
from lensmith.data.pack import Pack
from lensmith.data.preprocess import Preprocessing, read_square
from lensmith.data.read import Files, Record, read_pictures
from lensmith.data.store import Store, digest
from lensmith.errors import DataError
from lensmith.reproduce import cores

FORMAT = 1
SHARE = 0.75  # of what the store may hold, for one data set: 53,000 pictures of 224 pixels in 8 GB
Row = tuple[Record, np.ndarray]  # a picture that is asked for, and the (s, s, 3) uint8 it goes into


class Pictures(Protocol):
    """Pixels (n, s, s, 3) uint8, given by position as an array gives them; an array is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, s, s, 3)."""

    def __len__(self) -> int:
        """Return n."""

    def __getitem__(self, positions: np.ndarray | slice, /) -> np.ndarray:
        """Return the k pictures at whole-numbered positions, (k, s, s, 3)."""


class StoredPixels:
    """Pictures of the files that `records` tell of, in their order; for many threads. Unreadable files are black.

    What the pack holds comes from there; the rest is decoded when it is asked for, and kept.
    """

    def __init__(self, root: Path, records: Sequence[Record], preprocessing: Preprocessing, pack: Pack) -> None:
        self._root, self._records, self._preprocessing, self._pack = root, records, preprocessing, pack
        self._threads = ThreadPoolExecutor(cores(), thread_name_prefix="pixels")
        pack.give_way({record.sha256 for record in records})

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, s, s, 3)."""
        side = self._preprocessing.image_size
        return len(self._records), side, side, 3

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, positions: np.ndarray | slice, /) -> np.ndarray:
        """Return the pictures at positions, as a copy. Raises DataError where a file is not what it was any more."""
        asked = np.arange(len(self))[positions]
        pixels = np.zeros((*asked.shape, *self.shape[1:]), np.uint8)
        records = (self._records[position] for position in asked.ravel().tolist())
        rows = zip(records, pixels.reshape(-1, *self.shape[1:]), strict=True)
        missing = self._not_kept((record, row) for record, row in rows if not record.reason)
        if missing and self._pack.follow():  # another process is filling it
            missing = self._not_kept(missing)
        decoded = self._threads.map(self._decoded, (record for record, _ in missing))
        for (record, row), fresh in zip(missing, decoded, strict=True):
            row[:] = fresh
            self._pack.keep(record.sha256, row)
        return pixels

    def _not_kept(self, rows: Iterable[Row]) -> list[Row]:
        """Fill the rows that the pack has and return the others."""
        return [(record, row) for record, row in rows if not self._pack.read(record.sha256, row)]

    def _decoded(self, record: Record) -> np.ndarray:
        try:
            data = decode.picture_bytes(self._root / record.path)
            if hashlib.sha256(data).hexdigest() == record.sha256:
                return read_square(data, self._preprocessing)[0]
            reason = "it is another picture"
        except decode.Unreadable as unreadable:
            reason = unreadable.reason
        raise DataError(
            f"{record.path} has changed since this training looked at it ({reason}). Train again; pictures must stay "
            f"as they are until it ends."
        )


def open_pack(store: Store, root: Path, preprocessing: Preprocessing) -> Pack:
    """Return where the pixels of the pictures below `root` are kept, for this geometry and this decoder."""
    key = digest("pixels", FORMAT, os.fsencode(root.absolute()), preprocessing.geometry)
    folder = store.folder / "pixels" / key
    store.touch(folder)
    store.trim()  # runs that were interrupted did not, and what they left would add up
    return Pack(folder, 3 * preprocessing.image_size**2, int(SHARE * store.bound()))


def look_at(
    files: Files, preprocessing: Preprocessing, pack: Pack, *, advance: Callable[[int], None] = lambda done: None
) -> tuple[Record, ...]:
    """Return the records of all files; those that are not known yet are decoded for it, and kept in the pack."""
    records = []
    for picture in read_pictures(files, preprocessing, known=frozenset(files.hashes())):
        records.append(picture.record)
        if picture.pixels is not None:
            pack.keep(picture.record.sha256, picture.pixels)
        advance(len(records))
    return tuple(records)
