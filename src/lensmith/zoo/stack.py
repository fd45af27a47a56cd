"""Networks made up on the spot: `stack:28x28x192/conv1-16/conv5-32` is two convolutions over maps of 28 x 28 x 192."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import NoReturn

import torch
from torch import Tensor, nn

from lensmith.errors import UsageError, nearest
from lensmith.zoo.sight import Shape
from lensmith.zoo.steps import each

MARK = "stack:"
MOST_LAYERS = 200
GRAMMAR = (
    "Write stack:SIDESxCHANNELS/LAYER/LAYER, for example stack:28x28x192/conv1-16/conv5-32. Layers are convK-N, upK-N, "
    "poolK, meanK, mean, norm and denseN; behind the first four may stand -s2 (stride), -p0 (padding), behind conv and "
    "up -d2 (dilation) and -g4 (groups) too."
)
SIDES, NUMBER = r"(?P<size>\d{1,5}(x\d{1,5}){0,2})", r"(?P<number>\d{1,5})"
LAYERS = {
    "conv": rf"conv{SIDES}-{NUMBER}(?P<options>(-[spdg]\d{{1,5}})*)",
    "up": rf"up{SIDES}-{NUMBER}(?P<options>(-[spdg]\d{{1,5}})*)",
    "pool": rf"pool{SIDES}(?P<options>(-[sp]\d{{1,5}})*)",
    "mean": rf"mean({SIDES}(?P<options>(-[sp]\d{{1,5}})*))?",
    "norm": "norm",
    "dense": rf"dense{NUMBER}",
}


class Dense(nn.Linear):
    """A dense layer that reads whatever it is given as one row of numbers."""

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, outputs) of (N, ...)."""
        return super().forward(input.flatten(1))


def is_stack(text: str) -> bool:
    """Return whether a name is a made-up stack of layers."""
    return text.startswith(MARK)


def stack(text: str) -> tuple[nn.Module, Shape]:
    """Return the layers of `stack:...` as a weightless network, and the shape (channels, *sides) of what it takes.

    Convolutions have a bias, and keep the size of a map unless told otherwise; pooling moves by its own size. Raises
    UsageError with the grammar.
    """
    given, *words = text.removeprefix(MARK).strip().split("/")
    if not re.fullmatch(r"[1-9]\d{0,4}(x[1-9]\d{0,4}){0,3}", given):
        _refuse(text, f"it begins with {given!r}")
    if not 0 < len(words) <= MOST_LAYERS:
        _refuse(text, f"it has {len(words)} layers")
    *sides, channels = (int(side) for side in given.split("x"))
    shape = (channels, *sides)
    with torch.device("meta"):
        return nn.Sequential(OrderedDict(_built(text, words, shape))), shape


def _built(text: str, words: list[str], shape: Shape) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers by name, each made for what the one before it gives."""
    values, seen = torch.zeros(1, *shape), Counter[str]()
    for word in words:
        seen[word] += 1
        name = word if seen[word] == 1 else f"{word} ({seen[word]})"
        sides = " x ".join(map(str, values.shape[2:])) or "no sides"
        try:
            layer = _layer(text, word, tuple(values.shape[1:])).eval()
            with torch.no_grad():
                values = layer(values)
        except (RuntimeError, ValueError, ZeroDivisionError) as error:
            said = str(error).partition("\n")[0].rstrip(".")
            raise UsageError(f"layer {name} of {text} does not fit a map of {sides} ({said}).") from error
        if not values.numel():
            raise UsageError(
                f"layer {name} of {text} would shrink a map of {sides} to nothing. Begin with larger sides."
            )
        yield name, layer


def _layer(text: str, word: str, shape: Shape) -> nn.Module:
    kind, found = next(
        ((kind, found) for kind, pattern in LAYERS.items() if (found := re.fullmatch(pattern, word))), ("", None)
    )
    if found is None:
        begun = re.match(r"[a-z]*", word)
        _refuse(text, f"{word!r} is no layer", nearest(begun[0] if begun else "", LAYERS))
    given, axes = found.groupdict(), len(shape) - 1
    if kind == "dense":
        return Dense(prod(shape), int(given["number"]))
    if axes not in (1, 2, 3):
        _refuse(text, f"{word!r} needs a map with one to three sides")
    if kind == "norm":
        norm: nn.Module = getattr(nn, f"BatchNorm{axes}d")(shape[0])
        return norm
    if given["size"] is None:
        pool: nn.Module = getattr(nn, f"AdaptiveAvgPool{axes}d")(1)
        return pool
    sizes = [int(side) for side in given["size"].split("x")]
    if len(sizes) not in (1, axes):
        _refuse(text, f"{word!r} has {len(sizes)} sides for a map of {axes}")
    options = {option[0]: int(option[1:]) for option in (given["options"] or "").split("-")[1:]}
    return _windowed(kind, each(sizes, axes), shape[0], int(given.get("number") or 0), options)


def _windowed(kind: str, size: Shape, channels: int, filters: int, options: dict[str, int]) -> nn.Module:
    """Return a convolution or pooling; `options` by their letters."""
    axes = len(size)
    if kind in ("pool", "mean"):
        pool = getattr(nn, f"{'Max' if kind == 'pool' else 'Avg'}Pool{axes}d")
        pooling: nn.Module = pool(size, stride=options.get("s", size), padding=options.get("p", 0))
        return pooling
    gaps, groups = options.get("d", 1), options.get("g", 1)
    same = tuple(gaps * (side - 1) // 2 for side in size) if kind == "conv" else 0
    layer: nn.Module = getattr(nn, f"{'Conv' if kind == 'conv' else 'ConvTranspose'}{axes}d")(
        channels,
        filters,
        size,
        stride=options.get("s", 1 if kind == "conv" else 2),
        padding=options.get("p", same),
        dilation=gaps,
        groups=groups,
    )
    return layer


def _refuse(text: str, seen: str, near: str = "") -> NoReturn:
    raise UsageError(f"network is {text!r}; {seen}.{near} {GRAMMAR}")


def dense_stack(inputs: int, widths: Sequence[int]) -> nn.Module:
    """Return dense layers of these widths, one after the other, weightless: (N, inputs) -> (N, widths[-1])."""
    with torch.device("meta"):
        pairs = pairwise((inputs, *widths))
        return nn.Sequential(OrderedDict((f"dense {n}", Dense(*pair)) for n, pair in enumerate(pairs, start=1)))
