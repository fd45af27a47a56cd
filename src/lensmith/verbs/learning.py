"""The parts of train that take time: the one pass over the pictures, and the stages with their checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from lensmith.data.clips import Moving, kept, read_clips
from lensmith.data.dataset import Dataset
from lensmith.data.encoding import Encoding, fit_encoding
from lensmith.data.measured import cells_of, records_of
from lensmith.data.pixels import Pictures, StoredPixels, look_at, open_pack
from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files, Record
from lensmith.data.split import Splits
from lensmith.data.statistics import fitted
from lensmith.data.store import Store
from lensmith.data.vocabulary import Vocabulary, fit_vocabulary
from lensmith.engines.choose import Chosen
from lensmith.errors import RunError, UsageError
from lensmith.run import Run
from lensmith.tasks.interface import Task
from lensmith.training import stages, trials
from lensmith.training.epoch import EarlyStopping, Epoch
from lensmith.training.recipe import Recipe, Resolved, first_stage
from lensmith.training.rows import Matrix
from lensmith.training.stages import Course, Series, Weights
from lensmith.verbs.console import Console, Stopwatch
from lensmith.verbs.keeper import Keeper, part
from lensmith.zoo.base import Base
from lensmith.zoo.measured import Measured

PICTURES_TIMED = 24
Start = Callable[[Weights | None], Series]


@dataclass(frozen=True)
class Material:
    """What the one pass over the pictures found: a record of each and, where there is a base, features (n, F).

    pixels() gives the pictures themselves: from the store, where a file need not be opened for them.
    """

    store: Store
    records: tuple[Record, ...]
    pixels: Callable[[], Pictures]
    features: Matrix | None = None
    base: Base | Measured | None = None
    chosen: Chosen | None = None


@dataclass(frozen=True)
class Learned:
    """The epoch that is kept, why training ended, the history of the series it belongs to, and a warning of a stage
    that came after and diverged."""

    epoch: Epoch
    why: str
    history: tuple[dict[str, Any], ...]
    warning: str = ""


@dataclass(frozen=True)
class Place:
    """Where a training takes place: its run (None: nothing is kept), what it says, and how long it has gone on."""

    run: Run | None
    console: Console
    watch: Stopwatch


def read_material(resolved: Resolved, dataset: Dataset, store: Store, console: Console, watch: Stopwatch) -> Material:
    """Look at every picture once, computing features where there is a base; what is decoded for it and needed again is
    kept in the store. Rows are there already."""
    geometry = resolved.preprocessing
    if isinstance(geometry, Moving):
        return _moving(geometry, dataset, store, console, watch)
    if not isinstance(geometry, Preprocessing):
        return Material(store, records_of(dataset), _no_pictures)
    files, recipe = Files(dataset.root, dataset.paths, store), resolved.recipe
    pack = cache(lambda: open_pack(store, dataset.root, geometry))

    def pixels_of(records: tuple[Record, ...]) -> Callable[[], Pictures]:
        return cache(lambda: StoredPixels(dataset.root, records, geometry, pack()))

    if resolved.plan.weights is None:
        with watch.step("reading"), console.progress("reading", len(dataset)) as advance:
            records = look_at(files, geometry, pack(), advance=advance)
        return Material(store, records, pixels_of(records))
    from lensmith.training.features import extract

    with watch.step("engine"):
        base = resolved.plan.base(recipe.pool, geometry)
        chosen = base.engine(store, engine=recipe.engine, device=recipe.device)
    with watch.step("features"), console.progress("features", len(dataset)) as advance:
        budget = recipe.budget if resolved.request.recipe == "auto" else None
        timed = _within(budget, len(dataset), watch, advance)
        keep = pack().keep if recipe.recipe in ("frozen", "finetune") else None
        found = extract(files, geometry, base.key, chosen.engine, store, advance=timed, keep=keep)
    return Material(store, found.records, pixels_of(found.records), found.values, base, chosen)


def course_of(resolved: Resolved, material: Material, dataset: Dataset, task: Task, splits: Splits) -> Course:
    """Return what is learned from; without pretrained weights the normalisation follows from the training pictures,
    and so does the encoding of columns."""
    train = splits.indices("train")
    preprocessing, inputs = resolved.preprocessing, dict[str, np.ndarray]()
    if isinstance(preprocessing, Moving):
        if resolved.recipe.weights is None:
            frames = material.pixels()
            middle = np.asarray(frames)[:, frames.shape[1] // 2]
            preprocessing = replace(preprocessing, picture=fitted(preprocessing.picture, middle, train)[0])
    elif not isinstance(preprocessing, Preprocessing):
        material, preprocessing = encoded(material, dataset, train, preprocessing)
    elif resolved.plan.weights is None:
        preprocessing, inputs = fitted(preprocessing, material.pixels(), train)
    return Course(
        task=task,
        targets=dataset.targets,
        strata=dataset.strata,
        sha256=tuple(record.sha256 for record in material.records),
        train=train,
        stopping=splits.indices(splits.stopping),
        plan=resolved.plan,
        preprocessing=preprocessing,
        inputs=inputs,
        pixels=material.pixels,
        store=material.store,
        features=material.features,
        base=material.base,
        chosen=material.chosen,
    )


def encoded(
    material: Material, dataset: Dataset, train: np.ndarray, asked: Encoding | Vocabulary
) -> tuple[Material, Encoding | Vocabulary]:
    """Return rows with their features, or sentences as numbers, encoded as the training ones say; and how."""
    seen = cells_of(dataset, dataset.columns, train.tolist())
    if isinstance(asked, Vocabulary):
        (column,) = dataset.columns
        vocabulary = fit_vocabulary(column, [sentence for (sentence,) in seen], asked.margin)
        numbers = vocabulary.encode(dataset.cells)
        return replace(material, pixels=lambda: numbers), vocabulary
    found, _ = fit_encoding(dataset.columns, seen, asked.kind)
    base = Measured(found)
    features = found.encode(cells_of(dataset, found.names, range(len(dataset))))
    return replace(material, features=features, base=base, chosen=base.engine(material.store)), found


def _moving(moving: Moving, dataset: Dataset, store: Store, console: Console, watch: Stopwatch) -> Material:
    """Read every clip once; what was decoded is kept for this training."""
    with watch.step("reading"), console.progress("reading", len(dataset)) as advance:

        def told() -> Iterator[tuple[Record, np.ndarray | None]]:
            for number, found in enumerate(read_clips(dataset.root, dataset.paths, moving), 1):
                advance(number)
                yield found

        records, frames = kept(told(), len(dataset), moving)
    return Material(store, tuple(records), lambda: frames)


def _no_pictures() -> Pictures:
    raise NotImplementedError("rows have no pixels")


def study(place: Place, recipe: Recipe, course: Course) -> Learned:
    """Run the stages of one recipe, writing each epoch into history.csv as it ends; return the best of all.

    Raises RunError if the loss was never a number.
    """
    if recipe.recipe == "scratch" or isinstance(course.preprocessing, Moving):
        recipe = with_rate(place, recipe, course)
        return _learned(
            run_stage(place, recipe.recipe, recipe, lambda resume: stages.scratch_stage(recipe, course, resume))
        )
    first = _learned(head(place, recipe, course))
    return first if recipe.recipe == "features" else better(first, second_stage(place, recipe, course, first))


def head(place: Place, recipe: Recipe, course: Course) -> Learned | None:
    """Train heads on cached features: the recipe's own stage, or the one that frozen and finetune begin with."""
    first = recipe if recipe.recipe == "features" else first_stage(recipe, len(course.train) + len(course.stopping))
    return run_stage(place, "", first, lambda _: stages.features_stage(first, course))


