"""Convolution layers: many planes in, many planes out, with gradients written out.

A window's view of the pictures, laid out as a column, turns convolution into a product of matrices: weights (O, c k)
times columns (c k, places), where c k is a number a channel and kernel place. What flows back goes through the
transposed product, and from the columns to the pixels they were copied from. A transposed convolution is that way
back taken as a layer of its own.

Pictures are (N, C, *space) in one, two or three dimensions. The kernel is laid as it is (cross-correlation), as in
torch, which is the oracle in the tests.
"""

from __future__ import annotations

import math

import numpy as np

from lensmith.ops.windows import (
    Array,
    Grid,
    PerAxis,
    Space,
    along_channels,
    but_channels,
    numbers,
    per_axis,
    same_shape,
    transposed_size,
)


def conv(
    images: Array, weight: Array, bias: Array | None = None, stride: PerAxis = 1, padding: PerAxis = 0, groups: int = 1
) -> Array:
    """Return (N, O, *places): `y[n, o] = bias[o] + sum_c cross_correlate(x[n, c], weight[o, c])`.

    images: (N, C, *space). weight: (O, C / groups, *kernel). bias: (O,) or None. stride, padding: one number, or one an
    axis; the padding is zeros, as many before as behind. groups: C and O are cut into so many parts, and each part of O
    sees its own part of C alone (two in AlexNet; C of them is a depthwise convolution). Along an axis there are
    `output_size(n, k, stride, padding)` places.

    Raises ValueError where ranks, channels, groups or the bias do not go together, or the kernel does not fit.
    """
    grid = _grid(images, weight, stride, padding, groups)
    _check_channels(images, weight.shape[1] * groups)
    places = grid.places(images.shape[2:])
    answer = _rows(weight, groups) @ _columns(images, grid, groups)
    return _with_bias(answer.reshape(len(images), len(weight), *places), bias)


def conv_backward(
    gradient: Array, images: Array, weight: Array, stride: PerAxis = 1, padding: PerAxis = 0, groups: int = 1
) -> tuple[Array, Array, Array]:
    """Return the gradients of images, weight and bias from that of the answer, (N, O, *places).

    With stride 1 each is a convolution again. To the weight: the input cross-correlated with the gradient, what a
    weight was multiplied with times what came of it. To the input: the gradient and the kernel in true convolution,
    mode `full`, since a pixel took part wherever the kernel touched it. To the bias: the sum of the gradient.
    """
    grid = _grid(images, weight, stride, padding, groups)
    _check_channels(images, weight.shape[1] * groups)
    same_shape(gradient, (len(images), len(weight), *grid.places(images.shape[2:])), "gradient")
    return (
        _to_images(gradient, weight, images.shape[2:], grid, groups),
        _to_weight(gradient, images, grid, groups).reshape(weight.shape),
        np.asarray(gradient.sum(but_channels(gradient))),
    )


def transposed_conv(
    images: Array,
    weight: Array,
    bias: Array | None = None,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
) -> Array:
    """Return (N, O, *space): each pixel lays a copy of the kernel, times itself, `stride` apart; overlaps add up.

    It is the way back of a convolution from O to C channels with this weight, stride and padding, so padding takes a
    rim away here. images: (N, C, *places). weight: (C, O / groups, *kernel). output_padding: less than the stride; a
    convolution with a stride leaves up to so many pixels at the end of an axis unseen, and this puts them back. Along
    an axis the answer has `transposed_size(n, k, stride, padding, output_padding)` pixels.
    """
    grid = _grid(images, weight, stride, padding, groups)
    _check_channels(images, len(weight))
    extra = per_axis(output_padding, images.ndim - 2, "output_padding", 0)
    if any(more >= step for more, step in zip(extra, grid.stride, strict=True)):
        raise ValueError(f"output_padding is {extra}; must be less than the stride {grid.stride}.")
    sizes = zip(images.shape[2:], grid.window, grid.stride, grid.padding, extra, strict=True)
    space = tuple(transposed_size(*each) for each in sizes)
    if min(space) < 1:
        raise ValueError(f"the answer would be {space}: padding {grid.padding} takes everything away. Pad less.")
    return _with_bias(_to_images(images, weight, space, grid, groups), bias)


