"""A data set as plain values: which files there are and what is to be learned of each. No pixel is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lensmith.errors import LensmithError

TASKS = ("classification", "multilabel", "regression")
SPLITS = ("train", "validation", "test")
NOT_GIVEN = ""
MOST_BINS = 10
PICTURES_A_BIN = 10
PICTURE = re.compile(r"\b([Pp])icture(s?)\b")


def spoken(text: str, example: str) -> str:
    """Return a sentence that was written for pictures with the word for these examples in it."""
    if example == "picture":
        return text
    return PICTURE.sub(lambda found: (example.capitalize() if found[1] == "P" else example) + found[2], text)


@contextmanager
def said_of(example: str) -> Iterator[None]:
    """Let errors of the block speak of these examples."""
    try:
        yield
    except LensmithError as error:
        if spoken(str(error), example) == str(error):
            raise
        raise type(error)(spoken(str(error), example)) from error


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled pictures below one folder, or listed in one table.

    root: the folder that paths are relative to. task: one of `TASKS`. classes: the names of classes or labels,
    () for regression. paths: with forward slashes; readers sort them by code point, which is the same on every
    platform. A table may name absolute paths, and one picture twice where the rows give it two splits.

    targets, by task:
        classification  (n,) int64, the position of each picture's class in `classes`
        multilabel      (n, k) uint8, 1 where a picture has the label
        regression      (n,) float32, finite

    given: the split that the source puts each picture in, one of `SPLITS`, or "" where it does not say.
    target_name: the column that targets come from, "" for folders. table: the file in `root` that lists the
    pictures, "" for folders.

    example: what one of them is called: picture, row, sentence. Of rows and sentences the content stands here itself:
    `cells[i]` are the texts of example i in `columns`. Then `paths` name the table and the line.

    not_pictures: files set aside by name (a folder set aside as a whole ends in a slash). without_class:
    pictures that lie in no class folder. notes: sentences about oddities of the source, for people.
    """

    root: Path
    task: str
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    targets: np.ndarray
    given: tuple[str, ...]
    not_pictures: tuple[str, ...] = ()
    without_class: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    target_name: str = ""
    table: str = ""
    example: str = "picture"
    columns: tuple[str, ...] = ()
    cells: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where the fields contradict each other."""
        count = len(self.paths)
        forms: dict[str, tuple[tuple[int, ...], type]] = {
            "classification": ((count,), np.int64),
            "multilabel": ((count, len(self.classes)), np.uint8),
            "regression": ((count,), np.float32),
        }
        if self.task not in forms:
            raise ValueError(f"task is {self.task!r}; allowed are {list(TASKS)}.")
        shape, kind = forms[self.task]
        if self.targets.shape != shape or self.targets.dtype != kind or len(self.given) != count:
            raise ValueError(
                f"{count} paths, targets {self.targets.dtype} {self.targets.shape}, {len(self.given)} given "
                f"splits; {self.task} takes targets {np.dtype(kind)} {shape}, and one given split a path."
            )
        if wrong := self._wrong_values():
            raise ValueError(wrong)
        if self.cells and len(self.cells) != count:
            raise ValueError(f"{count} paths and {len(self.cells)} rows of cells; every {self.example} needs its own.")
        if unknown := set(self.given) - {*SPLITS, NOT_GIVEN}:
            raise ValueError(f"given splits {sorted(unknown)}; allowed are {[NOT_GIVEN, *SPLITS]}.")

    def _wrong_values(self) -> str:
        """Return what is wrong with the values of targets, or an empty string."""
        if self.task == "regression":
            if self.classes:
                return f"classes are {list(self.classes)}; regression has none."
            return "" if np.isfinite(self.targets).all() else "targets are not all finite numbers."
        most = len(self.classes) - 1 if self.task == "classification" else 1
        if not self.targets.size or 0 <= self.targets.min() <= self.targets.max() <= most:
            return ""
        return f"targets run from {self.targets.min()} to {self.targets.max()}; allowed is 0 to {most}."

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.paths)

    @property
    def source(self) -> Path:
        """Return what the user named: the table, or the folder."""
        return self.root / self.table

    @property
    def name(self) -> str:
        """Return a short name, for a run made of this data."""
        return Path(self.table).stem if self.table else self.root.name

    @property
    def noun(self) -> str:
        """Return what a name in `classes` is called in sentences."""
        return "label" if self.task == "multilabel" else "class"

    @property
    def has_given_splits(self) -> bool:
        """Return whether the source itself says what is trained on and what is held out."""
        return any(self.given)

    @property
    def strata(self) -> NDArray[np.int64]:
        """Return `(n,)` int64, the group of each picture that every split takes its share of.

        classification: the class. multilabel: the rarest label that the picture has (the first of equally rare
        ones), k where it has none. regression: the bin between quantiles, ten of them at most, each of ten
        pictures or more unless values repeat.
        """
        if self.task == "classification":
            return self.targets.astype(np.int64)
        if self.task == "multilabel":
            holders = np.where(self.targets, self.targets.sum(0, dtype=np.int64), len(self) + 1)
            none = np.full(len(self), len(self))  # never smaller than a label's own number
            rarest: NDArray[np.int64] = np.column_stack([holders, none]).argmin(1).astype(np.int64)
            return rarest
        bins = min(MOST_BINS, max(1, len(self) // PICTURES_A_BIN))
        edges = np.quantile(self.targets, np.arange(1, bins) / bins) if len(self) else np.zeros(0)
        return np.searchsorted(edges, self.targets, side="right").astype(np.int64)

    def members(self) -> NDArray[np.bool_]:
        """Return `(n, k)` bool: which picture stands under which class or label; k is 0 for regression."""
        if self.task == "classification":
            one_hot: NDArray[np.bool_] = self.targets[:, None] == np.arange(len(self.classes))
            return one_hot
        return self.targets.astype(np.bool_) if self.task == "multilabel" else np.zeros((len(self), 0), np.bool_)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of pictures as `{class: {split: number}}`, for the splits that occur (or "").

        In multilabel data a picture counts under each of its labels; regression has nothing to count: {}.
        """
        splits = [split for split in (NOT_GIVEN, *SPLITS) if split in set(self.given)]
        given, members = np.array(self.given), self.members()
        return {
            name: {split: int(np.sum(members[:, position] & (given == split))) for split in splits}
            for position, name in enumerate(self.classes)
        }
