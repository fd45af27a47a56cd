"""Pooling, and back up again: a window says one number, and an un-pooling puts numbers back on a larger plane.

Pictures are (N, C, *space) in one, two or three dimensions. A window of `window` pixels moves by `stride` (its own size
where nothing is said), over a border of `padding` pixels that is never chosen and, unless asked for, never counted. So
the backward pass of max and mean keeps the sum of the gradient: all of it goes to the maximum, or 1 / n to each pixel.
"""

from __future__ import annotations

import math

import numpy as np

from lensmith.ops.windows import Array, Grid, PerAxis, Space, numbers, one_of, per_axis, same_shape, windows

POOLS = ("max", "mean", "l2")


def max_pool(
    images: Array, window: PerAxis, stride: PerAxis | None = None, padding: PerAxis = 0
) -> tuple[Array, Array]:
    """Return the largest value in each window, (N, C, *places), and where in its plane it was found, of the same shape.

    The places count through the plane row by row; of equal values the first is taken. Remembered, they are all that
    the backward pass and `unpool_max` need. padding: at most half the window, so that each window sees a pixel.
    """
    images = numbers(images, "images")
    grid = _grid(images.shape, window, stride, padding)
    space = images.shape[2:]
    # A window that reaches over the edge sees the edge too: repeated there, it changes no maximum.
    seen = _flat(grid.gather(images, "replicate"), len(space))
    place = _flat(grid.gather(np.arange(math.prod(space)).reshape(space), "replicate"), len(space))
    best = seen.argmax(-1)[..., None]
    values = np.take_along_axis(seen, best, -1)[..., 0]
    return values, np.take_along_axis(np.broadcast_to(place, seen.shape), best, -1)[..., 0]


def max_pool_backward(gradient: Array, indices: Array, shape: Space) -> Array:
    """Return the gradient of the images, of this shape: each value's goes to the pixel that was the maximum."""
    back, at = _planes(gradient, indices, shape)
    np.add.at(back, at, gradient.reshape(at[1].shape))
    return back.reshape(shape)


def mean_pool(
    images: Array,
    window: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    count_padding: bool = False,
) -> Array:
    """Return the mean of the pixels in each window, (N, C, *places).

    count_padding: the border counts as pixels of value 0, so that all windows divide by the same number (what torch
    does unless told otherwise); otherwise each divides by the pixels it really sees.
    """
    images = numbers(images, "images")
    grid = _grid(images.shape, window, stride, padding)
    return np.asarray(_total(images, grid) / _count(images.shape[2:], grid, count_padding).astype(images.dtype))


def mean_pool_backward(
    gradient: Array,
    shape: Space,
    window: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    count_padding: bool = False,
) -> Array:
    """Return the gradient of the images, of this shape: each of the n pixels in a window gets 1 / n."""
    grid = _grid(shape, window, stride, padding)
    same_shape(gradient, (*shape[:2], *grid.places(shape[2:])), "gradient")
    share = gradient / _count(shape[2:], grid, count_padding).astype(gradient.dtype)
    return _spread(share, grid, shape[2:])


def l2_pool(images: Array, window: PerAxis, stride: PerAxis | None = None, padding: PerAxis = 0) -> Array:
    """Return the root of the sum of squares in each window, (N, C, *places); a border adds nothing to it."""
    images = numbers(images, "images")
    return np.asarray(np.sqrt(_total(images**2, _grid(images.shape, window, stride, padding))))


def l2_pool_backward(
    gradient: Array, images: Array, window: PerAxis, stride: PerAxis | None = None, padding: PerAxis = 0
) -> Array:
    """Return the gradient of the images: `dy/dx = x / y`, and 0 where a window holds nothing but zeros."""
    images = numbers(images, "images")
    grid = _grid(images.shape, window, stride, padding)
    length = same_shape(l2_pool(images, window, stride, padding), gradient.shape, "the pooled picture")
    share = np.divide(gradient, length, out=np.zeros(length.shape, length.dtype), where=length > 0)
    return np.asarray(images * _spread(share, grid, images.shape[2:]))


def global_pool(images: Array, kind: str = "mean") -> Array:
    """Return one number a channel, (N, C): `max`, `mean` or `l2` over the whole plane, whatever its size."""
    images = numbers(images, "images")
    one_of(kind, POOLS, "kind")
    window = images.shape[2:]
    if kind == "max":
        pooled, _ = max_pool(images, window)
    else:
        pooled = mean_pool(images, window) if kind == "mean" else l2_pool(images, window)
    return pooled.reshape(images.shape[:2])


def global_pool_backward(gradient: Array, images: Array, kind: str = "mean") -> Array:
    """Return the gradient of the images from that of `global_pool`, (N, C)."""
    images = numbers(images, "images")
    one_of(kind, POOLS, "kind")
    window = images.shape[2:]
    wide = same_shape(gradient, images.shape[:2], "gradient").reshape(*gradient.shape, *(1 for _ in window))
    if kind == "max":
        return max_pool_backward(wide, max_pool(images, window)[1], images.shape)
    if kind == "mean":
        return mean_pool_backward(wide, images.shape, window)
    return l2_pool_backward(wide, images, window)


