"""Changing the colours of whole batches, and the principal components of a training split's colours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lensmith.data.pixels import Pictures
from lensmith.data.statistics import colour_moments, principal_axes
from lensmith.training.augmentation import Augmentation
from lensmith.training.draws import Draws

LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look: ITU-R BT.601, as in Pillow's mode L


def principal_components(pictures: Pictures, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances (3,), largest first, and the directions (3, 3), one a column, of RGB on the 0..1 scale.

    They are eigenvalues and eigenvectors of the covariance of the pixels of the chosen pictures (n, s, s, 3) uint8; see
    `data.statistics` for how many are looked at.
    """
    return principal_axes(colour_moments(pictures, chosen)[1])


def colour_components(
    augmentation: Augmentation, pictures: Pictures, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what pca_colour needs, from the chosen pictures alone; None where it is off."""
    return principal_components(pictures, chosen) if augmentation.pca_colour else None


def channel_means(values: Tensor) -> np.ndarray:
    """Return (n, 3) float64 means of whole-numbered (n, 3, s, s) float32 of 0..255.

    Every sum on the way is exact, so that no batch can change a bit of them.
    """
    sums = values.sum(3).cpu().numpy().sum(2, dtype=np.float64)
    means: np.ndarray = sums / max(1, values.shape[2] * values.shape[3])
    return means


def recoloured(values: Tensor, means: np.ndarray, augmentation: Augmentation, draws: Draws) -> Tensor:
    """Return (n, 3, s, s) float32 of 0..255, not clipped: hue turned, then saturation, contrast, brightness and PCA.

    Saturation blends with a pixel's grey, contrast with the grey of `means` (n, 3), brightness with black. All three
    and PCA together are one step: gain * colour + share * grey + offset.
    """
    light, spread, depth = draws.brightness, draws.contrast, draws.saturation
    offset = (light * (1 - spread) * (means @ np.array(LUMA)))[:, None] + 255 * draws.pca
    if augmentation.hue > 0:
        values = turned_hue(values, _rows(draws.hue, values))
    result = values * _rows(light * spread * depth, values)
    if augmentation.saturation > 0:
        red, green, blue = values.unbind(1)
        grey = (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
        result += grey[:, None] * _rows(light * spread * (1 - depth), values)
    return result.add_(_rows(offset, values))


def turned_hue(values: Tensor, turns: Tensor) -> Tensor:
    """Return (n, 3, s, s) with the HSV hue turned by `turns` (n, 1, 1, 1), saturation and value kept; greys stay.

    A channel is lowest + chroma * clip(|6 frac(hue + k) - 3| - 1, 0, 1), with k = 0, 2/3, 1/3 for red, green and blue.
    Choices are made by weights of 0 and 1: on a processor torch.where takes thirty times as long.
    """
    red, green, blue = values.unbind(1)
    highest, lowest = torch.maximum(red, green), torch.minimum(red, green)
    green_leads = torch.gt(green, red, out=torch.empty_like(red))
    blue_leads = torch.gt(blue, highest, out=torch.empty_like(red))
    torch.maximum(highest, blue, out=highest)
    torch.minimum(lowest, blue, out=lowest)
    chroma = highest - lowest
    hue = torch.lerp(green - blue, blue - red, green_leads).lerp_(red - green, blue_leads)
    hue.div_(chroma.clamp_min(1e-6)).add_(green_leads.mul_(2).lerp_(torch.full_like(red, 4), blue_leads))
    hue.div_(6).add_(turns[:, 0])
    turned, below = torch.empty_like(values), lowest.sub_(chroma)
    for channel, k in enumerate((2, 2 - 1 / 3, 2 - 2 / 3)):  # two whole turns more keep frac above zero
        plane = torch.add(hue, k, out=turned[:, channel])
        plane.frac_().mul_(6).sub_(3).abs_().clamp_(1, 2).mul_(chroma).add_(below)
    return turned


def _rows(numbers: np.ndarray, like: Tensor) -> Tensor:
    """Return (n,) or (n, 3) numbers as (n, 1 or 3, 1, 1) float32 where `like` lies."""
    rows = torch.from_numpy(numbers.astype(np.float32)).to(like.device)
    return rows.reshape(len(numbers), -1, 1, 1)
