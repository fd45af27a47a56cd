"""How sure a number is: intervals for shares, the area under the ROC curve, and means and medians over pictures.

The truth is the value that endless pictures of the same kind would give. An interval says where it lies, as
far as `n` pictures can tell: made for 95 %, about 95 of a hundred such intervals hold it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lensmith.reproduce import generator

Numbers = NDArray[np.floating[Any]]
Picks = NDArray[np.int32]

RESAMPLES = 1_000
BLOCK = 1_000_000
"""Most picture indices drawn at once: bounds the memory of a bootstrap to a few tens of megabytes."""

FEWEST_FOR_DELONG = 20
UNDEFINED = math.nan


@dataclass(frozen=True)
class Interval:
    """A measured value, the ends of its interval, and the number of pictures behind it.

    What cannot be known is NaN here and `None` in `as_dict`: the value of an empty split, the ends for a
    single picture where they need a spread. Where all three exist, `low <= value <= high`.
    """

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Return `{"value", "low", "high", "n"}` as JSON holds it: `None` for what is undefined."""
        return {"value": known(self.value), "low": known(self.low), "high": known(self.high), "n": self.n}


def known(number: float) -> float | None:
    """Return `number` as a plain float, or `None` where it is NaN or infinite: JSON has neither."""
    return float(number) if math.isfinite(number) else None


def undefined(n: int = 0) -> Interval:
    """Return the interval of a metric that `n` pictures cannot tell."""
    return Interval(UNDEFINED, UNDEFINED, UNDEFINED, n)


@lru_cache(maxsize=8)
def z_score(confidence: float) -> float:
    """Return the normal deviate of a two-sided interval, 1.95996... for 0.95; `confidence` within 0 to 1."""
    from statistics import NormalDist

    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; must lie between 0 and 1, such as 0.95.")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return the share `successes / n` with the score interval of Wilson (1927).

    It stays within 0 and 1 and keeps its width where nothing or everything succeeded: 20 of 20 is still
    only "84 % or more". No trial at all (`n` 0) is undefined.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes is {successes}; must lie between 0 and n = {n}.")
    return wilson_share(successes / n, n, n, confidence) if n else undefined()


