"""Explanations from inside: the maps of a layer, weighted by what they are worth to a score.

Only the part of the network above the layer is differentiated. Tokens and channels-last maps are laid out as maps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lensmith.errors import UsageError
from lensmith.reproduce import generator
from lensmith.seeing.attribution import saliency
from lensmith.seeing.gradients import Score, activations, gradient
from lensmith.seeing.layers import Layer, as_map, last_map, layers, named, tapped

SAME = 1e-4  # relative to the largest weight: rounding in float32 stays a hundred times below


def drawn_layer(eye: nn.Module, pixels: Tensor, name: str | None = None) -> Layer:
    """Return the layer whose map is drawn: the one named, or the last map before any pooling that the outputs hang on.

    In a vision transformer only the class's token counts after the last attention, so that the places of later maps
    say nothing; there it is what enters that attention. Maps that are made and left out (auxiliary branches) are passed
    over likewise. Only the shape of `pixels` is used. Raises UsageError for a layer that is not there, gives no map or
    is left out of the outputs, and for a network without any map.
    """
    noise = generator(0, "layer").uniform(0, 255, (1, *pixels.shape[1:]))
    pixels = torch.from_numpy(noise).to(pixels)
    there = layers(eye, pixels)
    last = last_map(there)
    if name is not None:
        layer = named(there, name)
        if not layer.is_map:
            raise UsageError(
                f"layer is {name!r}, which gives {layer.shape} numbers and no map. The last map is that of {last.name}."
            )
        if not _leads_on(eye, pixels, layer):
            raise UsageError(
                f"layer is {name!r}, which the network runs and then leaves out: no way leads from it to the answer. "
                f"The last map that counts is that of {drawn_layer(eye, pixels).name}."
            )
        return layer
    finer = [layer for layer in there if layer.is_map and "Pool" not in layer.kind] or [last]
    left = finer
    while left:
        shape = left[-1].shape
        for layer in reversed([layer for layer in left if layer.shape == shape]):
            if _upper(eye, pixels, _size, layer)[1].any():
                return layer
        left = [layer for layer in left if layer.shape != shape]  # all of them are left out: an auxiliary branch
    return finer[-1]


def grad_cam(eye: nn.Module, pixels: Tensor, score: Score, layer: Layer, rule: str = "plain") -> Tensor:
    """Return (N, h, w) >= 0: how much each place of a layer's map speaks for the score (Selvaraju et al. 2017).

    Channels are weighted by the spatial mean of the gradient (eq. 1), summed, and what is below zero cut off (eq. 2).
    A rule changes the gradient at every ReLU above the layer. Raises UsageError for one where there is no ReLU.
    """
    maps, slopes = _upper(eye, pixels, score, layer, rule)
    return (slopes.mean((2, 3), keepdim=True) * maps).sum(1).clamp_min(0)


def guided_grad_cam(eye: nn.Module, pixels: Tensor, score: Score, layer: Layer) -> Tensor:
    """Return (N, 3, h, w): guided saliency times Grad-CAM in the size of the picture (the same, section 3.2)."""
    heat = grad_cam(eye, pixels, score, layer)[:, None]
    large = interpolate(heat, pixels.shape[2:], mode="bilinear", align_corners=False)
    return saliency(eye, pixels, score, "guided") * large


def cam(eye: nn.Module, pixels: Tensor, score: Score, layer: Layer) -> Tensor:
    """Return (N, h, w): the share of each place in the score, whose mean is the score less its bias (Zhou et al. 2016).

    That needs a score that is linear in the spatial means of the layer's map: its gradient must be the same at every
    place, and whatever the map holds. Raises UsageError where it is not.
    """
    elsewhere = _upper(eye, pixels, score, layer, change=_something_else)[1]
    maps, slopes = _upper(eye, pixels, score, layer)
    weights = slopes.mean((2, 3), keepdim=True)
    bound = SAME * slopes.abs().amax()
    if (slopes - weights).abs().amax() > bound or (elsewhere - weights).abs().amax() > bound:
        raise UsageError(
            f"cam needs a score that is a weighted mean over the map of a layer, and this network does more with that "
            f"of {layer.name}. What remains: grad-cam, which is the same where both can be had, and needs no such end."
        )
    return (weights * slopes[0, 0].numel() * maps).sum(1)


def _size(outputs: Tensor) -> Tensor:
    """Return one number a picture that hangs on every output."""
    return outputs.flatten(1).square().sum(1)


@torch.enable_grad()
def _leads_on(eye: nn.Module, pixels: Tensor, layer: Layer) -> bool:
    """Return whether the outputs are made from what a layer gives."""
    with tapped(eye, layer, _leaf) as tap:
        total = eye(pixels).sum()
    return total.requires_grad and torch.autograd.grad(total, tap.value, allow_unused=True)[0] is not None


@torch.enable_grad()
def relus_above(eye: nn.Module, pixels: Tensor, layer: Layer) -> int:
    """Return how many ReLUs, and activations alike, the outputs went through above a layer."""
    with tapped(eye, layer, _leaf):
        return sum(activations(eye(pixels)).values())


@torch.enable_grad()
def _upper(
    eye: nn.Module,
    pixels: Tensor,
    score: Score,
    layer: Layer,
    rule: str = "plain",
    change: Callable[[Tensor], Tensor] = lambda value: value,
) -> tuple[Tensor, Tensor]:
    """Return the map (N, C, h, w) of a layer, or what `change` makes of it, and the gradient of the score there."""
    with tapped(eye, layer, lambda value: _leaf(change(value))) as tap:
        scores = score(eye(pixels.clone()))
    if rule != "plain" and not activations(scores):  # nothing to change above the layer: it is the plain one
        saliency(eye, pixels[:1], lambda outputs: outputs.flatten(1).sum(1), rule)  # raises where it has none at all
        rule = "plain"
    return as_map(tap.value.detach()), as_map(gradient(scores, tap.value, rule))


def _leaf(value: Tensor) -> Tensor:
    """Return the same with nothing behind it, so that what is below is not differentiated."""
    return value.detach().requires_grad_()


def _something_else(value: Tensor) -> Tensor:
    """Return numbers of both signs, of a map's shape and size."""
    drawn = generator(0, "something else").uniform(-1, 1, tuple(value.shape))
    return torch.from_numpy(drawn).to(value) * value.detach().abs().amax()
