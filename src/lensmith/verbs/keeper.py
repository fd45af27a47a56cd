"""Listening to one series of epochs: which is best, what the history says, what a checkpoint holds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from lensmith.errors import RunError
from lensmith.run import Run
from lensmith.training.epoch import ARRAYS, EarlyStopping, Epoch

CHECKPOINT_SHARE = 0.05  # of the time may go into checkpoints; where epochs are short, some end without one
NUMBERS = tuple(field.name for field in fields(Epoch) if field.name not in (*ARRAYS, "number"))


class Keeper:
    """Takes in the epochs of one series: what is best, what the history says, what a checkpoint holds."""

    def __init__(self, run: Run | None, name: str, stopping: EarlyStopping) -> None:
        self.stopping, self.rows, self.why = stopping, list[dict[str, Any]](), ""
        self._run, self._name = run, name if run is not None else ""
        self._latest: Epoch | None = None  # none yet, also after a restore: what a checkpoint says is written already
        self._saved, self._cost, self._written = time.perf_counter(), 0.0, -1

    def restore(self, tensors: Mapping[str, np.ndarray], document: Mapping[str, Any]) -> None:
        """Go on where a checkpoint was written. Raises RunError if it is not one of this version."""
        try:
            self.stopping.restore(document["stopping"], part(tensors, "best."), tensors.get("logits"))
            self.why, rows = document["why"], [{**row} for row in document["rows"]]
        except (KeyError, TypeError) as error:
            raise RunError(f"the checkpoint {self._name} is not of this lensmith ({error}). Train again.") from error
        for row in rows:
            self._note(row)

    def take(self, epoch: Epoch) -> bool:
        """Take in one epoch; return whether the series should end here."""
        self._note({name: getattr(epoch, name) for name in NUMBERS} | {"epoch": epoch.number})
        ended = self.stopping.stops(epoch)
        self.why = self.stopping.sentence(epoch)
        self._latest = epoch
        spent = time.perf_counter() - self._saved
        if self._name and (self._cost <= CHECKPOINT_SHARE * spent or ended):
            self._write(epoch)
        return ended

    def close(self) -> None:
        """Make sure that the last epoch has its checkpoint: what is finished is not done again."""
        if self._name and self._latest is not None and self._written != self._latest.number:
            self._write(self._latest)

    def _note(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if self._run is not None:
            self._run.append_history(row)

    def _write(self, epoch: Epoch) -> None:
        begun = time.perf_counter()
        assert epoch.snapshot is not None and self._run is not None
        tensors = {f"now.{name}": tensor for name, tensor in epoch.snapshot().items()}
        if self.stopping.best is not None:
            tensors |= {f"best.{name}": tensor for name, tensor in self.stopping.best.state.items()}
            tensors["logits"] = np.asarray(self.stopping.best.logits)
        document = {"stopping": self.stopping.state(), "why": self.why, "rows": self.rows}
        self._run.write_checkpoint(self._name, tensors, document)
        self._written, self._saved = epoch.number, time.perf_counter()
        self._cost = self._saved - begun


def part(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the tensors whose name begins with `prefix`, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
