"""The receptive field of a network measured instead of calculated: which pixels the middle of a map depends on.

The gradient of a number in the middle of a map is not zero at just the pixels that the number is made from, provided
that nothing cancels or hides: so all weights become positive, the largest of a window becomes its mean, and
normalisation passes on what it is given (after Luo, Li, Urtasun and Zemel 2016, "Understanding the Effective Receptive
Field in Deep Convolutional Neural Networks", section 2).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from lensmith.zoo.chain import as_found

NORMALISATIONS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "local_response_norm", "rms_norm")


def measured_field(network: nn.Module, shape: Sequence[int], layer: str = "") -> tuple[int, ...]:
    """Return how many pixels of each axis the middle of a map depends on, measured by gradient.

    `shape` is that of a picture (channels, *sides), which should be larger than the field; `layer` the module whose
    output is looked at, the network itself if empty. Of two neighbours in the middle the larger field counts, since
    they differ where maps are enlarged. Every number of what is not a map (N, C, *sides) is taken together.
    """
    plain = copy.deepcopy(network).double()
    for weight in plain.parameters():
        # Means of what goes in: nothing overflows, however deep the network is.
        weight.data.fill_(1 / prod(weight.shape[1:]) if weight.ndim > 1 else 0.0)
        weight.requires_grad_(False)
    seen: list[Tensor] = []
    part = plain.get_submodule(layer) if layer else plain
    hook = part.register_forward_hook(lambda module, inputs, output: seen.append(output))
    picture = torch.ones(1, *shape, dtype=torch.float64, requires_grad=True)
    with as_found(plain), _Smooth():
        plain(picture)
    hook.remove()
    sizes = [_extent(picture, number) for number in _in_the_middle(seen[0], len(shape) + 1)]
    return tuple(max(some) for some in zip(*sizes, strict=True))


def _in_the_middle(made: Tensor, axes: int) -> list[Tensor]:
    """Return two neighbours in the middle of a map (the same one, if it is the only one), channels added up."""
    if made.ndim != axes:
        return [made.sum()]
    middles = [[max(0, side // 2 - back) for side in made.shape[2:]] for back in (0, 1)]
    return [made[0].flatten(1).sum(0).view(made.shape[2:])[tuple(middle)] for middle in middles]


def _extent(picture: Tensor, number: Tensor) -> tuple[int, ...]:
    (gradient,) = torch.autograd.grad(number, picture, retain_graph=True)
    places = gradient[0].abs().sum(0).nonzero()
    return tuple((places.amax(0) - places.amin(0) + 1).tolist()) if len(places) else (0,) * (picture.ndim - 2)


class _Smooth(TorchFunctionMode):
    """Replaces what hides pixels: pooling by its mean, and normalisation by nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch, or what takes its place."""
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name in NORMALISATIONS:
            return args[0]
        if name.startswith("adaptive_max_pool"):
            return getattr(functional, name.replace("max", "avg"))(*args[:2])
        if name in ("max_pool1d", "max_pool2d", "max_pool3d"):
            return _averaged(name, *args, **kwargs)
        return func(*args, **kwargs)


def _averaged(
    name: str,
    maps: Tensor,
    size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """Return the mean of each window in place of its largest number."""
    if dilation not in (1, (1, 1), (1, 1, 1)) or return_indices:
        raise ValueError("pooling with gaps, or whose places are kept, cannot be replaced by a mean")
    averaged: Tensor = getattr(functional, name.replace("max", "avg"))(maps, size, stride, padding, ceil_mode)
    return averaged
