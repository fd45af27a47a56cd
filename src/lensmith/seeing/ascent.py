"""Pictures that excite a class or a filter most, found by gradient ascent on the picture.

The score before softmax is climbed (Erhan, Bengio, Courville and Vincent 2009; Simonyan, Vedaldi and Zisserman 2014,
section 2): a probability can be raised by lowering all other classes. There are three ways:

blank    plain pixels from mid-grey, each step along the gradient divided by its root mean square. What comes out is
         mostly high frequencies: the network answers to them, though no photograph has them.
noise    pixels from noise, seen through small shifts, and blurred every few steps: what survives is larger.
fourier  waves and uncorrelated colours (`fourier`), seen shifted, turned and scaled a little: what the network wants to
         see wherever it stands (Olah, Mordvintsev and Schubert 2017, "Feature Visualization").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lensmith.errors import UsageError, nearest
from lensmith.reproduce import counter, generator
from lensmith.seeing.eye import Eye
from lensmith.seeing.fourier import picture_of, shape_of
from lensmith.seeing.layers import Layer, as_map, tapped
from lensmith.zoo.chain import device_of

GREY = 127.5
LOUDNESS = (0.01, 0.3, 1.0, 3.0)  # of the start; the next one where the one before leaves a filter silent


@dataclass(frozen=True)
class Wanted:
    """What a picture is sought for: output `number` of the network, with a sign, or the mean of channel `number` of a
    layer."""

    name: str
    number: int
    layer: Layer | None = None
    sign: float = 1.0


@dataclass(frozen=True)
class Way:
    """How to climb. rate: of a step, in grey levels, or of Adam's for waves. decay: what a unit of the picture's
    squares costs, lambda |I|^2 with I from -1 (black) to 1. shift: as a share of the side, turn: in degrees, zoom: the
    smallest and largest part of the side that is shown. detail: at how many pixels it is shown for the first COARSE of
    the steps, as a share of the side, where the network takes that. blur: the deviation in pixels, every BLUR_EVERY
    steps.
    """

    start: str
    steps: int
    rate: float
    decay: float = 0.0
    shift: float = 0.0
    turn: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    detail: float = 1.0
    blur: float = 0.0


WAYS = {
    "fourier": Way("fourier", 96, 0.05, shift=0.04, turn=5, zoom=(0.9, 1.1), detail=5 / 7),
    "blank": Way("blank", 64, 1.0),
    "noise": Way("noise", 96, 2.0, shift=0.04, blur=0.5),
}
# A class is a thing of any size: shown from near and from afar, parts and whole grow beside each other.
OF_CLASSES = {
    "fourier": replace(WAYS["fourier"], rate=0.07, shift=0.07, zoom=(0.4, 1.1), detail=4 / 7),
    "blank": replace(WAYS["blank"], decay=1e-4),
    "noise": replace(WAYS["noise"], decay=1e-4, shift=0.07),
}
BLUR_EVERY = 4
COARSE = 0.9
FEWEST = 96  # pixels of the side of what is shown coarsely: below it a thing is no more to be seen
LEAK = 0.1  # how much of what an activation holds back below is climbed beside what it lets through


@dataclass(frozen=True)
class Climb:
    """How far an ascent has come: after `step` steps pixels (N, 3, s, s), 0 to 255, and scores (N,).

    On the way the scores are of the picture as it was just shown; at the end of the whole, in whole grey levels, and
    both have come back to the processor.
    """

    step: int
    pixels: Tensor
    scores: Tensor


def way(start: str, steps: int | None = None, *, classes: bool = False) -> Way:
    """Return the way of a name, to filters or to classes. Raises UsageError with the near ones."""
    if start not in WAYS:
        raise UsageError(f"start is {start!r}; allowed are {', '.join(WAYS)}.{nearest(start, WAYS)}")
    if steps is not None and steps < 1:
        raise UsageError(f"steps is {steps}; it must be at least 1.")
    found = (OF_CLASSES if classes else WAYS)[start]
    return found if steps is None else replace(found, steps=steps)


def ascend(eye: Eye, wanted: Sequence[Wanted], side: int, way: Way, seed: int = 0) -> Iterator[Climb]:
    """Yield an ascent after every step: one picture of `side` pixels for each of `wanted`, all of one layer, or all
    outputs, and all at once. A picture does not depend on what else is sought beside it."""
    if len({one.layer for one in wanted}) != 1:
        raise ValueError("what is sought in one ascent is of one layer, or outputs of the network")
    make = picture_of if way.start == "fourier" else _clamped
    detail = _detail(eye, side, way, wanted)
    numbers = _start(eye, wanted, side, way, seed, make).requires_grad_()
    adam = torch.optim.Adam([numbers], lr=way.rate) if way.start == "fourier" else None
    for step in range(1, way.steps + 1):
        pixels = make(numbers, side)
        size = detail if step <= COARSE * way.steps else side
        scores = scored(eye, _shown(pixels, size, way, seed, step), wanted, LEAK)
        cost = way.decay * ((pixels - GREY) / GREY).square().sum((1, 2, 3))
        slope = _slope(scores, scores - cost, numbers)
        with torch.no_grad():
            if adam is not None:
                numbers.grad = -slope
                adam.step()
            else:
                length = slope.square().mean((1, 2, 3), keepdim=True).sqrt()
                numbers += way.rate * slope / length.clamp_min(1e-20)
                numbers.copy_(_blurred(numbers, way.blur) if step % BLUR_EVERY == 0 else numbers).clamp_(0, 255)
        if step < way.steps:
            yield Climb(step, pixels.detach(), scores.detach())
    with torch.no_grad():
        pixels = make(numbers, side).round().clamp(0, 255)
        scores = scored(eye, pixels, wanted)
    yield Climb(way.steps, pixels.cpu(), scores.cpu())


def scored(eye: Eye, pixels: Tensor, wanted: Sequence[Wanted], leak: float = 0.0) -> Tensor:
    """Return what each picture reaches of what is wanted of it, (N,). Layers above the one asked for do not run.

    leak: to climb by, the share of what an activation holds back below that is added. What it holds back above, as a
    ReLU6 does, is added whole: on its flat sides it has no gradient of its own.
    """
    numbers = torch.tensor([one.number for one in wanted], device=pixels.device)
    rows = torch.arange(len(wanted), device=pixels.device)
    layer = wanted[0].layer
    if layer is None:
        signs = torch.tensor([one.sign for one in wanted], dtype=pixels.dtype, device=pixels.device)
        outputs: Tensor = eye(pixels)
        return outputs[rows, numbers] * signs
    value, taken = value_of(eye, pixels, layer)
    if leak and taken is not None:
        value = value + torch.where(taken > value, 1.0, leak) * (taken - value)
    return as_map(value)[rows, numbers].mean((1, 2))


def value_of(eye: Eye, pixels: Tensor, layer: Layer) -> tuple[Tensor, Tensor | None]:
    """Return what a layer gives, with a gradient where one is recorded, and, of an activation, what it was given; the
    network is left there."""
    found: list[Tensor] = []
    taken: list[Tensor] = []

    def take(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        taken[:] = [one.clone() for one in given[:1]]  # before an activation in place writes over it

    def leave(value: Tensor) -> Tensor:
        found.append(value)
        raise _Reached

    with ExitStack() as stack:
        if layer.is_activation:
            part = eye.network.get_submodule(layer.name.partition("#")[0])
            stack.callback(part.register_forward_pre_hook(take).remove)
        stack.enter_context(tapped(eye, layer, leave))
        stack.enter_context(suppress(_Reached))
        eye(pixels)
    return found[0], taken[0] if taken else None


class _Reached(Exception):
    """The layer asked for has run; nothing above it is needed."""


def _slope(scores: Tensor, climbed: Tensor, at: Tensor) -> Tensor:
    """Return the gradient of what is climbed. Raises UsageError where the scores have none."""
    if not scores.requires_grad:
        raise UsageError(
            "the answers have no gradient at the pixels, so nothing can be climbed. Does it run in no_grad?"
        )
    (found,) = torch.autograd.grad(climbed.sum(), at)
    return found


def _start(
    eye: Eye, wanted: Sequence[Wanted], side: int, way: Way, seed: int, make: Callable[[Tensor, int], Tensor]
) -> Tensor:
    """Return the numbers to start from. A filter that is silent there would stay so: it is given a louder start."""
    device = device_of(eye)
    if way.start == "blank":
        return torch.full((len(wanted), 3, side, side), GREY, device=device)
    numbers = torch.stack([_drawn(one, side, way, seed, LOUDNESS[0]) for one in wanted]).to(device)
    for loudness in LOUDNESS[1:] if wanted[0].layer else ():
        at = numbers.clone().requires_grad_()
        scores = scored(eye, make(at, side), wanted, LEAK)
        slope = _slope(scores, scores, at)
        silent = [place for place, one in enumerate(slope) if not one.any()]
        for place in silent:
            numbers[place] = _drawn(wanted[place], side, way, seed, loudness)
        if not silent:
            break
    return numbers


def _drawn(one: Wanted, side: int, way: Way, seed: int, loudness: float) -> Tensor:
    """Return a start that depends on what is sought alone."""
    place = one.layer.name if one.layer else ""
    random = torch.Generator().manual_seed(counter(seed, "ascent", place, one.number) >> 1)
    if way.start == "fourier":
        return loudness * torch.randn(shape_of(side), generator=random)
    return (GREY + GREY * min(1.0, 10 * loudness) * torch.randn((3, side, side), generator=random)).clamp(0, 255)


def _clamped(numbers: Tensor, side: int) -> Tensor:
    return numbers


def _detail(eye: Eye, side: int, way: Way, wanted: Sequence[Wanted]) -> int:
    """Return the side of what is shown: smaller where that is wanted and the network takes it."""
    smaller = round(side * way.detail)
    if smaller == side or smaller < FEWEST:
        return side
    try:
        with torch.no_grad():
            scored(eye, torch.full((1, 3, smaller, smaller), GREY, device=device_of(eye)), wanted[:1])
    except Exception:  # a network may want its own size, for whatever reason of its own
        return side
    return smaller


def _shown(pixels: Tensor, detail: int, way: Way, seed: int, step: int) -> Tensor:
    """Return the pictures shifted, turned and scaled, all alike; what lies beyond the border is mirrored."""
    if not (way.shift or way.turn or way.zoom != (1.0, 1.0)):
        return pixels
    random = generator(seed, "view", step)
    zoom = random.uniform(*way.zoom)
    angle = math.radians(way.turn) * random.uniform(-1, 1)
    room = max(0.0, 1 - zoom)  # the part that is shown may lie anywhere
    right, down = room * random.uniform(-1, 1, 2) + 2 * way.shift * random.uniform(-1, 1, 2)
    turned = zoom * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = torch.tensor([[*turned[0], right], [*turned[1], down]], dtype=pixels.dtype, device=pixels.device)
    grid = functional.affine_grid(
        matrix.expand(len(pixels), 2, 3), [len(pixels), 3, detail, detail], align_corners=False
    )
    shown = functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    return shown.contiguous(memory_format=torch.channels_last)  # as convolutions are fastest


def _blurred(pixels: Tensor, deviation: float) -> Tensor:
    """Return the pictures through a Gaussian."""
    if not deviation:
        return pixels
    reach = math.ceil(3 * deviation)
    weights = torch.exp(-((torch.arange(-reach, reach + 1.0, device=pixels.device) / deviation) ** 2) / 2)
    weights = (weights / weights.sum()).to(pixels.dtype)
    padded = functional.pad(pixels, (reach,) * 4, mode="replicate").flatten(0, 1)[:, None]
    rows = functional.conv2d(padded, weights.view(1, 1, 1, -1))
    return functional.conv2d(rows, weights.view(1, 1, -1, 1)).view_as(pixels)