def second_stage(place: Place, recipe: Recipe, course: Course, first: Learned) -> Learned | None:
    """Go on from the head of `first` by recipe frozen or finetune; None if it diverged at once."""
    kept = first.epoch
    if recipe.recipe == "frozen":
        return run_stage(place, "frozen", recipe, lambda resume: stages.frozen_stage(recipe, course, kept, resume))
    tuned = with_rate(place, recipe, course)
    return run_stage(place, "finetune", tuned, lambda resume: stages.finetune_stage(tuned, course, kept, resume))


def run_stage(place: Place, name: str, recipe: Recipe, start: Start) -> Learned | None:
    """Run every series of a stage to its end and return the best, None if no loss was ever a number.

    With a name the stage leaves a checkpoint after an epoch, and goes on from one that it finds.
    """
    saved = place.run.read_checkpoint(name) if name and place.run else None
    everything = start(part(saved[0], "now.") if saved else None)
    best: Learned | None = None
    with place.console.progress(_title(recipe), recipe.epochs * len(everything)) as advance:
        for number, epochs in enumerate(everything):
            keeper = Keeper(place.run, name, _stopping(recipe))
            if saved:
                keeper.restore(*saved)
            if not keeper.stopping.ended:
                for epoch in epochs:
                    ended = keeper.take(epoch)
                    advance(number * recipe.epochs + epoch.number, f"loss {epoch.validation_loss:.3f}")
                    if ended:
                        break
                keeper.close()
            epochs.close()  # what it held is not needed by the next series
            found = keeper.stopping.best
            if found is not None and (best is None or found.validation_loss < best.epoch.validation_loss):
                best = Learned(found, keeper.why, tuple(keeper.rows))
        advance(recipe.epochs * len(everything))
    return best


