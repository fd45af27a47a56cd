"""Which pictures a network takes: what stops it at others, and the smallest size that works."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import torch
from torch import nn

from lensmith.errors import UsageError
from lensmith.zoo.chain import as_found, device_of, making_on, weightless
from lensmith.zoo.follow import Failure, blank
from lensmith.zoo.sight import Shape
from lensmith.zoo.steps import Window

# Sizes that networks are made for, tried when the one asked for does not work.
USUAL = (28, 32, 64, 96, 112, 128, 160, 192, 224, 227, 256, 288, 299, 320, 331, 384, 448, 512, 640)


def require_one_input(network: nn.Module) -> None:
    """Raise UsageError if a network must be given more than pictures."""
    try:
        parameters = list(inspect.signature(network.forward).parameters.values())
    except (TypeError, ValueError):
        return
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wanted = [
        one.name
        for place, one in enumerate(parameters)
        if one.default is one.empty and (one.kind is one.KEYWORD_ONLY or (place and one.kind in plain))
    ]
    if wanted:
        raise UsageError(
            f"the network takes more than pictures: forward({', '.join(one.name for one in parameters)}). "
            f"Wrap it in a module whose forward(pictures) makes {' and '.join(wanted)} itself."
        )


def runs(network: nn.Module, shape: Shape) -> bool:
    """Return whether a network runs on a picture (channels, *sides); on its own device, meta included."""
    device = device_of(network)
    try:
        with torch.no_grad(), as_found(network), making_on(device):
            network(blank(network, shape))
    except Exception:
        return False
    return True


def impossible(network: nn.Module, shape: Shape, error: Exception, failure: Failure | None) -> UsageError:
    """Return the error for pictures that a network does not take: the layer that stops, and a size that works."""
    why = _shrunk(failure) or _said(error, failure)
    if len(shape) == 1:
        return UsageError(f"the network was given {shape[0]} numbers; {why}.")
    asked = " x ".join(map(str, shape[1:])) if len(set(shape[1:])) > 1 else str(shape[-1])
    if _takes(network, shape):  # what stopped it is not the size
        return UsageError(f"{_said(error, failure)}; pictures of {asked} pixels are not what stops it.")
    advice = _advice(network, shape)
    if not advice:
        return UsageError(
            f"the network takes no picture of {shape[0]} channels, of any size tried; at {asked} {why}. "
            "Check --channels, and the code of the network."
        )
    return UsageError(f"image_size is {asked}; {why}. {advice}")


def _shrunk(failure: Failure | None) -> str:
    """Say which layer would leave nothing of its map, empty if that is not what happened."""
    if failure is None or failure.window is None or failure.window.kind == "up-conv":
        return ""
    look = failure.window
    sides = failure.given[0][-len(look.size) :]
    spans = [(size - 1) * dilation + 1 for size, dilation in zip(look.size, look.dilation, strict=True)]
    if all(side + 2 * before >= span for side, before, span in zip(sides, look.before, spans, strict=True)):
        return ""
    kind = {"conv": "convolution", "max": "max pooling", "mean": "mean pooling"}[look.kind]
    what = f"its {_times(look)} {kind} gets a map of {' x '.join(map(str, sides))}"
    return f"layer {failure.path or failure.name} would shrink it to nothing: {what}"


def _times(look: Window) -> str:
    return "x".join(map(str, look.size))


def _said(error: Exception, failure: Failure | None) -> str:
    said = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    if failure is None or not failure.path:
        return f"the network cannot take it ({said})"
    return f"layer {failure.path} cannot take it ({said})"


def _takes(network: nn.Module, shape: Shape) -> bool:
    """Return whether a twin without numbers takes pictures of this shape."""
    try:
        return runs(weightless(network), shape)
    except Exception:
        return False


def _advice(network: nn.Module, shape: Shape) -> str:
    """Return what to do: the smallest size above that works, else the nearest below; empty where nothing helps."""
    try:
        twin = weightless(network)
    except Exception:
        return ""
    side = max(shape[1:])
    for size in _tried(side):
        if not runs(twin, _square(shape, size)):
            continue
        if size < side:
            return f"Try {size}."
        return f"Try {_smallest(twin, shape, side, size)}, the smallest that works."
    return ""


def _tried(side: int) -> Iterator[int]:
    """Yield sizes to try: larger ones first, then smaller ones, each from the nearest on."""
    yield from (size for size in USUAL if size > side)
    yield from (size for size in reversed(USUAL) if size < side)


def _smallest(twin: nn.Module, shape: Shape, fails: int, works: int) -> int:
    """Return the smallest size above `fails` that works, taking it that all from there up to `works` do."""
    while works - fails > 1:
        middle = (works + fails) // 2
        if runs(twin, _square(shape, middle)):
            works = middle
        else:
            fails = middle
    return works


def _square(shape: Shape, size: int) -> Shape:
    return (shape[0], *(size for _ in shape[1:]))
