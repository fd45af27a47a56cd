"""Layers that keep the size: dense, batch normalisation, dropout, local response normalisation.

Channels are axis 1, of (N, C) as of (N, C, *space). Each forward pass has its backward pass below it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lensmith.ops.windows import Array, along_channels, but_channels, numbers, same_shape
from lensmith.reproduce import generator

EPSILON = 1e-5
"""Added to a variance before its root is taken, as in torch."""


def dense(inputs: Array, weight: Array, bias: Array | None = None) -> Array:
    """Return `x W^T + b`, (N, O). inputs: (N, F). weight: (O, F), a row a unit. bias: (O,) or None."""
    if inputs.ndim != 2 or weight.ndim != 2 or inputs.shape[1] != weight.shape[1]:
        raise ValueError(f"inputs are {inputs.shape} and weight is {weight.shape}; must be (N, F) and (units, F).")
    answer = np.asarray(inputs @ weight.T)
    return answer if bias is None else np.asarray(answer + same_shape(bias, weight.shape[:1], "bias"))


def dense_backward(gradient: Array, inputs: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Return the gradients of inputs, weight and bias: `g W`, `g^T x` and the sum of g over the batch."""
    same_shape(gradient, (len(inputs), len(weight)), "gradient")
    return gradient @ weight, gradient.T @ inputs, gradient.sum(0)


@dataclass(frozen=True)
class Statistics:
    """Mean and variance of each channel, (C,)."""

    mean: Array
    variance: Array


def batch_statistics(images: Array) -> Statistics:
    """Return mean and variance of each channel over the batch and the plane; the variance divides by their number."""
    images = _several(images)
    return Statistics(np.asarray(images.mean(but_channels(images))), np.asarray(images.var(but_channels(images))))


def running_statistics(before: Statistics, images: Array, momentum: float = 0.1) -> Statistics:
    """Return the averages after one more batch: `(1 - momentum) before + momentum batch`; begin with 0 and 1.

    The variance of a batch divides by its number less one here, as an estimate of the variance of all pictures does.
    """
    images = _several(images)
    mean, variance = images.mean(but_channels(images)), images.var(but_channels(images), ddof=1)
    return Statistics(
        np.asarray(before.mean + momentum * (mean - before.mean)),
        np.asarray(before.variance + momentum * (variance - before.variance)),
    )


def batch_norm(
    images: Array, scale: Array, shift: Array, statistics: Statistics | None = None, epsilon: float = EPSILON
) -> Array:
    """Return `scale (x - mean) / sqrt(variance + epsilon) + shift`, each channel for itself.

    Ioffe and Szegedy 2015, algorithm 1. scale, shift: (C,). statistics: None takes those of this batch, as in training;
    in use it is the running averages, and a picture's answer does not depend on what else is in the batch.

    Raises ValueError where a batch has only one number a channel: it has no variance.
    """
    for name, values in (("scale", scale), ("shift", shift)):
        same_shape(values, images.shape[1:2], name)
    normal, _ = _normalised(images, statistics, epsilon)
    return np.asarray(along_channels(scale, images.ndim) * normal + along_channels(shift, images.ndim))


def batch_norm_backward(
    gradient: Array, images: Array, scale: Array, statistics: Statistics | None = None, epsilon: float = EPSILON
) -> tuple[Array, Array, Array]:
    """Return the gradients of images, scale and shift.

    Through the batch's own statistics each picture moves all others: `scale / std (g - mean g - x' mean(g x'))`, where
    x' is the normalised picture. What is left of g neither shifts the channel nor scales it. Given statistics are
    constants, and leave `scale / std g`.
    """
    same_shape(gradient, images.shape, "gradient")
    normal, std = _normalised(images, statistics, epsilon)
    axes = but_channels(gradient)
    to_scale, to_shift = (gradient * normal).sum(axes), gradient.sum(axes)
    left = gradient
    if statistics is None:
        count = gradient.size / gradient.shape[1]
        left = gradient - along_channels(to_shift / count, images.ndim)
        left = left - normal * along_channels(to_scale / count, images.ndim)
    return np.asarray(along_channels(scale, images.ndim) / std * left), np.asarray(to_scale), np.asarray(to_shift)


