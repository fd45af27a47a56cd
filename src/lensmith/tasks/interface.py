"""What a kind of work is to the rest of the house, which knows nothing else of it and never asks which it is.

A task is a frozen dataclass. It says how many numbers the head gives for a picture and which loss trains it, makes
answers of those numbers, scores them, and puts them into words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Targets = NDArray[Any]
"""(n,) int64 class positions, (n, k) uint8 zeros and ones, or (n,) float32 numbers, as `Dataset.targets`."""

Answers = NDArray[np.floating[Any]]
"""(n, k) probabilities or (n,) numbers, float32 as a task makes them."""

Positions = NDArray[np.intp]


class Order(NamedTuple):
    """Positions of pictures worth showing: the surest mistakes first, the hardest right ones first, typical ones."""

    mistakes: Positions
    hard: Positions
    typical: Positions

    def chosen(self, mistakes: int, hard: int, typical: int) -> list[tuple[str, int]]:
        """Return (kind, position) of at most so many of each kind, "mistake", "hard" or "typical", none twice."""
        found: dict[int, str] = {}
        kinds = (("mistake", self.mistakes, mistakes), ("hard", self.hard, hard), ("typical", self.typical, typical))
        for kind, positions, most in kinds:
            new = [position for position in positions.tolist() if position not in found]
            found |= dict.fromkeys(new[:most], kind)
        return [(kind, position) for position, kind in found.items()]


class Task(Protocol):
    """One kind of work: "classification", "multilabel" or "regression"."""

    kind: ClassVar[str]
    metric: ClassVar[str]
    """The watched metric of the curves: "accuracy", "f1" (macro, at 0.5) or "mae" (in the target's own unit)."""
    headline: ClassVar[str]
    """The metric that leads: "accuracy", "map" or "mae"."""
    perfect: ClassVar[float]
    """The `worth` of a picture that could not be answered better."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names that answers are made of, () for numbers."""

    @property
    def outputs(self) -> int:
        """How many numbers the head gives for a picture."""

    @property
    def loss(self) -> str:
        """What training makes small: "cross_entropy", "binary_cross_entropy", "mae", "mse" or "huber"."""

    def answers(self, logits: Answers) -> NDArray[np.float32]:
        """Return what the head's numbers (n, outputs) mean: probabilities (n, k), or numbers (n,)."""

    def decode(self, answers: Answers) -> NDArray[Any]:
        """Return what is answered: class positions (n,), zeros and ones (n, k), or numbers (n,)."""

    def watched(self, targets: Targets, logits: Answers) -> float:
        """Return the value of `metric`; NaN where there is nothing to measure or a logit is not finite."""

    def settled(self, targets: Targets, answers: Answers) -> Self:
        """Return the task with what the stopping pictures decide, its thresholds."""

    def score(self, targets: Targets, answers: Answers, seed: int = 0) -> dict[str, Any]:
        """Return all that metrics.json holds of one split; `seed` is that of the bootstrap.

        Raises DataError for an empty split, RunError where an answer is not a number.
        """

    def verdict(self, scores: Mapping[str, Any], split: str) -> str:
        """Return what the scores of a split mean, for somebody who has never met a metric."""

    def worth(self, targets: Targets, answers: Answers) -> NDArray[np.float64]:
        """Return one number a picture (n,), larger is better: what two models are compared by, picture by picture."""

    def explained(self, answers: Answers) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the output that a heat map of each picture explains (n,), and the sign that speaks for the answer."""

    def row(self, answers_row: Answers) -> dict[str, Any]:
        """Return the answer for one picture, its row of `answers`, ready for JSON; shares with six digits."""

    def table_header(self) -> tuple[str, ...]:
        """Return the columns of predictions.csv."""

    def table_rows(self, paths: Sequence[str], targets: Targets, answers: Answers) -> Iterator[tuple[str, ...]]:
        """Yield the rows of predictions.csv."""

    def target_text(self, target: Any) -> str:
        """Return the true answer of one picture, an element of `targets`, in words."""

    def targets_of(self, texts: Sequence[str]) -> Targets:
        """Return the targets that `target_text` wrote. Raises ValueError for a text that names none."""

    def order(self, targets: Targets, answers: Answers) -> Order:
        """Return which pictures a report may show."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form that `lensmith.tasks.choose.task_from_dict` reads."""
