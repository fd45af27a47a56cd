"""Drawing a heat map over the picture it explains."""

from __future__ import annotations

import numpy as np
from PIL import Image

DIM = 0.45  # brightness that is left where the network did not look
CONTOUR_LEVEL, CONTOUR_COLOUR = 0.5, (255, 176, 0)


def spotlight(picture: Image.Image, heat: np.ndarray) -> Image.Image | None:
    """Return the RGB picture lit where `heat` (h, w) >= 0 is high, grey and dark elsewhere; None for an empty map.

    Light in place of a colour scale: the picture's own colours stay, and it reads the same for the colour-blind.
    A line runs where the map passes half of its maximum.
    """
    highest = float(heat.max()) if np.isfinite(heat).all() else 0.0
    if highest <= 0:
        return None
    smooth = Image.fromarray((heat / highest).astype(np.float32)).resize(picture.size, Image.Resampling.BICUBIC)
    # The root lifts the middle of the map, which the eye would otherwise lose in the dark.
    share = np.sqrt(np.clip(np.asarray(smooth), 0, 1))[..., None]
    colour = np.asarray(picture, np.float32)
    grey = colour.mean(2, keepdims=True) * DIM
    lit = grey + (colour - grey) * share
    lit[_contour(share[..., 0] ** 2 >= CONTOUR_LEVEL)] = CONTOUR_COLOUR
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def _contour(inside: np.ndarray) -> np.ndarray:
    """Return the pixels inside the area (h, w) that lie within two pixels of the outside; the border is no outside."""
    core = np.pad(inside, 2, constant_values=True)
    height, width = inside.shape
    kept = np.ones_like(inside)
    for down, right in ((0, 2), (4, 2), (2, 0), (2, 4), (1, 1), (1, 3), (3, 1), (3, 3)):
        kept &= core[down : down + height, right : right + width]
    line: np.ndarray = inside & ~kept
    return line
