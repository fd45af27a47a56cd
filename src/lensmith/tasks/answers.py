"""From the numbers of a head to answers, and the refusal of answers that cannot be scored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lensmith.errors import DataError, RunError
from lensmith.metrics.intervals import Numbers


def softmax(logits: Numbers) -> NDArray[np.float32]:
    """Return the softmax of logits (n, k) as (n, k) float32; logits of any size do not overflow."""
    logits = np.asarray(logits, np.float32)
    with np.errstate(invalid="ignore"):  # an infinite logit makes its row NaN, which scoring refuses
        powers = logits - logits.max(axis=1, keepdims=True)
    np.exp(powers, out=powers)
    powers /= powers.sum(axis=1, keepdims=True)
    return np.asarray(powers, np.float32)


def sigmoid(logits: Numbers) -> NDArray[np.float32]:
    """Return `1 / (1 + exp(-x))` of logits of any shape as float32; logits of any size do not overflow."""
    logits = np.asarray(logits, np.float32)
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, small) / (1 + small), np.float32)


def check_answers(targets: NDArray[Any], answers: Numbers, classes: int) -> None:
    """Refuse what cannot be scored: nothing, shapes that do not match, numbers that are none.

    `classes` is the number of columns, 0 where the answers are (n,). Raises DataError, ValueError or RunError.
    """
    n = len(targets)
    if n == 0:
        raise DataError(
            "There is nothing to score: the split holds 0 pictures; at least one is needed. Add labelled pictures."
        )
    shape = (n, classes) if classes else (n,)
    if answers.shape != shape:
        raise ValueError(f"answers are {answers.shape}; must be {shape}.")
    check_finite(answers)


def check_finite(answers: Numbers) -> None:
    """Raise RunError where a picture's answer is not a number: training has diverged."""
    n = len(answers)
    broken = n - int(np.isfinite(answers).reshape(n, -1).all(axis=1).sum()) if n else 0
    if broken:
        raise RunError(
            f"The network's answer is not a number for {broken} of {n} pictures; each needs one. Its training has "
            "diverged: train again with a smaller learning rate."
        )
