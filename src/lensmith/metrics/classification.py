"""What is reported of a classifier: functions of a confusion matrix, or of targets and probabilities.

Everywhere `targets` and `predicted` are (n,) class indices from 0, `probabilities` is (n, k) with rows that
add up to one, and a confusion matrix is (k, k) counts, the true class down and the predicted class across.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lensmith.metrics.intervals import (
    BLOCK,
    RESAMPLES,
    UNDEFINED,
    Interval,
    Numbers,
    bootstrap_mean,
    delong,
    resampled,
    undefined,
    wilson,
    wilson_share,
)
from lensmith.reproduce import generator

Indices = NDArray[np.integer[Any]]
Counts = NDArray[np.int64]

SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)
"""Log loss takes no probability below 1.19e-7: one sure mistake costs 15.9 and not infinity."""

BINS = 10
BIN_EDGES = np.linspace(0, 1, BINS + 1, dtype=np.float32)


def confusion_matrix(targets: Indices, predicted: Indices, classes: int) -> Counts:
    """Return how often each class (down) was answered with each class (across), (classes, classes) int64."""
    if len(targets) != len(predicted):
        raise ValueError(f"{len(targets)} targets and {len(predicted)} predictions; must be equally many.")
    cells = targets.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def accuracy(confusion: Counts) -> Interval:
    """Return the share of pictures named right, with Wilson's interval."""
    return wilson(int(np.trace(confusion)), int(confusion.sum()))


def baseline_accuracy(confusion: Counts) -> float:
    """Return the share that always answering the commonest class of this split gets right; NaN when empty."""
    n = int(confusion.sum())
    return float(confusion.sum(axis=1).max() / n) if n else UNDEFINED


def balanced_accuracy(confusion: Counts) -> Interval:
    """Return the mean recall over the classes that occur: every class counts alike, however rare."""
    support = confusion.sum(axis=1)
    occurs = support > 0
    if not occurs.any():
        return undefined()
    support = support[occurs]
    recall = np.diagonal(confusion)[occurs] / support
    variance = float((recall * (1 - recall) / support).sum()) / len(support) ** 2
    return class_mean(float(recall.mean()), variance, support)


def macro_f1(confusion: Counts) -> Interval:
    """Return the mean F1 over the classes that occur in the split.

    A class that does not occur is left out even where it was answered: the wrong answer already costs the
    true class its recall. The variance is that of the linearised mean under multinomial sampling of pictures.
    """
    support = confusion.sum(axis=1)
    occurs = support > 0
    if not occurs.any():
        return undefined()
    size = np.maximum(support + confusion.sum(axis=0), 1)
    # Divided, not multiplied by a reciprocal: a perfect class must be 1 to the last digit.
    f1 = 2 * np.diagonal(confusion) / size
    weight = occurs / size
    true, answered = np.nonzero(confusion)
    # What one picture more in a cell adds to the sum of F1; weighted by the counts these add up to zero.
    pull = 2 * (true == answered) * weight[true] - (f1 * weight)[true] - (f1 * weight)[answered]
    variance = float((confusion[true, answered] * pull**2).sum()) / int(occurs.sum()) ** 2
    return class_mean(float(f1[occurs].mean()), variance, support[occurs])


def class_mean(value: float, variance: float, support: Counts) -> Interval:
    """Return Wilson's interval of a mean over classes, from its variance and the pictures of each class.

    A class that was all right, or all wrong, shows no variance of its own, and the fewer pictures it has the
    likelier that is luck. So each class is given the variance of two more pictures of average quality. Where
    every class is perfect only these and the class sizes are left to tell how many trials the mean is worth.
    A single class has no others to take after: its mean is a plain share.
    """
    classes = len(support)
    spread = value * (1 - value)
    seen = variance / spread if 0 < value < 1 else float((1 / support).sum()) / classes**2
    unseen = 2 * float((1 / support**2).sum()) / classes**2 if classes > 1 else 0.0
    return wilson_share(value, 1 / (seen + unseen), int(support.sum()))


