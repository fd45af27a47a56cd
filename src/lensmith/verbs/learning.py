"""The two steps of train that take time: the one pass over the pictures, and the epochs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from lensmith.data.dataset import Dataset
from lensmith.data.read import Files, Record
from lensmith.data.split import Splits
from lensmith.data.store import Store
from lensmith.engines.choose import Chosen
from lensmith.errors import RunError
from lensmith.run import Run
from lensmith.training.diagnosis import Point
from lensmith.training.epoch import EarlyStopping, Epoch
from lensmith.training.recipe import Resolved
from lensmith.verbs.console import Console, Stopwatch
from lensmith.zoo.base import Base


@dataclass(frozen=True)
class Material:
    """What is learned from, one row a picture: features (n, F) and the base and engine that made them, or pixels
    (n, s, s, 3) uint8 and neither."""

    values: np.ndarray
    records: tuple[Record, ...]
    base: Base | None = None
    chosen: Chosen | None = None


@dataclass(frozen=True)
class Learned:
    """The epoch that is kept, why training ended, and the history of the series it belongs to."""

    epoch: Epoch
    why: str
    series: tuple[Point, ...]


def read_material(resolved: Resolved, dataset: Dataset, store: Store, console: Console, watch: Stopwatch) -> Material:
    """Read every picture once, into features (recipe features) or pixels (recipe scratch)."""
    recipe = resolved.recipe
    files = Files(dataset.root, dataset.paths, store)
    if recipe.recipe == "scratch":
        from lensmith.data.pixels import load_pixels

        with watch.step("reading"), console.progress("reading", len(dataset)) as advance:
            pixels, records = load_pixels(files, resolved.preprocessing, store.folder, advance=advance)
        return Material(pixels, records)
    from lensmith.training.features import extract

    with watch.step("engine"):
        base = resolved.plan.base(recipe.pool, resolved.preprocessing)
        chosen = base.engine(store, engine=recipe.engine, device=recipe.device)
    with watch.step("features"), console.progress("features", len(dataset)) as advance:
        found = extract(files, resolved.preprocessing, base.key, chosen.engine, store, advance=advance)
    return Material(found.values, found.records, base, chosen)


def learn(
    run: Run, resolved: Resolved, material: Material, dataset: Dataset, splits: Splits, console: Console
) -> Learned:
    """Run the epochs of every series, writing each into history.csv as it ends; return the best of all.

    Raises RunError if the loss was never a number.
    """
    recipe, best = resolved.recipe, None
    everything = _series(resolved, material, dataset, splits)
    with console.progress("training", recipe.epochs * len(everything)) as advance:
        for place, epochs in enumerate(everything):
            stopping, points = EarlyStopping(recipe.min_delta, recipe.patience), []
            for epoch in epochs:
                run.append_history({"epoch": epoch.number, **asdict(epoch)})
                points.append(_point(epoch))
                advance(place * recipe.epochs + epoch.number, f"loss {epoch.validation_loss:.3f}")
                if stopping.stops(epoch):
                    break
            found = stopping.best
            if found is not None and (best is None or found.validation_loss < best.epoch.validation_loss):
                best = Learned(found, stopping.sentence(epoch), tuple(points))
        advance(recipe.epochs * len(everything))
    if best is None:
        rate = f"{recipe.learning_rate:g}"
        raise RunError(f"training diverged: the loss was never a number. learning_rate is {rate}; try a tenth of it.")
    return best


def _series(resolved: Resolved, material: Material, dataset: Dataset, splits: Splits) -> list[Iterator[Epoch]]:
    """Return one generator of epochs for each penalty (features), or a single one (scratch)."""
    recipe, classes = resolved.recipe, len(dataset.classes)
    train, stopping = splits.indices("train"), splits.indices(splits.stopping)
    if recipe.recipe == "scratch":
        from lensmith.training.scratch import start

        return [start(resolved, material.values, dataset.targets, classes, train, stopping)]
    from lensmith.training.head import Examples, HeadSettings, fit_head

    settings = HeadSettings(
        dense=recipe.dense,
        dropout=recipe.dropout,
        learning_rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        seed=recipe.seed,
    )
    one, other = (Examples(material.values[part], dataset.targets[part]) for part in (train, stopping))
    return [fit_head(one, other, classes, l2, settings) for l2 in recipe.l2]


def _point(epoch: Epoch) -> Point:
    return Point(
        number=epoch.number,
        train_loss=epoch.train_loss,
        validation_loss=epoch.validation_loss,
        train_accuracy=epoch.train_accuracy,
        validation_accuracy=epoch.validation_accuracy,
    )
