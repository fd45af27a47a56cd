"""The pictures that lie nearest to one, as a network sees them."""

from __future__ import annotations

import numpy as np

BLOCK = 512


def nearest_rows(asked: np.ndarray, known: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (positions, distances), each (n, k): the rows of `known` (m, F) nearest to each of `asked` (n, F).

    The distance is 1 - cosine, from 0 (the same direction) to 2; a row of zeros is at distance 1 from all. The nearest
    come first, equal ones in their order; k is the smaller of `most` and m.
    """
    k = min(most, len(known))
    mine, theirs = _unit(asked), _unit(known)
    places, distances = np.zeros((len(asked), k), np.int64), np.zeros((len(asked), k), np.float32)
    for begin in range(0, len(asked), BLOCK):
        gap = np.clip(1 - mine[begin : begin + BLOCK] @ theirs.T, 0, 2)
        order = np.argsort(gap, axis=1, kind="stable")[:, :k]
        places[begin : begin + BLOCK] = order
        distances[begin : begin + BLOCK] = np.take_along_axis(gap, order, axis=1)
    return places, distances


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    found: np.ndarray = rows / np.maximum(length, 1e-12)
    return found
