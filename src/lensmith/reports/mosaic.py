"""Many small pictures in one: tiles side by side, and numbers as colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

GAP = 2
GROUND = 128  # grey, where there is no picture
# From nothing to much, on black: for numbers above zero, and for those below.
ABOVE = np.array([(0, 0, 0), (8, 62, 80), (38, 140, 158), (150, 214, 222), (255, 255, 255)], np.float32)
BELOW = np.array([(0, 0, 0), (84, 36, 4), (176, 92, 20), (242, 168, 99), (255, 236, 214)], np.float32)


def about_grey(numbers: np.ndarray, scale: float) -> np.ndarray:
    """Return numbers (..., 3) as colours, uint8: zero is mid-grey, `scale` white and -scale black in each channel."""
    shares = numbers / scale if scale > 0 else np.zeros_like(numbers)
    found: np.ndarray = np.clip(127.5 + 127.5 * shares, 0, 255).round().astype(np.uint8)
    return found


def glowing(numbers: np.ndarray, scale: float) -> np.ndarray:
    """Return numbers (h, w) as colours (h, w, 3) uint8: zero is black, `scale` white; amber where below zero.

    The root of the share is drawn, or all but the largest would be lost in the dark.
    """
    shares = np.sqrt(np.clip(np.abs(numbers) / scale, 0, 1)) if scale > 0 else np.zeros_like(numbers)
    steps = np.linspace(0, 1, len(ABOVE))
    sides = [np.stack([np.interp(shares, steps, table[:, c]) for c in range(3)], -1) for table in (ABOVE, BELOW)]
    found: np.ndarray = np.where((numbers < 0)[..., None], sides[1], sides[0]).round().astype(np.uint8)
    return found


def mosaic(tiles: Sequence[np.ndarray], columns: int, side: int, *, crisp: bool = False) -> Image.Image:
    """Return tiles (h, w, 3) uint8 in rows of `columns`, each in a square of `side` pixels; what is left is clear.

    crisp: pixels stay squares, all enlarged by one whole number.
    """
    rows = -(-len(tiles) // columns)
    if crisp and tiles:
        longest = max(max(tile.shape[:2]) for tile in tiles)
        side = longest * max(1, round(side / longest))
    columns = min(columns, max(1, len(tiles)))
    sheet = Image.new("RGBA", (columns * (side + GAP) - GAP, max(1, rows * (side + GAP) - GAP)), (0, 0, 0, 0))
    for place, tile in enumerate(tiles):
        left, top = (place % columns) * (side + GAP), (place // columns) * (side + GAP)
        picture = fitted(tile, side, crisp=crisp)
        sheet.paste(picture, (left + (side - picture.width) // 2, top + (side - picture.height) // 2))
    return sheet


def fitted(tile: np.ndarray, side: int, *, crisp: bool = False) -> Image.Image:
    """Return a picture (h, w, 3) uint8 whose longer side is `side` pixels; crisp: its pixels stay squares."""
    picture = Image.fromarray(tile)
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    kernel = Image.Resampling.NEAREST if crisp else Image.Resampling.BICUBIC
    return picture if size == picture.size else picture.resize(size, kernel)


def within(picture: np.ndarray, size: tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
    """Return a picture (h, w, 3) uint8 on grey ground of a size (h, w), its corner at (left, top)."""
    height, width = picture.shape[:2]
    if size == (height, width):
        return np.ascontiguousarray(picture)
    ground = np.full((*size, 3), GROUND, np.uint8)
    ground[corner[1] : corner[1] + height, corner[0] : corner[0] + width] = picture
    return ground
