"""Classification: one class of several for each picture.

A task is what differs between kinds of work: the names of head and loss, how the network's numbers become
an answer, how answers are scored, and the sentences that say what the scores mean. Another task is another
frozen dataclass with the same attributes and methods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lensmith.errors import DataError, RunError
from lensmith.metrics import classification as metrics
from lensmith.metrics.intervals import Numbers, known, percent

SMALL_TEST = 50
"""Below so many pictures the verdict says that its figures are rough."""

SPLIT_WORDS = {
    "test": "it had never seen",
    "validation": "held back for validation",
    "train": "it learned from",
}


@dataclass(frozen=True)
class Confusion:
    """How often pictures of one class were taken for another: `count` of all `of` pictures of that class."""

    target: str
    predicted: str
    count: int
    of: int


@dataclass(frozen=True)
class Classification:
    """The task of naming one of `classes`; probabilities and indices follow their order.

    With two classes the second is the positive one, and `threshold` is the probability from which it is
    answered; `None` answers the likelier class.
    """

    classes: tuple[str, ...]
    threshold: float | None = None

    kind: ClassVar[str] = "classification"
    head: ClassVar[str] = "dense"
    loss: ClassVar[str] = "cross_entropy"

    def __post_init__(self) -> None:
        """Refuse classes that repeat, fewer than two of them, and a threshold that cannot be used."""
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes are {self.classes}; must be two or more different names.")
        if self.threshold is not None and (len(self.classes) != 2 or not 0 <= self.threshold <= 1):
            raise ValueError(
                f"threshold is {self.threshold} for {len(self.classes)} classes; "
                "must lie between 0 and 1 with two classes, and be None with more."
            )

    def probabilities(self, logits: Numbers) -> NDArray[np.float32]:
        """Return the softmax of logits (n, k) as (n, k) float32; logits of any size do not overflow."""
        logits = np.asarray(logits, np.float32)
        powers = logits - logits.max(axis=1, keepdims=True)
        np.exp(powers, out=powers)
        powers /= powers.sum(axis=1, keepdims=True)
        return np.asarray(powers, np.float32)

    def decode(self, probabilities: Numbers) -> NDArray[np.intp]:
        """Return the predicted class index of each row of probabilities, (n,)."""
        if self.threshold is None:
            return np.asarray(probabilities.argmax(axis=1), np.intp)
        # In float64: rounded to float32 a threshold between two neighbours would equal one of them.
        return (probabilities[:, 1].astype(np.float64) >= self.threshold).astype(np.intp)

    def confidence(self, probabilities: Numbers) -> NDArray[np.float32]:
        """Return the probability of the predicted class, (n,); below 0.5 where a threshold overrules."""
        rows = np.arange(len(probabilities))
        return np.asarray(probabilities[rows, self.decode(probabilities)], np.float32)

    def settled(self, targets: metrics.Indices, probabilities: Numbers) -> Classification:
        """Return the task with what validation decides: the threshold of two classes (`choose_threshold`)."""
        if len(self.classes) != 2:
            return self
        return replace(self, threshold=metrics.choose_threshold(targets, probabilities[:, 1]))

    def score(self, targets: metrics.Indices, probabilities: Numbers, seed: int = 0) -> dict[str, Any]:
        """Return everything that metrics.json holds of one split, ready for JSON.

        `targets` (n,) are class indices, `probabilities` (n, k) come from the method of that name. A class
        may be absent. `seed` is that of the bootstrap. Raises DataError for an empty split, RunError where
        the network answered NaN.
        """
        targets, probabilities = np.asarray(targets), np.asarray(probabilities)
        self._check(targets, probabilities)
        confusion = metrics.confusion_matrix(targets, self.decode(probabilities), len(self.classes))
        intervals = {
            "accuracy": metrics.accuracy(confusion),
            "balanced_accuracy": metrics.balanced_accuracy(confusion),
            "macro_f1": metrics.macro_f1(confusion),
            "log_loss": metrics.log_loss(targets, probabilities, seed),
            "calibration_error": metrics.calibration_error(targets, probabilities, seed),
        }
        if len(self.classes) > 5:
            intervals["top5"] = metrics.top5(targets, probabilities)
        if len(self.classes) == 2:
            intervals["auc"] = metrics.auc(targets, probabilities[:, 1])
        scores: dict[str, Any] = {name: interval.as_dict() for name, interval in intervals.items()}
        scores["per_class"] = metrics.per_class(confusion, self.classes)
        scores["confusion_matrix"] = confusion.tolist()
        scores["calibration"] = metrics.calibration_bins(targets, probabilities)
        scores["baseline_accuracy"] = known(metrics.baseline_accuracy(confusion))
        if len(self.classes) == 2:
            scores["threshold"] = 0.5 if self.threshold is None else self.threshold
        return scores

    def confusions(self, scores: Mapping[str, Any], most: int = 3) -> list[Confusion]:
        """Return the commonest mistakes of a split's scores: by count, then by share of the class."""
        found = [
            Confusion(self.classes[true], self.classes[answer], count, sum(row))
            for true, row in enumerate(scores["confusion_matrix"])
            for answer, count in enumerate(row)
            if count and answer != true
        ]
        return sorted(found, key=lambda mistake: (-mistake.count, mistake.of))[:most]

    def verdict(self, scores: Mapping[str, Any], split: str) -> str:
        """Return what a split's scores mean, in sentences for somebody who has never met a metric.

        `scores` is what `score` returned, or the same read back from metrics.json; `split` its name there.
        """
        sentences = [result(scores, split), self._against_guessing(scores)]
        n = scores["accuracy"]["n"]
        if n < SMALL_TEST:
            tested = "one picture was" if n == 1 else f"{n} pictures were"
            sentences.append(f"Only {tested} tested, so these figures are rough.")
        sentences.append(self._mistakes(scores))
        return " ".join(sentence for sentence in sentences if sentence)

    def _check(self, targets: metrics.Indices, probabilities: Numbers) -> None:
        """Refuse what cannot be scored: nothing, numbers that are none, shapes that do not match."""
        if len(targets) == 0:
            raise DataError(
                "There is nothing to score: the split holds 0 pictures; at least one is needed. "
                "Add pictures to the folder of each class."
            )
        if probabilities.shape != (len(targets), len(self.classes)):
            raise ValueError(f"probabilities are {probabilities.shape}; must be {(len(targets), len(self.classes))}.")
        if targets.min() < 0 or targets.max() >= len(self.classes):
            raise ValueError(f"targets reach from {targets.min()} to {targets.max()}; must name a class.")
        broken = int((~np.isfinite(probabilities.sum(axis=1))).sum())
        if broken:
            raise RunError(
                f"The network's answer is not a number for {broken} of {len(targets)} pictures; each needs "
                "one. Its training has diverged: train again with a smaller learning rate."
            )

    def _against_guessing(self, scores: Mapping[str, Any]) -> str:
        """Return how the accuracy compares with always answering the commonest class of the split."""
        totals = [sum(row) for row in scores["confusion_matrix"]]
        common = f'"{self.classes[totals.index(max(totals))]}"'
        occurring = sum(total > 0 for total in totals)
        if occurring == 1:
            rest = "class" if len(totals) == 2 else "classes"
            return f"All of them are {common}, so this says nothing about the other {rest}."
        baseline, accuracy, balanced = (scores[key] for key in ("baseline_accuracy", "accuracy", "balanced_accuracy"))
        guess = percent(baseline)
        if accuracy["low"] > baseline:
            return f"Always answering {common} would be right for {guess}."
        worse = accuracy["high"] < baseline
        if balanced["low"] > 1 / occurring:
            often = "more often" if worse else "about as often"
            return (
                f"Always answering {common} would be right {often} ({guess}), but it does tell the classes "
                f"apart: counting every class alike it is right for {percent(balanced['value'])}, where "
                f"guessing gives {percent(1 / occurring)}."
            )
        if worse:
            return f"That is worse than always answering {common}, which would be right for {guess}."
        return f"That cannot be told from guessing: always answering {common} would be right for {guess}."

    def _mistakes(self, scores: Mapping[str, Any]) -> str:
        """Return which mistake is the commonest, or an empty string where there is none."""
        ranked = self.confusions(scores, most=2)
        if not ranked:
            return ""
        worst = ranked[0]
        if worst.count > 1:
            often = f"({worst.count:,} of {worst.of:,})"
            return f'It most often takes "{worst.target}" for "{worst.predicted}" {often}.'
        if len(ranked) == 1:
            return f'Its one mistake was to take "{worst.target}" for "{worst.predicted}".'
        return "No two of its mistakes are of the same kind."


