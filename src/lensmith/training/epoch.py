"""What a training loop yields, and when to stop listening to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

DIVERGED = 10.0  # a training loss that has grown by this factor since the first epoch does not come back
LEAST_FIRST = 0.1  # a first loss below this counts as this: ten times next to nothing is still a good loss
ARRAYS = ("state", "logits", "snapshot")  # the fields of an Epoch that are no numbers


@dataclass(frozen=True)
class Epoch:
    """One pass over the training pictures. `state` holds the weights after it, by name.

    stage: "features", "frozen", "finetune" or "scratch". Losses are means over the pictures without the penalty: in
    nats, or for numbers in standardised units. Metrics are those of the task: a share in 0..1, or an error in the
    target's own unit. The training ones are measured while learning, the validation ones after. l2: None for stages
    that do not choose it. gradient: the median length of the steps' gradients before clipping, None for heads in numpy.
    change: how far the weights moved in this epoch, |w - w before| / |w|. logits: what the weights answer for the
    validation pictures, (n, k) in their order, numbers in their own unit. snapshot: returns what a checkpoint needs to
    go on after this epoch; valid until the next epoch is asked for.
    """

    stage: str
    number: int
    l2: float | None
    train_loss: float
    validation_loss: float
    train_metric: float
    validation_metric: float
    learning_rate: float
    gradient: float | None
    change: float
    seconds: float
    state: Mapping[str, np.ndarray]
    logits: np.ndarray | None = None
    snapshot: Callable[[], Mapping[str, np.ndarray]] | None = None


@dataclass
class EarlyStopping:
    """Keeps the epoch of the lowest validation loss, and ends training by the first rule that holds.

    The loss is no number or has diverged; the validation loss has not fallen by `min_delta` for `patience` epochs; the
    training metric has reached `right` (a share; None: off); an epoch's `change` is below `rest` (None: off).
    """

    min_delta: float
    patience: int
    right: float | None = None
    rest: float | None = None
    best: Epoch | None = field(default=None, init=False)
    waited: int = field(default=0, init=False)
    first_loss: float | None = field(default=None, init=False)
    ended: str = field(default="", init=False)

    def stops(self, epoch: Epoch) -> bool:
        """Take in one epoch; return whether training should end here."""
        self.ended = self._rule(epoch)
        return self.ended != ""

    def _rule(self, epoch: Epoch) -> str:
        """Take in one epoch and return the rule that ends training, or nothing. One that diverged is never kept."""
        if not (math.isfinite(epoch.validation_loss) and math.isfinite(epoch.train_loss)):
            return "not a number"
        if self.first_loss is None:
            self.first_loss = max(float(epoch.train_loss), LEAST_FIRST)
        if epoch.train_loss >= DIVERGED * self.first_loss:
            return "diverged"
        if self.best is None or epoch.validation_loss < self.best.validation_loss - self.min_delta:
            self.best, self.waited = epoch, 0
        else:
            self.waited += 1
        if self.right is not None and epoch.train_metric >= self.right:
            return "right"
        if self.rest is not None and epoch.change < self.rest:
            return "rest"
        return "patience" if self.waited >= self.patience else ""

    def sentence(self, last: Epoch) -> str:
        """Return why training ended, in words; `last` is the epoch taken in last."""
        words = {
            "": f"all {last.number} epochs were run",
            "not a number": f"the loss was no longer a number in epoch {last.number}; the learning rate is too high",
            "diverged": f"training diverged: in epoch {last.number} the training loss had grown to "
            f"{last.train_loss:.3g}, over {DIVERGED:g} times where it began; the learning rate is too high",
            "right": f"{last.train_metric:.1%} of the training pictures were right, as asked for",
            "rest": f"the weights were at rest: epoch {last.number} changed them by {last.change:.2g} of their length",
            "patience": f"the validation loss had not fallen by {self.min_delta:g} for {self.patience} epochs",
        }
        return words[self.ended]

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs, ready for JSON: numbers as they are, without the tensors of the best epoch."""
        numbers = [each.name for each in fields(Epoch) if each.name not in ARRAYS]
        best = None if self.best is None else {name: _plain(getattr(self.best, name)) for name in numbers}
        return {"best": best, "waited": self.waited, "first_loss": self.first_loss, "ended": self.ended}

    def restore(
        self, state: Mapping[str, Any], weights: Mapping[str, np.ndarray], logits: np.ndarray | None = None
    ) -> None:
        """Go on where `state` was taken: every later decision is the same. The arrays are the best epoch's."""
        self.best = None if state["best"] is None else Epoch(**state["best"], state=weights, logits=logits)
        self.waited, self.first_loss, self.ended = state["waited"], state["first_loss"], state["ended"]


def _plain(value: str | float | None) -> str | int | float | None:
    """Return a numpy number as Python's own, which JSON can write without losing a bit."""
    return value.item() if isinstance(value, np.generic) else value
