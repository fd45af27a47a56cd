"""The layers of a running network: what each gave, and what it gave replaced by something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lensmith.errors import UsageError, nearest
from lensmith.seeing.eye import Eye

HOLDING_BACK = (
    "relu",
    "hard",
    "leaky",
    "elu",
    "celu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "prelu",
    "rrelu",
    "softplus",
)  # how names of their classes begin


@dataclass(frozen=True)
class Layer:
    """One call of a module that gave one tensor: its name (`relu#2` for the second call of a shared one), the class of
    the module, and the shape for one picture: (C, h, w), (h, w, C), (T, C) or (F,)."""

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def is_map(self) -> bool:
        """Whether it gives a map of more than one place."""
        return map_shape(self.shape) is not None

    @property
    def channels(self) -> int:
        """How many channels it has."""
        return self.shape[0] if len(self.shape) == 3 and not _channels_last(self.shape) else self.shape[-1]

    @property
    def is_activation(self) -> bool:
        """Whether it is a module that holds back what is small or below zero."""
        return self.kind.lower().startswith(HOLDING_BACK)


@dataclass
class Tap:
    """What a layer gave in the last run: `value` is the tensor itself, from which a gradient can be taken."""

    layer: Layer
    value: Tensor = field(default_factory=lambda: torch.empty(0))


def layers(network: nn.Module, images: Tensor) -> tuple[Layer, ...]:
    """Return what ran, in the order in which it ended; of modules that gave the same tensor the innermost alone."""
    found: list[Layer] = []
    calls: dict[str, int] = {}
    given: set[tuple[int, int]] = set()
    kept: list[Tensor] = []  # so that no address is used twice

    def seen(name: str, module: nn.Module, outcome: Any) -> None:
        calls[name] = calls.get(name, 0) + 1
        if not isinstance(outcome, Tensor) or outcome.ndim < 2 or len(outcome) != len(images):
            return
        content = id(outcome), outcome._version  # an activation in place gives the same tensor with another content
        if content not in given:
            given.add(content)
            kept.append(outcome)
            found.append(Layer(f"{name}#{calls[name]}", type(module).__name__, tuple(outcome.shape[1:])))

    with torch.no_grad(), _hooked(network, seen):
        network(images)
    several = {name for name, count in calls.items() if count > 1}
    return tuple(
        layer
        if layer.name.rpartition("#")[0] in several
        else Layer(layer.name.rpartition("#")[0], layer.kind, layer.shape)
        for layer in found
    )


def layers_of(eye: Eye, side: int) -> tuple[Layer, ...]:
    """Return the layers of a network for pictures of `side` pixels."""
    return layers(eye, eye.pixels(np.zeros((1, side, side, 3), np.uint8)))


def named(there: tuple[Layer, ...], name: str) -> Layer:
    """Return the layer of a name; of a shared module's calls the last. Raises UsageError with the nearest names."""
    found = [layer for layer in there if name in (layer.name, layer.name.rpartition("#")[0])]
    if found:
        return found[-1]
    names = [layer.name for layer in there]
    inside = [layer for layer in there if layer.name.startswith(f"{name}.")]  # a block is its last layer
    if inside:
        return inside[-1]
    near = nearest(name, names) or f" Its last are {', '.join(names[-4:])}."
    raise UsageError(f"there is no layer {name!r}.{near} `lensmith inspect` lists them all.")


def last_map(there: tuple[Layer, ...]) -> Layer:
    """Return the last layer that gives a map of more than one place. Raises UsageError where there is none."""
    maps = [layer for layer in there if layer.is_map]
    if not maps:
        raise UsageError(
            "the network has no layer that gives a map, so there is nothing to draw over the picture from inside it. "
            "Methods that need no map remain: occlusion, saliency, integrated, smoothgrad, deconvnet."
        )
    return maps[-1]


@contextmanager
def tapped(network: nn.Module, layer: Layer, change: Callable[[Tensor], Tensor] | None = None) -> Iterator[Tap]:
    """Keep what a layer gives while the network runs; with `change`, let the network go on with that instead.

    What is kept is never written over: an activation in place works on a copy of it.
    """
    tap, calls = Tap(layer), 0
    name, _, call = layer.name.partition("#")

    def seen(place: str, module: nn.Module, outcome: Any) -> Tensor | None:
        nonlocal calls
        if place != name:
            return None
        calls += 1
        if call and calls != int(call):
            return None
        tap.value = outcome if change is None else change(outcome)
        return tap.value.clone()

    def begun() -> None:
        nonlocal calls
        calls = 0

    with _hooked(network, seen, only=name):
        handle = network.register_forward_pre_hook(lambda *_: begun())
        try:
            yield tap
        finally:
            handle.remove()


def map_shape(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return the sides (h, w) of the map that a layer gives for one picture, None if it is none, or a single place.

    Tokens (T, C) are a map where they, or all but the first few of them, fill a square.
    """
    if len(shape) == 3:
        sides = shape[:2] if _channels_last(shape) else shape[1:]
        return (sides[0], sides[1]) if sides[0] * sides[1] > 1 else None
    if len(shape) == 2:
        side = int(shape[0] ** 0.5)
        return (side, side) if side > 1 and shape[0] - side * side <= SPARE and shape[1] > SPARE else None
    return None


SPARE = 5  # tokens for the class and registers, before those of the picture


def as_map(value: Tensor) -> Tensor:
    """Return what a layer gave as (N, C, h, w): (N, h, w, C) turned, tokens (N, T, C) laid out, a row of numbers
    (N, F) as maps of a single place."""
    if value.ndim == 2:
        return value[:, :, None, None]
    if value.ndim == 4:
        return value.permute(0, 3, 1, 2) if _channels_last(tuple(value.shape[1:])) else value
    sides = map_shape(tuple(value.shape[1:]))
    assert sides is not None
    tokens = value[:, value.shape[1] - sides[0] * sides[1] :].transpose(1, 2)
    return tokens.reshape(*tokens.shape[:2], *sides)


def _channels_last(shape: tuple[int, ...]) -> bool:
    return shape[0] == shape[1] != shape[2]


@contextmanager
def _hooked(
    network: nn.Module, seen: Callable[[str, nn.Module, Any], Tensor | None], only: str | None = None
) -> Iterator[None]:
    """Call seen(name, module, outcome) after each module, or the one called `only`; what it returns is taken on."""

    def hook(name: str) -> Callable[..., Any]:
        return lambda module, _, outcome: seen(name, module, outcome)

    with ExitStack() as hooks:
        for name, module in (network.network if isinstance(network, Eye) else network).named_modules():
            if name and only in (None, name):
                hooks.callback(module.register_forward_hook(hook(name)).remove)
        yield
