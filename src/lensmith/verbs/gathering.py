"""The pictures that a network is looked at with: those a user shows it, and those that are searched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files, read_pictures
from lensmith.data.store import Store
from lensmith.errors import DataError
from lensmith.run import Run
from lensmith.seeing.evenly import evenly
from lensmith.verbs.kinds.pictures import list_pictures, root_of


@dataclass(frozen=True)
class Gathered:
    """Pictures as the network sees them: squares (n, s, s, 3) uint8, `paths` and what each shows (empty: not known).

    unreadable: (path, reason) of those left out. of: how many there were to choose from.
    """

    paths: tuple[str, ...]
    squares: np.ndarray
    labels: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...] = ()
    of: int = 0

    def __len__(self) -> int:
        return len(self.paths)

    def first(self, count: int) -> Gathered:
        """Return the first few of the pictures."""
        return Gathered(self.paths[:count], self.squares[:count], self.labels[:count], (), self.of)


@dataclass(frozen=True)
class Listed:
    """Pictures that are to be read: paths below a root, and what each shows."""

    root: Path
    paths: tuple[str, ...]
    labels: tuple[str, ...]

    def at(self, places: Sequence[int]) -> Listed:
        """Return those at some positions."""
        return Listed(self.root, tuple(self.paths[n] for n in places), tuple(self.labels[n] for n in places))


def listed(places: Sequence[str | Path], classes: Sequence[str] = ()) -> Listed:
    """Return the pictures at some places. What they show is the folder they lie in, where that is one of the classes.

    Raises DataError for a place that is not there, or a folder without pictures.
    """
    paths = list_pictures(places) if places else []
    names = set(classes)
    inside = (Path(path).parent.name for path in paths)
    return Listed(Path(), tuple(paths), tuple(name if name in names else "" for name in inside))


def trained_on(run: Run, split: str = "train") -> Listed:
    """Return the pictures of a split of a run, as splits.csv lists them; those that are still where they were.

    Raises DataError where none is.
    """
    root = root_of(run)
    rows = [row for row in run.read_table("splits.csv", ("path", "target", "split")) if row["split"] == split]
    there = [row for row in rows if (root / row["path"]).is_file()]
    if rows and not there:
        raise DataError(
            f"the pictures that {run.name} was trained on are no longer in {root}. Put them back, or name a folder "
            f"to search by --in."
        )
    return Listed(root, tuple(row["path"] for row in there), tuple(row["target"] for row in there))


def thinned(found: Listed, count: int) -> Listed:
    """Return `count` of the pictures, evenly from the first to the last, so that every class folder has its share."""
    return found.at(evenly(len(found.paths), count))


def gathered(
    found: Listed, geometry: Preprocessing, store: Store, advance: Callable[[int], None] = lambda done: None
) -> Gathered:
    """Read pictures. Those that cannot be read are left out. Raises DataError where none is left."""
    squares, paths, labels, unreadable = [], [], [], []
    pictures = read_pictures(Files(found.root, found.paths, store), geometry)
    for number, (picture, label) in enumerate(zip(pictures, found.labels, strict=True), 1):
        advance(number)
        if picture.pixels is None:
            unreadable.append((picture.record.path, picture.record.reason))
            continue
        squares.append(picture.pixels)
        paths.append(picture.record.path)
        labels.append(label)
    if found.paths and not squares:
        path, reason = unreadable[0]
        raise DataError(f"none of the pictures can be read: {path}, {reason}. `lensmith check FOLDER` says more.")
    side = geometry.image_size
    stacked = np.stack(squares) if squares else np.zeros((0, side, side, 3), np.uint8)
    return Gathered(tuple(paths), stacked, tuple(labels), tuple(unreadable), len(found.paths))
