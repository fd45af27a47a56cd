"""Explanations in pixels: gradients of a score at the picture, plain, summed along a way, averaged over noise.

Every function takes an eye (any torch module in evaluation mode, pixels (N, 3, h, w) -> outputs), pixels and a Score
(outputs -> (N,)), and returns (N, 3, h, w). Nothing here knows of classes: the score of a region or a box will do.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lensmith.reproduce import generator
from lensmith.seeing.gradients import Score, activations, gradient, switched
from lensmith.seeing.layers import Layer, as_map, tapped


@torch.enable_grad()
def saliency(eye: nn.Module, pixels: Tensor, score: Score, rule: str = "plain") -> Tensor:
    """Return the gradient of the score at the pixels (Simonyan et al. 2014, section 3).

    With rule "guided" it is that of Springenberg et al. 2015 (guided backpropagation), with "rectified" that of Zeiler
    and Fergus 2014 (a deconvnet). Raises UsageError for a rule where there is no ReLU.
    """
    at = pixels.detach().requires_grad_()
    return gradient(score(eye(at.clone())), at, rule)  # a copy, for networks that begin by changing their input


def integrated(eye: nn.Module, pixels: Tensor, score: Score, baseline: Tensor, steps: int = 32) -> Tensor:
    """Return the share of each number in score(pixels) - score(baseline) (Sundararajan et al. 2017, eq. 1).

    The integral is taken by the midpoint rule; shares of a picture sum to the difference, the nearer the more steps.
    """
    difference = (pixels - baseline).detach()
    total = torch.zeros_like(difference)
    for point in torch.linspace(0.5 / steps, 1 - 0.5 / steps, steps):
        total += saliency(eye, baseline + difference * float(point), score)
    return difference * total / steps


def smoothgrad(
    eye: nn.Module,
    pixels: Tensor,
    score: Score,
    *,
    samples: int = 25,
    noise: float = 0.15,
    seed: int = 0,
    rule: str = "plain",
) -> Tensor:
    """Return the mean gradient over copies with Gaussian noise (Smilkov et al. 2017, section 3).

    noise: its standard deviation as a share of each picture's range. It depends on the seed and the number of the copy
    alone, and is the same for all pictures of a batch.
    """
    flat = pixels.flatten(1)
    scale = noise * (flat.amax(1) - flat.amin(1))[:, None, None, None]
    total = torch.zeros_like(pixels)
    for sample in range(samples):
        drawn = generator(seed, "smoothgrad", sample).standard_normal(pixels.shape[1:], np.float32)
        total += saliency(eye, pixels + scale * torch.from_numpy(drawn).to(pixels), score, rule)
    return total / samples


@torch.enable_grad()
def reconstruct(eye: nn.Module, pixels: Tensor, layer: Layer, channel: int) -> Tensor:
    """Return the pattern that excited the strongest unit of a layer's channel (Zeiler and Fergus 2014, section 2.1).

    All other units are set to zero; what is left is sent back through the layers below: through the maxima of max
    pooling alone, negative signals stopped at every ReLU. Where there is no max pooling, such a pattern would be the
    same for every picture: there signals are also stopped where the ReLU gave nothing (guided backpropagation,
    Springenberg et al. 2015, section 3.4). `layer` gives a map, or a row of numbers.
    """
    at = pixels.detach().requires_grad_()
    with tapped(eye, layer) as tap:
        eye(at.clone())
    units = as_map(tap.value)[:, channel].flatten(1)
    strongest = units.amax(1)
    signal = strongest * strongest.detach()  # its gradient at the strongest unit is what the unit gave
    if not activations(signal):
        return gradient(signal, at)
    return gradient(signal, at, "rectified" if switched(signal) else "guided")
