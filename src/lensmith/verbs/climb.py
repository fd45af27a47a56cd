"""Climbing the ladder: recipe auto tries dearer steps while the budget lasts, and keeps one only by evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lensmith.errors import UsageError
from lensmith.training import ladder, trials
from lensmith.training.ladder import Row
from lensmith.training.recipe import Resolved, step
from lensmith.training.stages import Course
from lensmith.verbs.console import Console
from lensmith.verbs.learning import Learned, Place, better, head, second_stage, study

SHALLOWER = (0.75, 0.5)  # shares of a base that are adjusted where there is no time for all of it
CONVERSION = 6.0  # seconds that a trained base takes on its way to the engine
MEMORY = "ladder"  # the checkpoint of decisions that hung on a clock, and of answers out of fold


@dataclass(frozen=True)
class Rung:
    """One step taken or to be taken: its settled recipe and what it learns from; `logits` (n, k) say how it answers
    the pictures that steps are compared on, `learned` is what would be kept."""

    name: str
    resolved: Resolved
    course: Course
    learned: Learned | None = None
    logits: np.ndarray | None = None


@dataclass(frozen=True)
class Climbed:
    """What was chosen, and run.json's account of how."""

    rung: Rung
    account: dict[str, Any]


class _Memory:
    """Decisions that hung on a clock and answers out of fold, kept so that a resumed run decides the same."""

    def __init__(self, place: Place, budget: float) -> None:
        assert place.run is not None
        self._run, self._watch, self._budget = place.run, place.watch, budget
        found = self._run.read_checkpoint(MEMORY)
        self._answers, self._decisions = found if found else ({}, {"spent": 0.0})
        self._spent = float(self._decisions["spent"])  # before the interruption

    @property
    def left(self) -> float:
        """Seconds left of the budget."""
        return self._budget - self._spent - self._watch.seconds

    def decided(self, name: str, decide: Callable[[], Any]) -> Any:
        """Return the decision of that name, taken now if it has not been."""
        if name not in self._decisions:
            self._decisions[name] = decide()
            self._write()
        return self._decisions[name]

    def answered(self, name: str, answer: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the answers of that name, made now if they have not been."""
        if name not in self._answers:
            self._answers[name] = answer()
            self._write()
        return self._answers[name]

    def _write(self) -> None:
        self._decisions["spent"] = self._budget - self.left
        tensors = self._answers or {"none": np.zeros(1, np.float32)}  # a file of tensors needs one
        self._run.write_checkpoint(MEMORY, tensors, self._decisions)


def climb(
    place: Place,
    resolved: Resolved,
    course: Course,
    scratch: Callable[[], tuple[Resolved, Course]] | None,
) -> Climbed:
    """Return the best rung the budget allows. scratch() prepares a network without weights,
    None where that is no step to try.

    Raises UsageError where not even the first step fits.
    """
    budget = resolved.recipe.budget or 0.0
    memory = _Memory(place, budget)
    if resolved.plan.weights is None:
        return _scratch_alone(place, Rung("scratch", resolved, course), memory, budget)
    best, rows, why = _first(place, Rung("features", resolved, course), memory)
    for name, prepare in _dearer(resolved, course, scratch, memory):
        if _hopeless(best):
            rows.append(Row(name, "not tried", "Too few pictures are wrong to tell a better model apart."))
            why = "It stopped because not even a perfect model could be told from this one by these pictures."
            continue
        tried, row = _try(place, prepare(), best, memory)
        rows.append(row)
        place.console.say(f"{row.step}: {row.reason}")
        if row.status == "replaced":
            best = tried
    late = [row for row in rows if row.status == "did not fit"]
    if late:
        why = f"The budget of {words(budget)} was too short for {' and '.join(row.step for row in late)}."
    return Climbed(_finished(place, best), _account(budget, rows, why))


def _first(place: Place, rung: Rung, memory: _Memory) -> tuple[Rung, list[Row], str]:
    """Train the head on cached features, which every other step has to beat."""
    learned = head(place, rung.resolved.recipe, rung.course)
    if learned is None:
        raise UsageError("the head diverged on cached features. Try --learning-rate 0.001.")
    best = replace(rung, learned=learned)
    best = replace(best, logits=_answers(place, best, memory))
    reason = "Every other step has to beat it."
    row = _row(
        best,
        "kept",
        reason,
        few=_few(best.course),
        seconds=memory.decided("features took", lambda: place.watch.seconds),
    )
    return best, [row], "All steps were tried."


def _dearer(
    resolved: Resolved, course: Course, scratch: Callable[[], tuple[Resolved, Course]] | None, memory: _Memory
) -> Iterator[tuple[str, Callable[[], Rung]]]:
    """Yield the steps after the first, the cheapest first, each with what prepares it."""
    pictures = len(course.targets)
    yield "frozen", lambda: Rung("frozen", step(resolved, "frozen", pictures), course)
    if scratch is not None:
        yield "scratch", lambda: Rung("scratch", *scratch())
    yield "finetune", lambda: _deepest(resolved, course, memory)


def _deepest(resolved: Resolved, course: Course, memory: _Memory) -> Rung:
    """Return finetune as deep as the number of pictures allows, or less deep where all of the base would not fit.

    What is not trained is run by the engine, so that half of a base costs far less than half.
    """
    pictures = len(course.targets)
    deep = Rung("finetune", step(resolved, "finetune", pictures), course)
    recipe = deep.resolved.recipe
    if recipe.unfreeze != "all" or resolved.request.unfreeze != "auto":
        return deep
    found = deep
    for place in (resolved.plan.place_below(share) for share in SHALLOWER):
        if not place or _fitting(found, memory)[0] == recipe.epochs:
            return found
        shallow = step(resolved, "finetune", pictures, unfreeze=place)
        why = f"What comes after {place} is adjusted; all of the base would not fit into the budget."
        found = replace(deep, resolved=replace(shallow, reasons={**shallow.reasons, "unfreeze": why}))
    return found


def _try(place: Place, rung: Rung, best: Rung, memory: _Memory) -> tuple[Rung, Row]:
    """Take a step if it fits, and say whether it beats the best before."""
    wanted = rung.resolved.recipe.epochs
    epochs, predicted = _fitting(rung, memory)
    if not epochs:
        reason = f"It needs about {words(predicted)}, more than is left of the budget."
        return rung, Row(rung.name, "did not fit", reason, predicted=predicted)
    recipe = replace(rung.resolved.recipe, epochs=epochs)
    rung = replace(rung, resolved=replace(rung.resolved, recipe=recipe))
    place.console.say(f"trying {rung.name}: about {words(predicted)}")
    begun = place.watch.seconds
    if not _few(rung.course):
        assert best.learned is not None
        rung = _trained(place, rung, best.learned if rung.name != "scratch" else None)
    rung = replace(rung, logits=_answers(place, rung, memory, best))
    if rung.logits is None:
        seconds = memory.decided(f"{rung.name} took", lambda: place.watch.seconds - begun)
        reason = f"Half of the folds showed that it will hardly be better than {best.name}; the others were spared."
        return rung, Row(rung.name, "not better", reason, predicted=predicted, seconds=seconds, out_of_fold=True)
    share = _share(rung, best, rung.logits, np.ones(len(rung.logits), bool))
    won = share >= ladder.LEAST_PROBABILITY
    if won and rung.learned is None:
        rung = _trained(place, rung, None)
    seconds = memory.decided(f"{rung.name} took", lambda: place.watch.seconds - begun)
    short = f" (cut to {epochs} of {wanted} epochs to fit)" if epochs < wanted else ""
    reason = f"Better than {best.name} with a probability of {share:.0%}{short}: "
    reason += "it takes its place." if won else f"{ladder.LEAST_PROBABILITY:.0%} are needed, so the cheaper one stays."
    gain = _value(rung) - _value(best)
    row = _row(rung, "replaced" if won else "not better", reason, few=_few(rung.course), seconds=seconds)
    return rung, replace(row, predicted=predicted, gain=gain, probability=share)


def _scratch_alone(place: Place, rung: Rung, memory: _Memory, budget: float) -> Climbed:
    """Train from scratch, the only step without pretrained weights, for as many epochs as fit."""
    wanted = rung.resolved.recipe.epochs
    epochs, predicted = wanted, None
    if rung.resolved.request.epochs is None:  # what the user asked for is not cut
        epochs, predicted = memory.decided("scratch fits", lambda: _required_fit(rung, memory.left, budget))
    recipe = replace(rung.resolved.recipe, epochs=epochs)
    rung = replace(rung, resolved=replace(rung.resolved, recipe=recipe))
    rung = replace(rung, learned=study(place, recipe, rung.course))
    assert rung.learned is not None
    rung = replace(rung, logits=rung.learned.epoch.logits)
    reason = "Without pretrained weights this is the only way." + (
        f" {epochs} of {wanted} epochs fit into the budget." if epochs < wanted else ""
    )
    seconds = memory.decided("scratch took", lambda: place.watch.seconds)
    row = replace(_row(rung, "kept", reason, few=False, seconds=seconds), predicted=predicted)
    return Climbed(rung, _account(budget, [row], "There was nothing else to try without pretrained weights."))


def _required_fit(rung: Rung, left: float, budget: float) -> tuple[int, float]:
    """Return what `_fits` does for the one step there is. Raises UsageError where that is too little."""
    epochs, predicted = _fits(rung, left, trainings=1)
    if not epochs:
        wanted = rung.resolved.recipe.epochs
        raise UsageError(
            f"budget is {words(budget)}, but {wanted} epochs take about {words(predicted)} here, and fewer than "
            f"{ladder.FEWEST_EPOCHS} say nothing. Try --budget {-(-predicted // 60):.0f}m, or smaller pictures."
        )
    return epochs, predicted


def _fits(rung: Rung, left: float, trainings: int = 0) -> tuple[int, float]:
    """Return how many epochs fit into the seconds left, and how long they will take, folds included."""
    recipe, course = rung.resolved.recipe, rung.course
    trainings = trainings or (ladder.FOLDS + 1 if _few(course) else 1)
    frozen = recipe.recipe == "frozen"
    epoch = (trials.probe_views if frozen else trials.probe)(recipe, course) * trainings
    return ladder.affordable(recipe.epochs, epoch, left, 0.0 if frozen else CONVERSION)


def _fitting(rung: Rung, memory: _Memory) -> tuple[int, float]:
    """Return what `_fits` says, asked once."""
    depth = f" to {rung.resolved.recipe.unfreeze}" if rung.name == "finetune" else ""
    epochs, predicted = memory.decided(f"{rung.name}{depth} fits", lambda: _fits(rung, memory.left))
    return epochs, predicted


def _few(course: Course) -> bool:
    return len(course.train) + len(course.stopping) < ladder.FEW


def _compared(course: Course) -> np.ndarray:
    """Return the positions that steps are compared on: all but the held-out ones where there are few pictures."""
    return np.sort(np.concatenate([course.train, course.stopping])) if _few(course) else course.stopping


def _answers(place: Place, rung: Rung, memory: _Memory, best: Rung | None = None) -> np.ndarray | None:
    """Return the logits for the compared pictures: of the training itself, or out of fold.

    None where half of the folds show that it will hardly beat `best`.
    """
    course, recipe = rung.course, rung.resolved.recipe
    if not _few(course):
        assert rung.learned is not None and rung.learned.epoch.logits is not None
        return rung.learned.epoch.logits
    compared = _compared(course)
    silent = replace(place, run=None, console=Console(quiet=True))
    parts = list(ladder.folds(compared, course.strata, course.sha256, recipe.seed))
    found = np.zeros((len(compared), course.task.outputs), np.float32)
    seen = np.zeros(len(compared), bool)
    with place.console.progress(f"{rung.name}, out of fold", len(parts)) as advance:
        for number, (rest, fold) in enumerate(parts):

            def answer(rest: np.ndarray = rest, fold: np.ndarray = fold) -> np.ndarray:
                return np.asarray(study(silent, recipe, course.on(rest, fold)).epoch.logits)

            if len(fold):
                places = np.searchsorted(compared, fold)
                found[places], seen[places] = memory.answered(f"{rung.name} {number}", answer), True
            advance(number + 1)
            if best is not None and 2 * (number + 1) == len(parts) and _share(rung, best, found, seen) < ladder.HOPE:
                return None
    return found


def _share(rung: Rung, best: Rung, logits: np.ndarray, seen: np.ndarray) -> float:
    """Return how likely the rung is better than the best before, by the pictures seen so far, (n,) bool."""
    task, targets = rung.course.task, rung.course.targets[_compared(rung.course)][seen]
    one, other = (task.worth(targets, task.answers(each[seen])) for each in (_logits(best), logits))
    return ladder.probability(one, other, rung.resolved.recipe.seed, rung.name)


def _trained(place: Place, rung: Rung, first: Learned | None) -> Rung:
    """Train a rung on the real split; frozen and finetune go on from the head on cached features."""
    recipe, course = rung.resolved.recipe, rung.course
    if rung.name == "scratch":
        return replace(rung, learned=study(place, recipe, course))
    if first is None or first.epoch.stage != "features":
        silent = replace(place, run=None, console=Console(quiet=True))
        first = head(silent, recipe, course)
        assert first is not None
    return replace(rung, learned=better(first, second_stage(place, recipe, course, first)))


def _finished(place: Place, best: Rung) -> Rung:
    return best if best.learned is not None else _trained(place, best, None)


def _hopeless(best: Rung) -> bool:
    """Return whether not even a perfect model could be shown to be better."""
    task, targets = best.course.task, best.course.targets[_compared(best.course)]
    worth = task.worth(targets, task.answers(_logits(best)))
    perfect = np.full(len(worth), task.perfect)
    return ladder.probability(worth, perfect, best.resolved.recipe.seed, "perfect") < ladder.LEAST_PROBABILITY


def _logits(rung: Rung) -> np.ndarray:
    assert rung.logits is not None
    return rung.logits


def _value(rung: Rung) -> float:
    return rung.course.task.watched(rung.course.targets[_compared(rung.course)], _logits(rung))


def _row(rung: Rung, status: str, reason: str, *, few: bool, seconds: float) -> Row:
    positions = _compared(rung.course) if few else rung.course.stopping
    value = rung.course.task.watched(rung.course.targets[positions], _logits(rung))
    return Row(rung.name, status, reason, seconds=seconds, value=value, n=len(positions), out_of_fold=few)


def _account(budget: float, rows: list[Row], why: str) -> dict[str, Any]:
    chosen = next(row.step for row in reversed(rows) if row.status in ("kept", "replaced"))
    return {"budget": budget, "rows": [asdict(row) for row in rows], "chosen": chosen, "why": why}


def words(seconds: float) -> str:
    """Return a duration for people: `40 s`, `4 min`, `1.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
