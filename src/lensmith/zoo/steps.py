"""One operation of torch as it ran: what went in, which window it moved, how many multiply-adds it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from lensmith.zoo.sight import Blind, Shape, Sights

CONVOLUTIONS = ("convolution", "_convolution", "convolution_overrideable", "cudnn_convolution", "mkldnn_convolution")
POOLS = {
    "max_pool2d_with_indices": "max",
    "max_pool3d_with_indices": "max",
    "avg_pool2d": "mean",
    "avg_pool3d": "mean",
}
# Each with the names of its two factors: the rows of the first are multiplied with the columns of the second.
PRODUCTS = {
    "mm": ("self", "mat2"),
    "addmm": ("mat1", "mat2"),
    "bmm": ("self", "mat2"),
    "baddbmm": ("batch1", "batch2"),
    "mv": ("self", "vec"),
    "addmv": ("mat", "vec"),
    "dot": ("self", "tensor"),
    "linear": ("input", "weight"),
}
ATTENTION = "scaled_dot_product"


@dataclass(frozen=True)
class Step:
    """One operation: its name without the mark of in-place forms, its arguments by name, the shape of its result.

    `seen`: what the tensors among the arguments that come from the picture see, by id. `picture`: the sides of the
    picture. `pointwise`: whether it works number by number.
    """

    name: str
    values: Mapping[str, Any]
    seen: Mapping[int, Sights]
    output: Shape
    picture: Shape
    pointwise: bool = False

    @property
    def first(self) -> Tensor:
        """The first argument that is a tensor, or of the first that is a list of them."""
        return tensors(self.values.values())[0]

    @property
    def sights(self) -> Sights:
        """What the first argument sees. Raises Blind if it does not come from the picture."""
        return self.of(self.first)

    def of(self, tensor: Tensor) -> Sights:
        """Return what a tensor sees. Raises Blind if it does not come from the picture."""
        try:
            return self.seen[id(tensor)]
        except KeyError:
            raise Blind("the picture in the place of weights") from None

    def carriers(self) -> list[Tensor]:
        """Return the arguments that come from the picture, in order."""
        return [tensor for tensor in tensors(self.values.values()) if id(tensor) in self.seen]


@dataclass(frozen=True)
class Window:
    """The window of a convolution or of pooling, a number an axis: positions it spans, how far it moves, padding.

    `kind`: conv, up-conv (transposed), max or mean. `ceil`: an incomplete last window counts. `extra`: the rows that a
    transposed convolution adds at the end.
    """

    kind: str
    size: Shape
    step: Shape
    before: Shape
    dilation: Shape
    groups: int = 1
    ceil: bool = False
    extra: Shape = ()


def tensors(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors among arguments, and in lists of them."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found.extend(item for item in value if isinstance(item, Tensor))
    return found


def named(function: Any, given: tuple[Any, ...], by_name: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an operation by the names of its schema, those left out at their defaults."""
    expected = function._schema.arguments
    values = {one.name: one.default_value if one.has_default_value() else None for one in expected}
    return values | {one.name: value for one, value in zip(expected, given, strict=False)} | dict(by_name)


def is_pointwise(function: Any) -> bool:
    """Return whether torch marks an operation as working number by number; in-place ones are, but a few."""
    return torch.Tag.pointwise in function.tags or function.overloadpacket.__name__.endswith("_")


def window_of(step: Step) -> Window | None:
    """Return the window of a convolution or of pooling, None for other operations."""
    values = step.values
    if step.name in CONVOLUTIONS:
        size = tuple(values["weight"].shape[2:])
        stride, padding, dilation, extra = (
            each(values[name], len(size)) for name in ("stride", "padding", "dilation", "output_padding")
        )
        kind = "up-conv" if values["transposed"] else "conv"
        return Window(kind, size, stride, padding, dilation, values["groups"], extra=extra)
    if step.name in POOLS:
        size = each(values["kernel_size"], 3 if "3d" in step.name else 2)
        stride, padding = each(values["stride"] or size, len(size)), each(values["padding"], len(size))
        dilation = each(values.get("dilation", 1), len(size))
        return Window(POOLS[step.name], size, stride, padding, dilation, ceil=bool(values["ceil_mode"]))
    return None


def products(step: Step) -> tuple[tuple[Shape, Shape], ...]:
    """Return the multiply-adds of an operation as terms: numbers made, and multiply-adds for each, both as factors.

    Counted are convolutions, dense layers and matrix products, attention's among them; biases, normalisation, pooling
    and activations are not. A transposed convolution is counted from its inputs, each of which is multiplied with all
    weights of its channel.
    """
    if step.name in CONVOLUTIONS:
        weight = tuple(step.values["weight"].shape)
        shape = tuple(step.values["input"].shape) if step.values["transposed"] else step.output
        return (((*shape[2:], shape[1]), (*weight[2:], weight[1])),)
    if step.name in PRODUCTS:
        contracted = step.values[PRODUCTS[step.name][0]].shape[-1]
        return ((tuple(side for side in step.output if side != 1) or (1,), (contracted,)),)
    if ATTENTION in step.name:
        query, key, value = (tuple(step.values[name].shape) for name in ("query", "key", "value"))
        pairs = (prod(query[:-2]), query[-2])
        return (((*pairs, key[-2]), (query[-1],)), ((*pairs, value[-1]), (key[-2],)))
    return ()


def count(terms: Iterable[tuple[Shape, Shape]]) -> int:
    """Return the multiply-adds of all terms."""
    return sum(prod(made) * prod(each) for made, each in terms)


def each(value: int | Iterable[int], axes: int) -> Shape:
    """Return a number for each axis; a single one is for all."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * axes if len(numbers) == 1 else numbers