def dropout(values: Array, rate: float, seed: int, *place: int | str) -> tuple[Array, Array]:
    """Return the values with a share `rate` of them set to zero, and the mask (0 or 1 / (1 - rate)) that did it.

    Inverted dropout (Srivastava et al. 2014): what stays is made larger in training, so that the mean is kept and
    nothing is to be done in use. The mask follows from seed and place alone, such as `dropout(x, 0.5, seed, "fc6",
    epoch, batch)`.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate is {rate}; must be from 0 up to less than 1, such as 0.5.")
    kept = generator(seed, "dropout", *place).random(values.shape) >= rate
    mask = kept.astype(values.dtype if values.dtype.kind == "f" else np.float64) / (1 - rate)
    return values * mask, mask


def dropout_backward(gradient: Array, mask: Array) -> Array:
    """Return the gradient of the values: that which came through the mask."""
    return np.asarray(gradient * same_shape(mask, gradient.shape, "mask"))


def local_response(
    images: Array, n: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, mean: bool = False
) -> Array:
    """Return `x_i / (k + alpha sum_j x_j^2)^beta`, the sum over the n channels around channel i, at the same pixel.

    Krizhevsky et al. 2012, section 3.3, with their constants. mean: alpha weighs the mean of the n squares, not their
    sum, as it does in torch, whose `LocalResponseNorm(5, 5e-4, k=2)` is the paper's layer. Channels beyond the first
    and the last are zeros and count as such. An even n reaches one channel further down than up, as in torch.
    """
    base = _base(images, n, alpha, k, mean)
    return np.asarray(images * base**-beta)


def local_response_backward(
    gradient: Array,
    images: Array,
    n: int = 5,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 2.0,
    mean: bool = False,
) -> Array:
    """Return `g_i d_i^-beta - 2 alpha beta x_i sum_j g_j x_j d_j^(-beta - 1)`, d what the forward pass divides by.

    The sum runs over the channels j that count channel i among their n: what a channel pressed down presses back.
    """
    base = _base(images, n, alpha, k, mean)
    pressed = _across(gradient * images * base ** (-beta - 1), (n - 1) // 2, n // 2)
    return np.asarray(gradient * base**-beta - 2 * _weight(n, alpha, mean) * beta * images * pressed)


def _normalised(images: Array, statistics: Statistics | None, epsilon: float) -> tuple[Array, Array]:
    """Return the pictures with mean 0 and variance 1, and the deviation they were divided by, to meet axis 1."""
    found = batch_statistics(images) if statistics is None else statistics
    std = along_channels(np.sqrt(found.variance + epsilon), images.ndim)
    return np.asarray((images - along_channels(found.mean, images.ndim)) / std), std


def _several(images: Array) -> Array:
    """Return the pictures as numbers. Raises ValueError where a channel has fewer than two."""
    images = numbers(images, "images")
    if images.ndim < 2 or images.size < 2 * images.shape[1]:
        raise ValueError(
            f"images are {images.shape}; must be (N, C, *space) with at least two numbers a channel, or they have no "
            "variance. Take a larger batch, or give the running statistics."
        )
    return images


def _weight(n: int, alpha: float, mean: bool) -> float:
    return alpha / n if mean else alpha


def _base(images: Array, n: int, alpha: float, k: float, mean: bool) -> Array:
    """Return what local response normalisation raises to -beta: `k + alpha sum x^2`."""
    if images.ndim < 2 or n < 1:
        raise ValueError(f"images are {images.shape} and n is {n}; must be (N, C, *space) and at least 1.")
    squares = numbers(images, "images") ** 2
    return np.asarray(k + _weight(n, alpha, mean) * _across(squares, n // 2, (n - 1) // 2))


def _across(values: Array, down: int, up: int) -> Array:
    """Return at each channel the sum over those from `down` before it to `up` behind it."""
    border: list[tuple[int, int]] = [(0, 0)] * values.ndim
    border[1] = (down, up)
    return np.asarray(sliding_window_view(np.pad(values, border), down + up + 1, axis=1).sum(-1))
