"""What stands in the place of pixels that are taken away."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from lensmith.errors import UsageError, nearest

FILLS = {
    "mean": "the picture's mean colour",
    "grey": "middle grey",
    "black": "black",
    "white": "white",
    "blur": "the picture blurred",
}
GREY = 128
BLUR = 14  # the side over this is the standard deviation of the blur: half a window of occlusion


def filled(square: np.ndarray, fill: str) -> np.ndarray:
    """Return what a picture (s, s, 3) uint8 is replaced by, of the same shape. Raises UsageError for no fill."""
    require_fill(fill)
    if fill == "blur":
        return np.asarray(Image.fromarray(square).filter(ImageFilter.GaussianBlur(len(square) / BLUR)))
    if fill == "mean":
        colour: np.ndarray = square.mean((0, 1)).round()
    else:
        colour = np.full(3, {"grey": GREY, "black": 0, "white": 255}[fill])
    return np.broadcast_to(colour.astype(np.uint8), square.shape)


def require_fill(fill: str) -> None:
    """Raise UsageError for a fill that is not there."""
    if fill not in FILLS:
        raise UsageError(f"fill is {fill!r}; allowed are {', '.join(FILLS)}.{nearest(fill, FILLS)}")
