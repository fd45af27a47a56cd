"""Convolution of one plane, in any number of dimensions: true convolution, cross-correlation, and both as a matrix.

Cross-correlation lays the kernel on the signal as it is, `y[i] = sum_j k[j] x[i + j]`; convolution lays it turned round
in every axis, `y[i] = sum_j k[j] x[i - j]`. Convolutional networks cross-correlate, and call it convolution.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from lensmith.ops.windows import Array, PerAxis, Space, numbers, one_of, pad, per_axis, scatter, windows

MODES = ("valid", "same", "full")
"""Where the kernel may lie: within the signal, so that the size stays, or wherever it touches the signal."""


def cross_correlate(
    signal: ArrayLike,
    kernel: ArrayLike,
    mode: str = "valid",
    padding: str = "constant",
    stride: PerAxis = 1,
    fill: float = 0,
) -> Array:
    """Return `y[i] = sum_j kernel[j] signal[i + j]`: at each place the kernel as it is, multiplied and added up.

    signal, kernel: of the same number of axes; whole numbers stay whole numbers. mode: `valid` gives n - k + 1 places
    along an axis, `same` n, `full` n + k - 1. `same` is the middle of `full`; a kernel of even size has no middle, and
    reaches one place further back than ahead, as with numpy.convolve and scipy.signal (torch's `same`: further ahead).
    padding: what stands beyond the edge in `same` and `full`: `constant` (then `fill`), `replicate` or `mirror` (which
    does not repeat the edge). stride: every how many places are kept, from the first on; one number, or one an axis.

    Raises ValueError for planes of different or no axes, an unknown mode or padding, a stride below 1, and a kernel
    larger than the signal in mode `valid`.
    """
    plane, weights = _planes(signal, kernel)
    steps = per_axis(stride, plane.ndim, "stride", 1)
    padded = pad(plane, _border(plane.shape, weights.shape, mode), padding, fill)
    return np.asarray(np.tensordot(windows(padded, weights.shape, steps), weights, weights.ndim))


def convolve(
    signal: ArrayLike,
    kernel: ArrayLike,
    mode: str = "valid",
    padding: str = "constant",
    stride: PerAxis = 1,
    fill: float = 0,
) -> Array:
    """Return `y[i] = sum_j kernel[j] signal[i - j]`: cross-correlation with the kernel turned round in every axis.

    So the response to a single 1 is the kernel itself, and signal and kernel can change places (mode `full`). Arguments
    and errors are those of `cross_correlate`.
    """
    return cross_correlate(signal, np.flip(np.asarray(kernel)), mode, padding, stride, fill)


def correlation_matrix(
    kernel: ArrayLike, shape: PerAxis, mode: str = "valid", padding: str = "constant", stride: PerAxis = 1
) -> Array:
    """Return the matrix (outputs, inputs) that does to `signal.ravel()` what `cross_correlate` does to the signal.

    Each row is the kernel laid at one place. shape: the signal's. A constant border is zero here: another constant
    adds to the answer whatever the signal is, which no matrix does.
    """
    weights = numbers(kernel, "kernel")
    space = per_axis(shape, weights.ndim, "shape", 1) if weights.ndim else ()
    _planes(np.empty(space), weights)
    inputs = math.prod(space)
    place = np.arange(inputs).reshape(space)
    padded = pad(place, _border(space, weights.shape, mode), padding, fill=-1)
    seen = windows(padded, weights.shape, per_axis(stride, weights.ndim, "stride", 1)).reshape(-1, weights.size)
    matrix = np.zeros((len(seen), inputs + 1), weights.dtype)
    # Added, not set: in a mirror one row meets the same place twice.
    np.add.at(matrix, (np.arange(len(seen))[:, None], seen), weights.ravel())
    return matrix[:, :-1]  # the border is place -1, the last column


def convolution_matrix(
    kernel: ArrayLike, shape: PerAxis, mode: str = "valid", padding: str = "constant", stride: PerAxis = 1
) -> Array:
    """Return the matrix of true convolution, `matrix @ signal.ravel() == convolve(signal, kernel, ...).ravel()`.

    Arguments are those of `correlation_matrix`. In one dimension it is a Toeplitz matrix: constant along diagonals.
    """
    return correlation_matrix(np.flip(np.asarray(kernel)), shape, mode, padding, stride)


def transposed_convolution(signal: ArrayLike, kernel: ArrayLike, stride: PerAxis = 1) -> Array:
    """Return a copy of the kernel for each number of the signal, times it, `stride` apart, added where they overlap.

    This is what the transpose of `correlation_matrix(kernel, ..., stride=stride)` does (Dumoulin and Visin 2016,
    chapter 4): the shapes of input and output change places, `s (n - 1) + k` along an axis. With stride 1 it is true
    convolution in mode `full`.
    """
    plane, weights = _planes(signal, kernel)
    steps = per_axis(stride, plane.ndim, "stride", 1)
    space = tuple(s * (n - 1) + k for s, n, k in zip(steps, plane.shape, weights.shape, strict=True))
    return scatter(np.multiply.outer(plane, weights), space, steps)


def _planes(signal: ArrayLike, kernel: ArrayLike) -> tuple[Array, Array]:
    """Return signal and kernel as arrays of the same number of axes, none of them empty. Raises ValueError."""
    plane, weights = numbers(signal, "signal"), numbers(kernel, "kernel")
    if plane.ndim != weights.ndim or plane.ndim == 0:
        raise ValueError(
            f"signal is {plane.shape} and kernel {weights.shape}; must have the same number of axes, at least one. "
            "For channels and batches there is `conv`."
        )
    if not plane.size or not weights.size:
        raise ValueError(f"signal is {plane.shape} and kernel {weights.shape}; must not be empty.")
    return plane, weights


def _border(signal: Space, kernel: Space, mode: str) -> list[tuple[int, int]]:
    """Return how much border a mode needs (before, after) each axis."""
    if one_of(mode, MODES, "mode") == "full":
        return [(k - 1, k - 1) for k in kernel]
    if mode == "same":
        return [(k // 2, (k - 1) // 2) for k in kernel]
    if any(k > n for n, k in zip(signal, kernel, strict=True)):
        raise ValueError(
            f"the kernel {kernel} is larger than the signal {signal}; in mode 'valid' it must lie within. "
            "Take a smaller kernel, or mode 'same' or 'full'."
        )
    return [(0, 0)] * len(kernel)
