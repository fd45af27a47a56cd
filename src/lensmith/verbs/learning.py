"""The part of train that takes time: the stages of a recipe, with their checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lensmith.data.clips import Moving
from lensmith.errors import RunError
from lensmith.run import Run
from lensmith.training import stages, trials
from lensmith.training.epoch import EarlyStopping, Epoch
from lensmith.training.recipe import Recipe, first_stage
from lensmith.training.stages import Course, Series, Weights
from lensmith.verbs.console import Console, Stopwatch
from lensmith.verbs.keeper import Keeper, part

Start = Callable[[Weights | None], Series]


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
