"""Classification: one class of several for each picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lensmith.metrics import classification as metrics
from lensmith.metrics.intervals import UNDEFINED, Numbers, known, percent
from lensmith.tasks.answers import check_answers, check_finite, sigmoid, softmax
from lensmith.tasks.interface import Order
from lensmith.tasks.words import digits, joined, out_of, pictures_of, rough


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

    With two classes the second is the positive one, and `threshold` is the probability from which it is answered;
    `None` answers the likelier class. `output` is what the head's numbers go through: "softmax", one logit a class,
    or for two classes "sigmoid", the logit of the second class alone. Answers have a column a class either way.
    """

    classes: tuple[str, ...]
    threshold: float | None = None
    output: str = "softmax"

    kind: ClassVar[str] = "classification"
    metric: ClassVar[str] = "accuracy"
    headline: ClassVar[str] = "accuracy"
    perfect: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        """Refuse classes that repeat, fewer than two of them, and a threshold or output that does not fit them."""
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes are {self.classes}; must be two or more different names.")
        if self.threshold is not None and (len(self.classes) != 2 or not 0 <= self.threshold <= 1):
            raise ValueError(
                f"threshold is {self.threshold} for {len(self.classes)} classes; "
                "must lie between 0 and 1 with two classes, and be None with more."
            )
        if self.output != "softmax" and (self.output != "sigmoid" or len(self.classes) != 2):
            raise ValueError(
                f"output is {self.output!r} for {len(self.classes)} classes; "
                "must be softmax, or with two classes softmax or sigmoid."
            )

    @property
    def outputs(self) -> int:
        """One logit a class, or a single one for the second of two."""
        return 1 if self.output == "sigmoid" else len(self.classes)

    @property
    def loss(self) -> str:
        """The cross-entropy of the classes, of one logit or of as many as there are classes."""
        return "binary_cross_entropy" if self.output == "sigmoid" else "cross_entropy"

    def answers(self, logits: Numbers) -> NDArray[np.float32]:
        """Return the probabilities (n, k) float32 of logits (n, outputs), of any size."""
        if self.output == "softmax":
            return softmax(logits)
        # Of x and -x, not p and 1 - p: a small probability keeps its digits on either side.
        return np.concatenate([sigmoid(-logits), sigmoid(logits)], axis=1)

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

    def watched(self, targets: metrics.Indices, logits: Numbers) -> float:
        """Return the share of pictures whose likeliest class is the true one; NaN if a logit is not finite."""
        if len(targets) == 0 or not np.isfinite(logits).all():
            return UNDEFINED
        likeliest = logits[:, 0] > 0 if self.output == "sigmoid" else logits.argmax(axis=1)
        return float((likeliest == targets).mean())

    def settled(self, targets: metrics.Indices, probabilities: Numbers) -> Classification:
        """Return the task with what validation decides: the threshold of two classes (`choose_threshold`).

        Raises RunError where the network answered NaN.
        """
        check_finite(probabilities)
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
        check_answers(targets, probabilities, len(self.classes))
        if targets.min() < 0 or targets.max() >= len(self.classes):
            raise ValueError(f"targets reach from {targets.min()} to {targets.max()}; must name a class.")
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
        n = scores["accuracy"]["n"]
        return joined([result(scores, split), self._against_guessing(scores), rough(n), self._mistakes(scores)])

    def worth(self, targets: metrics.Indices, answers: Numbers) -> NDArray[np.float64]:
        """Return 1 for each picture named right and 0 for the others, (n,): their mean is the accuracy."""
        return np.asarray(self.decode(answers) == targets, np.float64)

    def explained(self, answers: Numbers) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the output of the answered class (n,) and 1; the one sigmoid speaks for the first class with -1."""
        decoded = self.decode(answers).astype(np.int64)
        if self.output == "sigmoid":
            return np.zeros_like(decoded), np.where(decoded == 1, 1, -1).astype(np.float32)
        return decoded, np.ones(len(decoded), np.float32)

    def row(self, answers_row: Numbers) -> dict[str, Any]:
        """Return `{"predicted": name, "confidence": share, "probabilities": {name: share}}` of one picture (k,)."""
        answered = int(self.decode(answers_row[None])[0])
        shares = [round(float(share), 6) for share in answers_row]
        return {
            "predicted": self.classes[answered],
            "confidence": shares[answered],
            "probabilities": dict(zip(self.classes, shares, strict=True)),
        }

    def table_header(self) -> tuple[str, ...]:
        """Return the columns of predictions.csv."""
        return ("path", "target", "predicted", "confidence", *(f"p:{name}" for name in self.classes))

    def table_rows(self, paths: Sequence[str], targets: metrics.Indices, answers: Numbers) -> Iterator[tuple[str, ...]]:
        """Yield the rows of predictions.csv, shares with six digits."""
        for path, target, answered, row in zip(paths, targets, self.decode(answers), answers, strict=True):
            shares = [f"{share:.6f}" for share in row]
            yield path, self.target_text(target), self.classes[answered], shares[answered], *shares

    def target_text(self, target: int | np.integer[Any]) -> str:
        """Return the name of a class by its position."""
        return self.classes[target]

    def targets_of(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the positions (n,) of class names. Raises ValueError for a name that is no class."""
        places = {name: place for place, name in enumerate(self.classes)}
        if unknown := next((text for text in texts if text not in places), None):
            raise ValueError(f"{unknown!r} is none of the classes")
        return np.array([places[text] for text in texts], np.int64)

    def order(self, targets: metrics.Indices, answers: Numbers) -> Order:
        """Return wrong answers by falling confidence, right ones by rising, and right ones by falling confidence."""
        rising = np.argsort(self.confidence(answers), kind="stable")
        right = (self.decode(answers) == targets)[rising]
        return Order(rising[::-1][~right[::-1]], rising[right], rising[right][::-1])

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "task": self.kind,
            "classes": list(self.classes),
            "threshold": self.threshold,
            "loss": self.loss,
            "output": self.output,
        }

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
    pictures, decimals = pictures_of(n, split), digits(low, high)
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
