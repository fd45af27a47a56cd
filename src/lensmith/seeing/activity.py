"""What the layers of a network do when it sees pictures: their maps, and how much of them is zero."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

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
    """
    total: list[tuple[str, str, int, float, float]] = []
    count = 0
    for batch in batches:
        meter = _Meter()
        with torch.no_grad(), meter.following(eye), meter:
            eye(eye.pixels(batch))
        before = total or [(*found[:3], 0.0, 0.0) for found in meter.found]
        total = [
            (name, kind, numbers, zeros + new[3], nearly + new[4])
            for (name, kind, numbers, zeros, nearly), new in zip(before, meter.found, strict=True)
        ]
        count += len(batch)
    several = Counter(name for name, *_ in total)
    calls: Counter[str] = Counter()
    found = []
    for name, kind, numbers, zeros, nearly in total:
        calls[name] += 1
        shown = f"{name}#{calls[name]}" if several[name] > 1 else name
        found.append(Activity(shown, kind, numbers, zeros / count, nearly / count))
    return found


class _Meter(TorchFunctionMode):
    """Meets every activation: its name, kind, numbers a picture, and sums over the pictures of both shares."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, int, float, float]] = []
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
        kind = ACTIVATIONS.get(getattr(operation, "__name__", "").rstrip("_"), "")
        # The gates of a recurrent layer or of squeeze and excitation are single numbers: no map, and no picture.
        if kind and isinstance(outcome, Tensor) and outcome.ndim >= 2:
            sizes = outcome.detach().flatten(1).abs()
            quiet = sizes <= NEARLY * sizes.amax(1, keepdim=True)
            zeros, nearly = ((test.float().mean(1)).sum().item() for test in (sizes == 0, quiet))
            name = self._inside[-1] if self._inside else ""
            self.found.append((name, kind, sizes.shape[1], zeros, nearly))
        return outcome


def spread(there: Sequence[Layer], most: int) -> list[Layer]:
    """Return at most `most` layers that give maps, from the first to the last: of each size of map the last one, an
    activation where there is one; where the sizes are fewer, others between them."""
    maps = [layer for layer in there if layer.is_map and layer.kind != "Dropout"]
    active = [layer for layer in maps if _is_active(layer)]
    sizes, active_sizes = ({map_shape(layer.shape): layer for layer in some} for some in (maps, active))
    if len(active_sizes) >= min(3, len(sizes)):
        maps, sizes = active, active_sizes
    ends = list(sizes.values())
    if len(ends) < most:
        others = [layer for layer in maps if layer not in ends]
        wanted = min(most - len(ends), len(others))
        ends += [others[round(place)] for place in np.linspace(0, len(others) - 1, wanted)] if wanted else []
    elif len(ends) > most:
        ends = [ends[round(place)] for place in np.linspace(0, len(ends) - 1, most)]
    return sorted(set(ends), key=list(there).index)


def _is_active(layer: Layer) -> bool:
    kind = layer.kind.lower()
    return any(kind.startswith(word) for word in ("relu", "hard", "leaky", "elu", "gelu", "silu", "mish", "prelu"))


def given_to(there: Sequence[Layer], layer: Layer) -> Layer | None:
    """Return the layer whose values an activation was given, where that is the one before it."""
    place = list(there).index(layer)
    before = there[place - 1] if place else None
    return before if before is not None and _is_active(layer) and before.shape == layer.shape else None


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
