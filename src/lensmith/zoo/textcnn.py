"""The text CNN: convolutions over words (Y. Kim, "Convolutional neural networks for sentence classification", 2014).

A word is a vector that is learned (CNN-rand, section 3.2). A filter looks at three, four or five words in a row and
says how much it likes them; of each filter only its best place in the sentence counts, wherever that is. A dense layer
with dropout answers from these 300 numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lensmith.data.vocabulary import PADDING

DIMENSIONS, WIDTHS, FILTERS = 300, (3, 4, 5), 100
SPREAD = 0.25  # word vectors begin between -0.25 and 0.25, where those of large corpora lie (section 3.2)


class TextCNN(nn.Module):
    """(N, L) whole numbers of words -> (N, filters * widths) features, dropped out while learning.

    A sentence begins with as many zeros as the widest filter has words, so further zeros after it change nothing.
    """

    def __init__(
        self,
        words: int,
        dimensions: int = DIMENSIONS,
        widths: Sequence[int] = WIDTHS,
        filters: int = FILTERS,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(words, dimensions, padding_idx=PADDING)
        self.filters = nn.ModuleList(nn.Conv1d(dimensions, filters, width) for width in widths)
        self.dropout = nn.Dropout(dropout)
        nn.init.uniform_(self.words.weight, -SPREAD, SPREAD)
        with torch.no_grad():
            self.words.weight[PADDING] = 0

    def forward(self, sentences: Tensor) -> Tensor:
        """Return the best answer of every filter, ReLU applied."""
        vectors = self.words(sentences).transpose(1, 2)
        best = [convolution(vectors).amax(2).relu() for convolution in self.filters]
        features: Tensor = self.dropout(torch.cat(best, 1))
        return features
