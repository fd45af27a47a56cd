"""A Gaussian over a map."""

from __future__ import annotations

import numpy as np


def smoothed(values: np.ndarray, deviation: float) -> np.ndarray:
    """Return values (h, w) through a Gaussian of a standard deviation in places; the border takes from inside alone."""
    down, right = (_weights(side, deviation) for side in values.shape)
    found: np.ndarray = down @ values @ right.T
    return found


def _weights(side: int, deviation: float) -> np.ndarray:
    at = np.arange(side)
    weights = np.exp(-((at[:, None] - at) ** 2) / (2 * deviation**2))
    found: np.ndarray = weights / weights.sum(1, keepdims=True)
    return found
