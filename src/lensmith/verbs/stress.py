"""`lensmith stress`: how the answers of a network change as pictures are disturbed, from mildly to badly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensmith.data.store import Store
from lensmith.engines.interface import batches
from lensmith.errors import UsageError
from lensmith.metrics.intervals import bootstrap_mean, wilson
from lensmith.reports import steadiness
from lensmith.run import Run
from lensmith.seeing.adversarial import coin_noise, fgsm_at
from lensmith.seeing.disturbances import Series, series
from lensmith.seeing.goal import goal_of
from lensmith.seeing.subject import Subject
from lensmith.tasks.interface import Answers, Task
from lensmith.verbs.console import Console, if_stopped
from lensmith.verbs.disturbing import Given, Looked, example, given, look, still
from lensmith.verbs.folders import Folder, run_of
from lensmith.verbs.subject import open_subject

if TYPE_CHECKING:
    from torch import nn

EPSILONS = (1, 2, 4, 8, 16)  # grey levels
BATCH = 8  # pictures of a pass back


@dataclass(frozen=True)
class Level:
    """One amount of a disturbance, in its unit and in words.

    score: as in metrics.json, None without labels. same: the share of answers that stay what they were, with its
    interval; of numbers, by how much they move on average.
    """

    amount: float
    words: str
    score: dict[str, Any] | None
    same: dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """What became of the answers under one disturbance, level by level."""

    name: str
    paper: str
    unit: str
    what: str
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Fgsm:
    """How far answers stay under FGSM, by epsilon in grey levels, and under noise of the same size."""

    pictures: int
    epsilons: tuple[int, ...]
    same: tuple[dict[str, Any], ...]
    noise: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Stress:
    """How answers change. metric: what a score counts, "" without labels. clean: the score undisturbed."""

    network: str
    task: str
    data: str
    split: str
    pictures: int
    metric: str
    clean: dict[str, Any] | None
    curves: tuple[Curve, ...]
    fgsm: Fgsm | None
    unreadable: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    seed: int
    page: Path

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form that --json prints."""
        plain = ("network", "task", "data", "split", "pictures", "metric", "clean", "seed")
        values: dict[str, Any] = {name: getattr(self, name) for name in plain}
        curves = [{**vars(curve), "levels": [vars(level) for level in curve.levels]} for curve in self.curves]
        fgsm = None
        if self.fgsm is not None:
            fgsm = {name: list(one) if isinstance(one, tuple) else one for name, one in vars(self.fgsm).items()}
        values |= {"curves": curves, "fgsm": fgsm, "notes": list(self.notes), "page": str(self.page)}
        values["unreadable"] = [{"path": path, "reason": reason} for path, reason in self.unreadable]
        return values | {"summary": steadiness.summary(values)}


def stress(
    network: str | Path | Run | nn.Module,
    data: str | Path | None = None,
    *,
    levels: str | None = None,
    attack: int = 32,
    most: int = 1000,
    weights: str = "auto",
    image_size: int | None = None,
    save: str | Path | None = None,
    seed: int = 0,
    engine: str = "auto",
    device: str = "auto",
    out: str | Path = "runs",
    quiet: bool = False,
) -> Stress:
    """Disturb pictures by noise, blur, shift, rotation and more, write a page about the answers, return a Stress.

    network: a run, a network by name, module:factory, or in Python a torch module for pictures. data: a folder with
    one sub-folder a class or a table, whose answers are scored, or any folder of pictures, of which is only asked
    whether answers stay the same (None: the run's held-out pictures). levels: what to try and how strong, such as
    "blur rotation=15,30" (None: everything, at five levels). attack: on so many of the pictures FGSM is tried too, 0
    for none. most: so many pictures at most, spread over all. weights: as in train, for networks by name. image_size:
    the side it sees, for networks alone. save: the folder to write to (None: stressed in the run's folder, or in the
    current one). seed: of noise and directions. engine: auto, openvino or torch. device: auto, cpu, cuda or mps.
    out: the folder of runs. quiet: show no progress.

    Raises UsageError, RunError, WeightsError or DataError.
    """
    if attack < 0 or most < 1:
        raise UsageError(f"attack is {attack} and most is {most}; at least 0 and 1 are needed. Try 32 and 1000.")
    console, store, where = Console(quiet), Store(), Path(out)
    run = run_of(network, where)
    folder = Folder.of(save, run, "stressed")
    with if_stopped("nothing was written"):
        subject = open_subject(
            network,
            weights=weights,
            image_size=image_size,
            engine=engine,
            device=device,
            out=where,
            seed=seed,
            say=console.note,
        )
        tried = series(levels, subject.geometry.image_size)
        these = given(subject, run, data, most, store)
        folder.require_apart([str(these.root / path) for path in these.paths], ["levels.png"])
        with console.progress("pictures", len(these.paths)) as advance:
            looked = look(subject, tried, these, seed, attack, store, advance)
        fgsm = None
        if len(looked.kept):
            with console.progress("fgsm", len(looked.kept)) as advance:
                fgsm = _fgsm(subject, looked, seed, advance)
    result = _result(subject, these, looked, tried, fgsm, seed, folder.path / "page.html")
    said = result.as_dict()
    row, squares = example(subject, tried, these, looked, seed, store)
    rows = steadiness.rows(tried, squares, _answers(subject.task, looked.answers[row]))
    text = steadiness.page(said, rows, these.paths[looked.places[row]])
    folder.write_json("stress.json", said)
    folder.write("levels.png", steadiness.sheet(rows))
    folder.write("page.html", text.encode("utf-8", "replace"))
    return result


