"""The dense head: what turns the features of a base into logits, in numpy, so that prediction needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lensmith.errors import WeightsError


@dataclass(frozen=True)
class Head:
    """Dense layers with ReLU between them: `weights[i]` is (in, out) float32, `biases[i]` is (out,) float32."""

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return (n, classes) float32 logits of (n, in) features."""
        return self.layers(features)[-1]

    def layers(self, features: np.ndarray) -> list[np.ndarray]:
        """Return the input of every layer and, last, the logits. Raises WeightsError if the features do not fit."""
        if features.shape[1] != self.weights[0].shape[0]:
            raise WeightsError(
                f"the head takes {self.weights[0].shape[0]} features, but the base gives {features.shape[1]}: they are "
                f"not of one model. Train again, or copy the whole model folder."
            )
        values = [features.astype(np.float32, copy=False)]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            values.append(np.maximum(values[-1] @ weight + bias, 0))
        return [*values, values[-1] @ self.weights[-1] + self.biases[-1]]

    def gradient(self, features: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return (n, in): the gradient of the logit of `classes[i]` with respect to `features[i]`."""
        values = self.layers(features)
        gradient: np.ndarray = self.weights[-1].T[classes]
        for weight, value in zip(reversed(self.weights[:-1]), reversed(values[1:-1]), strict=True):
            gradient = (gradient * (value > 0)) @ weight.T
        return gradient

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return sum(array.size for array in (*self.weights, *self.biases))

    def tensors(self) -> dict[str, np.ndarray]:
        """Return `head.0.weight`, `head.0.bias`, ...: weights as (out, in), the way torch and ONNX keep them."""
        found: dict[str, np.ndarray] = {}
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            found[f"head.{index}.weight"] = np.ascontiguousarray(weight.T)
            found[f"head.{index}.bias"] = bias
        return found


def from_tensors(tensors: Mapping[str, np.ndarray]) -> Head:
    """Return the Head that `Head.tensors` described. Raises WeightsError if the layers do not follow each other."""
    count = sum(name.startswith("head.") and name.endswith(".weight") for name in tensors)
    try:
        weights = tuple(
            np.ascontiguousarray(tensors[f"head.{index}.weight"].T, dtype=np.float32) for index in range(count)
        )
        biases = tuple(tensors[f"head.{index}.bias"].astype(np.float32) for index in range(count))
    except KeyError as missing:
        raise WeightsError(f"the model file lacks the tensor {missing}; train the model again.") from None
    widths = [(weight.shape[1], bias.shape[0]) for weight, bias in zip(weights, biases, strict=True)]
    joints = [(before.shape[1], after.shape[0]) for before, after in pairwise(weights)]
    if not weights or any(one != other for one, other in (*widths, *joints)):
        raise WeightsError("the head in the model file is not a chain of dense layers; train the model again.")
    return Head(weights, biases)


def pool_map(feature_map: np.ndarray, pool: str) -> np.ndarray:
    """Return (n, features) of a (n, C, h, w) map: its mean over positions, or all of it in C, h, w order."""
    pooled: np.ndarray = feature_map.mean((2, 3)) if pool == "mean" else feature_map.reshape(len(feature_map), -1)
    return pooled
