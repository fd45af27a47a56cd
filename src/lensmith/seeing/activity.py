"""What the layers of a network do when it sees pictures: their maps, and how much of them is zero."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lensmith.seeing.evenly import evenly
from lensmith.seeing.eye import Eye
from lensmith.seeing.layers import Layer, as_map, map_shape, tapped

# Operations, by the name torch calls them, that keep what is large and hold back what is small. Modules, functions and
# methods, in place or not, all end in one of these.
ACTIVATIONS = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "hardtanh": "hard tanh",
    "threshold": "threshold",
    "leaky_relu": "leaky ReLU",
    "prelu": "PReLU",
    "rrelu": "random ReLU",
    "elu": "ELU",
    "selu": "SELU",
    "celu": "CELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "hardswish": "hard swish",
    "hardsigmoid": "hard sigmoid",
    "softplus": "softplus",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "clamp_min": "clamp",
}
NEARLY = 0.01


@dataclass(frozen=True)
class Activity:
    """How quiet one activation is. zeros: the share of its numbers that are zero; nearly: within a hundredth of its
    largest in that picture. Both are means over the pictures. `name` is the module whose code it stands in."""

    name: str
    kind: str
    numbers: int
    zeros: float
    nearly: float


@dataclass(frozen=True)
class Maps:
    """Channels of a layer for one picture: maps (k, h, w) float32, and which `channels` they are."""

    layer: Layer
    maps: np.ndarray
    channels: np.ndarray
    of: int

    @property
    def scale(self) -> float:
        """The largest number of these maps, without its sign."""
        return float(np.abs(self.maps).max(initial=0.0))


def sparsity(eye: Eye, batches: Iterable[np.ndarray]) -> list[Activity]:
    """Return how quiet each activation is, in the order they run, for pictures (n, s, s, 3) uint8 in batches.

    They are met when they are called, so functional ones, those in place and shared ones each count for themselves.
    Gates are left out: what has a single place while there are maps after it, as in squeeze and excitation.
    """
    total: list[_Met] = []
    count = 0
    for batch in batches:
        meter = _Meter()
        with torch.no_grad(), meter.following(eye), meter:
            eye(eye.pixels(batch))
        total = [one.plus(new) for one, new in zip(total, meter.found, strict=True)] if total else meter.found
        count += len(batch)
    several = Counter(met.name for met in total)
    calls: Counter[str] = Counter()
    last_map = max((number for number, met in enumerate(total) if met.places > 1), default=-1)
    found = []
    for number, met in enumerate(total):
        calls[met.name] += 1
        shown = f"{met.name}#{calls[met.name]}" if several[met.name] > 1 else met.name
        if met.places > 1 or number > last_map:
            found.append(Activity(shown, met.kind, met.numbers, met.zeros / count, met.nearly / count))
    return found


class _Met(NamedTuple):
    """An activation as it was met: `numbers` a picture at so many `places`, and sums over the pictures of both
    shares."""

    name: str
    kind: str
    numbers: int
    places: int
    zeros: float
    nearly: float

    def plus(self, other: _Met) -> _Met:
        return self._replace(zeros=self.zeros + other.zeros, nearly=self.nearly + other.nearly)


def _kind(operation: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the kind of an activation, "" for other operations. A hard tanh that begins at zero is a ReLU."""
    name = getattr(operation, "__name__", "").rstrip("_")
    if name == "hardtanh":
        given = {
            "min_val": -1.0,
            "max_val": 1.0,
            **dict(zip(("min_val", "max_val"), args[1:3], strict=False)),
            **kwargs,
        }
        low, high = given["min_val"], given["max_val"]
        return f"ReLU{high:g}" if low == 0 else ACTIVATIONS[name]
    return ACTIVATIONS.get(name, "")


class _Meter(TorchFunctionMode):
    """Meets every activation while a network runs."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[_Met] = []
        self._inside: list[str] = []

    @contextmanager
    def following(self, eye: Eye) -> Iterator[None]:
        """Know which module runs while the eye does."""
        with ExitStack() as hooks:
            for name, module in eye.network.named_modules():
                hooks.callback(module.register_forward_pre_hook(self._enterer(name)).remove)
                hooks.callback(module.register_forward_hook(self._left, always_call=True).remove)
            yield

    def _enterer(self, name: str) -> Callable[..., None]:
        return lambda *_: self._inside.append(name)

    def _left(self, *_: Any) -> None:
        self._inside.pop()

    def __torch_function__(
        self,
        operation: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        outcome = operation(*args, **(kwargs or {}))
        kind = _kind(operation, args, kwargs or {})
        if kind and isinstance(outcome, Tensor) and outcome.ndim >= 2:
            sizes = outcome.detach().flatten(1).abs()
            quiet = sizes <= NEARLY * sizes.amax(1, keepdim=True)
            zeros, nearly = ((test.float().mean(1)).sum().item() for test in (sizes == 0, quiet))
            name = self._inside[-1] if self._inside else ""
            self.found.append(_Met(name, kind, sizes.shape[1], sizes.shape[1] // outcome.shape[1], zeros, nearly))
        return outcome


def over_depth(there: Sequence[Layer], most: int) -> list[Layer]:
    """Return at most `most` layers that give maps, from the first to the last: of each size of map the last one, an
    activation where there is one; where the sizes are fewer, others between them."""
    maps = [layer for layer in there if layer.is_map and layer.kind != "Dropout"]
    active = [layer for layer in maps if layer.is_activation]
    sizes, active_sizes = ({map_shape(layer.shape): layer for layer in some} for some in (maps, active))
    if len(active_sizes) >= min(3, len(sizes)):
        maps, sizes = active, active_sizes
    ends = list(sizes.values())
    if len(ends) < most:
        others = [layer for layer in maps if layer not in ends]
        ends += [others[place] for place in evenly(len(others), most - len(ends))]
    elif len(ends) > most:
        ends = [ends[place] for place in evenly(len(ends), most)]
    return sorted(set(ends), key=list(there).index)


def maps_of(eye: Eye, square: np.ndarray, chosen: Sequence[Layer], most: int, wanted: Sequence[int] = ()) -> list[Maps]:
    """Return maps of the layers for one picture (s, s, 3) uint8: of the `wanted` channels, or else of the `most`
    that vary most over the picture, the first first."""
    with torch.no_grad(), ExitStack() as stack:
        taps = [stack.enter_context(tapped(eye, layer)) for layer in chosen]
        eye(eye.pixels(square[None]))
        values = [as_map(tap.value)[0].float().cpu().numpy() for tap in taps]
    found = []
    for layer, value in zip(chosen, values, strict=True):
        liveliest = np.argsort(-value.std((1, 2)), kind="stable")[:most]
        order = np.array(wanted) if wanted else liveliest
        found.append(Maps(layer, value[order], order, len(value)))
    return found
