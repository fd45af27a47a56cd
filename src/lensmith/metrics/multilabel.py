"""What is reported where a picture may carry any number of labels, none included.

Everywhere `targets` and `answered` are (n, k) zeros and ones, `probabilities` is (n, k), one column a label, each of
them within 0 and 1 by itself. A label occurs if at least one picture of the split carries it; means over labels leave
out those that do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lensmith.metrics.classification import SMALLEST_PROBABILITY, counted
from lensmith.metrics.intervals import UNDEFINED, Interval, Numbers, undefined, wilson, wilson_share

Labels = NDArray[np.integer[Any] | np.bool_]


def average_precision(targets: Labels, probabilities: Numbers) -> tuple[float, NDArray[np.float64]]:
    """Return the average precision of one label and each picture's pull on it, both inputs (n,).

    The pictures are ranked by probability. The average precision is the sum over distinct probabilities of the
    recall gained there times the precision down to there, `sum (R_i - R_(i-1)) P_i`: the step-wise area under the
    precision-recall curve, without interpolation. Pictures of one probability enter together.

    The pull, (n,) float64, is the derivative by the weight of that picture: what a little more of it would change.
    Pulls add up to zero, and the sum of their squares is the variance under resampling of pictures (the infinitesimal
    jackknife, Jaeckel 1972). A label that does not occur is NaN, its pulls are 0.
    """
    n, positives = len(targets), int(targets.sum())
    if positives == 0:
        return UNDEFINED, np.zeros(n)
    order = np.argsort(-probabilities, kind="stable")
    falling, own = -probabilities[order], targets[order].astype(np.float64)
    first, last = np.searchsorted(falling, falling, "left"), np.searchsorted(falling, falling, "right") - 1
    seen, found = last + 1, np.cumsum(own)[last]
    precision = found / seen
    value = float((own * precision).sum() / positives)
    # A picture counts in the precision of every positive at or below it: as found where it is one, as seen always.
    gained = np.cumsum((own / seen)[::-1])[::-1][first]
    lost = np.cumsum((own * found / seen**2)[::-1])[::-1][first]
    pulls = np.empty(n)
    pulls[order] = (own * (precision - value + gained) - lost) / positives
    return value, pulls


def mean_average_precision(targets: Labels, probabilities: Numbers) -> tuple[Interval, list[Interval]]:
    """Return the mean average precision over the labels that occur, and the average precision of every label."""
    n, k = targets.shape
    support = targets.sum(axis=0, dtype=np.int64)
    each: list[Interval] = []
    total = np.zeros(n)
    for label in range(k):
        value, pulls = average_precision(targets[:, label], probabilities[:, label])
        each.append(linearised(value, pulls, support[label : label + 1], n) if support[label] else undefined(n))
        total += pulls
    occurs = support > 0
    if not occurs.any():
        return undefined(n), each
    mean = float(np.mean([one.value for one, there in zip(each, occurs, strict=True) if there]))
    return linearised(mean, total / int(occurs.sum()), support[occurs], n), each


def baseline_map(targets: Labels) -> float:
    """Return the mean share of positives over the labels that occur, about the mean average precision of guessing."""
    share = targets.mean(axis=0, dtype=np.float64) if len(targets) else np.zeros(0)
    return float(share[share > 0].mean()) if (share > 0).any() else UNDEFINED


def f1_of_labels(targets: Labels, answered: Labels) -> NDArray[np.float64]:
    """Return F1 of every label, (k,); NaN for a label that does not occur."""
    support = targets.sum(axis=0, dtype=np.int64)
    right = (targets & answered).sum(axis=0, dtype=np.int64)
    size = np.maximum(support + answered.sum(axis=0, dtype=np.int64), 1)
    return np.asarray(np.where(support > 0, 2 * right / size, UNDEFINED), np.float64)


def macro_f1(targets: Labels, answered: Labels) -> Interval:
    """Return the mean F1 over the labels that occur: every label counts alike, however rare."""
    n, support = len(targets), targets.sum(axis=0, dtype=np.int64)
    occurs = support > 0
    if not occurs.any():
        return undefined(n)
    true, said = targets[:, occurs], answered[:, occurs]
    f1 = f1_of_labels(true, said)
    size = support[occurs] + said.sum(axis=0, dtype=np.int64)
    pulls = (2.0 * (true & said) - f1 * (true.astype(np.float64) + said)) / size
    return linearised(float(f1.mean()), pulls.mean(axis=1), support[occurs], n)


def micro_f1(targets: Labels, answered: Labels) -> Interval:
    """Return F1 of all pairs of picture and label in one pot: a common label counts more than a rare one.

    The labels of one picture go right or wrong together, so it is pictures that are resampled and not pairs.
    """
    n = len(targets)
    right = (targets & answered).sum(axis=1, dtype=np.int64)
    size = targets.sum(axis=1, dtype=np.int64) + answered.sum(axis=1, dtype=np.int64)
    whole = int(size.sum())
    if not targets.any():
        return undefined(n)
    value = float(2 * right.sum() / whole)
    return linearised(value, (2 * right - value * size) / whole, np.array([(size > 0).sum()]), n)


def exact_match(targets: Labels, answered: Labels) -> Interval:
    """Return the share of pictures that got all of their labels and no other, with Wilson's interval."""
    return wilson(int((targets == answered).all(axis=1).sum()), len(targets))


