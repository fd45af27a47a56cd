"""A data set as plain values: which files there are and what is to be learned of each. No pixel is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
NOT_GIVEN = ""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled pictures below one folder.

    paths: relative to `root`, with forward slashes; readers sort them by code point, which is the same on
    every platform. targets: `(n,)` int64, the position of each picture's class in `classes`. given: the split
    that the folder puts each picture in, one of `SPLITS`, or "" where it does not say.

    not_pictures: files set aside by name (a folder set aside as a whole ends in a slash). without_class:
    pictures that lie in no class folder. notes: sentences about oddities of the folder, for people.
    """

    root: Path
    task: str
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    targets: NDArray[np.int64]
    given: tuple[str, ...]
    not_pictures: tuple[str, ...] = ()
    without_class: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where the fields contradict each other."""
        count = len(self.paths)
        if self.targets.shape != (count,) or self.targets.dtype != np.int64 or len(self.given) != count:
            raise ValueError(
                f"{count} paths, targets {self.targets.dtype} {self.targets.shape}, {len(self.given)} given "
                f"splits; there must be one int64 target and one given split a path."
            )
        if count and not 0 <= self.targets.min() <= self.targets.max() < len(self.classes):
            raise ValueError(
                f"targets run from {self.targets.min()} to {self.targets.max()}; "
                f"allowed is 0 to {len(self.classes) - 1}."
            )
        if unknown := set(self.given) - {*SPLITS, NOT_GIVEN}:
            raise ValueError(f"given splits {sorted(unknown)}; allowed are {[NOT_GIVEN, *SPLITS]}.")

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.paths)

    @property
    def has_given_splits(self) -> bool:
        """Return whether the folder itself says what is trained on and what is held out."""
        return any(self.given)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of pictures as `{class: {split: number}}`, for the splits that occur (or "")."""
        splits = [split for split in (NOT_GIVEN, *SPLITS) if split in set(self.given)]
        given = np.array(self.given)
        return {
            name: {split: int(np.sum((self.targets == target) & (given == split))) for split in splits}
            for target, name in enumerate(self.classes)
        }

    def subset(self, indices: Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]) -> Dataset:
        """Return the pictures at `indices` (positions, or one bool each), in that order; classes stay."""
        chosen = np.asarray(indices) if len(indices) else np.zeros(0, np.int64)
        positions = np.arange(len(self))[chosen]
        return replace(
            self,
            paths=tuple(self.paths[position] for position in positions),
            targets=self.targets[positions],
            given=tuple(self.given[position] for position in positions),
        )
