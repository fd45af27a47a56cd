"""Pictures: decoded once, made into features by a base or shown to a network that learns."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from lensmith.data import decode
from lensmith.data.dataset import Dataset
from lensmith.data.pixels import Pictures, StoredPixels, look_at, open_pack
from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files, Record, read_pictures
from lensmith.data.statistics import fitted
from lensmith.data.store import Store
from lensmith.data.table import TABLE_SUFFIXES
from lensmith.errors import DataError, RunError, UsageError
from lensmith.files import OURS
from lensmith.model import Model
from lensmith.reports.examples import write_examples
from lensmith.run import Run
from lensmith.training import trials
from lensmith.training.features import Features, extract
from lensmith.training.recipe import Resolved, resolve, weights_name
from lensmith.training.request import Request
from lensmith.training.stages import Course
from lensmith.verbs.console import Console, Stopwatch
from lensmith.verbs.kinds.kind import LaidOut, Material, Said
from lensmith.verbs.score import Answers

PICTURES_TIMED = 24


def settle(request: Request, dataset: Dataset, store: Store, say: Callable[[str], None]) -> Resolved:
    """Return the recipe asked for, or the lowest step of the ladder."""
    return resolve(request, dataset, store, say)


def headline(resolved: Resolved) -> str:
    """Return the recipe, the base, its weights and the size of a picture."""
    recipe = resolved.recipe
    weights = f"weights {weights_name(recipe.weights)}" if recipe.weights else "random weights"
    name = "auto" if resolved.request.recipe == "auto" else recipe.recipe
    return f"recipe {name}: {recipe.network} up to {recipe.cut}, {weights}, {recipe.image_size} pixels"


def read(resolved: Resolved, dataset: Dataset, store: Store, console: Console, watch: Stopwatch) -> Material:
    """Look at every picture once, computing features where there is a base; what is decoded for it and needed again is
    kept in the store."""
    files, recipe, geometry = (
        Files(dataset.root, dataset.paths, store),
        resolved.recipe,
        _geometry(resolved.preprocessing),
    )
    pack = cache(lambda: open_pack(store, dataset.root, geometry))

    def pixels_of(records: tuple[Record, ...]) -> Callable[[], Pictures]:
        return cache(lambda: StoredPixels(dataset.root, records, geometry, pack()))

    if resolved.plan.weights is None:
        with watch.step("reading"), console.progress("reading", len(dataset)) as advance:
            records = look_at(files, geometry, pack(), advance=advance)
        return Material(store, records, pixels_of(records))
    with watch.step("engine"):
        base = resolved.plan.base(recipe.pool, geometry)
        chosen = base.engine(store, engine=recipe.engine, device=recipe.device)
    with watch.step("features"), console.progress("features", len(dataset)) as advance:
        budget = recipe.budget if resolved.request.recipe == "auto" else None
        timed = _within(budget, len(dataset), watch, advance)
        keep = pack().keep if recipe.recipe in ("frozen", "finetune") else None
        found = extract(files, geometry, base.key, chosen.engine, store, advance=timed, keep=keep)
    return Material(store, found.records, pixels_of(found.records), found.values, base, chosen)


def lay_out(resolved: Resolved, material: Material, dataset: Dataset, train: np.ndarray) -> LaidOut:
    """Without pretrained weights the normalisation follows from the training pictures."""
    geometry = _geometry(resolved.preprocessing)
    if resolved.plan.weights is not None:
        return LaidOut(material, geometry)
    return LaidOut(material, *fitted(geometry, material.pixels(), train))


def features(
    model: Model, dataset: Dataset, chosen: np.ndarray, store: Store, advance: Callable[[int], None]
) -> Features:
    """Return the features of the pictures; those that are stored are not made again."""
    files = Files(dataset.root, [dataset.paths[index] for index in chosen], store)
    geometry = _geometry(model.base.preprocessing)
    return extract(files, geometry, model.base.key, model.chosen.engine, store, advance=advance)


def show(
    run: Run, resolved: Resolved, course: Course, model: Model, dataset: Dataset, chosen: np.ndarray, found: Answers
) -> None:
    """Write what augmentation made of a few training pictures, and a few held-out ones with their maps."""
    sheet = trials.sheet(resolved.recipe, course)
    if sheet is not None:
        buffer = io.BytesIO()
        sheet.save(buffer, "PNG", optimize=True)
        run.write_bytes("figures/augmented.png", buffer.getvalue())
    geometry = _geometry(model.base.preprocessing)
    write_examples(run, model, geometry, dataset.root, found.paths, found.targets, found.answers)


def held_out(run: Run, model: Model, rows: Sequence[dict[str, str]], split: str, store: Store) -> Dataset:
    """Return the held-out pictures, after making sure that they are the same files."""
    root = root_of(run)
    for row in rows:
        try:
            same = store.file_sha256(root / row["path"]) == row["sha256"]
        except OSError as error:
            raise RunError(
                f"the held-out picture {row['path']} is no longer in {root} ({error.strerror}). Put the pictures back, "
                f"or name a folder: lensmith evaluate {run.folder} FOLDER."
            ) from error
        if not same:
            raise RunError(f"the held-out picture {row['path']} in {root} has changed since the run. Train again.")
    try:
        targets = model.task.targets_of([row["target"] for row in rows])
    except ValueError as error:
        raise RunError(f"{run.folder / 'splits.csv'} is damaged (target: {error}). Train again.") from error
    return Dataset(
        root=root,
        task=model.task.kind,
        classes=model.task.classes,
        paths=tuple(row["path"] for row in rows),
        targets=targets,
        given=(split,) * len(rows),
        target_name=str(run.document.get("target", "")),
    )


def root_of(run: Run) -> Path:
    """Return the folder below which the pictures of a run lie: its data, or where the table lies that lists them."""
    source = Path(run.field("request")["data"])
    return source.parent if source.suffix.lower() in TABLE_SUFFIXES and not source.is_dir() else source


def ask(model: Model, places: Sequence[str | Path], store: Store, console: Console) -> Iterator[Said]:
    """Yield the answer for every picture; folders are searched for pictures, sub-folders too."""
    paths, geometry = list_pictures(places), _geometry(model.base.preprocessing)
    answers: dict[int, np.ndarray] = {}
    reasons: dict[int, str] = {}
    waiting: list[int] = []

    def pixels() -> Iterator[np.ndarray]:
        for index, picture in enumerate(read_pictures(Files(Path(), paths, store), geometry)):
            advance(index + 1)
            if picture.pixels is None:
                reasons[index] = picture.record.reason
            else:
                waiting.append(index)
                yield picture.pixels

    with console.progress("pictures", len(paths)) as advance:
        for answer in model.ask(pixels()):
            for row in answer.answers:
                answers[waiting[len(answers)]] = row
    for index, path in enumerate(paths):
        yield Said(path, answers.get(index), reasons.get(index, ""))


def list_pictures(places: str | Path | Sequence[str | Path]) -> list[str]:
    """Return the pictures at one place or several, folders in the order of names.

    Raises DataError for what is not there, UsageError for what is no place, or none at all.
    """
    every = [places] if isinstance(places, str | Path) else places
    if not isinstance(every, Sequence) or not all(isinstance(place, str | Path) for place in every):
        raise UsageError("pictures are files or folders; save what is in memory to one first.")
    if not every:
        raise UsageError("no picture is named. Name files or folders.")
    found: list[str] = []
    for place in map(Path, every):
        if place.is_dir():
            inside = [str(path) for path in _walk(place)]
            if not inside:
                raise DataError(
                    f"there are no pictures in {place}. Pictures end in .jpg, .png, .webp, .tiff and others."
                )
            found += inside
        elif place.exists():
            found.append(str(place))
        else:
            raise DataError(f"there is no file or folder {str(place)!r}. Check the path.")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        # The pictures of a report are not the user's, nor are those of an explanation, unless they are asked for.
        if "run.json" in files or (OURS in files and Path(place) != folder):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in decode.PICTURE_SUFFIXES:
                yield Path(place, name)


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


def _geometry(how: object) -> Preprocessing:
    assert isinstance(how, Preprocessing)
    return how
