"""The engine that reads sentences: the text CNN in numpy, so that asking a model needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from lensmith.engines.interface import Output, batches

BATCH = 64


class ReadingEngine:
    """Runs `zoo.textcnn.TextCNN` as it is in use, given its tensors by name."""

    name, precision, device = "numpy", "float32", "cpu"

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self._vectors = np.asarray(tensors["words.weight"], np.float32)
        count = sum(name.startswith("filters.") and name.endswith(".weight") for name in tensors)
        kernels = [np.asarray(tensors[f"filters.{index}.weight"], np.float32) for index in range(count)]
        # (filters, dimensions, width) to (width * dimensions, filters): a window of words is then one row.
        self._kernels = [kernel.transpose(2, 1, 0).reshape(-1, len(kernel)) for kernel in kernels]
        self._widths = [kernel.shape[2] for kernel in kernels]
        self._biases = [np.asarray(tensors[f"filters.{index}.bias"], np.float32) for index in range(count)]

    def run(self, pictures: Iterable[np.ndarray], *, maps: bool = False) -> Iterator[Output]:
        """Yield the features of sentences (L,) whole numbers, all of one length; there are no maps."""
        for block in batches(pictures, BATCH):
            yield Output(self._features(block), None)

    def _features(self, sentences: np.ndarray) -> np.ndarray:
        vectors = self._vectors[sentences]  # (n, L, dimensions)
        n, length, dimensions = vectors.shape
        found = []
        for width, kernel, bias in zip(self._widths, self._kernels, self._biases, strict=True):
            windows = np.lib.stride_tricks.sliding_window_view(vectors, width, 1)  # (n, L - width + 1, d, width)
            rows = windows.transpose(0, 1, 3, 2).reshape(-1, width * dimensions)
            answers = (rows @ kernel).reshape(n, length - width + 1, -1)
            found.append(np.maximum(answers.max(1) + bias, 0))
        return np.concatenate(found, 1)
