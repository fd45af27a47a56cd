"""What is reported where the answer is a number: functions of true and answered numbers, both (n,).

Everything is in the unit of the target, or in its square (MSE), or free of units (R2).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lensmith.metrics.intervals import (
    RESAMPLES,
    UNDEFINED,
    Interval,
    Numbers,
    Picks,
    bootstrap_mean,
    median_interval,
    resampled,
    undefined,
)

HUBER_DELTA = 1.0
"""Where Huber's loss turns from a square to a line, in standard deviations of the training targets."""

Reals = NDArray[np.floating[Any] | np.integer[Any]]


def errors_of(targets: Reals, answers: Reals) -> NDArray[np.float64]:
    """Return what was answered minus what is true, (n,) float64."""
    return np.asarray(answers, np.float64) - np.asarray(targets, np.float64)


def mae(targets: Reals, answers: Reals, seed: int = 0) -> Interval:
    """Return the mean absolute error with its bootstrap interval; 0 is perfect."""
    return bootstrap_mean(np.abs(errors_of(targets, answers)), seed, "mae")


def mse(targets: Reals, answers: Reals, seed: int = 0) -> Interval:
    """Return the mean squared error with its bootstrap interval; one large error weighs more than many small ones."""
    return bootstrap_mean(errors_of(targets, answers) ** 2, seed, "mse")


def rmse(squared: Interval) -> Interval:
    """Return the root of a mean squared error, back in the unit of the target; the ends are the roots of its ends."""
    return Interval(math.sqrt(squared.value), math.sqrt(squared.low), math.sqrt(squared.high), squared.n)


def r2(targets: Reals, answers: Reals, seed: int = 0) -> Interval:
    """Return the coefficient of determination, `1 - sum (y - a)^2 / sum (y - mean y)^2`, with a bootstrap of pairs.

    1 is perfect, 0 what always answering the mean gives, and there is no lower end. Targets that are all the same
    have none. A resample of nothing but the same number has none either and is left out; where more than one in forty
    is such a resample the ends are undefined.
    """
    true, squares = np.asarray(targets, np.float64), errors_of(targets, answers) ** 2
    n = len(true)
    value = float(explained(np.arange(n)[None], true, squares)[0]) if n else UNDEFINED
    if math.isnan(value):
        return undefined(n)
    drawn = resampled(lambda picks: explained(picks, true, squares), n, seed, "r2")
    drawn = drawn[~np.isnan(drawn)]
    if len(drawn) < RESAMPLES * 39 / 40:
        return Interval(value, UNDEFINED, UNDEFINED, n)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value, min(float(low), value), max(float(high), value), n)


def explained(picks: Picks | NDArray[np.intp], targets: Numbers, squares: Numbers) -> NDArray[np.float64]:
    """Return R2 of each row of picture indices (rows, n), NaN where all of a row's targets are the same."""
    true = targets[picks]
    total = true.var(axis=1) * true.shape[1]
    # Compared, not tested for zero: the mean of equal numbers may differ from them in its last digit.
    total[(true == true[:, :1]).all(axis=1)] = UNDEFINED
    return np.asarray(1 - squares[picks].sum(axis=1) / total, np.float64)


def median_error(targets: Reals, answers: Reals) -> Interval:
    """Return the median absolute error: half of the answers are off by no more. See `median_interval`."""
    return median_interval(np.abs(errors_of(targets, answers)))


def baseline_mae(targets: Reals) -> float:
    """Return the mean absolute error of always answering the median of these targets: no other constant has less."""
    true = np.asarray(targets, np.float64)
    return float(np.abs(true - np.median(true)).mean()) if len(true) else UNDEFINED


def huber(targets: Reals, answers: Reals, delta: float = HUBER_DELTA) -> NDArray[np.float64]:
    """Return Huber's loss of each picture (1964), (n,): `e^2 / 2` up to `delta`, `delta (|e| - delta / 2)` beyond.

    `delta` is in the unit of the numbers given. Training gives standardised ones, so its `HUBER_DELTA` is one standard
    deviation of the training targets.
    """
    off = np.abs(errors_of(targets, answers))
    return np.asarray(np.where(off <= delta, off**2 / 2, delta * (off - delta / 2)), np.float64)
