"""Cutting a network into a base and the part that makes its published classes.

A network is a chain of blocks joined at cuts: places where exactly one tensor crosses. Sizes and parameters that
are needed on the other side do not count. What lies before a cut is a base for other work; before the default
cut, it is all of the network but its pooling and its class scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from lensmith.errors import UsageError, nearest
from lensmith.zoo.arithmetic import totals
from lensmith.zoo.chain import Place, as_found, blank, making_on, weightless
from lensmith.zoo.record import Untraceable
from lensmith.zoo.trace import Traced
from lensmith.zoo.watch import Watched


@dataclass(frozen=True)
class Cut:
    """A place where a network can be cut.

    `name` is the shallowest module that ends there, `also` has its other names. `shape` is what the base gives
    for one picture: (C, h, w) for a map, (T, C) or (C, T) for tokens, (C,) for features. `channels_last`: the
    network itself holds the map as (h, w, C), and the base turns it. `after_classes`: the tensor holds class scores.
    """

    name: str
    shape: tuple[int, ...]
    is_map: bool
    also: tuple[str, ...] = ()
    channels_last: bool = False
    after_classes: bool = False


def cuts(network: nn.Module, image_size: int) -> tuple[Cut, ...]:
    """Return the places where a network can be cut, from picture to answer, with shapes for `image_size` pixels.

    Raises UsageError if the network cannot take pictures of this size.
    """
    return tuple(_cut(place) for place in _seen(network, image_size).places)


def default_cut(network: nn.Module, image_size: int) -> Cut:
    """Return the cut a base is made at unless told otherwise.

    The last map larger than 1x1 before the layer that makes the classes. Where the network goes on with tokens
    (transformers), the vector that enters that layer; where two class layers read different tokens, the tokens. A
    network may say otherwise by an attribute `base_ends`, the name of a cut. Raises UsageError if there is no such
    place.
    """
    return _cut(_default(network, _seen(network, image_size).places))


def base(network: nn.Module, cut_name: str | None, image_size: int) -> tuple[nn.Module, Cut]:
    """Return the network up to a cut, and the cut: (N, 3, s, s) float -> (N, C, h, w), (N, T, C) or (N, C).

    The base shares the network's tensors; its state has only those it needs, under their original names. None is the
    default cut. Raises UsageError for an unknown cut (naming the nearest) or an impossible image size.
    """
    found, cut, _ = base_with_sides(network, cut_name, (), image_size)
    return found, cut


def base_with_sides(
    network: nn.Module, cut_name: str | None, sides: Sequence[str], image_size: int
) -> tuple[nn.Module, Cut, tuple[Cut, ...]]:
    """Return what `base` does, and those of the cuts called `sides` that come before it.

    If there are some, the base gives a tuple: the tensor at the cut, then those at `sides`. There are none where the
    network's code cannot be recorded.
    """
    seen = _seen(network, image_size)
    place = _default(network, seen.places) if cut_name is None else _named(network, seen.places, cut_name)
    cut = _cut(place)
    if not isinstance(seen, Traced):
        return seen.base(place, channels_last=cut.channels_last), cut, ()
    before = seen.places[: seen.places.index(place)]
    also = [other for other in before if not set(sides).isdisjoint(other.names)]
    return seen.base(place, channels_last=cut.channels_last, also=also), cut, tuple(_cut(other) for other in also)


def top(network: nn.Module, start: str, end: str, image_size: int) -> nn.Module | None:
    """Return what lies between two cuts: (N, C, h, w) as the base up to `start` gives it -> what the base up to `end`
    gives. It shares the network's tensors and their names.

    None where the network's code cannot be recorded, or its upper part needs more than the one map at `start`.
    """
    seen = _seen(network, image_size)
    first, last = (_named(network, seen.places, name) for name in (start, end))
    turned = _cut(first).channels_last, _cut(last).channels_last
    return seen.top(first, last, turned=turned) if isinstance(seen, Traced) and _cut(first).is_map else None


def _seen(network: nn.Module, image_size: int) -> Traced | Watched:
    """Return the network with its places: by its graph, or watched where its code cannot be recorded."""
    twin = _twin(network, image_size)
    try:
        return Traced(network, twin, image_size)
    except Untraceable:
        return Watched(network, twin, image_size)


def _twin(network: nn.Module, image_size: int) -> nn.Module:
    """Return what shapes are found with: the weightless copy, or the network where its code needs real numbers.

    Raises UsageError if neither runs on pictures of this size.
    """
    try:
        twin = weightless(network)
        _run(twin, image_size)
    except Exception:
        twin = network
    else:
        return twin
    try:
        _run(network, image_size)
    except Exception as error:
        raise _impossible(network, image_size, error) from error
    return network


def _run(network: nn.Module, image_size: int) -> None:
    pictures = blank(network, image_size)
    with torch.no_grad(), as_found(network), making_on(pictures.device):
        network(pictures)


def _impossible(network: nn.Module, image_size: int, error: Exception) -> UsageError:
    """Return the error for an image size: the layer that stops the pictures, and the nearest size that works."""
    try:
        totals(network, image_size)
    except UsageError as told:
        return told
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    return UsageError(f"image_size is {image_size}; the network cannot take it ({said}). Try another.")


def _cut(place: Place) -> Cut:
    """Return a place as the user sees it."""
    name, *also = place.names
    shape = place.shape[1:]
    channels_last = len(shape) == 3 and shape[0] == shape[1] != shape[2]
    return Cut(
        name=name,
        shape=(shape[2], *shape[:2]) if channels_last else shape,
        is_map=len(shape) == 3 and (channels_last or shape[1] == shape[2]),
        also=tuple(also),
        channels_last=channels_last,
        after_classes=place.after_classes,
    )


def _default(network: nn.Module, places: tuple[Place, ...]) -> Place:
    told = getattr(network, "base_ends", None)
    if isinstance(told, str):
        return _named(network, places, told)
    before = [place for place in places if not place.after_classes]
    maps = [number for number, place in enumerate(before) if _is_large_map(place) and not place.passed_on]
    if maps and not _works_on_tokens(before[maps[-1] + 1 :]):
        return before[maps[-1]]
    if not before:
        raise UsageError(
            "the network cannot be cut before its classes: there is no place where exactly one tensor crosses. "
            "Choose another network; `lensmith networks` lists them."
        )
    return before[-1]


def _is_large_map(place: Place) -> bool:
    cut = _cut(place)
    return cut.is_map and cut.shape[1:] > (1, 1)


def _works_on_tokens(places: list[Place]) -> bool:
    """Return whether layers with weights come before or between tokens (N, T, C) in a stretch of a network."""
    tokens = [number for number, place in enumerate(places) if len(place.shape) == 3]
    return bool(tokens) and any(place.weighted for place in places[: tokens[-1] + 1])


def _named(network: nn.Module, places: tuple[Place, ...], name: str) -> Place:
    """Return the place with a name. Raises UsageError with the nearest names, and why a module is not among them."""
    for place in places:
        if name in place.names:
            return place
    if name in dict(network.named_modules()):
        seen = f"{name!r} is part of the network, but not a place where exactly one tensor crosses"
    else:
        seen = f"there is no cut {name!r}"
    known = [known for place in places for known in place.names]
    last = f" The last are {', '.join(place.names[0] for place in places[-4:])}." if places else ""
    raise UsageError(f"{seen}.{nearest(name, known) or last}")
