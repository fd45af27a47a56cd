"""What the loop learns from where the examples are clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lensmith.data.clips import Moving
from lensmith.engines.pytorch import Normalise
from lensmith.reproduce import counter
from lensmith.training.augment import augmented
from lensmith.training.augmentation import Augmentation, parse
from lensmith.training.colour import colour_components
from lensmith.training.draws import draws
from lensmith.training.fit import Lessons, Positions
from lensmith.training.recipe import Recipe
from lensmith.training.seeded import seeded
from lensmith.zoo.clips import FEATURES, ClipBase
from lensmith.zoo.heads import Classifier
from lensmith.zoo.tensors import load_weights

if TYPE_CHECKING:
    from lensmith.training.stages import Course


class Clips:
    """Clips (k, t, s, s, 3) uint8, changed anew in every epoch, all frames of one in the same way."""

    def __init__(self, frames: np.ndarray, augmentation: Augmentation, seed: int, train: np.ndarray) -> None:
        self._frames, self._augmentation, self._seed = frames, augmentation, seed
        first = frames[:, frames.shape[1] // 2]
        self._components = colour_components(augmentation, first, train)

    def __call__(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """Return the clips as the epoch shows them."""
        clips = np.asarray(self._frames[positions])
        if not epoch:
            return clips
        drawn = draws(self._augmentation, self._seed, epoch, len(self._frames), self._components)
        pictures = clips.reshape(-1, *clips.shape[2:])
        changed = augmented(pictures, self._augmentation, drawn[np.repeat(positions, clips.shape[1])])
        return changed.reshape(clips.shape)


def clip_lessons(recipe: Recipe, course: Course, moving: Moving) -> Lessons:
    """Return a network for clips, with weights drawn by the seed or read from the recipe's file, and its clips."""
    with seeded(counter(recipe.seed, "weights")):
        base = ClipBase(recipe.network.rpartition("/")[2])
        network = Classifier(base, FEATURES, course.task.outputs, "mean", recipe.dense, recipe.dropout)
    if recipe.weights:
        load_weights(base, Path(recipe.weights), base.state_dict())
    frames = np.asarray(course.pixels())
    return Lessons(
        network=network,
        views=Clips(frames, parse(recipe.augment), recipe.seed, course.train),
        prepare=Normalise(moving.picture.mean, moving.picture.std, {}),
        train=Positions(course.targets, course.train),
        stopping=Positions(course.targets, course.stopping),
        watched=course.task.watched,
    )