def wilson_share(share: float, trials: float, n: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's interval of a share that is known as well as from `trials` trials, whole or not.

    A weighted share has an effective number of trials, `share * (1 - share) / variance` (Kish 1965); `n` is
    only carried along as the number of pictures.
    """
    z = z_score(confidence)
    middle = share + z * z / (2 * trials)
    reach = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    scale = 1 + z * z / trials
    # At the two edges the formula is exact on paper and one rounding off in floating point.
    low = 0.0 if share == 0 else min((middle - reach) / scale, share)
    high = 1.0 if share == 1 else max((middle + reach) / scale, share)
    return Interval(float(share), float(low), float(high), n)


def resampled(
    statistic: Callable[[Picks], Numbers], n: int, seed: int, name: str, resamples: int = RESAMPLES
) -> Numbers:
    """Return a statistic of `resamples` bootstrap samples of `n` pictures, (resamples,) float64.

    `statistic` takes picture indices (rows, n) drawn with replacement and answers one number a row. The
    draws depend on `(seed, name)` alone. Time is `resamples * n` look-ups, memory a few times `BLOCK`.
    """
    random = generator(seed, "bootstrap", name)
    rows = max(1, BLOCK // n)
    found = np.empty(resamples)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        found[start : start + count] = statistic(random.integers(n, size=(count, n), dtype=np.int32))
    return found


def bootstrap_mean(
    losses: Numbers, seed: int, name: str, resamples: int = RESAMPLES, confidence: float = 0.95
) -> Interval:
    """Return the mean of per-picture `losses` (n,) with its percentile bootstrap interval (Efron 1979).

    One picture has a mean and no spread: the ends are undefined. The bootstrap sees only what is in the
    sample: it cannot know of a rare, large loss that no picture showed.
    """
    n = len(losses)
    if n == 0:
        return undefined()
    value = float(np.mean(losses, dtype=np.float64))
    if n == 1:
        return Interval(value, UNDEFINED, UNDEFINED, 1)
    means = resampled(lambda picks: losses[picks].mean(axis=1, dtype=np.float64), n, seed, name, resamples)
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(value, min(float(low), value), max(float(high), value), n)


def median_interval(values: Numbers, confidence: float = 0.95) -> Interval:
    """Return the median of per-picture `values` (n,) between two of the values themselves.

    How many of n values lie below the median is a matter of n fair coins, whatever their distribution; so the k-th
    smallest and the k-th largest are ends that hold it at least as often as asked, for the largest such k (Thompson
    1936). Fewer than six values have no such ends for 95 %.
    """
    n = len(values)
    if n == 0:
        return undefined()
    ranked = np.sort(np.asarray(values, np.float64))
    below = np.arange(1, n // 2 + 1)
    logs = np.cumsum(np.concatenate([[-n * math.log(2)], np.log((n - below + 1) / below)]))
    at_most = np.cumsum(np.exp(logs))  # the chance of 0, 1, ... n // 2 values below the median, or fewer
    k = int(np.searchsorted(at_most, (1 - confidence) / 2, side="right"))
    value = float(np.median(ranked))
    return (
        Interval(value, float(ranked[k - 1]), float(ranked[-k]), n) if k else Interval(value, UNDEFINED, UNDEFINED, n)
    )


def delong(positives: Numbers, negatives: Numbers, confidence: float = 0.95) -> Interval:
    """Return the area under the ROC curve with the interval of DeLong et al. (1988), in O(n log n).

    `positives` and `negatives` hold the scores of the two classes; a tied pair counts half. The interval is
    made on the logit of the area and mapped back, so it stays within 0 and 1 (Pepe 2003). Newcombe's takes
    over where DeLong's variance is unsure or says nothing: fewer than twenty pictures in a class, a perfect
    or a constant ranking. A class without pictures: undefined.
    """
    n = len(positives) + len(negatives)
    if len(positives) == 0 or len(negatives) == 0:
        return undefined(n)
    above = placements(positives, negatives)
    below = placements(negatives, positives)
    area = float(above.mean())
    few = min(len(positives), len(negatives)) < FEWEST_FOR_DELONG
    variance = 0.0 if few else above.var(ddof=1) / len(positives) + below.var(ddof=1) / len(negatives)
    if variance <= 0 or area in (0.0, 1.0):
        return newcombe(area, len(positives), len(negatives), confidence)
    logit = math.log(area / (1 - area))
    reach = z_score(confidence) * math.sqrt(variance) / (area * (1 - area))
    return Interval(area, 1 / (1 + math.exp(reach - logit)), 1 / (1 + math.exp(-reach - logit)), n)


def placements(scores: Numbers, others: Numbers) -> Numbers:
    """Return for each of `scores` the share of `others` that lies below it, a tie counting half."""
    ranked = np.sort(others)
    below = np.searchsorted(ranked, scores, "left") + np.searchsorted(ranked, scores, "right")
    return np.asarray(below / (2 * len(others)), np.float64)


def newcombe(area: float, positives: int, negatives: int, confidence: float = 0.95) -> Interval:
    """Return the score interval of an area under the ROC curve by Newcombe (2006, method 5).

    The ends are the areas that would make the observed one just probable, with the variance that Hanley and
    McNeil (1982) give an area of that size; for one picture in each class it is Wilson's interval.
    """
    z = z_score(confidence)
    pairs, half = positives * negatives, (positives + negatives) / 2

    def too_far(other: float) -> bool:
        spread = (1 - other) / (2 - other) + other / (1 + other)
        variance = other * (1 - other) / pairs * (1 + (half - 1) * spread)
        return (area - other) ** 2 > z * z * variance

    def edge(outer: float) -> float:
        inner = area
        for _ in range(60):
            middle = (outer + inner) / 2
            outer, inner = (middle, inner) if too_far(middle) else (outer, middle)
        return inner

    low = 0.0 if area == 0 else edge(0.0)
    high = 1.0 if area == 1 else edge(1.0)
    return Interval(area, low, high, positives + negatives)


def percent(share: float, decimals: int = 0) -> str:
    """Return a share in words for people, `0.954` as `95 %`, rounded half up.

    Never `100 %` unless all of it, never `0 %` unless none: `0.997` has a decimal more, `99.7 %`.
    """
    # Counts of up to a hundred million pictures differ from 0 and 1 by more than this.
    inside = 1e-9 < share < 1 - 1e-9
    while True:
        steps = math.floor(share * 100 * 10**decimals + 0.5 + 1e-9)
        if not inside or 0 < steps < 100 * 10**decimals:
            return f"{steps / 10**decimals:.{decimals}f} %"
        decimals += 1
