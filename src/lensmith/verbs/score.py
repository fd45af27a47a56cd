"""A model's answers for part of a data set, by way of the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lensmith.data.dataset import Dataset
from lensmith.data.read import Record
from lensmith.data.store import Store
from lensmith.errors import DataError
from lensmith.model import Model
from lensmith.training.features import Features
from lensmith.training.head import Examples


@dataclass(frozen=True)
class Answers:
    """Paths, contents, targets and the model's answers for the readable pictures; the records of the others."""

    paths: tuple[str, ...]
    sha256: tuple[str, ...]
    targets: np.ndarray
    answers: np.ndarray
    unreadable: tuple[Record, ...]


def score_split(
    model: Model,
    dataset: Dataset,
    chosen: np.ndarray,
    store: Store,
    features: Callable[[Model, Dataset, np.ndarray, Store, Callable[[int], None]], Features],
    *,
    advance: Callable[[int], None] = lambda done: None,
) -> Answers:
    """Return the model's answers for the chosen positions of a data set.

    features: what the kind of its examples makes of them by the model's base.
    """
    paths = [dataset.paths[index] for index in chosen]
    found = features(model, dataset, chosen, store, advance)
    good = np.array([not record.reason for record in found.records], bool)
    if not good.any():
        first = found.records[0]
        raise DataError(
            f"none of the {len(paths)} pictures in {dataset.root} can be read; the first is "
            f"{first.path}: {first.reason}."
        )
    examples = Examples(found.values, dataset.targets[chosen][good], rows=np.flatnonzero(good))
    logits = np.concatenate([model.head.logits(examples.at(places)) for places in examples.blocks()])
    return Answers(
        paths=tuple(path for path, fine in zip(paths, good, strict=True) if fine),
        sha256=tuple(record.sha256 for record in found.records if not record.reason),
        targets=examples.targets,
        answers=model.task.answers(logits),
        unreadable=tuple(record for record in found.records if record.reason),
    )
