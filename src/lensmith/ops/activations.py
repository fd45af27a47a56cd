"""Activations, each number for itself, and softmax; below each the gradient of what went in.

A backward pass takes the gradient of the answer and what the forward pass was given.
"""

from __future__ import annotations

import numpy as np

from lensmith.ops.windows import Array, along_channels, numbers, same_shape

SCALE, SLOPE = 1.7159, 2 / 3
"""LeCun's tanh: f(1) = 1, f(-1) = -1, and about there it bends most (LeCun et al. 1998, appendix A)."""


def relu(values: Array) -> Array:
    """Return `max(x, 0)`."""
    return np.maximum(values, 0)


def relu_backward(gradient: Array, values: Array) -> Array:
    """Return the gradient where x > 0, zero elsewhere."""
    return np.where(values > 0, gradient, 0)


def leaky_relu(values: Array, slope: float = 0.01) -> Array:
    """Return x where it is positive, `slope x` elsewhere (Maas et al. 2013)."""
    return np.where(values > 0, values, slope * values)


def leaky_relu_backward(gradient: Array, values: Array, slope: float = 0.01) -> Array:
    """Return the gradient where x > 0, `slope` times it elsewhere."""
    return np.where(values > 0, gradient, slope * gradient)


def prelu(values: Array, slopes: Array) -> Array:
    """Return x where it is positive, `slope x` elsewhere, with a slope a channel, (C,), that is learned.

    He et al. 2015, equation 1. slopes: (1,) for one that all channels share.
    """
    return np.where(values > 0, values, _slopes(slopes, values) * values)


def prelu_backward(gradient: Array, values: Array, slopes: Array) -> tuple[Array, Array]:
    """Return the gradients of values and slopes; a slope's is the sum of `g x` over the negative x of its channel."""
    negative = np.where(values > 0, 0, gradient * values)
    shared = len(slopes) == 1
    to_slopes = negative.sum() if shared else negative.sum(tuple(axis for axis in range(values.ndim) if axis != 1))
    return np.where(values > 0, gradient, _slopes(slopes, values) * gradient), np.asarray(to_slopes).reshape(-1)


def _slopes(slopes: Array, values: Array) -> Array:
    """Return slopes so that they meet axis 1, or the one that all channels share. Raises ValueError."""
    if slopes.shape == (1,):
        return slopes
    return along_channels(same_shape(slopes, values.shape[1:2], "slopes"), values.ndim)


def sigmoid(values: Array) -> Array:
    """Return `1 / (1 + exp(-x))`, without overflow on either side."""
    values = numbers(values, "values")
    small = np.exp(-np.abs(values))
    return np.asarray(np.where(values >= 0, 1, small) / (1 + small))


def sigmoid_backward(gradient: Array, values: Array) -> Array:
    """Return `g y (1 - y)`."""
    answer = sigmoid(values)
    return np.asarray(gradient * answer * (1 - answer))


def tanh(values: Array) -> Array:
    """Return `(exp(x) - exp(-x)) / (exp(x) + exp(-x))`."""
    return np.tanh(numbers(values, "values"))


def tanh_backward(gradient: Array, values: Array) -> Array:
    """Return `g (1 - y^2)`."""
    return np.asarray(gradient * (1 - tanh(values) ** 2))


def scaled_tanh(values: Array) -> Array:
    """Return `1.7159 tanh(2 x / 3)`, LeNet-5's squashing function."""
    return np.asarray(SCALE * np.tanh(SLOPE * values))


def scaled_tanh_backward(gradient: Array, values: Array) -> Array:
    """Return `g 1.7159 (2 / 3) (1 - tanh(2 x / 3)^2)`."""
    return np.asarray(SCALE * SLOPE * tanh_backward(gradient, SLOPE * values))


def softmax(values: Array, axis: int = 1) -> Array:
    """Return `exp(x_i) / sum_j exp(x_j)` along the classes, axis 1: shares that sum to 1.

    The largest is taken off first, which changes nothing but keeps exp from overflowing.
    """
    values = numbers(values, "values")
    risen = np.exp(values - values.max(axis, keepdims=True))
    return np.asarray(risen / risen.sum(axis, keepdims=True))


def softmax_backward(gradient: Array, values: Array, axis: int = 1) -> Array:
    """Return `p_i (g_i - sum_j g_j p_j)`."""
    shares = softmax(values, axis)
    return np.asarray(shares * (gradient - (gradient * shares).sum(axis, keepdims=True)))
