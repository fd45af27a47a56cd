"""What an explanation is, whatever made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lensmith.files import finite


@dataclass(frozen=True)
class Grade:
    """Whether a map is to be believed, and what was measured to tell.

    verdict: "the model", "not the model" or "empty". sentence: why, for people. likeness: rank correlation of the map
    with that of the same network with weights drawn anew, from the top down, the highest met (1: it shows the picture,
    not what was learned). deletion, insertion: the mean probability while the map's highest places are taken away
    first, or put back first; the same for random maps beside them. NaN where it could not be measured.
    """

    verdict: str
    sentence: str
    likeness: float = float("nan")
    deletion: float = float("nan")
    deletion_by_chance: float = float("nan")
    insertion: float = float("nan")
    insertion_by_chance: float = float("nan")

    @property
    def passed(self) -> bool:
        """Whether the map shows the model."""
        return self.verdict == "the model"


@dataclass(frozen=True)
class Explanation:
    """Why a network answered as it did, for one picture.

    picture: (s, s, 3) uint8 as the network saw it. path: where it came from. target: the class (or label, or number)
    that is explained, `output` its place among the scores. score: before softmax. probability: None for numbers.
    method, rule, layer: what made it; layer None where none was needed. map: (h, w) float32, how much each place spoke
    for the target; below zero against it, where the method tells the two apart. `unit` is what it is measured in.
    colours: (s, s, 3) float32 for methods that say more than one number a pixel, else None. answers: of occlusion, the
    class that wins while the window stands at each place (rows, columns), else None (Zeiler and Fergus, figure 6 e).
    how: a sentence.
    """

    picture: np.ndarray
    path: str
    target: str
    output: int
    score: float
    probability: float | None
    method: str
    rule: str
    layer: str | None
    map: np.ndarray
    unit: str
    how: str
    seconds: float
    colours: np.ndarray | None = None
    answers: np.ndarray | None = None
    grade: Grade | None = None

    @property
    def fine(self) -> bool:
        """Whether the map is of single pixels: it is made of gradients at the picture."""
        return self.colours is not None

    @property
    def empty(self) -> bool:
        """Whether the map says nothing: all zero, constant, or not finite."""
        return not np.isfinite(self.map).all() or float(np.ptp(self.map)) == 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form, without the arrays; None for numbers that are not finite."""
        grade, values = self.grade, self.map[np.isfinite(self.map)]
        said: dict[str, Any] = finite(
            {
                "path": self.path,
                "target": self.target,
                "output": self.output,
                "score": round(self.score, 6),
                "probability": None if self.probability is None else round(self.probability, 6),
                "method": self.method,
                "rule": self.rule,
                "layer": self.layer,
                "unit": self.unit,
                "how": self.how,
                "highest": float(values.max()) if values.size else None,
                "lowest": float(values.min()) if values.size else None,
                "seconds": round(self.seconds, 4),
                "grade": None if grade is None else {"passed": grade.passed, **vars(grade)},
            }
        )
        return said