def per_class(confusion: Counts, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return precision, recall, F1, pictures `n` and number of times `predicted` of every class, by name.

    Precision is undefined for a class that was never answered, recall and F1 for one that does not occur.
    """
    table: dict[str, dict[str, Any]] = {}
    predicted, support = confusion.sum(axis=0).tolist(), confusion.sum(axis=1).tolist()
    for index, name in enumerate(names):
        table[name] = counted(int(confusion[index, index]), support[index], predicted[index])
    return table


def counted(right: int, n: int, predicted: int) -> dict[str, Any]:
    """Return the row of one class or label that `n` pictures have, `predicted` were called, and `right` both."""
    return {
        "precision": wilson(right, predicted).as_dict(),
        "recall": wilson(right, n).as_dict(),
        "f1": (f1_score(right, n, predicted) if n else undefined()).as_dict(),
        "n": n,
        "predicted": predicted,
    }


def f1_score(right: int, n: int, predicted: int) -> Interval:
    """Return F1 of one class; its pictures are those that are of this class, or were called it, or both.

    F1 is 2 J / (1 + J), where J is the share of those pictures that are both. J is a plain share, so Wilson's
    interval holds for it, and F1 follows J one to one.
    """
    either = n + predicted - right
    both = wilson(right, either)
    value, low, high = (2 * j / (1 + j) for j in (both.value, both.low, both.high))
    return Interval(value, low, high, either)


def cross_entropy(targets: Indices, probabilities: Numbers) -> NDArray[np.float64]:
    """Return -log p of the true class of each picture, (n,) float64 in nats; p is at least 1.19e-7."""
    p = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return np.asarray(-np.log(np.clip(p, SMALLEST_PROBABILITY, 1.0)), np.float64)


def log_loss(targets: Indices, probabilities: Numbers, seed: int = 0) -> Interval:
    """Return the mean cross-entropy in nats with its bootstrap interval; 0 is perfect, log(k) blind."""
    return bootstrap_mean(cross_entropy(targets, probabilities), seed, "log_loss")


def calibration_bins(targets: Indices, probabilities: Numbers) -> list[dict[str, float | int | None]]:
    """Return the ten bars of a reliability diagram, `{"low", "high", "n", "confidence", "accuracy"}` each.

    A picture falls into the bin `low < confidence <= high` of its highest probability. The means of a bin
    without pictures are `None`.
    """
    confidence, right = top_class(targets, probabilities)
    bins = bin_of(confidence)
    n = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, weights=values, minlength=BINS) for values in (confidence, right)]
    return [
        {
            "low": index / BINS,
            "high": (index + 1) / BINS,
            "n": int(n[index]),
            "confidence": float(sums[0][index] / n[index]) if n[index] else None,
            "accuracy": float(sums[1][index] / n[index]) if n[index] else None,
        }
        for index in range(BINS)
    ]


def calibration_error(targets: Indices, probabilities: Numbers, seed: int = 0) -> Interval:
    """Return the expected calibration error of the top class in ten equal bins (Naeini 2015, Guo 2017).

    It is the mean gap between confidence and share right, over bins, weighted by pictures. The top class is
    the one with the highest probability, whatever the threshold. Chance alone opens gaps, and a bootstrap
    adds chance on top, so the plain percentile interval never reaches down to a well calibrated truth. Here
    the high end is the bootstrap's; the low end lies as far below the value as the high end above, and is 0
    where a perfectly calibrated network would show such a value in at least 1 of 40 tests.
    """
    confidence, right = top_class(targets, probabilities)
    n = len(confidence)
    if n == 0:
        return undefined()
    bins, gaps = bin_of(confidence), right - confidence
    value = float(bin_error(bins[None], gaps[None])[0])
    if n == 1:
        return Interval(value, UNDEFINED, UNDEFINED, 1)
    drawn = resampled(lambda picks: bin_error(bins[picks], gaps[picks]), n, seed, "calibration_error")
    # The error is at least the gap of the two overall means. Its ends, unlike a bootstrap, stay apart where
    # everything was right or everything wrong.
    share, mean = wilson(int(right.sum()), n), float(confidence.mean())
    high = min(1.0, max(float(np.quantile(drawn, 0.975)), value, mean - share.low, share.high - mean))
    reach = max(high - value, share.high - share.low if share.value in (0.0, 1.0) else 0.0)
    chance = calibrated_errors(bins, confidence, seed)
    low = 0.0 if (chance >= value).mean() >= 0.025 else max(0.0, value - reach)
    return Interval(value, low, high, n)


def calibrated_errors(bins: Counts, confidence: Numbers, seed: int, resamples: int = RESAMPLES) -> Numbers:
    """Return the calibration errors that perfectly calibrated networks with these confidences would show."""
    random = generator(seed, "bootstrap", "calibrated")
    rows = max(1, BLOCK // len(bins))
    found = np.empty(resamples)
    for start in range(0, resamples, rows):
        shape = (min(rows, resamples - start), len(bins))
        right = random.random(shape, dtype=np.float32) < confidence
        found[start : start + rows] = bin_error(np.broadcast_to(bins, shape), right - confidence)
    return found


def top_class(targets: Indices, probabilities: Numbers) -> tuple[Numbers, Numbers]:
    """Return the highest probability of each picture and 1.0 where that class is the true one, else 0.0."""
    best = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(best)), best].astype(np.float64)
    return confidence, (best == targets).astype(np.float64)


def bin_of(confidence: Numbers) -> Counts:
    """Return the index of the calibration bin, 0 to 9; an edge belongs to the bin below it."""
    # Compared as float32, in which 0.9 is the same number on both sides.
    index = np.searchsorted(BIN_EDGES, confidence.astype(np.float32), side="left") - 1
    return np.clip(index, 0, BINS - 1).astype(np.int64)


def bin_error(bins: Counts, gaps: Numbers) -> Numbers:
    """Return the calibration error of each row of pictures, from their bins and gaps, both (rows, n)."""
    rows, n = bins.shape
    cells = bins + BINS * np.arange(rows)[:, None]
    sums = np.bincount(cells.ravel(), weights=gaps.ravel(), minlength=BINS * rows)
    return np.asarray(np.abs(sums).reshape(rows, BINS).sum(axis=1) / n, np.float64)


def top5(targets: Indices, probabilities: Numbers) -> Interval:
    """Return the share whose true class is among the five likeliest; ties go to the class listed first."""
    right, rows = 0, max(1, 4_000_000 // probabilities.shape[1])
    earlier = np.arange(probabilities.shape[1])
    for start in range(0, len(targets), rows):
        block, true = probabilities[start : start + rows], targets[start : start + rows, None]
        own = np.take_along_axis(block, true, axis=1)
        ahead = (block > own) | ((block == own) & (earlier < true))
        right += int((ahead.sum(axis=1) < 5).sum())
    return wilson(right, len(targets))


def auc(targets: Indices, positive_probability: Numbers) -> Interval:
    """Return the area under the ROC curve of two classes, 1 being the positive one; see `delong`."""
    return delong(positive_probability[targets == 1], positive_probability[targets == 0])


def choose_threshold(targets: Indices, positive_probability: Numbers) -> float:
    """Return the probability from which class 1 is answered, chosen on validation for balanced accuracy.

    By the one-standard-error rule (Breiman et al. 1984): of all thresholds that come within one standard
    error of the best, the one nearest 0.5. The best of many thresholds on few pictures is mostly luck, so a
    small validation split leaves 0.5 alone and only a clear gain moves it. Without both classes,
    or where no threshold beats guessing, it is 0.5.
    """
    levels, level = np.unique(positive_probability.astype(np.float64), return_inverse=True)
    positive = np.bincount(level[targets == 1], minlength=len(levels))
    negative = np.bincount(level[targets == 0], minlength=len(levels))
    positives, negatives = int(positive.sum()), int(negative.sum())
    if positives == 0 or negatives == 0:
        return 0.5
    # Cut i answers class 1 from level i upwards; the last cut never answers it.
    found = positives - np.concatenate([[0], np.cumsum(positive)])
    spared = np.concatenate([[0], np.cumsum(negative)])
    balanced = (found / positives + spared / negatives) / 2
    half = int(np.searchsorted(levels, 0.5))
    allowed = np.unique([*range(1, len(levels)), half])
    best = allowed[np.argmax(balanced[allowed])]
    error = balanced_error(int(found[best]), positives, int(spared[best]), negatives)
    good = allowed[balanced[allowed] >= balanced[best] - error]
    if half in good or balanced[best] <= 0.5:
        return 0.5
    middles = (levels[good - 1] + levels[good]) / 2
    return float(middles[np.argmin(np.abs(middles - 0.5))])


def balanced_error(found: int, positives: int, spared: int, negatives: int) -> float:
    """Return the standard error of a two-class balanced accuracy.

    The shares inside it are Laplace's `(right + 1) / (n + 2)`, or a perfect split of six pictures would count
    as certain.
    """
    shares = ((found + 1) / (positives + 2), positives), ((spared + 1) / (negatives + 2), negatives)
    return float(sum(share * (1 - share) / n for share, n in shares) ** 0.5) / 2
