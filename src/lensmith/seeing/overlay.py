"""Drawing a heat map over the picture it explains."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lensmith.seeing.explanation import Explanation
from lensmith.seeing.smooth import smoothed

CONTOUR_LEVEL = 0.5


def _contour(inside: np.ndarray) -> np.ndarray:
    """Return the pixels inside the area (h, w) that lie within two pixels of the outside; the border is no outside."""
    core = np.pad(inside, 2, constant_values=True)
    height, width = inside.shape
    kept = np.ones_like(inside)
    for down, right in ((0, 2), (4, 2), (2, 0), (2, 4), (1, 1), (1, 3), (3, 1), (3, 3)):
        kept &= core[down : down + height, right : right + width]
    line: np.ndarray = inside & ~kept
    return line


# What speaks for the answer is drawn in the colours of glass, what speaks against it in amber, as in the pages: nearly
# everybody can tell blue from orange. From little to much; the last is light, so strength shows without colour.
FOR = np.array([(10, 70, 92), (16, 132, 152), (70, 196, 208), (176, 240, 236)], np.float32)
AGAINST = np.array([(96, 40, 6), (190, 92, 18), (246, 152, 70), (255, 210, 158)], np.float32)
GREY = 0.6  # brightness of the picture under the colours
STRONGEST = 0.74  # of the colour where the map is highest; the rest is the picture
EXCEEDING = 0.005  # share of the pixels of a fine map that may be off the scale: a few spikes would hide the rest
SMALL = 64  # maps with fewer places along a side are drawn smoothly
GRAIN = 0.008  # of the side: the deviation of the Gaussian, two pixels of 224


def softened(found: Explanation) -> np.ndarray:
    """Return the map of an explanation as it is drawn: one of single pixels through a Gaussian, since the eye sees
    nothing in specks, and pixels side by side that speak for and against cancel out."""
    return smoothed(found.map, max(found.map.shape) * GRAIN) if found.fine else found.map


def painted(picture: Image.Image, values: np.ndarray, scale: float, *, outlined: bool = True) -> Image.Image:
    """Return the RGB picture in grey with a map (h, w) laid over it: FOR above zero, AGAINST below, full at `scale`.

    Where the map is weak the picture shows through. outlined: a line runs round what is above half of the scale.
    """
    strength = _sized(values, picture.size) / scale if scale > 0 else np.zeros(picture.size[::-1])
    share = np.clip(np.abs(strength), 0, 1)[..., None]
    grey = np.asarray(picture.convert("L"), np.float32)[..., None] * GREY
    alpha = STRONGEST * share**0.7
    # The picture's own light and dark are kept inside the colour too.
    colour = colours(strength) * (0.7 + 0.3 * grey / (255 * GREY))
    laid = grey * (1 - alpha) + colour * alpha
    if outlined:
        laid[_contour(strength >= CONTOUR_LEVEL)] = (255, 255, 255)
    return Image.fromarray(np.clip(laid, 0, 255).astype(np.uint8))


def full_scale(values: np.ndarray) -> float:
    """Return the size at which colours are full: the largest of few places, of many what 0.5 % of them exceed."""
    sizes = np.abs(values)
    found = float(sizes.max() if max(values.shape) < SMALL else np.quantile(sizes, 1 - EXCEEDING))
    return found or float(sizes.max())


def colours(strength: np.ndarray) -> np.ndarray:
    """Return the colours (..., 3) of strengths from -1 to 1."""
    share, steps = np.clip(np.abs(strength), 0, 1), np.linspace(0, 1, len(FOR))
    sides = [np.stack([np.interp(share, steps, table[:, place]) for place in range(3)], -1) for table in (FOR, AGAINST)]
    found: np.ndarray = np.where((strength < 0)[..., None], sides[1], sides[0])
    return found


def _sized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a map at another size (width, height): few places smoothly, many as the mean of those that meet."""
    kernel = Image.Resampling.BICUBIC if max(values.shape) < SMALL else Image.Resampling.BOX
    found = np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, kernel), np.float32)
    within: np.ndarray = np.clip(found, values.min(), values.max())  # a smooth curve goes beyond its points
    return within


CROWD = -1  # in the place of a class: all that are too rare to have a colour
# Eight colours told apart by the colour-blind (M. Okabe and K. Ito, "Color universal design", 2008), without black.
PALETTE = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
OTHERS = (150, 150, 150)
MOST_CLASSES = 3


def classes_over(
    picture: Image.Image, answers: np.ndarray
) -> tuple[Image.Image, list[tuple[int, tuple[int, int, int]]]]:
    """Return the picture in grey with a class map (rows, columns) over it, and the colours of the classes.

    The commonest class keeps the picture's own colours; the next MOST_CLASSES have one each.
    """
    kinds, counts = np.unique(answers, return_counts=True)
    order = kinds[np.argsort(-counts, kind="stable")]
    legend = [(int(kind), PALETTE[place]) for place, kind in enumerate(order[1 : 1 + MOST_CLASSES])]
    table = {int(order[0]): None, **dict(legend)}
    if len(order) > 1 + MOST_CLASSES:
        legend.append((CROWD, OTHERS))
    laid, base = np.asarray(picture, np.float32).copy(), np.asarray(picture.convert("L"), np.float32)[..., None]
    rows, columns = (np.arange(side) * count // side for side, count in zip(laid.shape[:2], answers.shape, strict=True))
    spread = answers[rows][:, columns]
    for kind in order[1:].tolist():
        colour = np.array(table.get(kind) or OTHERS, np.float32)
        here = spread == kind
        laid[here] = (base * 0.45 + colour * 0.55)[here]
    return Image.fromarray(np.clip(laid, 0, 255).astype(np.uint8)), legend
