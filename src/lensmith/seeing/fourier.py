"""Pictures written as sums of waves and of uncorrelated colours, to be found by gradient ascent.

A step of descent changes all numbers alike. Taken on pixels it makes high frequencies, of which there are most, and
colours that photographs hardly have. Taken on numbers scaled so that a photograph has all of them alike, the same
gradient climbs to pictures one can read (Olah, Mordvintsev and Schubert 2017, "Feature Visualization", the section on
preconditioning and parameterization). The set of pictures is the same, only the way through it differs.
"""

from __future__ import annotations

import torch
from torch import Tensor

COLOURS = ((0.2406, 0.0903, 0.0219), (0.2499, -0.0001, -0.0440), (0.2510, -0.0865, 0.0229))
"""The principal directions of the colours of photographs, a column each (light, yellow to blue, green to magenta), as
long as their standard deviation, for R, G and B from 0 to 1: of a hundred photographs, one of every tenth class of
ImageNet, reduced to 128 pixels a side."""
FALL = 1.4
"""Waves of frequency f have amplitudes of f ** -FALL. Those of the same photographs fall by 1.28, from 2 to 57 waves a
side; a little steeper, what ascent finds is smoother and can be read more easily."""
CONTRAST = 4.0
"""Numbers are brought between black and white by a sigmoid, whose slope is a quarter at grey."""


def shape_of(side: int) -> tuple[int, int, int, int]:
    """Return the shape of the numbers of a picture: colours, waves down, waves right, real and imaginary part."""
    return 3, side, side // 2 + 1, 2


def waves(side: int) -> Tensor:
    """Return how large each wave of a picture is, (side, side // 2 + 1); the constant counts as the longest wave.

    Their mean square is one, so that pictures of numbers of mean square one vary as photographs do, whatever the side.
    """
    down, right = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None]
    sizes = (down**2 + right**2).sqrt().clamp_min(1 / side) ** -FALL
    scaled: Tensor = sizes / sizes.square().mean().sqrt()
    return scaled


def picture_of(numbers: Tensor, side: int) -> Tensor:
    """Return the pictures (N, 3, side, side), 0 to 255, of numbers (N, 3, side, side // 2 + 1, 2); all zero is grey."""
    spectrum = torch.view_as_complex((numbers * waves(side).to(numbers.device)[..., None]).contiguous())
    plain = torch.fft.irfft2(spectrum, s=(side, side), norm="ortho")
    mixed = torch.einsum("ij,njhw->nihw", torch.tensor(COLOURS, device=plain.device), plain)
    return 255 * torch.sigmoid(CONTRAST * mixed)
