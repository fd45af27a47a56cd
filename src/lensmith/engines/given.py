"""The engine of what needs none: rows of numbers that are features as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from lensmith.engines.interface import Output, batches

BATCH = 1024


class GivenEngine:
    """Hands on (F,) float32 rows as features."""

    name, precision, device = "numpy", "float32", "cpu"

    def run(self, pictures: Iterable[np.ndarray], *, maps: bool = False) -> Iterator[Output]:
        """Yield the rows in blocks; there are no maps."""
        for block in batches(pictures, BATCH):
            yield Output(block, None)
