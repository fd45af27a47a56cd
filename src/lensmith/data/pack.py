"""Decoded pictures on disk, found by content: rows of one length in one file, and an index that says what they are.

Every row is checked as it is read, against a checksum over the row and the content it was decoded from, which is
written after the row. So nothing that a kill, a failing disk, a second writer or an eviction leaves behind is taken for
a picture: at worst a picture has to be decoded again, and its row is then put right. No write has to be synced.

Rows are read into the caller's array, not mapped: where a disk fails or a file is cut short, a read says so, whereas a
mapping ends the process. Either way the system's own cache holds them, and the process holds nothing.
"""

from __future__ import annotations

import os
import threading
import weakref
import zlib
from collections.abc import Container
from io import FileIO
from pathlib import Path

import numpy as np

HASH_BYTES, CHECK_BYTES = 32, 4
RECORD_BYTES = HASH_BYTES + CHECK_BYTES  # of the index: SHA-256 of a file, checksum of its row
UNSOUND = -1  # in place of a checksum


class Pack:
    """Rows of `row_bytes` bytes in a folder, as many as fit into `most_bytes`; for many threads.

    One process writes at a time, others read what it has written. Where nothing can be written, or no more, nothing is
    kept; no error comes of it.
    """

    def __init__(self, folder: Path, row_bytes: int, most_bytes: int) -> None:
        self._row_bytes, self._most = row_bytes, most_bytes // (row_bytes + RECORD_BYTES)
        self._places: dict[str, tuple[int, int]] = {}  # by SHA-256: the place of the row, and its checksum
        self._spare: list[str] = []  # contents whose rows may be overwritten
        self._count = 0
        self._writes = False
        self._lock = threading.Lock()
        self._files: tuple[FileIO, FileIO] | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._files = self._opened(folder / "rows"), self._opened(folder / "index")
            os.utime(folder)
        except OSError:
            return
        self.follow()

    def follow(self) -> bool:
        """Learn what another process has written since, and be the one that writes where no other does.

        Return whether rows have come.
        """
        if self._files is None:
            return False
        index = self._files[1]
        with self._lock:
            try:
                self._writes = self._writes or _claimed(index)
                index.seek(self._count * RECORD_BYTES)
                data = index.read()
            except OSError:
                return False
            begins = range(0, len(data) - RECORD_BYTES + 1, RECORD_BYTES)  # what a kill cut off is no record
            for place, begin in enumerate(begins, self._count):
                sha256, check = data[begin : begin + HASH_BYTES], data[begin + HASH_BYTES : begin + RECORD_BYTES]
                self._places[sha256.hex()] = (place, int.from_bytes(check, "little"))
            self._count += len(begins)
        return len(begins) > 0

    def read(self, sha256: str, row: np.ndarray) -> bool:
        """Fill a uint8 array of row_bytes with what is kept for a content.

        False if there is nothing, or nothing sound; what the array holds then means nothing.
        """
        place, check = self._places.get(sha256, (-1, UNSOUND))
        if self._files is None or check == UNSOUND:
            return False
        rows = self._files[0]
        try:
            with self._lock:
                rows.seek(place * self._row_bytes)
                got = rows.readinto(row.data)
        except OSError:
            return False
        sound = got == self._row_bytes and _checksum(sha256, row) == check
        if not sound:
            self._places[sha256] = (place, UNSOUND)
        return sound

    def keep(self, sha256: str, row: np.ndarray) -> None:
        """Write the row of a content if there is room for it, or where it was found to be unsound."""
        if self._files is None or not self._writes:
            return
        rows, index = self._files
        row = np.ascontiguousarray(row)
        check = _checksum(sha256, row)
        with self._lock:
            if self._places.get(sha256, (-1, UNSOUND))[1] == check:
                return
            place = self._place(sha256)
            if place is None:
                return
            try:
                # In this order: a kill in between leaves a record that its row does not fit, or no record.
                _write(rows, place * self._row_bytes, row.data)
                _write(index, place * RECORD_BYTES, bytes.fromhex(sha256) + check.to_bytes(CHECK_BYTES, "little"))
            except OSError:  # the disk is full
                self._most, self._spare = 0, []
                return
            self._places[sha256] = (place, check)
            self._count = max(self._count, place + 1)

    def give_way(self, wanted: Container[str]) -> None:
        """Let the rows of contents that are not `wanted` be overwritten, once there is no other room."""
        self._spare = [sha256 for sha256 in self._places if sha256 not in wanted]

    def _place(self, sha256: str) -> int | None:
        if sha256 in self._places:
            return self._places[sha256][0]
        if self._count < self._most:
            return self._count
        return self._places.pop(self._spare.pop())[0] if self._spare else None

    def _opened(self, path: Path) -> FileIO:
        path.touch()
        file = FileIO(path, "r+")
        weakref.finalize(self, file.close)
        return file


def _claimed(file: FileIO) -> bool:
    """Take the right to write, unless another process has it; it ends with the process, however that ends.

    Systems and disks without such locks are trusted: two writers there spoil each other's rows, and find that out.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _checksum(sha256: str, row: np.ndarray) -> int:
    return zlib.crc32(row.data, int(sha256[:8], 16))


def _write(file: FileIO, begin: int, data: bytes | memoryview) -> None:
    """Write all of it or raise OSError: a disk that fills takes a part without a word."""
    file.seek(begin)
    if file.write(data) != memoryview(data).nbytes:
        raise OSError("the disk took only a part")
