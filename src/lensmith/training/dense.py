"""A stack of dense layers that learns, in numpy: ReLU and dropout between them, batch normalisation where asked for.

In use a normalisation is a line, y = a x + c, so it is folded into the dense layer beside it: what is kept of a stack
is a plain Head, whatever it was trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from lensmith.reproduce import generator
from lensmith.training.losses import Loss

NormName = Literal["none", "first", "before", "after"]
NORMS = get_args(NormName)
EPSILON, MOMENTUM = 1e-5, 0.1  # of the variance, and of the running averages; those of torch


@dataclass
class Norm:
    """Batch normalisation of (n, k) values: S. Ioffe and C. Szegedy, "Batch normalization" (2015), algorithms 1 and 2.

    Training uses the mean and variance of the batch; use takes their running averages.
    """

    gain: np.ndarray
    offset: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, width: int) -> Norm:
        """Return one that changes nothing yet."""
        zeros, ones = np.zeros(width, np.float32), np.ones(width, np.float32)
        return cls(ones, zeros, zeros.copy(), ones.copy())

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Return the normalised batch, and what its gradient needs; moves the running averages."""
        mean, variance = x.mean(0), x.var(0)
        self.mean += MOMENTUM * (mean - self.mean)
        # The average is of what all rows would show: a batch of n shows (n - 1) / n of it.
        self.variance += MOMENTUM * (variance * (len(x) / max(len(x) - 1, 1)) - self.variance)
        deviation = np.sqrt(variance + EPSILON)
        unit = (x - mean) / deviation
        return unit * self.gain + self.offset, (unit, deviation)

    def backward(
        self, error: np.ndarray, tape: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the gradients of the input, the gain and the offset."""
        unit, deviation = tape
        inner = error * self.gain
        back = (inner - inner.mean(0) - unit * (inner * unit).mean(0)) / deviation
        return back, (error * unit).sum(0), error.sum(0)

    @property
    def line(self) -> tuple[np.ndarray, np.ndarray]:
        """(a, c) of y = a x + c, in use."""
        slope = self.gain / np.sqrt(self.variance + EPSILON)
        return slope, self.offset - self.mean * slope


class Stack:
    """Dense layers, given as weight (in, out) and bias (out,) in turn; `norm` is one of NORMS.

    first: the inputs are normalised. before, after: the hidden layers are, before or after their ReLU. dropout: the
    share of hidden values set to zero while learning (inverted: the rest is made larger, so use needs no change).
    """

    def __init__(self, dense: Sequence[np.ndarray], norm: str = "none", dropout: float = 0.0) -> None:
        self.dense, self.norm, self.dropout = list(dense), norm, dropout
        widths = {"first": [dense[0].shape[0]], "none": []}.get(norm, [w.shape[1] for w in dense[:-2:2]])
        self.norms = [Norm.of(width) for width in widths]

    @property
    def trained(self) -> list[np.ndarray]:
        """What learning moves, in place: weights and biases in turn, then gains and offsets in turn."""
        return [*self.dense, *(array for norm in self.norms for array in (norm.gain, norm.offset))]

    @property
    def running(self) -> list[np.ndarray]:
        """What is averaged while learning: mean and variance of each normalisation in turn."""
        return [array for norm in self.norms for array in (norm.mean, norm.variance)]

    def folded(self) -> list[np.ndarray]:
        """Return weights and biases in turn, with the normalisations in them."""
        dense = [array.copy() for array in self.dense]
        for number, norm in enumerate(self.norms):
            slope, shift = norm.line
            if self.norm == "before":  # a (x W + b) + c
                weight, bias = dense[2 * number], dense[2 * number + 1]
                dense[2 * number], dense[2 * number + 1] = weight * slope, bias * slope + shift
            else:  # (a x + c) W + b
                place = 0 if self.norm == "first" else 2 * (number + 1)
                weight = dense[place]
                dense[place], dense[place + 1] = weight * slope[:, None], dense[place + 1] + shift @ weight
        return dense

    def gradients(
        self,
        x: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray | None,
        loss: Loss,
        l2: float,
        noise: np.random.Generator | None,
    ) -> tuple[list[np.ndarray], float, np.ndarray]:
        """Return the gradients of one batch in the order of `trained`, the sum of its losses and its logits."""
        inputs, passed, masks, tapes = [], [], [], []
        value = x
        if self.norm == "first":
            value, tape = self.norms[0].forward(value)
            tapes.append(tape)
        for layer in range(len(self.dense) // 2 - 1):
            inputs.append(value)
            value = value @ self.dense[2 * layer] + self.dense[2 * layer + 1]
            if self.norm == "before":
                value, tape = self.norms[layer].forward(value)
                tapes.append(tape)
            passed.append(value > 0)
            value = np.maximum(value, 0)
            if self.norm == "after":
                value, tape = self.norms[layer].forward(value)
                tapes.append(tape)
            if noise is not None:
                keep = 1 - self.dropout
                masks.append((noise.random(value.shape, np.float32) >= self.dropout).astype(np.float32) / keep)
                value = value * masks[-1]
        inputs.append(value)
        logits = value @ self.dense[-2] + self.dense[-1]
        losses, error = loss(logits, targets, weights)
        error = error / len(losses)
        moved: list[np.ndarray] = []
        normed: list[np.ndarray] = []
        for layer in range(len(inputs) - 1, -1, -1):
            weight = self.dense[2 * layer]
            moved = [inputs[layer].T @ error + l2 * weight, error.sum(0), *moved]
            if not layer:
                break
            error = error @ weight.T
            if masks:
                error = error * masks[layer - 1]
            if self.norm == "after":
                error, *rest = self.norms[layer - 1].backward(error, tapes[layer - 1])
                normed = [*rest, *normed]
            error = error * passed[layer - 1]
            if self.norm == "before":
                error, *rest = self.norms[layer - 1].backward(error, tapes[layer - 1])
                normed = [*rest, *normed]
        if self.norm == "first":
            _, *normed = self.norms[0].backward(error @ self.dense[0].T, tapes[0])
        return [*moved, *normed], float(losses.sum()), logits


def forward(dense: Sequence[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Return the logits (n, k) of plain layers in use."""
    for index in range(0, len(dense) - 2, 2):
        x = np.maximum(x @ dense[index] + dense[index + 1], 0)
    logits: np.ndarray = x @ dense[-2] + dense[-1]
    return logits


def drawn(widths: Sequence[int], seed: int) -> list[np.ndarray]:
    """Return first weights and biases in turn: He's normal for hidden layers (He et al. 2015, eq. 10), zero for the
    last one. The inputs are taken to have a squared length of about one, so fan-in counts for the later layers only."""
    dense: list[np.ndarray] = []
    random = generator(seed, "head")
    for inputs, hidden in pairwise(widths[:-1]):
        spread = np.sqrt(2.0 / inputs) if dense else np.sqrt(2.0)
        dense.append(random.normal(0, spread, (inputs, hidden)).astype(np.float32))
        dense.append(np.zeros(hidden, np.float32))
    return [*dense, np.zeros(widths[-2:], np.float32), np.zeros(widths[-1], np.float32)]