def with_rate(place: Place, recipe: Recipe, course: Course) -> Recipe:
    """Return the recipe with the learning rate that a range test suggests, where that was asked for."""
    if not recipe.find_rate or place.run is None:
        return recipe
    found = place.run.document.get("find_rate") or {}
    if found.get("stage") != recipe.recipe:
        place.console.say("looking for a learning rate")
        tested = trials.tested_rates(recipe, course)
        place.run.write_table("rates.csv", ("learning_rate", "loss"), zip(tested.rates, tested.losses, strict=True))
        found = {"stage": recipe.recipe, "suggested": tested.suggested, "sentence": tested.words}
        place.run.update(find_rate=found)
    place.console.say(found["sentence"])
    return replace(recipe, learning_rate=found["suggested"] or recipe.learning_rate)


def better(first: Learned, second: Learned | None) -> Learned:
    """Return the second stage, unless the head that it began with was better; then say so."""
    if second is None:
        why = "the second stage diverged at once, so the head before it is kept"
        return replace(first, why=why, warning=f"The learning rate is too high: {why}. Try a tenth of it.")
    if second.epoch.validation_loss < first.epoch.validation_loss:
        return second
    return replace(first, why=f"{second.why}; it was no better than the head on cached features, which is kept")


def _learned(found: Learned | None) -> Learned:
    if found is None:
        raise RunError("training diverged: the loss was never a number. Try a tenth of the learning rate.")
    return found


def _stopping(recipe: Recipe) -> EarlyStopping:
    return EarlyStopping(recipe.min_delta, recipe.patience, recipe.stop_right, recipe.stop_rest)


def _title(recipe: Recipe) -> str:
    return "training" if recipe.recipe in ("features", "scratch") else recipe.recipe


def _within(budget: float | None, total: int, watch: Stopwatch, advance: Callable[..., None]) -> Callable[[int], None]:
    """Return `advance` that also ends the work with a UsageError where the first step alone breaks the budget."""
    before = watch.seconds  # imports, and a base that is converted once: not paid again for each picture

    def counted(done: int) -> None:
        advance(done)
        predicted = before + (watch.seconds - before) * total / done
        if budget is not None and done >= PICTURES_TIMED and predicted > budget:
            raise UsageError(
                f"budget is {budget:g} s, but the first step, features, takes about {predicted:.0f} s for {total:,} "
                f"pictures here. Try --budget {-(-predicted // 60):.0f}m, or smaller pictures by --image-size."
            )

    return counted
