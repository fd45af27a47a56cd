"""The filters of the first layer, as pictures: the one layer whose weights are colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from lensmith.seeing.eye import Eye
from lensmith.seeing.layers import layers_of

COLOURS = 3


@dataclass(frozen=True)
class Filters:
    """The first layer's filters: `weights` (n, h, w, 3) float32, the most colourful last; `numbers` (n,) which channel
    each makes; `silent` how many, at the end, are next to nothing. `layer` and `kind` name it. Where there are none,
    `reason` says why, and `weights` is empty."""

    layer: str
    kind: str
    weights: np.ndarray
    numbers: np.ndarray
    silent: int = 0
    reason: str = ""

    @property
    def scale(self) -> float:
        """What is drawn as black or white, or a full colour: one weight in a hundred is larger, without its sign."""
        alive = self.weights[: len(self.weights) - self.silent]
        return float(np.quantile(np.abs(alive), 0.99)) if alive.size else 0.0


def first_filters(eye: Eye, side: int) -> Filters:
    """Return the filters of the layer that reads the colours: a convolution, a patch embedding, or a dense layer whose
    every number is a pixel's colour (taken in the order channel, row, column, as torch flattens)."""
    there = layers_of(eye, side)
    modules = dict(eye.network.named_modules())
    parts = [(layer.name, modules[layer.name.partition("#")[0]]) for layer in there]
    first = next(((name, part) for name, part in parts if isinstance(part, nn.Conv2d | nn.Linear)), None)
    if first is None:
        return _none("", "its first layer is neither a convolution nor dense, so it has no filters to draw")
    name, part = first
    weights = part.weight.detach().float().cpu()
    if isinstance(part, nn.Conv2d):
        if weights.shape[1] != COLOURS:
            seen = f"{weights.shape[1]} channels" + (" a group" if part.groups > 1 else "")
            return _none(name, f"its first convolution, {name}, reads {seen}, not the three colours")
        if max(weights.shape[2:]) == 1:
            return _none(name, f"its first convolution, {name}, sees a single pixel: each filter is one colour")
        return _sorted(name, "convolution", weights)
    if weights.shape[1] != COLOURS * side * side:
        return _none(name, f"its first layer, {name}, reads {weights.shape[1]:,} numbers, not {side} x {side} colours")
    return _sorted(name, "dense layer", weights.reshape(-1, COLOURS, side, side))


def _sorted(name: str, kind: str, weights: torch.Tensor) -> Filters:
    """Return the filters from grey to colourful; among equals from strong to weak."""
    tiles = weights.permute(0, 2, 3, 1).numpy()
    energy = (tiles**2).sum((1, 2, 3))
    grey = (tiles.mean(3) ** 2).sum((1, 2)) * COLOURS
    share = 1 - grey / np.maximum(energy, 1e-12)
    weak = energy < 1e-4 * energy.max(initial=0.0)  # what says next to nothing goes last
    order = np.lexsort((-energy, share.round(6), weak))
    return Filters(name, kind, np.ascontiguousarray(tiles[order]), order, int(weak.sum()))


def _none(name: str, reason: str) -> Filters:
    return Filters(name, "", np.zeros((0, 1, 1, COLOURS), np.float32), np.zeros(0, np.int64), reason=reason)
