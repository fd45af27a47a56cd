"""What a class looks like to a network, drawn as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lensmith.engines.interface import batches
from lensmith.reproduce import generator
from lensmith.seeing.eye import Eye
from lensmith.seeing.gradients import gradient, of_output

BATCH = 32
SAME = 1e-4  # of the largest slope: what the gradients of a linear network may differ by, from rounding


@dataclass(frozen=True)
class Template:
    """How a class's score follows the pixels: slopes (s, s, 3) float32, what a grey level more adds to it.

    mean: (s, s, 3) uint8, the mean of the pictures the network is surest of; None where there were none. pictures: how
    many the slopes are the mean of.
    """

    slopes: np.ndarray
    mean: np.ndarray | None
    pictures: int


def is_linear(eye: Eye, side: int, output: int, seed: int = 0) -> bool:
    """Return whether the network's score is linear in the pixels: one gradient for noise, black and white."""
    noise = generator(seed, "linear").integers(0, 256, (2, side, side, 3)).astype(np.uint8)
    squares = np.concatenate(
        [noise, np.zeros((1, side, side, 3), np.uint8), np.full((1, side, side, 3), 255, np.uint8)]
    )
    found = _gradients(eye, squares, output, 1.0)
    return bool(np.abs(found - found[0]).max() < SAME * np.abs(found[0]).max())  # a dead one is not said to be


def template(eye: Eye, squares: np.ndarray, surest: np.ndarray, output: int, sign: float = 1.0) -> Template:
    """Return the mean gradient of a class's score over pictures (n, s, s, 3) uint8; of a linear network that is the
    row of its weights, on the scale of grey levels, whatever the pictures. `surest`: those the mean is taken of."""
    slopes = np.zeros(squares.shape[1:], np.float64)
    for batch in batches(squares, BATCH):
        slopes += _gradients(eye, batch, output, sign).sum(0)
    mean = surest.mean(0).round().astype(np.uint8) if len(surest) else None
    return Template((slopes / max(1, len(squares))).astype(np.float32), mean, len(squares))


def surest(scores: np.ndarray, among: Sequence[int], most: int) -> np.ndarray:
    """Return the positions, of those in `among`, with the highest scores (n,), the highest first."""
    places = np.asarray(among, np.int64)
    return places[np.argsort(-scores[places], kind="stable")[:most]]


def _gradients(eye: Eye, squares: np.ndarray, output: int, sign: float) -> np.ndarray:
    pixels = eye.pixels(squares).requires_grad_()
    with torch.enable_grad():
        found = gradient(of_output(output, sign)(eye(pixels)), pixels)
    return found.permute(0, 2, 3, 1).cpu().numpy()
