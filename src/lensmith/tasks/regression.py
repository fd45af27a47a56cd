"""Regression: a number for each picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lensmith.metrics import regression as metrics
from lensmith.metrics.intervals import UNDEFINED, Numbers, known, percent
from lensmith.tasks.answers import check_answers
from lensmith.tasks.interface import Order
from lensmith.tasks.words import amount, joined, pictures_of, rough

LOSSES = ("huber", "mae", "mse")


@dataclass(frozen=True)
class Regression:
    """The task of answering a number; `target_name` is what the data calls it, "" where it has no name.

    Training standardises the targets and the head is scaled back afterwards, so a model's outputs are in the target's
    own unit. `loss` is one of `LOSSES`. Huber's is the usual one: it is smooth, which "mae" is not at zero, and beyond
    `HUBER_DELTA` (one standard deviation of the training targets) an error counts by its size and not by its square,
    so that a few wrong labels do not pull the model as with "mse".
    """

    target_name: str = ""
    loss: str = "huber"

    kind: ClassVar[str] = "regression"
    metric: ClassVar[str] = "mae"
    headline: ClassVar[str] = "mae"
    perfect: ClassVar[float] = 0.0
    classes: ClassVar[tuple[str, ...]] = ()
    outputs: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse a loss that regression does not have."""
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}; must be one of {', '.join(LOSSES)}.")

    def answers(self, logits: Numbers) -> NDArray[np.float32]:
        """Return the numbers (n,) float32 that the head's outputs (n, 1) are."""
        return np.asarray(logits[:, 0], np.float32)

    def decode(self, answers: Numbers) -> NDArray[np.float32]:
        """Return the numbers as they are."""
        return np.asarray(answers, np.float32)

    def watched(self, targets: Numbers, logits: Numbers) -> float:
        """Return the mean absolute error in the target's own unit; NaN if an output is not finite."""
        if len(targets) == 0 or not np.isfinite(logits).all():
            return UNDEFINED
        return float(np.abs(metrics.errors_of(targets, self.answers(logits))).mean())

    def settled(self, targets: Numbers, answers: Numbers) -> Self:
        """Return the task itself: there is nothing to decide."""
        return self

    def score(self, targets: Numbers, answers: Numbers, seed: int = 0) -> dict[str, Any]:
        """Return everything that metrics.json holds of one split, ready for JSON.

        `targets` and `answers` are numbers (n,); `seed` is that of the bootstrap. Raises DataError for an empty split,
        RunError where the network answered NaN.
        """
        targets, answers = np.asarray(targets), np.asarray(answers)
        check_answers(targets, answers, 0)
        if targets.shape != answers.shape or not np.isfinite(targets).all():
            raise ValueError(f"targets are {targets.shape}; must be {answers.shape} finite numbers.")
        squared = metrics.mse(targets, answers, seed)
        return {
            "mae": metrics.mae(targets, answers, seed).as_dict(),
            "mse": squared.as_dict(),
            "rmse": metrics.rmse(squared).as_dict(),
            "r2": metrics.r2(targets, answers, seed).as_dict(),
            "median_error": metrics.median_error(targets, answers).as_dict(),
            "baseline_mae": known(metrics.baseline_mae(targets)),
            "n": len(targets),
        }

    def verdict(self, scores: Mapping[str, Any], split: str) -> str:
        """Return what a split's scores mean, in sentences for somebody who has never met a metric."""
        return joined([self._result(scores, split), against_median(scores), rough(scores["n"])])

    def worth(self, targets: Numbers, answers: Numbers) -> NDArray[np.float64]:
        """Return minus the absolute error of each picture, (n,), in the target's own unit."""
        return -np.abs(metrics.errors_of(targets, answers))

    def explained(self, answers: Numbers) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the only output and 1 for each picture (n,): the map shows what makes the number larger."""
        return np.zeros(len(answers), np.int64), np.ones(len(answers), np.float32)

    def row(self, answers_row: Any) -> dict[str, Any]:
        """Return `{"predicted": number}` of one picture."""
        return {"predicted": float(shortest(answers_row))}

    def table_header(self) -> tuple[str, ...]:
        """Return the columns of predictions.csv."""
        return ("path", "target", "predicted")

    def table_rows(self, paths: Sequence[str], targets: Numbers, answers: Numbers) -> Iterator[tuple[str, ...]]:
        """Yield the rows of predictions.csv."""
        for path, target, answer in zip(paths, targets, answers, strict=True):
            yield path, self.target_text(target), shortest(answer)

    def target_text(self, target: Any) -> str:
        """Return the true number in as few digits as tell it apart."""
        return shortest(target)

    def targets_of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return numbers (n,) from their texts. Raises ValueError for a text that is no finite number."""
        found = np.array([float(text) for text in texts], np.float32)
        if not np.isfinite(found).all():
            raise ValueError("not all are finite numbers")
        return found

    def order(self, targets: Numbers, answers: Numbers) -> Order:
        """Return the larger half of the errors, the largest first, and all pictures by nearness to the median error.

        No number is right or wrong, so no picture is a hard one that went well.
        """
        off = np.abs(metrics.errors_of(targets, answers))
        median = np.median(off) if len(off) else 0.0
        falling = np.argsort(-off, kind="stable")
        typical = np.argsort(np.abs(off - median), kind="stable")
        return Order(falling[off[falling] > median], np.zeros(0, np.intp), typical)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {"task": self.kind, "classes": [], "target_name": self.target_name, "loss": self.loss}

    def _result(self, scores: Mapping[str, Any], split: str) -> str:
        """Return how far its answers are off, and what to expect of new ones."""
        n, value, low, high = (scores["mae"][key] for key in ("n", "value", "low", "high"))
        shown = precision(scores)
        number = f'"{self.target_name}"' if self.target_name else "number"
        if low is None:
            return f"Its {number} is off by {amount(value, shown)} for the one {pictures_of(n, split)}."
        return (
            f"Its {number} is off by {amount(value, shown)} on average for {n:,} {pictures_of(n, split)}, and with new "
            f"pictures like these by between {amount(low, shown)} and {amount(high, shown)}."
        )


