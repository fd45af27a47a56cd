"""Where every pixel goes: one map a picture, made of a crop, an affine map, a flip and an elastic warp.

Coordinates run from -1 to 1 over the picture's side, x to the right, y down; the centre of pixel i of s lies at
(2 i + 1) / s - 1. A point p of the picture lands at the q with `matrix @ p == q + displacement(q)`. Sampling reads that
from right to left (where does the pixel at q come from?), boxes read it from left to right.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lensmith.training.augmentation import Augmentation
from lensmith.training.draws import WARP_CELLS, WARP_KNOTS, Draws

INVERSION_STEPS, INVERSION_ERROR = 60, 1e-7


def whole_shifts(augmentation: Augmentation, draws: Draws, size: int) -> np.ndarray:
    """Return (n, 2) int64: how many pixels each picture moves to the right and down.

    Every whole number up to the allowed share of the side is equally likely; a picture that may move at all may move
    by one pixel, if it has more than one.
    """
    shares = (augmentation.shift_x, augmentation.shift_y)
    most = np.array([min(max(int(share * size + 1e-9), 1), size - 1) if share > 0 else 0 for share in shares])
    moved: np.ndarray = np.floor(draws.shift * (2 * most + 1)).astype(np.int64) - most
    return moved


def matrices(augmentation: Augmentation, draws: Draws, size: int) -> np.ndarray:
    """Return (n, 3, 3) float64: flip @ shift @ rotation @ shear @ stretch and zoom @ crop, for each picture."""
    count = len(draws.rotation)
    shift = whole_shifts(augmentation, draws, size) * 2 / size
    angle = np.deg2rad(draws.rotation)
    zero, one = np.zeros(count), np.ones(count)
    side, x, y = draws.crop.T
    crop = _matrix(1 / side, zero, -x / side, zero, 1 / side, -y / side)
    wide = np.sqrt(draws.stretch)
    scale = _matrix(draws.zoom * wide, zero, zero, zero, draws.zoom / wide, zero)
    shear = _matrix(one, np.tan(np.deg2rad(draws.shear)), zero, zero, one, zero)
    # Positive degrees turn against the clock as it is seen on a screen, where y runs down.
    turn = _matrix(np.cos(angle), np.sin(angle), zero, -np.sin(angle), np.cos(angle), zero)
    move = _matrix(one, zero, shift[:, 0], zero, one, shift[:, 1])
    flip = _matrix(np.where(draws.flip, -1.0, 1.0), zero, zero, zero, one, zero)
    composed: np.ndarray = flip @ move @ turn @ shear @ scale @ crop
    return composed


def sampling_grid(augmentation: Augmentation, draws: Draws, size: int, device: torch.device | str) -> Tensor:
    """Return (n, size, size, 2) float32: for each pixel the x and y of the point of the picture that it shows."""
    inverse = np.linalg.inv(matrices(augmentation, draws, size))
    maps = _tensor(inverse, device)
    places = (np.arange(size) * 2 + 1) / size - 1
    centres, spline = _tensor(places, device), _tensor(_spline(places), device)
    # The warp comes before the affine map. That map is linear, so it may as well turn the few knots as the many pixels.
    knots = _tensor(np.einsum("nij,njkl->nikl", inverse[:, :2, :2], 2 * draws.warp), device)
    grid = torch.empty(len(maps), size, size, 2, device=device)
    for axis in range(2):
        along, across, constant = maps[:, axis, 0:1], maps[:, axis, 1:2], maps[:, axis, 2:3]
        torch.add((along * centres)[:, None, :], (across * centres + constant)[:, :, None], out=grid[..., axis])
        if augmentation.warp > 0:
            grid[..., axis] += spline @ knots[:, axis] @ spline.T
    return grid


def displacement(warp: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return (n, p, 2): how far the points (n, p, 2) are moved by each picture's warp (n, 2, WARP_KNOTS, WARP_KNOTS).

    A uniform cubic spline over a coarse grid, after the elastic deformation of Ronneberger et al. 2015, section 3.1.
    Where no knot exceeds a (in shares of the side), the slope along an axis is at most 2 a WARP_CELLS. Both slopes
    add up to 0.8 for the largest a of 0.05: the map never folds, and `forward` can invert it by repetition.
    """
    points = np.clip(points, -1, 1)
    across, down = _spline(points[..., 0]), _spline(points[..., 1])
    moved: np.ndarray = np.einsum("npi,ndij,npj->npd", down, 2 * warp.astype(np.float64), across, optimize=True)
    return moved


def forward(augmentation: Augmentation, draws: Draws, size: int, points: np.ndarray) -> np.ndarray:
    """Return where the points (n, p, 2) of each picture land, in the coordinates above."""
    maps = matrices(augmentation, draws, size)
    target: np.ndarray = np.einsum("nij,npj->npi", maps[:, :2, :2], points) + maps[:, None, :2, 2]
    landed = target
    if augmentation.warp > 0:
        for _ in range(INVERSION_STEPS):
            before, landed = landed, target - displacement(draws.warp, landed)
            if np.abs(landed - before).max(initial=0) < INVERSION_ERROR:
                break
    return landed


def sources(augmentation: Augmentation, draws: Draws, size: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Return the x and y of the pixel that each pixel shows, for copying: int64 (n, 1 or s, s) and (n, s, 1 or s).

    They count beyond the border: see `folded`. Whole-pixel moves and mirroring need no grid, and are exact.
    """
    if augmentation.reshapes:
        x, y = ((sampling_grid(augmentation, draws, size, device) + 1) * (size / 2)).floor_().long().unbind(-1)
        return x, y
    shifts = torch.from_numpy(whole_shifts(augmentation, draws, size)).to(device)
    flipped = torch.from_numpy(draws.flip.copy()).to(device)[:, None]
    pixels = torch.arange(size, device=device).expand(len(shifts), size)
    x = torch.where(flipped, size - 1 - pixels, pixels) - shifts[:, :1]
    return x[:, None, :], (pixels - shifts[:, 1:])[:, :, None]


def folded(places: Tensor, size: int, *, mirrored: bool) -> Tensor:
    """Return places beyond the border brought back inside: `mirrored` at the border, else to the border itself."""
    if not mirrored:
        return places.clamp(0, size - 1)
    places = places.remainder(2 * size)
    return torch.minimum(places, 2 * size - 1 - places)


def _spline(places: np.ndarray) -> np.ndarray:
    """Return (..., WARP_KNOTS): the share of each knot in the uniform cubic spline at places from -1 to 1."""
    away = np.abs((places[..., None] + 1) * (WARP_CELLS / 2) + 1 - np.arange(WARP_KNOTS))
    near, far = 2 / 3 - away**2 + away**3 / 2, np.maximum(2 - away, 0) ** 3 / 6
    shares: np.ndarray = np.where(away < 1, near, far)
    return shares


def _matrix(*rows: np.ndarray) -> np.ndarray:
    """Return (n, 3, 3) from the six numbers (n,) of the upper two rows."""
    matrix = np.zeros((len(rows[0]), 3, 3))
    matrix[:, :2] = np.stack(rows, axis=1).reshape(-1, 2, 3)
    matrix[:, 2, 2] = 1
    return matrix


def _tensor(values: np.ndarray, device: torch.device | str) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)