def _result(
    subject: Subject,
    these: Given,
    looked: Looked,
    tried: Sequence[Series],
    fgsm: Fgsm | None,
    seed: int,
    page: Path,
) -> Stress:
    """Return the scores of every level."""
    task, answers = subject.task, looked.answers
    targets = None if these.targets is None else these.targets[looked.places]

    def score(column: int) -> dict[str, Any] | None:
        if targets is None:
            return None
        found: dict[str, Any] = task.score(targets, answers[:, column], seed)[task.headline]
        return found

    curves, column = [], 0
    for one in tried:
        levels = []
        for amount in one.amounts:
            column += 1
            same = _same(task, answers[:, 0], answers[:, column], seed)
            levels.append(Level(amount, one.disturbance.words(amount), score(column), same))
        kind = one.disturbance
        curves.append(Curve(kind.name, kind.paper, kind.unit, kind.what, tuple(levels)))
    return Stress(
        network=subject.name,
        task=task.kind,
        data=these.source,
        split=these.split,
        pictures=len(answers),
        metric="" if targets is None else task.headline,
        clean=score(0),
        curves=tuple(curves),
        fgsm=fgsm,
        unreadable=looked.unreadable,
        notes=these.notes,
        seed=seed,
        page=page,
    )


def _same(task: Task, before: Answers, after: Answers, seed: int) -> dict[str, Any]:
    """Return the share of answers that are the same after as before, of numbers the mean change, with its interval."""
    found = still(task, before, after)
    if not task.classes:
        return bootstrap_mean(found, seed, "moved").as_dict()
    return wilson(int(found.sum()), len(found)).as_dict()


def _fgsm(subject: Subject, looked: Looked, seed: int, advance: Callable[[int], None]) -> Fgsm:
    """Return how far the answers for the kept squares stay under FGSM, and under noise of the same size."""
    task, start = subject.task, 0
    clean: list[Answers] = []
    after: list[list[Answers]] = []
    noisy: list[list[Answers]] = []
    for batch in batches(looked.kept, BATCH):
        scores = subject.says(batch)
        goal = goal_of(subject, scores, None)
        clean.append(task.answers(scores))
        after.append([subject.answers(squares) for squares in fgsm_at(subject.eye, batch, goal, EPSILONS)])
        contents = looked.contents[start : start + len(batch)]
        noisy.append(
            [
                subject.answers(
                    coin_noise(square, epsilon, seed, content) for square, content in zip(batch, contents, strict=True)
                )
                for epsilon in EPSILONS
            ]
        )
        start += len(batch)
        advance(start)
    first = np.concatenate(clean)

    def steadiness_of(parts: list[list[Answers]]) -> tuple[dict[str, Any], ...]:
        return tuple(_same(task, first, np.concatenate(level), seed) for level in zip(*parts, strict=True))

    return Fgsm(len(first), EPSILONS, steadiness_of(after), steadiness_of(noisy))


def _answers(task: Task, row: np.ndarray) -> list[steadiness.Answer]:
    """Return what was said of the example, in words, undisturbed first, and whether it is still the same."""
    first, found = task.decode(row[:1])[0], []
    for answers in row:
        said = task.row(answers)
        predicted = said["predicted"]
        words = "; ".join(predicted) or "no label" if isinstance(predicted, list) else predicted
        words = words if isinstance(words, str) else f"{words:.6g}"
        same = not task.classes or bool(np.all(task.decode(answers[None])[0] == first))
        found.append(steadiness.Answer(words, said.get("confidence"), same))
    return found
