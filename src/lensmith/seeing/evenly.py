"""A few of many, evenly spread."""

from __future__ import annotations

import numpy as np


def evenly(count: int, most: int) -> list[int]:
    """Return at most `most` of `count` positions, evenly from the first to the last; of one the first."""
    return [round(float(place)) for place in np.linspace(0, count - 1, min(most, count))]
