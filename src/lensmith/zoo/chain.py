"""Where a network can be cut: the tensors that everything on the way from picture to answer passes through.

What the two ways of looking at a network (`trace`, `watch`) share: graph arithmetic, and running a network without
leaving marks on it.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

# An odd number of pictures, so that the batch axis is not taken for one of the sizes networks like.
BATCH = 3
PASSING = (nn.modules.dropout._DropoutNd, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)

Made = TypeVar("Made", bound=Hashable)


@dataclass(frozen=True)
class Place:
    """One place where exactly one tensor crosses.

    `names`: the modules that end there, the shallowest first. `shape`: the tensor's, the batch axis included.
    `weighted`: whether weights were used between the place before and this one. `passed_on`: whether the tensor was
    made by only passing on or resampling (dropout, adaptive pooling). `after_classes`: whether it was made by the
    layer that makes the classes, or behind it.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    weighted: bool = False
    passed_on: bool = False
    after_classes: bool = False


@dataclass(frozen=True)
class Flow(Generic[Made]):
    """The tensors that come from the pictures, in topological order, from the pictures to the answer.

    `made_from`: each with the ones it is made from. `weighted`: those made with weights. `class_makers`: those
    made by a layer that could make the classes.
    """

    made_from: Mapping[Made, Sequence[Made]]
    weighted: Set[Made]
    class_makers: Set[Made]

    def places(self, describe: Callable[[Made], Place | None]) -> dict[Place, Made]:
        """Return the places on every way, except those that `describe` gives no names and shape for."""
        order = list(self.made_from)
        kept = reached(order[-1], self.made_from.__getitem__)
        number = {item: place for place, item in enumerate(item for item in order if item in kept)}
        weighted = sorted(number[item] for item in self.weighted if item in kept)
        joints = list(chain(self.made_from))
        classes = self._classes(joints, number, weighted)
        found: dict[Place, Made] = {}
        before = 0
        for item in joints:
            place = describe(item)
            if place is None:
                continue
            here = number[item]
            used = bisect_right(weighted, here) > bisect_right(weighted, before)
            found[replace(place, weighted=used, after_classes=here >= classes)] = item
            before = here
        return found

    def _classes(self, joints: Sequence[Made], number: Mapping[Made, int], weighted: Sequence[int]) -> int:
        """Return the number of the first place behind the layers that make the classes.

        They are the last ones with weights, and no way to the answer leads around them; otherwise the network makes no
        classes, it is a base as it is, and the number is out of reach.
        """
        if not weighted:
            return len(number)
        before = [item for item in joints if number[item] < weighted[-1]][-1:]
        behind = next(item for item in joints if number[item] >= weighted[-1])
        around = reached(behind, lambda item: () if item in self.class_makers else self.made_from[item])
        return len(number) if around.intersection(before) else number[behind]


def chain(made_from: Mapping[Made, Sequence[Made]]) -> Iterator[Made]:
    """Yield the items through which every way from the first to the last leads, in order.

    `made_from` is in topological order. An item is on every way if it leads to the last one, and nothing made
    before it is still needed after it. Time is linear in the number of edges.
    """
    order = list(made_from)
    leads_on = reached(order[-1], made_from.__getitem__)
    kept = [item for item in order if item in leads_on]
    last_need = {source: place for place, item in enumerate(kept) for source in made_from[item]}
    furthest = 0
    for place, item in enumerate(kept):
        if furthest <= place:
            yield item
        furthest = max(furthest, last_need.get(item, place))


def reached(item: Made, made_from: Callable[[Made], Sequence[Made]]) -> set[Made]:
    """Return an item and everything it is made from, at any distance."""
    found, open_ends = {item}, [item]
    while open_ends:
        fresh = [source for source in made_from(open_ends.pop()) if source not in found]
        found.update(fresh)
        open_ends.extend(fresh)
    return found


def could_make_classes(layer: nn.Module, answer: Sequence[int] | None) -> bool:
    """Return whether `layer` is a dense layer or 1x1 convolution with as many outputs as the answer (N, classes)."""
    if answer is None or len(answer) != 2:
        return False
    if isinstance(layer, nn.Conv2d):
        return layer.out_channels == answer[1] and layer.kernel_size == (1, 1)
    return isinstance(layer, nn.Linear) and layer.out_features == answer[1]


@contextmanager
def as_found(network: nn.Module, *, training: bool = False) -> Iterator[None]:
    """Set the mode of every module, and put back afterwards whatever running the network changed in its attributes.

    The modes are set directly: a `train` method of the network's own may do more than that.
    """
    before = [(vars(part), dict(vars(part))) for part in network.modules()]
    try:
        for part in network.modules():
            part.training = training
        yield
    finally:
        for now, then in before:
            now.clear()
            now.update(then)


def weightless(network: nn.Module) -> nn.Module:
    """Return a copy on torch's meta device, shapes without numbers, that takes no memory.

    Raises whatever copying raises where a network cannot be copied.
    """
    tensors = tensors_of(network)
    return copy.deepcopy(network, {id(tensor): _without_numbers(tensor) for tensor in tensors})


def shallowest_first(paths: Iterable[str]) -> tuple[str, ...]:
    """Return module paths with the fewest dots first."""
    return tuple(sorted(paths, key=lambda path: path.count(".")))


def tensors_of(network: nn.Module) -> list[Tensor]:
    """Return the parameters, the buffers, and the tensors that are plain attributes."""
    plain = [value for part in network.modules() for value in vars(part).values() if isinstance(value, Tensor)]
    return [*network.parameters(), *network.buffers(), *plain]


def _without_numbers(tensor: Tensor) -> Tensor:
    bare = tensor.detach().to("meta")
    return nn.Parameter(bare, requires_grad=False) if isinstance(tensor, nn.Parameter) else bare


def blank(network: nn.Module, image_size: int) -> Tensor:
    """Return a batch of blank pictures (BATCH, 3, s, s) on the network's device."""
    return torch.zeros(BATCH, 3, image_size, image_size, device=device_of(network))


def device_of(network: nn.Module) -> torch.device:
    """Return the device of the network's first tensor, the CPU if it has none."""
    return next((tensor.device for tensor in tensors_of(network)), torch.device("cpu"))


@contextmanager
def making_on(device: torch.device) -> Iterator[None]:
    """Let tensors that a network makes for itself be without numbers too where the network is."""
    if device.type != "meta":
        yield
        return
    with torch.device("meta"):
        yield