def result(scores: Mapping[str, Any], split: str) -> str:
    """Return how many pictures were named right, and what to expect of new ones."""
    accuracy = scores["accuracy"]
    n, value, low, high = (accuracy[key] for key in ("n", "value", "low", "high"))
    right = sum(row[index] for index, row in enumerate(scores["confusion_matrix"]))
    pictures = f"{'picture' if n == 1 else 'pictures'} {SPLIT_WORDS.get(split, f'of {split}')}"
    # Ends closer than two hundredths need a decimal to differ in print.
    decimals = 0 if high - low >= 0.02 else 1 if high - low >= 0.002 else 2
    if right == n:
        every = "the one" if n == 1 else f"all {n:,}"
        return (
            f"It names the right class for {every} {pictures}. That does not make it perfect: "
            f"with new pictures like these up to {out_of(1 - low)} may still go wrong."
        )
    if right == 0:
        return (
            f"It names the right class for none of {n:,} {pictures}: with new pictures like these it may be "
            f"right for up to {out_of(high)}."
        )
    return (
        f"It names the right class for {right:,} of {n:,} {pictures}: {percent(value, decimals)}, and with "
        f"new pictures like these between {percent(low, decimals)} and {percent(high, decimals)}."
    )


def out_of(share: float) -> str:
    """Return a small share as whole cases, rounded up: `0.0245` as `3 in 100`, `0.0038` as `4 in 1,000`."""
    base = 100
    while share * base < 1 and base < 1_000_000:
        base *= 10
    return f"{math.ceil(share * base - 1e-9)} in {base:,}"