def transposed_conv_backward(
    gradient: Array, images: Array, weight: Array, stride: PerAxis = 1, padding: PerAxis = 0, groups: int = 1
) -> tuple[Array, Array, Array]:
    """Return the gradients of images, weight and bias from that of the answer, (N, O, *space).

    Back through the transposed convolution is the convolution itself. Any output_padding shows in the gradient's shape.
    """
    grid = _grid(images, weight, stride, padding, groups)
    to_images = conv(gradient, weight, None, stride, padding, groups)
    same_shape(to_images, images.shape, "the gradient of the images")
    to_weight = _to_weight(images, gradient, grid, groups).reshape(weight.shape)
    return to_images, to_weight, np.asarray(gradient.sum(but_channels(gradient)))


def _columns(images: Array, grid: Grid, groups: int) -> Array:
    """Return (N, groups, C / groups * kernel, places): a column for what the window sees at a place."""
    axes = len(grid.window)
    seen = grid.gather(numbers(images, "images"))  # (N, C, *places, *kernel)
    seen = np.moveaxis(seen, range(-axes, 0), range(2, 2 + axes))  # (N, C, *kernel, *places)
    height = images.shape[1] // groups * math.prod(grid.window)
    return seen.reshape(len(images), groups, height, math.prod(seen.shape[-axes:]))


def _pictures(columns: Array, places: Space, space: Space, grid: Grid) -> Array:
    """Return (N, C, *space): the transpose of `_columns`, every value added to the pixel it was copied from."""
    axes = len(grid.window)
    channels = math.prod(columns.shape[1:3]) // math.prod(grid.window)
    seen = columns.reshape(len(columns), channels, *grid.window, *places)
    return grid.scatter(np.moveaxis(seen, range(2, 2 + axes), range(-axes, 0)), space)


def _rows(weight: Array, groups: int) -> Array:
    """Return weights as (groups, O / groups, C / groups * kernel): a row a filter."""
    filters = numbers(weight, "weight")
    return filters.reshape(groups, len(filters) // groups, math.prod(filters.shape[1:]))


def _split(planes: Array, groups: int) -> Array:
    """Return (N, groups, C / groups, places) from (N, C, *places)."""
    n, channels, *places = planes.shape
    return planes.reshape(n, groups, channels // groups, math.prod(places))


def _to_images(gradient: Array, weight: Array, space: Space, grid: Grid, groups: int) -> Array:
    """Return `W^T g`, column by column, and each column added to the pixels it was copied from."""
    columns = _rows(weight, groups).swapaxes(-1, -2) @ _split(gradient, groups)
    return _pictures(columns, gradient.shape[2:], space, grid)


def _to_weight(gradient: Array, images: Array, grid: Grid, groups: int) -> Array:
    """Return `sum_n g x^T`: for each weight the sum of what it saw, times what came of it."""
    return np.asarray((_split(gradient, groups) @ _columns(images, grid, groups).swapaxes(-1, -2)).sum(0))


def _with_bias(answer: Array, bias: Array | None) -> Array:
    if bias is None:
        return answer
    return np.asarray(answer + along_channels(same_shape(bias, answer.shape[1:2], "bias"), answer.ndim))


def _grid(images: Array, weight: Array, stride: PerAxis, padding: PerAxis, groups: int) -> Grid:
    """Return the grid of a layer. Raises ValueError where its arguments contradict each other."""
    axes = weight.ndim - 2
    if images.ndim != weight.ndim or axes < 1:
        raise ValueError(
            f"images are {images.shape} and weight is {weight.shape}; must be (N, C, *space) and (filters, channels, "
            "*kernel) with one, two or three axes of space. For one plane there is `cross_correlate`."
        )
    if groups < 1 or len(weight) % groups:
        raise ValueError(f"groups is {groups}; must divide the {len(weight)} planes along the weight's first axis.")
    strides, paddings = per_axis(stride, axes, "stride", 1), per_axis(padding, axes, "padding", 0)
    return Grid(weight.shape[2:], strides, paddings)


def _check_channels(images: Array, channels: int) -> None:
    if images.shape[1] != channels:
        raise ValueError(f"images are {images.shape}; must have {channels} channels for this weight and its groups.")
