"""Multi-label classification: any number of labels for each picture, none included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lensmith.metrics import multilabel as metrics
from lensmith.metrics.intervals import UNDEFINED, Numbers, known, percent
from lensmith.tasks.answers import check_answers, check_finite, sigmoid
from lensmith.tasks.interface import Order
from lensmith.tasks.words import digits, joined, pictures_of, rough

SEPARATOR = ";"


@dataclass(frozen=True)
class Multilabel:
    """The task of saying of each of `classes` whether a picture carries it; columns follow their order.

    `thresholds` holds the probability from which each label is answered; `None` is 0.5 for all.
    """

    classes: tuple[str, ...]
    thresholds: tuple[float, ...] | None = None

    kind: ClassVar[str] = "multilabel"
    metric: ClassVar[str] = "f1"
    headline: ClassVar[str] = "map"
    perfect: ClassVar[float] = 0.0
    loss: ClassVar[str] = "binary_cross_entropy"

    def __post_init__(self) -> None:
        """Refuse labels that repeat, none at all, and thresholds that do not fit them."""
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes are {self.classes}; must be one or more different names.")
        given = self.thresholds
        if given is not None and (len(given) != len(self.classes) or not all(0 <= one <= 1 for one in given)):
            raise ValueError(f"thresholds are {given}; must be {len(self.classes)} numbers between 0 and 1, or None.")

    @property
    def outputs(self) -> int:
        """One logit a label."""
        return len(self.classes)

    def answers(self, logits: Numbers) -> NDArray[np.float32]:
        """Return the probabilities (n, k) float32, each label by itself, of logits (n, k) of any size."""
        return sigmoid(logits)

    def decode(self, answers: Numbers) -> NDArray[np.uint8]:
        """Return 1 for each label that is answered and 0 for the others, (n, k)."""
        # In float64: rounded to float32 a threshold between two neighbours would equal one of them.
        return (answers.astype(np.float64) >= self._thresholds()).astype(np.uint8)

    def watched(self, targets: metrics.Labels, logits: Numbers) -> float:
        """Return the mean F1 of the labels that occur, answered from 0.5 on; NaN if a logit is not finite."""
        if not np.isfinite(logits).all():
            return UNDEFINED
        return metrics.macro_f1(targets, (logits >= 0).astype(np.uint8)).value

    def settled(self, targets: metrics.Labels, answers: Numbers) -> Multilabel:
        """Return the task with a threshold of its own for every label (`best_threshold`).

        Raises RunError where the network answered NaN.
        """
        check_finite(answers)
        columns = zip(targets.T, answers.T, strict=True)
        return replace(self, thresholds=tuple(metrics.best_threshold(true, share) for true, share in columns))

    def score(self, targets: metrics.Labels, answers: Numbers, seed: int = 0) -> dict[str, Any]:
        """Return everything that metrics.json holds of one split, ready for JSON.

        `targets` (n, k) are zeros and ones, `answers` (n, k) probabilities. A label may be absent. No interval here
        needs the `seed`. Raises DataError for an empty split, RunError where the network answered NaN.
        """
        targets, answers = np.asarray(targets), np.asarray(answers)
        check_answers(targets, answers, len(self.classes))
        if targets.shape != answers.shape or not np.isin(targets, (0, 1)).all():
            raise ValueError(f"targets are {targets.shape}; must be {answers.shape} zeros and ones.")
        answered = self.decode(answers)
        mean, each = metrics.mean_average_precision(targets, answers)
        return {
            "map": mean.as_dict(),
            "macro_f1": metrics.macro_f1(targets, answered).as_dict(),
            "micro_f1": metrics.micro_f1(targets, answered).as_dict(),
            "exact_match": metrics.exact_match(targets, answered).as_dict(),
            "baseline_map": known(metrics.baseline_map(targets)),
            "per_class": metrics.per_label(targets, answered, each, self._thresholds().tolist(), self.classes),
        }

    def verdict(self, scores: Mapping[str, Any], split: str) -> str:
        """Return what a split's scores mean, in sentences for somebody who has never met a metric."""
        n = scores["map"]["n"]
        sentences = [result(scores, split), against_guessing(scores), exactly(scores), rough(n), extremes(scores)]
        return joined(sentences)

    def worth(self, targets: metrics.Labels, answers: Numbers) -> NDArray[np.float64]:
        """Return minus the log loss of each picture, the mean over its labels, (n,).

        The share of labels right would be nearly the same for all models where most labels are absent, and F1 has no
        value a picture. Log loss needs no threshold, so models can be compared before theirs are chosen.
        """
        return -metrics.cross_entropy(targets, answers)

    def explained(self, answers: Numbers) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the surest label of each picture (n,), of those answered where any is, and 1."""
        ranked = answers - (self.decode(answers) == 0)  # what is not answered comes after all that is
        return ranked.argmax(axis=1).astype(np.int64), np.ones(len(answers), np.float32)

    def row(self, answers_row: Numbers) -> dict[str, Any]:
        """Return `{"predicted": [names], "probabilities": {name: share}}` of one picture (k,)."""
        shares = [round(float(share), 6) for share in answers_row]
        return {
            "predicted": self._names(self.decode(answers_row[None])[0]),
            "probabilities": dict(zip(self.classes, shares, strict=True)),
        }

    def table_header(self) -> tuple[str, ...]:
        """Return the columns of predictions.csv."""
        return ("path", "target", "predicted", *(f"p:{name}" for name in self.classes))

    def table_rows(self, paths: Sequence[str], targets: metrics.Labels, answers: Numbers) -> Iterator[tuple[str, ...]]:
        """Yield the rows of predictions.csv: labels joined by ";", shares with six digits."""
        for path, target, answered, row in zip(paths, targets, self.decode(answers), answers, strict=True):
            yield path, self.target_text(target), self.target_text(answered), *(f"{share:.6f}" for share in row)

    def target_text(self, target: metrics.Labels) -> str:
        """Return the labels of one picture (k,) joined by ";", an empty string where it has none."""
        return SEPARATOR.join(self._names(target))

    def targets_of(self, texts: Sequence[str]) -> NDArray[np.uint8]:
        """Return zeros and ones (n, k) of labels joined by ";". Raises ValueError for a name that is no label."""
        places = {name: place for place, name in enumerate(self.classes)}
        found = np.zeros((len(texts), len(places)), np.uint8)
        for row, text in zip(found, texts, strict=True):
            for name in filter(None, text.split(SEPARATOR)):
                if name not in places:
                    raise ValueError(f"{name!r} is none of the labels")
                row[places[name]] = 1
        return found

    def order(self, targets: metrics.Labels, answers: Numbers) -> Order:
        """Return pictures with a wrong label and those with none, the highest log loss first; typical is the median."""
        loss = metrics.cross_entropy(targets, answers)
        falling = np.argsort(-loss, kind="stable")
        right = (self.decode(answers) == targets).all(axis=1)[falling]
        typical = np.argsort(np.abs(loss - np.median(loss)), kind="stable") if len(loss) else falling
        return Order(falling[~right], falling[right], typical)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "task": self.kind,
            "classes": list(self.classes),
            "thresholds": None if self.thresholds is None else list(self.thresholds),
            "loss": self.loss,
        }

    def _thresholds(self) -> NDArray[np.float64]:
        return np.array([0.5] * len(self.classes) if self.thresholds is None else self.thresholds, np.float64)

    def _names(self, labels: metrics.Labels) -> list[str]:
        return [name for name, there in zip(self.classes, labels, strict=True) if there]


def result(scores: Mapping[str, Any], split: str) -> str:
    """Return how well it finds the pictures of a label, and what to expect of new ones."""
    n, value, low, high = (scores["map"][key] for key in ("n", "value", "low", "high"))
    pictures = pictures_of(n, split)
    if value is None:
        return f"No label is on any of the {n:,} {pictures}, so nothing is known of how well it finds them."
    decimals = digits(low, high)
    return (
        f"Asked for the pictures that carry a label, the surest first, it is right {percent(value, decimals)} of the "
        f"time (mean average precision, {n:,} {pictures}), and with new pictures like these between "
        f"{percent(low, decimals)} and {percent(high, decimals)}."
    )


def against_guessing(scores: Mapping[str, Any]) -> str:
    """Return how the mean average precision compares with that of guessing, the share of pictures with a label."""
    found, baseline = scores["map"], scores["baseline_map"]
    if baseline is None:
        return ""
    if baseline == 1:
        return "Each label that occurs is on every picture, so this does not show whether it tells them apart."
    guess = f"guessing would be right about {percent(baseline)} of the time"
    if found["low"] > baseline:
        return f"{guess.capitalize()}."
    if found["high"] < baseline:
        return f"That is worse than guessing: {guess}."
    return f"That cannot be told from guessing: {guess}."


def exactly(scores: Mapping[str, Any]) -> str:
    """Return for how many pictures every label is right."""
    value, n = scores["exact_match"]["value"], scores["exact_match"]["n"]
    right = round(value * n)
    if right == n:
        return "It gets every label right for all of them." if n > 1 else "It gets all of its labels right."
    return (
        f"It gets every label right for {right:,} of {n:,} ({percent(value)})."
        if right
        else ("For none of them it gets every label right." if n > 1 else "It does not get all of its labels right.")
    )


def extremes(scores: Mapping[str, Any]) -> str:
    """Return the labels it finds best and worst, and those of which the split tells nothing."""
    table = scores["per_class"]
    ranked = sorted((row["ap"]["value"], name) for name, row in table.items() if row["n"])
    absent = [name for name, row in table.items() if not row["n"]]
    sentences = []
    if ranked and ranked[0][0] < ranked[-1][0]:
        (low, worst), (high, best) = ranked[0], ranked[-1]
        sentences.append(f'It finds "{best}" best ({percent(high)}) and "{worst}" worst ({percent(low)}).')
    if ranked and len(absent) == 1:
        sentences.append(f'"{absent[0]}" is on none of them, so nothing is known of it.')
    elif ranked and absent:
        sentences.append(f"{len(absent)} of the {len(table)} labels are on none of them: nothing is known of those.")
    return joined(sentences)
