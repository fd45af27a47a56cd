"""What the columns of a table count for: how much worse the answers get when one column says nothing any more.

L. Breiman, "Random forests" (2001), section 10: the values of a column are dealt out anew among the rows, so that it
keeps its spread and loses its meaning. Two columns that say the same stand in for each other, and each counts little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lensmith.reproduce import generator

TIMES = 10


@dataclass(frozen=True)
class Loss:
    """What answers are worth less on average without a column, in the unit of `worth`, and how much this differs from
    one dealing to the next (a standard deviation)."""

    column: str
    mean: float
    spread: float


def column_losses(
    worth: Callable[[np.ndarray], np.ndarray],
    features: np.ndarray,
    widths: Sequence[tuple[str, int]],
    seed: int,
) -> list[Loss]:
    """Return the loss of every column, the largest first.

    worth: (n, F) features to the worth of each answer (n,). widths: name and number of features of each column, in
    order.
    """
    before = worth(features).mean()
    found, begin = [], 0
    for name, width in widths:
        place = slice(begin, begin + width)
        begin += width
        losses = []
        for time in range(TIMES):
            dealt = features.copy()
            dealt[:, place] = features[generator(seed, "permutation", name, time).permutation(len(features)), place]
            losses.append(before - worth(dealt).mean())
        found.append(Loss(name, float(np.mean(losses)), float(np.std(losses))))
    return sorted(found, key=lambda loss: -loss.mean)
