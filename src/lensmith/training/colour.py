"""Changing the colours of whole batches, and the principal components of a training split's colours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lensmith.training.augmentation import Augmentation
from lensmith.training.draws import Draws

LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look: ITU-R BT.601, as in Pillow's mode L
PIXELS_AT_ONCE = 2**20


def principal_components(pictures: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances (3,), largest first, and the directions (3, 3), one a column, of RGB on the 0..1 scale.

    They are eigenvalues and eigenvectors of the covariance of all pixels of the chosen pictures (n, s, s, 3) uint8. The
    sign of a direction means nothing; its largest part is made positive, so that all machines agree.
    """
    total, products, count = np.zeros(3), np.zeros((3, 3)), 0
    step = max(1, PIXELS_AT_ONCE // max(1, pictures.shape[1] * pictures.shape[2]))
    for begin in range(0, len(chosen), step):
        values = pictures[chosen[begin : begin + step]].reshape(-1, 3).astype(np.float64)
        total, products, count = total + values.sum(0), products + values.T @ values, count + len(values)
    mean = total / max(count, 1)
    covariance = (products / max(count, 1) - np.outer(mean, mean)) / 255**2
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    largest = vectors[np.abs(vectors).argmax(0), range(3)]
    return values, vectors * np.where(largest < 0, -1, 1)


def channel_means(pictures: Tensor) -> Tensor:
    """Return (n, 3) float64 means of (n, s, s, 3) uint8: sums of whole numbers, so that no batch can change a bit."""
    sums = pictures.sum((1, 2))
    return sums.double() / max(1, pictures.shape[1] * pictures.shape[2])


def recoloured(values: Tensor, means: Tensor, augmentation: Augmentation, draws: Draws) -> Tensor:
    """Return (n, 3, s, s) float32 of 0..255, not clipped: hue turned, then saturation, contrast, brightness and PCA.

    Saturation blends with a pixel's grey, contrast with the grey of `means` (n, 3), brightness with black. All three
    and PCA together are one step: gain * colour + grey share * grey + offset.
    """
    if augmentation.hue > 0:
        values = turned_hue(values, _column(draws.hue, values.device))
    light, spread, depth = draws.brightness, draws.contrast, draws.saturation
    grey = means.cpu().numpy() @ np.array(LUMA)
    offset = (light * (1 - spread) * grey)[:, None] + 255 * draws.pca
    result = values * _column(light * spread * depth, values.device)
    if augmentation.saturation > 0:
        red, green, blue = values.unbind(1)
        seen = red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]
        result += (seen * _column(light * spread * (1 - depth), values.device)[:, 0])[:, None]
    result += torch.from_numpy(offset.astype(np.float32)).to(values.device)[:, :, None, None]
    return result


def turned_hue(values: Tensor, turns: Tensor) -> Tensor:
    """Return (n, 3, s, s) with the HSV hue turned by `turns` (n, 1, 1, 1), saturation and value kept; greys stay.

    Any real numbers will do, so nothing need be clipped before. With k = (n + 6 hue) mod 6 and n = 5, 3, 1 for red,
    green and blue, a channel is value - chroma * clip(min(k, 4 - k), 0, 1).
    """
    red, green, blue = values.unbind(1)
    value, lowest = values.amax(1), values.amin(1)
    chroma = value - lowest
    safe = chroma.clamp_min(1e-6)
    sixth = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    sixth += turns[:, 0] * 6
    turned = torch.empty_like(values)
    for channel, start in enumerate((5, 3, 1)):
        k = torch.remainder(sixth + start, 6)
        away = torch.minimum(k, 4 - k).clamp_(0, 1)
        torch.sub(value, away.mul_(chroma), out=turned[:, channel])
    return turned


def _column(numbers: np.ndarray, device: torch.device) -> Tensor:
    """Return (n,) numbers as (n, 1, 1, 1) float32."""
    return torch.from_numpy(np.ascontiguousarray(numbers, np.float32)).to(device)[:, None, None, None]
