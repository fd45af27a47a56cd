"""Cached features: the base runs once over every picture, and what it said is kept by content.

Files are read and decoded in threads, the engine computes meanwhile, and what was computed is written to the store in
blocks, so an interrupted run goes on from there and the next run opens no file at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files, Record, read_pictures
from lensmith.data.store import Store, Table, digest
from lensmith.engines.interface import Engine

ROWS_A_WRITE = 512


@dataclass(frozen=True)
class Features:
    """Features (n, F) float32 in the order of the files; rows of unreadable files are zero. `computed` were new."""

    values: np.ndarray
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
) -> Features:
    """Return the features of all files, from the store where they are there; `advance(done)` is told the progress."""
    table = store.rows("features", digest(base_key, preprocessing.geometry, engine.name, engine.precision))
    try:
        stored = _unpacked(table.get(files.hashes()))
        records: list[Record] = []
        waiting: list[int] = []

        def pixels() -> Iterator[np.ndarray]:
            for index, picture in enumerate(read_pictures(files, preprocessing, known=stored)):
                records.append(picture.record)
                advance(index + 1)
                if picture.pixels is not None:
                    waiting.append(index)
                    yield picture.pixels

        fresh = _compute(engine, pixels(), waiting, records, table)
    finally:
        table.close()
    width = next((len(row) for rows in (fresh, stored) for row in rows.values()), 0)
    values = np.zeros((len(records), width), np.float32)
    for index, record in enumerate(records):
        if not record.reason:
            values[index] = fresh[record.sha256] if record.sha256 in fresh else stored[record.sha256]
    return Features(values, tuple(records), len(waiting))


def _compute(
    engine: Engine, pixels: Iterator[np.ndarray], waiting: list[int], records: list[Record], table: Table
) -> dict[str, np.ndarray]:
    """Run the engine over the pixels; `waiting[i]` tells which record the i-th of them belongs to."""
    fresh: dict[str, np.ndarray] = {}
    unwritten: list[tuple[object, ...]] = []
    done = 0
    for output in engine.run(pixels):
        for row in output.features:
            sha256 = records[waiting[done]].sha256
            fresh[sha256] = row
            unwritten.append((sha256, row.tobytes()))
            done += 1
        if len(unwritten) >= ROWS_A_WRITE:
            table.put(unwritten)
            unwritten = []
    table.put(unwritten)
    return fresh


def _unpacked(rows: dict[str, tuple[object, ...]]) -> dict[str, np.ndarray]:
    """Return rows as arrays; a row of another length than the first is damaged and is computed again."""
    found = {key: np.frombuffer(row[0], np.float32) for key, row in rows.items() if isinstance(row[0], bytes)}
    width = len(next(iter(found.values()))) if found else 0
    return {key: row for key, row in found.items() if len(row) == width}
