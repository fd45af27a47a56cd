"""What a training loop yields, and when to stop listening to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Epoch:
    """One pass over the training pictures. `state` holds the weights after it, by name.

    Losses are mean cross-entropies in nats without the penalty, accuracies shares in 0..1. `l2` is empty (None) for
    recipes that do not choose it. The training loss is measured while learning, the validation loss after.
    """

    number: int
    l2: float | None
    train_loss: float
    validation_loss: float
    train_accuracy: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    state: Mapping[str, np.ndarray]


@dataclass
class EarlyStopping:
    """Stops when the validation loss has not fallen by `min_delta` for `patience` epochs, and keeps the best epoch."""

    min_delta: float
    patience: int
    best: Epoch | None = None
    waited: int = 0

    def stops(self, epoch: Epoch) -> bool:
        """Take in one epoch; return whether training should end here. A loss that is not finite ends it."""
        if not np.isfinite(epoch.validation_loss):
            return True
        if self.best is None or epoch.validation_loss < self.best.validation_loss - self.min_delta:
            self.best, self.waited = epoch, 0
            return False
        self.waited += 1
        return self.waited >= self.patience

    def sentence(self, last: Epoch) -> str:
        """Return why training ended, in words."""
        if not np.isfinite(last.validation_loss):
            return f"the loss was no longer a number in epoch {last.number}; the learning rate is too high"
        if self.waited >= self.patience:
            return f"the validation loss had not fallen by {self.min_delta:g} for {self.patience} epochs"
        return f"all {last.number} epochs were run"
