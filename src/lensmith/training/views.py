"""What each epoch shows: augmented pictures, or what the frozen lower part of a base makes of them.

Both are called as views(epoch, positions) and give what the positions of the data set look like in that epoch; epoch 0
shows the pictures as they are, which is what decides when to stop.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from lensmith.data.pixels import Pictures
from lensmith.engines.interface import Engine
from lensmith.training.augment import augmented
from lensmith.training.augmentation import Augmentation
from lensmith.training.colour import colour_components
from lensmith.training.draws import Draws, draws
from lensmith.training.nameless import NamelessFile

MOST_KEPT = 4 * 2**30  # bytes of activations
FREE_LEFT = 2**30  # bytes of the disk that are never taken
LARGEST = np.finfo(np.float16).max  # 65504
Views = Callable[[int, np.ndarray], np.ndarray]


class Augmented:
    """Pictures (k, s, s, 3) uint8, changed anew in every epoch as follows from (seed, epoch, picture)."""

    def __init__(self, pictures: Pictures, augmentation: Augmentation, seed: int, train: np.ndarray) -> None:
        """`train` are the positions whose colours decide what colour augmentation adds."""
        self.pictures, self._augmentation, self._seed = pictures, augmentation, seed
        self._components = colour_components(augmentation, pictures, train)
        self._drawn: tuple[int, Draws] | None = None

    def __call__(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """Return the pictures as the epoch shows them."""
        pictures = self.pictures[positions]
        return augmented(pictures, self._augmentation, self._of(epoch)[positions]) if epoch else pictures

    def _of(self, epoch: int) -> Draws:
        if self._drawn is None or self._drawn[0] != epoch:
            count = len(self.pictures)
            self._drawn = epoch, draws(self._augmentation, self._seed, epoch, count, self._components)
        return self._drawn[1]


class Activations:
    """The map (k, h, w, C) float16 at which a frozen lower part ends, for the views of each epoch.

    The engine runs the lower part; what lies beyond the range of float16 is brought to its ends, since one infinity
    would end the training. What it said of epoch 0, and of as many epochs after it as `kept`, stays in a
    nameless file in `folder`: every look at the stopping pictures, and the folds of a ladder, which show the same views
    again, have it for nothing. Where the disk has no room it is made anew each time, which changes the time and nothing
    else.
    """

    def __init__(self, shown: Augmented, engine: Engine, folder: Path, kept: int) -> None:
        self.shown, self.engine, self._folder = shown, engine, folder
        self._there = np.zeros((kept + 1, len(shown.pictures)), bool)
        self._file: NamelessFile | None = None
        self._shape: tuple[int, ...] = ()
        self._full = False

    def __call__(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """Return the maps of the epoch's views."""
        wanted, kept = np.unique(positions), epoch < len(self._there)
        missing = wanted[~self._there[epoch, wanted]] if kept else wanted
        fresh = dict(zip(missing.tolist(), self._run(epoch, missing), strict=True)) if len(missing) else {}
        there = {place: self._read(epoch, place) for place in wanted.tolist() if place not in fresh}
        if fresh and kept:
            self._shape = next(iter(fresh.values())).shape
            self._write(epoch, fresh)
        rows = fresh | there
        return np.stack([rows[place] for place in positions.tolist()])

    def _run(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        maps = [output.maps for output in self.engine.run(self.shown(epoch, positions), maps=True)]
        found = np.concatenate([each for each in maps if each is not None])
        return np.ascontiguousarray(found.clip(-LARGEST, LARGEST).transpose(0, 2, 3, 1), np.float16)

    def _read(self, epoch: int, place: int) -> np.ndarray:
        assert self._file is not None
        row = np.empty(self._shape, np.float16)
        self._file.read(self._offset(epoch, place), row)
        return row

    def _write(self, epoch: int, rows: Mapping[int, np.ndarray]) -> None:
        """Keep rows while there is room."""
        if self._full:
            return
        self._file = self._file or self._new_file()
        for place, row in rows.items():
            self._there[epoch, place] = self._file is not None and self._file.write(self._offset(epoch, place), row)
        self._full = not self._there[epoch, list(rows)].all()

    def _new_file(self) -> NamelessFile | None:
        """Return a file for all that is to be kept; None where the disk has no room for it."""
        size = self._there.size * 2 * math.prod(self._shape)
        with suppress(OSError):
            if size <= min(MOST_KEPT, shutil.disk_usage(self._folder).free - FREE_LEFT):
                return NamelessFile(self._folder, size)
        return None

    def _offset(self, epoch: int, place: int) -> int:
        return (epoch * self._there.shape[1] + place) * 2 * math.prod(self._shape)


class FromMaps(nn.Module):
    """What `Activations` gives, (n, h, w, C) float16, to what the upper part of a base takes: (n, C, h, w) float32."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps, channels-last in memory."""
        return maps.permute(0, 3, 1, 2).float()
