"""The network of a trained model as one torch module, whatever it reads: pictures, clips, columns or sentences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lensmith.data.clips import Moving
from lensmith.zoo.base import Base, assemble
from lensmith.zoo.clips import ClipBase
from lensmith.zoo.heads import Classifier
from lensmith.zoo.measured import TEXT, Measured
from lensmith.zoo.sight import Shape
from lensmith.zoo.stack import dense_stack
from lensmith.zoo.textcnn import TextCNN

WORDS = 32
"""How many words of a sentence are shown to a network that takes any number."""


class WordLine(nn.Module):
    """A text CNN that takes its words as a line with one channel: (N, 1, L) -> (N, features)."""

    def __init__(self, words: TextCNN) -> None:
        super().__init__()
        self.words = words

    def forward(self, sentences: Tensor) -> Tensor:
        """Return what the text CNN makes of the words, rounded to whole numbers."""
        features: Tensor = self.words(sentences.select(1, 0).long())
        return features


def trained(base: Base | Measured, widths: Sequence[int], image_size: int | None = None) -> tuple[nn.Module, Shape]:
    """Return base and head as a module with random weights, and the shape (channels, *sides) of what it reads.

    `widths` are those of the head: features, hidden layers, outputs. `image_size` None is that of the training; it
    matters to pictures and clips alone.
    """
    features, *hidden, outputs = widths
    with torch.random.fork_rng(devices=[]):
        if isinstance(base, Base):
            side = image_size or base.preprocessing.image_size
            part, _ = assemble(base.network, base.cut, side)
            return Classifier(part, features, outputs, base.pool, hidden, 0.0), (3, side, side)
        if isinstance(base.preprocessing, Moving):
            side = image_size or base.preprocessing.picture.image_size
            part = ClipBase(base.network.rpartition("/")[2])
            shape = (3, base.preprocessing.frames, side, side)
            return Classifier(part, features, outputs, "mean", hidden, 0.0), shape
        if base.network == TEXT:
            return Classifier(WordLine(_text(base)), features, outputs, "flatten", hidden, 0.0), (1, WORDS)
    return dense_stack(features, [*hidden, outputs]), (features,)


def _text(base: Measured) -> TextCNN:
    """Return the text CNN whose tensors these are."""
    words, dimensions = base.tensors["words.weight"].shape
    filters = [tensor for name, tensor in base.tensors.items() if name.startswith("filters.") and tensor.ndim == 3]
    return TextCNN(words, dimensions, sorted(tensor.shape[2] for tensor in filters), len(filters[0]))
