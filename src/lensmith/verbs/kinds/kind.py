"""What a kind of example is to the verbs, which know nothing else of it and never ask which it is.

Each kind is a module with these functions: how its recipe is settled, how its examples are read and encoded, what the
report shows of them, and how they are found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from lensmith.data.dataset import Dataset
from lensmith.data.pixels import Pictures
from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Record
from lensmith.data.split import Splits
from lensmith.data.store import Store
from lensmith.engines.choose import Chosen
from lensmith.model import Model
from lensmith.run import Run
from lensmith.tasks.interface import Task
from lensmith.training.features import Features
from lensmith.training.recipe import Resolved
from lensmith.training.request import Request
from lensmith.training.rows import Matrix
from lensmith.training.stages import Course
from lensmith.verbs.console import Console, Stopwatch
from lensmith.verbs.score import Answers
from lensmith.zoo.base import Base
from lensmith.zoo.measured import Measured, Reading

How = Preprocessing | Reading
"""How an example becomes numbers."""


@dataclass(frozen=True)
class Material:
    """What the one pass over the examples found: a record of each and, where there is a base, features (n, F).

    pixels() gives the examples themselves as numbers: pictures from the store, where a file need not be opened.
    """

    store: Store
    records: tuple[Record, ...]
    pixels: Callable[[], Pictures]
    features: Matrix | None = None
    base: Base | Measured | None = None
    chosen: Chosen | None = None


@dataclass(frozen=True)
class LaidOut:
    """What the training part decides: how examples become numbers, with arrays where it has some."""

    material: Material
    how: How
    inputs: dict[str, np.ndarray] = field(default_factory=dict)


class Said(NamedTuple):
    """An answer, a row of those of the task, for one example; None with a reason where it could not be read."""

    name: str
    answer: np.ndarray | None
    reason: str = ""


class Kind(Protocol):
    """The functions of a kind's module."""

    def settle(self, request: Request, dataset: Dataset, store: Store, say: Callable[[str], None]) -> Resolved:
        """Return the recipe with nothing left open."""

    def headline(self, resolved: Resolved) -> str:
        """Return in a line what will be trained."""

    def read(self, resolved: Resolved, dataset: Dataset, store: Store, console: Console, watch: Stopwatch) -> Material:
        """Look at every example once."""

    def lay_out(self, resolved: Resolved, material: Material, dataset: Dataset, train: np.ndarray) -> LaidOut:
        """Return what follows from the training part, given by position."""

    def features(
        self, model: Model, dataset: Dataset, chosen: np.ndarray, store: Store, advance: Callable[[int], None]
    ) -> Features:
        """Return what the base of a model says of the chosen examples."""

    def show(
        self,
        run: Run,
        resolved: Resolved,
        course: Course,
        model: Model,
        dataset: Dataset,
        chosen: np.ndarray,
        found: Answers,
    ) -> None:
        """Write what the report shows of the held-out examples, at the positions chosen."""

    def held_out(self, run: Run, model: Model, rows: Sequence[dict[str, str]], split: str, store: Store) -> Dataset:
        """Return the examples that rows of splits.csv name. Raises RunError if they are not what they were."""

    def ask(self, model: Model, places: Sequence[str | Path], store: Store, console: Console) -> Iterator[Said]:
        """Yield a model's answer for each example at the places. Raises DataError for what is not there."""


def course_of(
    kind: Kind, resolved: Resolved, material: Material, dataset: Dataset, task: Task, splits: Splits
) -> Course:
    """Return all that a training learns from; how examples become numbers follows from the training ones alone."""
    train = splits.indices("train")
    laid = kind.lay_out(resolved, material, dataset, train)
    material = laid.material
    return Course(
        task=task,
        targets=dataset.targets,
        strata=dataset.strata,
        sha256=tuple(record.sha256 for record in material.records),
        train=train,
        stopping=splits.indices(splits.stopping),
        plan=resolved.plan,
        preprocessing=laid.how,
        inputs=laid.inputs,
        pixels=material.pixels,
        store=material.store,
        features=material.features,
        base=material.base,
        chosen=material.chosen,
    )
