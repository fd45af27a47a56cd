"""What an attack is after: another answer than the one a network gives, or one that was chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensmith.errors import UsageError
from lensmith.seeing.subject import Subject
from lensmith.tasks.interface import Task

if TYPE_CHECKING:
    from torch import Tensor

    from lensmith.seeing.gradients import Score

Reached = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(rows (k,), their scores (k, outputs)) -> (k,) bool: whether the answers are what was wanted."""


@dataclass(frozen=True)
class Goal:
    """What is wanted of n pictures, one each.

    place: (n,) the output. sign: (n,) the attack makes sign x score smaller. competing: whether the outputs go through
    one softmax, so that the score is the odds of one against all others. endless: there is no answer to reach: a number
    is only to be made larger.
    """

    place: np.ndarray
    sign: np.ndarray
    competing: bool
    reached: Reached
    endless: bool = False

    def score(self, rows: np.ndarray) -> Score:
        """Return what is to be made smaller for these rows."""
        import torch

        place, sign = torch.from_numpy(self.place[rows]), torch.from_numpy(self.sign[rows])

        def made_smaller(outputs: Tensor) -> Tensor:
            there = place.to(outputs.device)
            found = odds(outputs, there) if self.competing else outputs.gather(1, there[:, None])[:, 0]
            return found * sign.to(outputs)

        return made_smaller


def odds(outputs: Tensor, place: Tensor) -> Tensor:
    """Return the log odds (N,) of one class each, place (N,), against all others of outputs (N, K)."""
    import torch

    chosen = torch.nn.functional.one_hot(place, outputs.shape[1]).bool()
    others = outputs.masked_fill(chosen, float("-inf"))
    return outputs.gather(1, place[:, None])[:, 0] - others.logsumexp(1)


def goal_of(subject: Subject, scores: np.ndarray, to: str | None) -> Goal:
    """Return what an attack on pictures with these scores (n, outputs) is after.

    Without `to`: any other class; the surest label taken away (or given, where the picture has none); a larger number.
    `to`: this class, this label given, this number reached. Raises UsageError for a `to` that does not exist.
    """
    task, answers = subject.task, subject.task.answers(scores)
    first = task.decode(answers)
    if not task.classes:
        return _number(task, first, to)
    if to is None:
        place, sign = task.explained(answers)
    else:
        wanted = subject.target(to)
        place, sign = np.full(len(first), wanted.output, np.int64), np.full(len(first), -wanted.sign, np.float32)
    if first.ndim == 2:
        return _label(task, first, place, to is not None)
    target = None if to is None else task.classes.index(wanted.name)

    def reached(rows: np.ndarray, said: np.ndarray) -> np.ndarray:
        now = task.decode(task.answers(said))
        return np.asarray(now != first[rows] if target is None else now == target)

    return Goal(place, sign, task.loss == "cross_entropy", reached)


def _label(task: Task, first: np.ndarray, place: np.ndarray, given: bool) -> Goal:
    """Return the goal of giving a label, or of turning it round; labels do not compete."""
    wanted = np.ones(len(first)) if given else 1 - first[np.arange(len(first)), place]

    def reached(rows: np.ndarray, said: np.ndarray) -> np.ndarray:
        now = task.decode(task.answers(said))
        return np.asarray(now[np.arange(len(now)), place[rows]] == wanted[rows])

    return Goal(place, np.where(wanted > 0, -1, 1).astype(np.float32), False, reached)


def _number(task: Task, first: np.ndarray, to: str | None) -> Goal:
    """Return the goal of making a number larger, or of making it reach another one."""
    place = np.zeros(len(first), np.int64)
    try:
        wanted = np.inf if to is None else float(to)
    except ValueError:
        raise UsageError(f"to is {to!r}, but this model answers with a number. Give the number to reach.") from None
    if to is not None and not np.isfinite(wanted):
        raise UsageError(f"to is {to!r}; it must be a number that can be reached.")
    sign = np.where(first < wanted, -1, 1).astype(np.float32)

    def reached(rows: np.ndarray, said: np.ndarray) -> np.ndarray:
        return np.asarray(sign[rows] * task.decode(task.answers(said)) <= sign[rows] * wanted)

    return Goal(place, sign, False, reached, endless=to is None)
