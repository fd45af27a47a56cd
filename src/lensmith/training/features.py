"""Cached features: the base runs once over every picture, and what it said is kept by content.

Files are read and decoded in threads, the engine computes meanwhile, and what was computed is written to the store in
blocks, so an interrupted run goes on from there and the next run opens no file at all. No more than a block of rows is
ever in two places: what many pictures take is their features, and those lie on disk where they are large.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files, Record, read_pictures
from lensmith.data.store import Store, Table, digest
from lensmith.engines.interface import Engine, Output
from lensmith.training.rows import Matrix, Rows

ROWS_AT_ONCE = 128  # read from the store and written to it: a few milliseconds, or the engine would run dry


@dataclass(frozen=True)
class Features:
    """Features (n, F) float32 in the order of the files; rows of unreadable files are zero. `computed` were new."""

    values: Matrix
    records: tuple[Record, ...]
    computed: int


def extract(
    files: Files,
    preprocessing: Preprocessing,
    base_key: str,
    engine: Engine,
    store: Store,
    *,
    advance: Callable[[int], None] = lambda done: None,
    keep: Callable[[str, np.ndarray], None] | None = None,
) -> Features:
    """Return the features of all files, from the store where they are there; `advance(done)` is told the progress.

    keep: called with the SHA-256 and the pixels (s, s, 3) uint8 of every picture that had to be decoded.
    """
    table = store.rows("features", digest(base_key, preprocessing.geometry, engine.name, engine.precision))
    values, records = Rows(len(files.paths), store.folder), list[Record]()
    waiting: deque[int] = deque()  # positions of the pictures that the engine has been given
    computed = 0
    try:
        known = _recalled(files, table, values)

        def pixels() -> Iterator[np.ndarray]:
            for index, picture in enumerate(read_pictures(files, preprocessing, known=known)):
                record = picture.record
                records.append(record)
                advance(index + 1)
                if picture.pixels is not None:
                    waiting.append(index)
                    if keep is not None:
                        keep(record.sha256, picture.pixels)
                    yield picture.pixels
                elif not record.reason:  # its features are stored, and are set where its content came first
                    first = known[record.sha256]
                    values[index] = values[first : first + 1][0]

        unwritten: list[tuple[object, ...]] = []
        for output in engine.run(pixels()):
            for row in output.features:
                index = waiting.popleft()
                values[index] = row
                unwritten.append((records[index].sha256, row.tobytes()))
                computed += 1
            if len(unwritten) >= ROWS_AT_ONCE:
                table.put(unwritten)
                unwritten = []
        table.put(unwritten)
    finally:
        table.close()
    return Features(values, tuple(records), computed)


def gathered(outputs: Iterable[Output], count: int, folder: Path) -> Rows:
    """Return the features of `count` pictures as an engine yields them; many lie in a nameless file in `folder`."""
    values, index = Rows(count, folder), 0
    for output in outputs:
        for row in output.features:
            values[index] = row
            index += 1
    return values


def _recalled(files: Files, table: Table, values: Rows) -> dict[str, int]:
    """Set the rows of unchanged files whose features are stored; return one position for each content of theirs.

    A row of another length than the first is damaged and is computed again.
    """
    first: dict[str, int] = {}
    for index, path in enumerate(files.paths):
        record = files.recall(path)
        if record is not None and not record.reason:
            first.setdefault(record.sha256, index)
    contents, known = list(first), dict[str, int]()
    for begin in range(0, len(contents), ROWS_AT_ONCE):
        for sha256, (data, *_) in table.get(contents[begin : begin + ROWS_AT_ONCE]).items():
            if isinstance(data, bytes) and data and len(data) == 4 * (values.shape[1] or len(data) // 4):
                values[first[sha256]] = np.frombuffer(data, np.float32)
                known[sha256] = first[sha256]
    return known