def against_median(scores: Mapping[str, Any]) -> str:
    """Return how the error compares with that of always answering the median, and what R2 says, in plain words."""
    off, baseline, r2 = scores["mae"], scores["baseline_mae"], scores["r2"]
    if scores["n"] == 1:
        return "One picture cannot show whether its answers follow what is in the pictures."
    if r2["value"] is None:
        return "All of them have the same number, so this does not show whether its answers follow the pictures."
    constant = f"always answering the median would be off by {amount(baseline, precision(scores))}"
    share = f"{percent(max(r2['value'], 0.0))} of how much the pictures differ (R2 {r2['value']:.2f})"
    if off["high"] < baseline:
        return f"{constant.capitalize()}. Its answers account for {share}."
    worse = off["low"] > baseline
    if r2["low"] is not None and r2["low"] > 0:
        often = "by less" if worse else "by about as much"
        return f"{constant.capitalize()}, {often}; but its answers do follow the pictures: they account for {share}."
    if worse:
        return f"That is worse than always giving the same answer: {constant}."
    return f"That cannot be told from always giving the same answer: {constant}."


def precision(scores: Mapping[str, Any]) -> float:
    """Return the smallest size that the figures must show two digits of: the error, the baseline, or ten times the
    width of the interval, so that its ends differ in print. What is 0 asks for nothing.
    """
    off = scores["mae"]
    width = 0.0 if off["low"] is None else 10 * (off["high"] - off["low"])
    return min((size for size in (off["value"], scores["baseline_mae"], width) if size), default=0.0)


def shortest(number: Any) -> str:
    """Return a float32 in as few digits as tell it apart from all others: `0.1`, never `0.10000000149`."""
    return str(np.float32(number))