def unpool_max(values: Array, indices: Array, shape: Space) -> Array:
    """Return pictures of this shape with each value where its maximum was found, zeros elsewhere.

    Zeiler and Fergus 2014, section 2.1 (switches); SegNet. shape: of the pictures that were pooled. Where windows
    overlapped and remembered the same pixel, the last value stays.
    """
    back, at = _planes(values, indices, shape)
    back[at] = values.reshape(at[1].shape)
    return back.reshape(shape)


def unpool_max_backward(gradient: Array, indices: Array) -> Array:
    """Return the gradient of the values: for each that at the pixel it was put on (for windows that do not overlap)."""
    same_shape(gradient, (*indices.shape[:2], *gradient.shape[2:]), "gradient")
    picked = np.take_along_axis(_flat(gradient, gradient.ndim - 2), _flat(indices, indices.ndim - 2), -1)
    return picked.reshape(indices.shape)


def unpool_nails(images: Array, factor: PerAxis) -> Array:
    """Return pictures `factor` times as large: each pixel at the first corner of its block, zeros around it."""
    space, steps = _larger(images, factor)
    back = np.zeros((*images.shape[:2], *space), images.dtype)
    back[_nails(steps)] = images
    return back


def unpool_nails_backward(gradient: Array, factor: PerAxis) -> Array:
    """Return the gradient of the images: that at the first corner of each block."""
    return gradient[_nails(_factor(gradient, factor))]


def unpool_nearest(images: Array, factor: PerAxis) -> Array:
    """Return pictures `factor` times as large: each pixel fills its block, the nearest one of the small picture."""
    _, steps = _larger(images, factor)
    return np.kron(images, np.ones((1, 1, *steps), images.dtype))


def unpool_nearest_backward(gradient: Array, factor: PerAxis) -> Array:
    """Return the gradient of the images: the sum over each block."""
    steps = _factor(gradient, factor)
    return np.asarray(windows(gradient, steps, steps).sum(tuple(range(-len(steps), 0))))


def _grid(shape: Space, window: PerAxis, stride: PerAxis | None, padding: PerAxis) -> Grid:
    """Return the grid of a pooling. Raises ValueError where its arguments do not go together."""
    axes = len(shape) - 2
    if axes < 1:
        raise ValueError(f"images are {shape}; must be (N, C, *space) with one, two or three axes of space.")
    size = per_axis(window, axes, "window", 1)
    border = per_axis(padding, axes, "padding", 0)
    if any(2 * amount > width for amount, width in zip(border, size, strict=True)):
        raise ValueError(f"padding is {border}; must be at most half the window {size}, or a window sees no pixel.")
    grid = Grid(size, size if stride is None else per_axis(stride, axes, "stride", 1), border)
    grid.places(shape[2:])  # raises where the window does not fit
    return grid


def _flat(array: Array, axes: int) -> Array:
    """Return the array with its last `axes` axes as one."""
    return array.reshape(*array.shape[: array.ndim - axes], math.prod(array.shape[array.ndim - axes :]))


def _total(planes: Array, grid: Grid, fill: float = 0) -> Array:
    """Return the sum in each window, (..., *places)."""
    return np.asarray(grid.gather(planes, fill=fill).sum(tuple(range(-len(grid.window), 0))))


def _count(space: Space, grid: Grid, count_padding: bool) -> Array:
    """Return how many pixels each window counts, (*places)."""
    return _total(np.ones(space, np.int64), grid, fill=int(count_padding))


def _spread(shares: Array, grid: Grid, space: Space) -> Array:
    """Return (..., *space), the transpose of `_total`: a window's share, (..., *places), to each of its pixels."""
    seen = shares[(..., *(None for _ in grid.window))]
    return grid.scatter(np.broadcast_to(seen, (*shares.shape, *grid.window)), space)


def _planes(values: Array, indices: Array, shape: Space) -> tuple[Array, tuple[Array, Array]]:
    """Return empty planes (N C, pixels), and where in them the values belong (planes, places). Raises ValueError."""
    same_shape(indices, values.shape, "indices")
    same_shape(values, (*shape[:2], *values.shape[2:]), "values")
    pixels = math.prod(shape[2:])
    if indices.size and not 0 <= indices.min() <= indices.max() < pixels:
        raise ValueError(f"indices reach from {indices.min()} to {indices.max()}; planes of {shape[2:]} have {pixels}.")
    places = indices.reshape(shape[0] * shape[1], math.prod(indices.shape[2:]))
    return np.zeros((len(places), pixels), values.dtype), (np.arange(len(places))[:, None], places)


def _factor(images: Array, factor: PerAxis) -> Space:
    """Return the factor along each axis. Raises ValueError where the pictures are not whole blocks."""
    steps = per_axis(factor, images.ndim - 2, "factor", 1)
    if any(size % step for size, step in zip(images.shape[2:], steps, strict=True)):
        raise ValueError(f"gradient is {images.shape}; its planes must be whole blocks of {steps}.")
    return steps


def _larger(images: Array, factor: PerAxis) -> tuple[Space, Space]:
    """Return the size of planes made larger, and the factor along each axis."""
    if images.ndim < 3:
        raise ValueError(f"images are {images.shape}; must be (N, C, *space) with one, two or three axes of space.")
    steps = per_axis(factor, images.ndim - 2, "factor", 1)
    return tuple(size * step for size, step in zip(images.shape[2:], steps, strict=True)), steps


def _nails(steps: Space) -> tuple[slice, ...]:
    """Return the index of the first corner of each block."""
    return (slice(None), slice(None), *(slice(None, None, step) for step in steps))
