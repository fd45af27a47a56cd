"""Under- and over-fitting in words, from the history alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEARNED = 0.80  # share of its own training pictures a network should get right
GAP = 0.10  # how far training and validation may lie apart before it is said
RISE, LEAST_RISE = 1.15, 0.05  # how much the validation loss rises, as a factor and in nats, before it is said


@dataclass(frozen=True)
class Point:
    """One epoch of the kept series."""

    number: int
    train_loss: float
    validation_loss: float
    train_accuracy: float
    validation_accuracy: float


def diagnose(series: Sequence[Point], kept: int, epochs: int, baseline: float) -> list[str]:
    """Return sentences on how training went.

    `kept` is the number of the epoch kept, `baseline` the share of the validation pictures that the commonest class
    alone would get right.
    """
    best = next(point for point in series if point.number == kept)
    last = series[-1]
    said = []
    if best.train_accuracy < max(LEARNED, baseline + GAP) and best.train_accuracy - best.validation_accuracy < GAP:
        said.append(
            f"Under-fitting: it gets only {_percent(best.train_accuracy)} of the pictures it learned from right. "
            f"Let it train longer, use a larger network, larger pictures or another base."
        )
    if best.train_accuracy - best.validation_accuracy >= GAP:
        said.append(
            f"Over-fitting: {_percent(best.train_accuracy)} right on pictures it learned from, "
            f"{_percent(best.validation_accuracy)} on the validation pictures. More pictures help most; after that "
            f"dropout, a stronger penalty, or a smaller network."
        )
    if last.validation_loss > max(RISE * best.validation_loss, best.validation_loss + LEAST_RISE):
        if last.validation_accuracy >= best.validation_accuracy:
            said.append(
                "Loss and accuracy part ways: after the kept epoch the validation loss rises while the accuracy "
                "does not fall. It grows too sure of its mistakes; its probabilities are worth less than its answers."
            )
        else:
            said.append("After the kept epoch it began to learn its training pictures by heart; that part was dropped.")
    if kept == epochs:
        said.append("The last epoch was the best one: it was still getting better. Give it more by --epochs.")
    return said or ["Training went well: training and validation stay close together, and it stopped in time."]


def _percent(share: float) -> str:
    return f"{share:.0%}"
