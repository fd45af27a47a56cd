"""Windows over planes: the one idea that convolution and pooling share.

`windows` lays a window at every place and shows what is under it; `scatter` is its transpose and adds what stands in
the windows back to where it came from. A forward pass gathers with the first, its backward pass gives back with the
second. Planes are the last axes of an array, (..., *space); whatever stands before them is left alone.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from lensmith.errors import nearest

Array = NDArray[Any]
PerAxis = int | Sequence[int]
"""One whole number for all axes of a plane, or one for each."""
Space = tuple[int, ...]
Index = tuple[Any, ...]
Border = Sequence[tuple[int, int]]
"""How much is put (before, after) a plane along each of its axes."""

PADDINGS = {"constant": "constant", "replicate": "edge", "mirror": "reflect"}
"""What stands beyond the edge of `a b c`, by our name and numpy's: `0 0 a b c 0 0`, `a a a b c c c`, `c b a b c b a`.

mirror does not repeat the edge itself (torch and numpy call it reflect). Where the border is wider than the plane it
goes to and fro.
"""


def numbers(values: ArrayLike, name: str) -> Array:
    """Return an array to reckon with: whole numbers as int64, where no pixel overflows, and floats as they are."""
    array = np.asarray(values)
    if array.dtype.kind in "biu":
        return array.astype(np.int64, copy=False)
    if array.dtype.kind != "f":
        raise ValueError(f"{name} is an array of {array.dtype}; must hold whole numbers or floats.")
    return array


def per_axis(value: PerAxis, axes: int, name: str, least: int) -> Space:
    """Return one whole number an axis, each at least `least`. Raises ValueError."""
    try:
        each = tuple(map(operator.index, value if isinstance(value, Iterable) else (value,) * axes))
    except TypeError:
        each = ()
    if len(each) != axes or min(each) < least:
        raise ValueError(f"{name} is {value}; must be a whole number from {least} up, or one for each of {axes} axes.")
    return each


def one_of(value: str, allowed: Iterable[str], name: str) -> str:
    """Return `value` if it is among the names allowed. Raises ValueError with the nearest ones."""
    names = list(allowed)
    if value not in names:
        raise ValueError(f"{name} is {value!r}; allowed are {', '.join(names)}.{nearest(str(value), names)}")
    return value


def same_shape(array: Array, shape: Space, name: str) -> Array:
    """Return `array` if it has this shape. Raises ValueError."""
    if array.shape != tuple(shape):
        raise ValueError(f"{name} is {array.shape}; must be {tuple(shape)} here.")
    return array


def output_size(size: int, window: int, stride: int = 1, padding: int = 0) -> int:
    """Return how many places a window has along an axis: `floor((n + 2p - f) / s) + 1`.

    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), relationship 6. Raises ValueError
    where the window is larger than the axis with its padding, or the stride below 1.
    """
    if stride < 1 or window < 1 or padding < 0:
        raise ValueError(f"window {window}, stride {stride}, padding {padding}; must be at least 1, 1 and 0.")
    if window > size + 2 * padding:
        raise ValueError(
            f"a window of {window} does not fit into {size} with padding {padding} on both sides. "
            f"Take at most {size + 2 * padding}, or pad more."
        )
    return (size + 2 * padding - window) // stride + 1


def transposed_size(size: int, window: int, stride: int = 1, padding: int = 0, output_padding: int = 0) -> int:
    """Return the size after a transposed convolution: `s (n - 1) + f - 2p + a` (the guide's relationship 14)."""
    return stride * (size - 1) + window - 2 * padding + output_padding


def pad(array: Array, border: Border, padding: str = "constant", fill: float = 0) -> Array:
    """Return (..., *space) with a border around each plane, made as `PADDINGS` says; `fill` is the constant."""
    rule: Any = PADDINGS[one_of(padding, PADDINGS, "padding")]
    every = [(0, 0)] * (array.ndim - len(border)) + list(border)
    if rule == "constant":
        return np.pad(array.astype(np.result_type(array, fill), copy=False), every, constant_values=fill)
    return np.pad(array, every, mode=rule)


def windows(array: Array, window: Space, stride: Space) -> Array:
    """Return what a window sees at each of its places, (..., *space) -> (..., *places, *window); nothing is copied."""
    seen = sliding_window_view(array, window, axis=tuple(range(-len(window), 0)))
    kept: Index = (..., *(slice(None, None, step) for step in stride), *(slice(None) for _ in window))
    return seen[kept]


def scatter(seen: Array, space: Space, stride: Space) -> Array:
    """Return (..., *space) from (..., *places, *window): every value added to the place it was seen at.

    The transpose of `windows`: where windows overlap the values add up, what no window saw stays zero.
    """
    axes = len(space)
    places, window = seen.shape[-2 * axes : -axes], seen.shape[-axes:]
    back = np.zeros((*seen.shape[: -2 * axes], *space), seen.dtype)
    for offset in np.ndindex(*window):
        sizes = zip(offset, stride, places, strict=True)
        at: Index = (..., *(slice(first, first + s * (n - 1) + 1, s) for first, s, n in sizes))
        back[at] += seen[(..., *offset)]
    return back


def along_channels(values: Array, axes: int) -> Array:
    """Return one number a channel, (C,), so that it meets axis 1 of an array of `axes` axes."""
    return values.reshape(1, -1, *(1,) * (axes - 2))


def but_channels(array: Array) -> Space:
    """Return all axes but that of the channels, axis 1."""
    return (0, *range(2, array.ndim))


@dataclass(frozen=True)
class Grid:
    """Where the windows of a layer lie: their size, how far apart they are, and how wide a border they reach into."""

    window: Space
    stride: Space
    padding: Space

    def places(self, space: Space) -> Space:
        """Return how many places the window has along each axis of a plane. Raises ValueError where it has none."""
        sizes = zip(space, self.window, self.stride, self.padding, strict=True)
        return tuple(output_size(*each) for each in sizes)

    def gather(self, planes: Array, padding: str = "constant", fill: float = 0) -> Array:
        """Return what each window sees, (..., *space) -> (..., *places, *window)."""
        border = [(amount, amount) for amount in self.padding]
        return windows(pad(planes, border, padding, fill), self.window, self.stride)

    def scatter(self, seen: Array, space: Space) -> Array:
        """Return (..., *space): what stands in the windows added up where they saw it; the border is cut off."""
        padded = tuple(size + 2 * amount for size, amount in zip(space, self.padding, strict=True))
        sizes = zip(space, self.padding, strict=True)
        inside: Index = (..., *(slice(amount, amount + size) for size, amount in sizes))
        return scatter(seen, padded, self.stride)[inside]
