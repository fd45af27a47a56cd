"""The pictures that `stress` is about, and the one pass in which a network is asked of them at every level."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lensmith.data.dataset import Dataset
from lensmith.data.folders import SPLIT_NAMES
from lensmith.data.read import Files, Picture, read_pictures
from lensmith.data.source import open_data
from lensmith.data.store import Store
from lensmith.data.table import TABLE_SUFFIXES
from lensmith.errors import DataError, UsageError
from lensmith.model import load_model
from lensmith.run import Run
from lensmith.seeing.disturbances import Series, disturbed, middle, with_margin
from lensmith.seeing.evenly import evenly
from lensmith.seeing.subject import Subject
from lensmith.tasks.interface import Answers, Task
from lensmith.verbs.evaluate import contents_used, held_out
from lensmith.verbs.kinds.known import PICTURE
from lensmith.verbs.kinds.pictures import list_pictures

CHUNK = 8  # pictures disturbed together; with all their levels a few hundred squares


@dataclass(frozen=True)
class Given:
    """Pictures by path, and their targets where these are known. notes: what to know of them, for people."""

    source: str
    split: str
    root: Path
    paths: tuple[str, ...]
    targets: np.ndarray | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looked:
    """What was said of n readable pictures.

    places: (n,) which of the paths they are. answers: (n, 1 + levels, ...), the undisturbed ones first. kept: squares
    (k, s, s, 3) of some of them, with their contents. unreadable: paths and reasons.
    """

    places: np.ndarray
    answers: np.ndarray
    kept: np.ndarray
    contents: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]


def given(subject: Subject, run: Run | None, data: str | Path | None, most: int, store: Store) -> Given:
    """Return the pictures to be disturbed, at most so many, spread over all of them.

    Raises UsageError where nothing is named, DataError and RunError for what cannot be opened.
    """
    found = _held_out(subject, run, store) if data is None else _new(subject, run, Path(data).expanduser(), store)
    count = len(found.paths)
    if count <= most:
        return found
    chosen = np.array(evenly(count, most), np.int64)
    targets = None if found.targets is None else found.targets[chosen]
    note = f"{most:,} of {count:,} pictures were used, spread over all; --most takes more."
    paths = tuple(found.paths[place] for place in chosen)
    return Given(found.source, found.split, found.root, paths, targets, (*found.notes, note))


def look(
    subject: Subject,
    tried: Sequence[Series],
    these: Given,
    seed: int,
    keep: int,
    store: Store,
    advance: Callable[[int], None],
) -> Looked:
    """Ask for every picture, undisturbed and at every level; `keep` squares are kept, spread over all.

    Raises DataError where no picture can be read.
    """
    side, wanted = subject.geometry.image_size, set(evenly(len(these.paths), keep)) if keep else set()
    places: list[int] = []
    answers: list[np.ndarray] = []
    unreadable: list[tuple[str, str]] = []
    kept: list[tuple[np.ndarray, str]] = []
    pictures = read_pictures(Files(these.root, these.paths, store), with_margin(subject.geometry))
    for chunk in _chunks(pictures, advance):
        unreadable += [(one.record.path, one.record.reason) for _, one in chunk if one.pixels is None]
        readable = [(place, picture) for place, picture in chunk if picture.pixels is not None]
        if not readable:
            continue
        said = subject.answers(
            square
            for _, picture in readable
            if picture.pixels is not None
            for square in squares(picture.pixels, side, tried, (seed, picture.record.sha256))
        )
        answers.append(said.reshape(len(readable), -1, *said.shape[1:]))
        for place, picture in readable:
            if place in wanted and picture.pixels is not None:
                kept.append((middle(picture.pixels, side).copy(), picture.record.sha256))
            places.append(place)
    if not places:
        path, reason = unreadable[0]
        raise DataError(f"none of the {len(these.paths)} pictures can be read; the first is {path}: {reason}.")
    return Looked(
        np.array(places),
        np.concatenate(answers),
        np.stack([square for square, _ in kept]) if kept else np.empty((0, side, side, 3), np.uint8),
        tuple(content for _, content in kept),
        tuple(unreadable),
    )


def squares(wide: np.ndarray, side: int, tried: Sequence[Series], place: Sequence[int | str]) -> Iterator[np.ndarray]:
    """Yield the undisturbed square, then it at every level."""
    yield middle(wide, side)
    for one in tried:
        yield from disturbed(wide, side, one, place)


def example(
    subject: Subject, tried: Sequence[Series], these: Given, looked: Looked, seed: int, store: Store
) -> tuple[int, list[np.ndarray]]:
    """Return the row of the picture that fares most as all do, and its squares, undisturbed first.

    It is one whose answer changes somewhere, and was no worse than half of them undisturbed, where there are such.
    """
    task, clean = subject.task, looked.answers[:, 0]
    same = np.stack([still(task, clean, column) for column in looked.answers.swapaxes(0, 1)], 1)
    fit = same.std(1) > 0
    if these.targets is not None:
        worth = task.worth(these.targets[looked.places], clean)
        fit &= worth >= np.median(worth)
    apart = np.abs(same - same.mean(0)).sum(1)
    row = int(np.where(fit | ~fit.any(), apart, np.inf).argmin())
    path = these.paths[looked.places[row]]
    (picture,) = read_pictures(Files(these.root, [path], store), with_margin(subject.geometry))
    if picture.pixels is None:
        raise DataError(f"{path} could be read a moment ago, and cannot be now: {picture.record.reason}.")
    place = (seed, picture.record.sha256)
    return row, list(squares(picture.pixels, subject.geometry.image_size, tried, place))


def still(task: Task, before: Answers, after: Answers) -> np.ndarray:
    """Return for each picture 1 where the answer is the same after as before, of numbers how far it moved, (n,)."""
    first, then = task.decode(before), task.decode(after)
    if not task.classes:
        moved: np.ndarray = np.abs(then - first)
        return moved
    found: np.ndarray = (first == then).reshape(len(first), -1).all(1).astype(np.float64)
    return found


def _chunks(pictures: Iterator[Picture], advance: Callable[[int], None]) -> Iterator[list[tuple[int, Picture]]]:
    chunk: list[tuple[int, Picture]] = []
    done = 0
    for done, picture in enumerate(pictures, 1):
        chunk.append((done - 1, picture))
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
            advance(done)
    if chunk:
        yield chunk
        advance(done)


def _held_out(subject: Subject, run: Run | None, store: Store) -> Given:
    """Return the held-out pictures of a run, after making sure that they are what they were."""
    if run is None:
        raise UsageError(f"{subject.name} is no run and has no held-out pictures. Name a folder of pictures.")
    split = str(run.field("held_out"))
    return _labelled(held_out(run, load_model(run.model_folder, store), split, store), split)


def _new(subject: Subject, run: Run | None, path: Path, store: Store) -> Given:
    """Return new pictures; with targets where they lie in a table or in folders named after classes."""
    listed = path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir()
    if listed or _named_after(path, subject.task.classes):
        column = str(run.document.get("target", "")) if run is not None else ""
        target = (column or None) if listed else None
        found = open_data(path.resolve(), task=subject.task.kind, target=target, classes=subject.task.classes)
        if found.example != PICTURE:
            raise DataError(f"{path} holds {found.example}s; only pictures can be disturbed. Name a folder of them.")
        note = _seen(run, found, store)
        return _labelled(found, "new", *([note] if note else []))
    paths = tuple(list_pictures([path]))
    note = "No folder is named after a class, so it is only known whether answers stay what they were."
    return Given(str(path), "new", Path(), paths, None, (note,))


def _labelled(found: Dataset, split: str, *notes: str) -> Given:
    return Given(str(found.source), split, found.root, found.paths, found.targets, notes)


def _named_after(path: Path, classes: Sequence[str]) -> bool:
    """Return whether a sub-folder, or one of a sub-folder that is named like a split, has the name of a class."""
    if not path.is_dir():
        return False
    inside = [one for one in path.iterdir() if one.is_dir()]
    inside += [two for one in inside if one.name.casefold() in SPLIT_NAMES for two in one.iterdir() if two.is_dir()]
    return bool({one.name for one in inside} & set(classes))


def _seen(run: Run | None, found: Dataset, store: Store) -> str:
    """Return what to know where a run was trained on some of the pictures, empty where it was not."""
    if run is None:
        return ""
    used, count = contents_used(run), 0
    for path in found.paths:
        try:
            count += store.file_sha256(found.root / path) in used
        except OSError:
            continue  # said of it when it is read
    return f"{count:,} of these pictures were used in training, so the scores flatter." if count else ""
