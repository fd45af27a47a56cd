"""What a network knows of a picture just before it decides: the layer before the scores."""

from __future__ import annotations

import numpy as np
import torch

from lensmith.seeing.eye import Eye
from lensmith.seeing.layers import Layer, as_map, layers_of, map_shape, tapped


def before_scores(eye: Eye, side: int) -> Layer:
    """Return the last layer that gives something else than the scores, or maps of them; the first where none does."""
    there = layers_of(eye, side)
    with torch.no_grad():
        outputs = eye(torch.zeros(1, 3, side, side)).shape[1]
    return next((layer for layer in reversed(there) if outputs not in layer.shape), there[0])


def features_of(eye: Eye, squares: np.ndarray, layer: Layer) -> np.ndarray:
    """Return (n, F) float32 of pictures (n, s, s, 3) uint8: what the layer gives, a map averaged over its places."""
    with torch.no_grad(), tapped(eye, layer) as tap:
        eye(eye.pixels(squares))
    value = tap.value
    if map_shape(layer.shape) is not None:
        value = as_map(value).mean((2, 3))
    found: np.ndarray = value.flatten(1).float().cpu().numpy()
    return found