def linearised(value: float, pulls: Numbers, support: NDArray[np.int64], n: int) -> Interval:
    """Return Wilson's interval of a mean over labels within 0 and 1, from each picture's pull (n,) on it.

    The sum of the squared pulls is the variance of the value, and says how many trials of a plain share the value is
    worth. `support` holds the positives of each label behind it. A label of few pictures shows less variance than it
    has, a perfect one none, so each is given that of two more average pictures (as in `class_mean` of the classifier).
    """
    labels, spread = len(support), value * (1 - value)
    seen = float((pulls**2).sum()) / spread if spread > 0 else float((1 / support).sum()) / labels**2
    unseen = 2 * float((1 / support**2).sum()) / labels**2
    return wilson_share(value, 1 / (seen + unseen), n)


def per_label(
    targets: Labels,
    answered: Labels,
    ranked: Sequence[Interval],
    thresholds: Sequence[float],
    names: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Return the table of labels by name: "ap" (from `ranked`), "precision", "recall", "f1", "n", "predicted",
    "threshold". Precision is undefined for a label never answered; AP, recall and F1 for one that does not occur.
    """
    right = (targets & answered).sum(axis=0, dtype=np.int64).tolist()
    support, said = (table.sum(axis=0, dtype=np.int64).tolist() for table in (targets, answered))
    return {
        name: {
            "ap": ranked[label].as_dict(),
            **counted(right[label], support[label], said[label]),
            "threshold": float(thresholds[label]),
        }
        for label, name in enumerate(names)
    }


def cross_entropy(targets: Labels, probabilities: Numbers) -> NDArray[np.float64]:
    """Return the mean over labels of -log of the probability given to the truth, (n,) float64 in nats a label.

    As for the classifier no probability counts as less than 1.19e-7.
    """
    given = np.abs(1.0 - targets - probabilities.astype(np.float64))
    return np.asarray(-np.log(np.clip(given, SMALLEST_PROBABILITY, 1.0)).mean(axis=1), np.float64)


def best_threshold(targets: Labels, probabilities: Numbers) -> float:
    """Return the probability from which one label is answered: the threshold of the greatest F1, both inputs (n,).

    Thresholds lie in the middle between neighbouring probabilities. Of several that are equally good the one nearest
    0.5 is taken, the lower one at equal distance, and 0.5 itself where it is among them. Without a positive picture
    it is 0.5. Answering the label for every picture is no threshold: where the ranking is worth nothing that would
    have the greatest F1 (Lipton et al. 2014), so where no other beats it, it is 0.5 too.
    """
    levels, level = np.unique(probabilities.astype(np.float64), return_inverse=True)
    positive = np.bincount(level[targets == 1], minlength=len(levels))
    positives, n = int(positive.sum()), len(targets)
    if positives == 0:
        return 0.5
    # Cut i answers from level i upwards: 0 answers every picture, the last none.
    found = positives - np.concatenate([[0], np.cumsum(positive)])
    answers = n - np.concatenate([[0], np.cumsum(np.bincount(level, minlength=len(levels)))])
    f1 = 2 * found / (positives + answers)
    half = int(np.searchsorted(levels, 0.5))
    best = f1[1:].max()
    if best <= f1[0] or f1[half] == best:
        return 0.5
    good = np.flatnonzero(f1[1:-1] == best) + 1
    middles = (levels[good - 1] + levels[good]) / 2
    return float(middles[np.argmin(np.abs(middles - 0.5))])
