"""The ladder: which steps recipe auto tries, and by what evidence a dearer one replaces a cheaper one.

A step starts only if a few measured steps predict that it fits into the budget. It replaces the best before it if a
paired bootstrap puts at least 80 % on its being better; a tie keeps the cheaper. The held-out pictures are never read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lensmith.metrics.intervals import resampled
from lensmith.reproduce import counter

LEAST_PROBABILITY = 0.80
FEW = 300  # below so many pictures that are not held out, steps are compared out of fold
FOLDS = 4
HOPE = 0.40  # a step that half of the folds give less than this is not taken further
FEWEST_EPOCHS = 2  # a step cut shorter than this would say nothing about what it can do


@dataclass(frozen=True)
class Row:
    """One step of the ladder as run.json holds it; seconds and numbers are None where there are none."""

    step: str
    status: str
    reason: str
    predicted: float | None = None
    seconds: float | None = None
    value: float | None = None
    n: int = 0
    out_of_fold: bool = False
    gain: float | None = None
    probability: float | None = None


def probability(one: np.ndarray, other: np.ndarray, seed: int, step: str) -> float:
    """Return how likely `other` is better than `one`: the share of bootstrap samples in which its mean is higher.

    Both are (n,) worths of the same pictures, larger is better; pictures are drawn in pairs, and a tie is no win
    (Efron and Tibshirani 1993, chapter 16).
    """
    difference = np.asarray(other, np.float64) - np.asarray(one, np.float64)
    means = resampled(lambda picks: difference[picks].mean(axis=1), len(difference), seed, f"ladder {step}")
    return float((means > 1e-12).mean())


def folds(
    positions: np.ndarray, strata: np.ndarray, sha256: Sequence[str], seed: int, count: int = FOLDS
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rest, fold) for each of `count` folds of the positions; strata are spread evenly, copies stay together."""
    fold_of: dict[str, int] = {}
    for stratum in np.unique(strata[positions]):
        members = {sha256[index] for index in positions[strata[positions] == stratum]} - set(fold_of)
        ordered = sorted(members, key=lambda content: counter(seed, "fold", content))
        # Each stratum begins at another fold, or small ones would all miss the same folds.
        fold_of |= {content: (place + int(stratum)) % count for place, content in enumerate(ordered)}
    numbers = np.array([fold_of[sha256[index]] for index in positions])
    for fold in range(count):
        yield positions[numbers != fold], positions[numbers == fold]


def affordable(epochs: int, seconds_an_epoch: float, left: float, overhead: float) -> tuple[int, float]:
    """Return how many of `epochs` fit into the seconds left (0: too few to try), and how long those will take."""
    fits = min(epochs, int((left - overhead) / max(seconds_an_epoch, 1e-9)))
    if fits < min(FEWEST_EPOCHS, epochs):
        return 0, epochs * seconds_an_epoch + overhead
    return fits, fits * seconds_an_epoch + overhead
