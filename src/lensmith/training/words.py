"""What the loop learns from where the examples are sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from lensmith.data.vocabulary import PADDING, Vocabulary
from lensmith.reproduce import counter
from lensmith.training.fit import Lessons, Positions
from lensmith.training.recipe import Recipe
from lensmith.training.seeded import seeded
from lensmith.zoo.heads import Classifier
from lensmith.zoo.textcnn import FILTERS, WIDTHS, TextCNN

if TYPE_CHECKING:
    from lensmith.training.stages import Course


class Sentences:
    """Sentences (k, L) whole numbers, the same in every epoch."""

    def __init__(self, numbers: np.ndarray) -> None:
        self._numbers = numbers

    def __call__(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """Return the sentences at these positions, no longer than the longest of them needs."""
        chosen: np.ndarray = self._numbers[positions]
        empty = int((chosen == PADDING).all(0)[::-1].argmin())  # columns at the end without a word
        return chosen[:, : chosen.shape[1] - empty + max(WIDTHS)]


class Whole(nn.Module):
    """Makes the numbers of words what an embedding takes."""

    def forward(self, sentences: Tensor) -> Tensor:
        """Return (N, L) int64."""
        return sentences.long()


def sentence_lessons(recipe: Recipe, course: Course, vocabulary: Vocabulary) -> Lessons:
    """Return a text CNN with weights drawn by the seed, and the sentences it learns from."""
    with seeded(counter(recipe.seed, "weights")):
        base = TextCNN(vocabulary.size, dropout=recipe.dropout)
        features = FILTERS * len(WIDTHS)
        network = Classifier(base, features, course.task.outputs, "flatten", recipe.dense, recipe.dropout)
    return Lessons(
        network=network,
        views=Sentences(np.asarray(course.pixels())),
        prepare=Whole(),
        train=Positions(course.targets, course.train),
        stopping=Positions(course.targets, course.stopping),
        watched=course.task.watched,
    )
