"""Clips: a few frames of each, read by a network that sees time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lensmith.data.clips import Moving, clips_in, frames_in, kept, read_clips
from lensmith.data.dataset import Dataset
from lensmith.data.read import Record
from lensmith.data.statistics import fitted
from lensmith.data.store import Store
from lensmith.errors import DataError, RunError
from lensmith.model import Model
from lensmith.reports.strips import write_strips
from lensmith.run import Run
from lensmith.training.features import Features
from lensmith.training.others import resolve_clips
from lensmith.training.recipe import Resolved
from lensmith.training.request import Request
from lensmith.training.rows import Rows
from lensmith.training.stages import Course
from lensmith.verbs.console import Console, Stopwatch
from lensmith.verbs.kinds.kind import LaidOut, Material, Said
from lensmith.verbs.score import Answers


def settle(request: Request, dataset: Dataset, store: Store, say: Callable[[str], None]) -> Resolved:
    """Return the recipe of a network for clips."""
    return resolve_clips(request, dataset, store, say)


def headline(resolved: Resolved) -> str:
    """Return the network, its weights, and what it sees of a clip."""
    recipe, moving = resolved.recipe, resolved.preprocessing
    assert isinstance(moving, Moving)
    weights = f"weights {Path(recipe.weights).name}" if recipe.weights else "random weights"
    return f"{recipe.network}, {weights}, {moving.frames} frames of {recipe.image_size} pixels"


def read(resolved: Resolved, dataset: Dataset, store: Store, console: Console, watch: Stopwatch) -> Material:
    """Read every clip once; what was decoded is kept for this training."""
    moving = resolved.preprocessing
    assert isinstance(moving, Moving)
    with watch.step("reading"), console.progress("reading", len(dataset)) as advance:

        def told() -> Iterator[tuple[Record, np.ndarray | None]]:
            for number, found in enumerate(read_clips(dataset.root, dataset.paths, moving), 1):
                advance(number)
                yield found

        records, frames = kept(told(), len(dataset), moving)
    return Material(store, tuple(records), lambda: frames)


def lay_out(resolved: Resolved, material: Material, dataset: Dataset, train: np.ndarray) -> LaidOut:
    """Without pretrained weights the normalisation follows from the training clips' middle frames."""
    moving = resolved.preprocessing
    assert isinstance(moving, Moving)
    if resolved.recipe.weights is not None:
        return LaidOut(material, moving)
    frames = material.pixels()
    middle = np.asarray(frames)[:, frames.shape[1] // 2]
    return LaidOut(material, replace(moving, picture=fitted(moving.picture, middle, train)[0]))


def features(
    model: Model, dataset: Dataset, chosen: np.ndarray, store: Store, advance: Callable[[int], None]
) -> Features:
    """Return what the network says of the clips; rows of those that cannot be read are zero."""
    moving = model.base.preprocessing
    assert isinstance(moving, Moving)
    records, values, waiting = list[Record](), Rows(len(chosen), store.folder), deque[int]()

    def clips() -> Iterator[np.ndarray]:
        for record, clip in read_clips(dataset.root, [dataset.paths[index] for index in chosen], moving):
            records.append(record)
            advance(len(records))
            if clip is not None:
                waiting.append(len(records) - 1)
                yield clip

    for output in model.chosen.engine.run(clips()):
        for row in output.features:
            values[waiting.popleft()] = row
    return Features(values, tuple(records), len(records))


def show(
    run: Run, resolved: Resolved, course: Course, model: Model, dataset: Dataset, chosen: np.ndarray, found: Answers
) -> None:
    """Write strips of a few clips."""
    moving = model.base.preprocessing
    assert isinstance(moving, Moving)
    write_strips(run, model, moving, dataset.root, found.paths, found.targets, found.answers)


def held_out(run: Run, model: Model, rows: Sequence[dict[str, str]], split: str, store: Store) -> Dataset:
    """Return the held-out clips, which must show what they showed then."""
    moving, root = model.base.preprocessing, Path(run.field("request")["data"])
    assert isinstance(moving, Moving)
    for row, (record, _) in zip(rows, read_clips(root, [row["path"] for row in rows], moving), strict=True):
        if record.sha256 != row["sha256"]:
            raise RunError(f"the held-out clip {row['path']} in {root} is gone or has changed. Train again.")
    return Dataset(
        root=root,
        task=model.task.kind,
        classes=model.task.classes,
        paths=tuple(row["path"] for row in rows),
        targets=model.task.targets_of([row["target"] for row in rows]),
        given=(split,) * len(rows),
        example="clip",
    )


def ask(model: Model, places: Sequence[str | Path], store: Store, console: Console) -> Iterator[Said]:
    """Yield the answer for every clip; a folder without frames of its own is one of clips."""
    moving, paths = model.base.preprocessing, list[str]()
    assert isinstance(moving, Moving)
    for place in map(Path, places):
        found = [place] if not place.is_dir() or frames_in(place) else clips_in(place)
        if not place.exists() or not found:
            raise DataError(
                f"there is no clip at {str(place)!r}. Name a video file, or a folder of frames or of clips."
            )
        paths += [str(clip) for clip in found]
    with console.progress("clips", len(paths)) as advance:
        for number, (path, (record, frames)) in enumerate(
            zip(paths, read_clips(Path(), paths, moving), strict=True), 1
        ):
            advance(number)
            if frames is None:
                yield Said(path, None, record.reason)
            else:
                (answer,) = model.ask([frames])
                yield Said(path, answer.answers[0])
