"""What keeping the maps of a frozen lower part costs and gains: fine-tuning above features.6 and features.10.

On the folder of benchmarks/photographs.py, four epochs from the same head: everything run in torch, augmented anew
(nothing kept); the lower part run by the engine on new views in every epoch, which is what lensmith does; and on two
views, or one, whose maps are kept for all epochs. Accuracy is that on all pictures not trained on (about 1,360), after
each epoch; seconds are the training's own, without what it takes to get there.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import measure
import photographs
from lensmith.data.audit import audit
from lensmith.data.source import open_data
from lensmith.data.split import split
from lensmith.data.store import Store
from lensmith.tasks.choose import task_for
from lensmith.training import stages
from lensmith.training.epoch import EarlyStopping, Epoch
from lensmith.training.recipe import Recipe, first_stage, resolve
from lensmith.training.request import Request
from lensmith.training.stages import Course
from lensmith.training.views import Activations
from lensmith.verbs.console import Console, Stopwatch
from lensmith.verbs.kinds import pictures
from lensmith.verbs.kinds.kind import course_of

EPOCHS = 4
PLACES = ("features.6", "features.10")
KEPT = {"nothing kept": None, "new views": EPOCHS, "two views": 2, "one view": 1}


def main() -> None:
    values: dict[str, Any] = {"epochs": EPOCHS}
    with tempfile.TemporaryDirectory() as place:
        folder = photographs.make(Path(place) / "photographs")
        recipe, course = prepared(folder, Store(Path(place) / "cache"))
        head = best_head(recipe, course)
        values |= {"trained on": len(course.train), "judged by": len(course.stopping)}
        values["accuracy of the head before"] = round(head.validation_metric, 4)
        for unfreeze in PLACES:
            for name, views in KEPT.items():
                values[f"{unfreeze}, {name}"] = tuned(replace(recipe, unfreeze=unfreeze), course, head, views)
                print(unfreeze, name, values[f"{unfreeze}, {name}"], flush=True)
    measure.write("views", values)


def prepared(folder: Path, store: Store) -> tuple[Recipe, Course]:
    """Return the recipe and what is learned from; all pictures not trained on judge."""
    weights = str(measure.data() / "weights" / "mobilenet_v2.safetensors")
    request = Request(str(folder), weights=weights, recipe="finetune", epochs=EPOCHS)
    dataset = open_data(request.data)
    resolved = resolve(request, dataset, store, print)
    material = pictures.read(resolved, dataset, store, Console(True), Stopwatch())
    splits = split(dataset, audit(dataset, material.records), request.seed)
    course = course_of(pictures, resolved, material, dataset, task_for(dataset.task, dataset.classes), splits)
    return resolved.recipe, replace(course, stopping=np.flatnonzero(splits.names != "train"))


def best_head(recipe: Recipe, course: Course) -> Epoch:
    """Return the head that all begin with."""
    first = replace(first_stage(recipe, len(course.train)), l2=(1e-4,))
    stopping = EarlyStopping(0.001, 10)
    for epoch in stages.features_stage(first, course)[0]:
        if stopping.stops(epoch):
            break
    assert stopping.best is not None
    return stopping.best


def tuned(recipe: Recipe, course: Course, head: Epoch, views: int | None) -> dict[str, Any]:
    """Return seconds and accuracies by epoch."""
    course, whole = replace(course, kept={}), stages.assemble_top
    try:
        if views is None:
            stages.assemble_top = lambda *_: None
        else:
            activations = stages.activations_of(recipe, course)
            key = next(iter(course.kept))
            kept = Activations(activations.shown, activations.engine, course.store.folder, views)
            in_turn = lambda epoch, positions: kept(1 + (epoch - 1) % views if epoch else 0, positions)  # noqa: E731
            course.kept[key] = in_turn
        (series,) = stages.finetune_stage(recipe, course, head)
        epochs = list(series)
    finally:
        stages.assemble_top = whole
    return {
        "seconds an epoch": [round(epoch.seconds, 1) for epoch in epochs],
        "median": round(statistics.median(epoch.seconds for epoch in epochs), 1),
        "accuracy": [round(epoch.validation_metric, 4) for epoch in epochs],
        "loss": [round(epoch.validation_loss, 4) for epoch in epochs],
    }


if __name__ == "__main__":
    main()
