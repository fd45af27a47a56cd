"""Reading many pictures: threads ahead of the caller, in order, each file read once for hash and pixels."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lensmith.data import decode
from lensmith.data.preprocess import Preprocessing, read_square
from lensmith.data.store import Store
from lensmith.reproduce import cores

READ_AHEAD = 16  # pictures a thread; bounds memory whatever the size of the folder
ROWS_A_WRITE = 1000


@dataclass(frozen=True)
class Record:
    """What is known of one file: `reason` is empty if it can be read, `sha256` empty if not even its bytes can."""

    path: str
    sha256: str
    width: int
    height: int
    reason: str


@dataclass(frozen=True)
class Picture:
    """A record and, where they were asked for and could be read, the pixels `(s, s, 3)` uint8."""

    record: Record
    pixels: np.ndarray | None


def read_pictures(files: Files, preprocessing: Preprocessing, *, known: Container[str] = ()) -> Iterator[Picture]:
    """Yield one Picture a path, in order; the pixels of a file whose SHA-256 is in `known` are not needed.

    A file whose size and time have not changed, whose outcome is stored and whose pixels nobody needs is not
    opened at all. Broken files are yielded with a reason, never raised.
    """
    count = cores()
    with ThreadPoolExecutor(count, thread_name_prefix="read") as pool:
        waiting: deque[Picture | Future[_Fresh]] = deque()
        try:
            for path in files.paths:
                record = files.recall(path)
                if record is not None and (record.reason or record.sha256 in known):
                    waiting.append(Picture(record, None))
                else:
                    waiting.append(pool.submit(_read, files.root, path, preprocessing))
                if len(waiting) > count * READ_AHEAD:
                    yield files.learn(waiting.popleft())
            while waiting:
                yield files.learn(waiting.popleft())
        finally:
            for item in waiting:
                if isinstance(item, Future):
                    item.cancel()
            files.close()


@dataclass(frozen=True)
class _Fresh:
    """A picture just read, with the file's size and time from before it was read."""

    picture: Picture
    status: tuple[int, int] | None


def _read(root: Path, path: str, preprocessing: Preprocessing) -> _Fresh:
    status = _status(root / path)
    try:
        data = decode.picture_bytes(root / path)
    except decode.Unreadable as unreadable:
        return _Fresh(Picture(Record(path, "", 0, 0, unreadable.reason), None), None)
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        pixels, (width, height) = read_square(data, preprocessing)
    except decode.Unreadable as unreadable:
        return _Fresh(Picture(Record(path, sha256, 0, 0, unreadable.reason), None), status)
    return _Fresh(Picture(Record(path, sha256, width, height, ""), pixels), status)


class Files:
    """Files below `root`, to be read once, with what earlier runs learned of them.

    What this reading learns is written in blocks.
    """

    def __init__(self, root: Path, paths: Sequence[str], store: Store) -> None:
        self.root, self.paths = root, paths
        self._files, self._outcomes = store.files(), store.outcomes(decode.policy())
        self._known = self._recall_all(paths)
        self._new: list[tuple[Record, tuple[int, int]]] = []  # no pixels: a thousand squares are 150 MB

    def _recall_all(self, paths: Sequence[str]) -> dict[str, Record]:
        keys = {path: _key(self.root / path) for path in paths}
        rows = self._files.get(list(keys.values()))
        hashes: dict[str, str] = {}
        for path, key in keys.items():
            status = _status(self.root / path)
            if key in rows and status is not None and rows[key][:2] == status:
                hashes[path] = str(rows[key][2])
        outcomes = self._outcomes.get(list(set(hashes.values())))
        return {path: _record(path, sha, outcomes[sha]) for path, sha in hashes.items() if sha in outcomes}

    def hashes(self) -> list[str]:
        """Return the SHA-256 of the readable files that are known and unchanged."""
        return [record.sha256 for record in self._known.values() if not record.reason]

    def recall(self, path: str) -> Record | None:
        """Return what is known of an unchanged file, or None."""
        return self._known.get(path)

    def learn(self, item: Picture | Future[_Fresh]) -> Picture:
        """Return the picture, waiting for it if it is still being read, and remember what was found."""
        if isinstance(item, Picture):
            return item
        fresh = item.result()
        if fresh.status is not None:
            self._new.append((fresh.picture.record, fresh.status))
        if len(self._new) >= ROWS_A_WRITE:
            self.flush()
        return fresh.picture

    def close(self) -> None:
        """Write what was learned and let go of the store."""
        self.flush()
        self._files.close()
        self._outcomes.close()

    def flush(self) -> None:
        """Write what was learned."""
        self._files.put((_key(self.root / record.path), *status, record.sha256) for record, status in self._new)
        self._outcomes.put((record.sha256, record.width, record.height, record.reason) for record, _ in self._new)
        self._new.clear()


def _record(path: str, sha256: str, row: tuple[object, ...]) -> Record:
    width, height, reason = row
    return Record(path, sha256, int(str(width)), int(str(height)), str(reason))


def _key(path: Path) -> str:
    """Return the path as text that SQLite takes: names that are no UTF-8 are escaped."""
    return str(path.absolute()).encode("utf-8", "backslashreplace").decode()


def _status(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
