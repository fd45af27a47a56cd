"""Drawing a heat map over the picture it explains."""

from __future__ import annotations

import numpy as np
from PIL import Image

DIM = 0.28  # brightness that is left where the network did not look
CONTOUR_LEVEL, CONTOUR_COLOUR = 0.5, (255, 176, 0)


def spotlight(picture: Image.Image, heat: np.ndarray) -> Image.Image | None:
    """Return the RGB picture lit where `heat` (h, w) >= 0 is high, grey and dark elsewhere; None for an empty map.

    Light in place of a colour scale: the picture's own colours stay, and it reads the same for the colour-blind.
    A line runs where the map passes half of its maximum.
    """
    highest = float(heat.max()) if np.isfinite(heat).all() else 0.0
    if highest <= 0:
        return None
    smooth = Image.fromarray((heat / highest).astype(np.float32)).resize(
        picture.size, Image.Resampling.BICUBIC
    )
    share = np.clip(np.asarray(smooth), 0, 1)[..., None]
    colour = np.asarray(picture, np.float32)
    grey = colour.mean(2, keepdims=True) * DIM
    lit = grey + (colour - grey) * share
    lit[_contour(share[..., 0] >= CONTOUR_LEVEL)] = CONTOUR_COLOUR
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def _contour(inside: np.ndarray) -> np.ndarray:
    """Return the pixels inside the area (h, w) that touch the outside: a line two pixels wide."""
    edge = np.zeros_like(inside)
    for axis in (0, 1):
        for step in (1, -1):
            moved = np.roll(inside, step, axis)
            edge |= inside & ~moved
    edge[[0, -1], :] = edge[:, [0, -1]] = False  # np.roll joins opposite borders, which do not touch
    return edge
