"""Changing whole batches of pictures, and their masks and boxes with them, as an Augmentation and its Draws say.

All geometry is one map, so that a pixel is interpolated once however many kinds of change are on; all colours are
clipped and rounded once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lensmith.training.augmentation import Augmentation
from lensmith.training.colour import channel_means, recoloured
from lensmith.training.draws import Draws
from lensmith.training.geometry import folded, forward, sampling_grid, sources

PIXELS_AT_ONCE = 100_000  # what a processor's cache holds with all that is made of it on the way
EDGE_POINTS = 9  # a warped side of a box is measured at this many points
PADDING = {"edge": "border", "reflect": "reflection"}  # what torch calls these fills; all others are colours


def augmented(pictures: np.ndarray, augmentation: Augmentation, draws: Draws) -> np.ndarray:
    """Return the changed pictures (n, s, s, 3) uint8; row i of `draws` says what happens to picture i.

    A picture comes out the same whatever batch it is in. Whole-pixel moves and mirroring copy pixels unchanged; with
    everything off the pictures themselves come back.
    """
    if not augmentation.moves and not augmentation.recolours:
        return pictures
    return augmented_tensor(torch.from_numpy(np.require(pictures, None, ["C", "W"])), augmentation, draws).numpy()


def augmented_tensor(pictures: Tensor, augmentation: Augmentation, draws: Draws) -> Tensor:
    """Do the same to pictures (n, s, s, 3) uint8 on any device; the result stays there.

    On a processor this takes one thread, so that it can run beside a training step.
    """
    if pictures.device.type != "cpu":
        return _changed(pictures, augmentation, draws).contiguous()
    with _one_thread():
        if not augmentation.reshapes and not augmentation.recolours:
            return _changed(pictures, augmentation, draws)
        changed = torch.empty_like(pictures)
        step = max(1, PIXELS_AT_ONCE // max(1, pictures.shape[1] * pictures.shape[2]))
        for begin in range(0, len(pictures), step):
            part = slice(begin, begin + step)
            changed[part] = _changed(pictures[part], augmentation, draws[part])
        return changed


def augmented_masks(masks: np.ndarray, augmentation: Augmentation, draws: Draws, fill: int) -> np.ndarray:
    """Return masks (n, s, s) of any whole-number type, moved as their pictures are; `fill` is what comes in.

    Each pixel takes the value of the one mask pixel in which its point lies: values never mix.
    """
    if not augmentation.moves or not masks.size:
        return masks
    size = masks.shape[1]
    with _one_thread():
        places = sources(augmentation, draws, size, "cpu")
        numbers, inside = _numbered(places, size, mirrored=False), _inside(places, size)
    moved: np.ndarray = masks.reshape(-1)[numbers.numpy()]
    moved[~inside.numpy()] = fill
    return moved


def augmented_boxes(
    boxes: np.ndarray,
    owners: np.ndarray,
    size: int,
    augmentation: Augmentation,
    draws: Draws,
    least: float = 0.25,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the boxes (k, 4) float64 that enclose the moved ones, and which of the m they are, (k,) rising.

    boxes: (m, 4), x1 y1 x2 y2 in pixels of pictures of side `size`; owners: (m,), the row of `draws` of each box's
    picture. The moved outline's enclosing box is clipped to the picture, and left out if less than the share `least` of
    its area remains, or nothing.
    """
    sides = np.linspace(0, 1, EDGE_POINTS if augmentation.warp > 0 else 2)
    ends = np.concatenate([sides * 0, sides * 0 + 1])
    steps = np.stack([np.tile(sides, 2), ends])  # along the two level sides; swapped, along the two upright ones
    around = np.concatenate([steps, steps[::-1]], axis=1).T
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    points = boxes[:, None, :2] + around * (boxes[:, None, 2:] - boxes[:, None, :2])
    if augmentation.moves and len(boxes):
        points = (forward(augmentation, draws[owners], size, points * 2 / size - 1) + 1) * size / 2
    whole = np.concatenate([points.min(1), points.max(1)], axis=1)
    clipped = whole.clip(0, size)
    left = _area(clipped)
    kept = np.flatnonzero((left > 0) & (left >= least * _area(whole)))
    return clipped[kept], kept


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread of the processor for a while.

    The parts are too small for a second thread to gain much, and every one of many steps would wait for it: on a
    machine with other work to do that takes a hundred times as long.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _changed(pictures: Tensor, augmentation: Augmentation, draws: Draws) -> Tensor:
    """Return the changed (n, s, s, 3) uint8, all of them at once."""
    size, means = pictures.shape[1], np.zeros((1, 3))
    if augmentation.contrast > 0 or augmentation.fill == "mean":
        means = channel_means(_planes(pictures))
    fill = means if augmentation.fill == "mean" else _colour(augmentation.fill)
    between = augmentation.reshapes and augmentation.interpolation != "nearest"
    if augmentation.moves and not between:
        pictures = _copied(pictures, sources(augmentation, draws, size, pictures.device), augmentation.fill, fill)
    if not between and not augmentation.recolours:
        return pictures
    values = _planes(pictures)
    if between:
        values = _sampled(values, sampling_grid(augmentation, draws, size, pictures.device), augmentation, fill)
    if augmentation.recolours:
        values = recoloured(values, means, augmentation, draws)
    return values.clamp_(0, 255).add_(0.5).to(torch.uint8).permute(0, 2, 3, 1)


def _planes(pictures: Tensor) -> Tensor:
    """Return (n, 3, s, s) float32 of (n, s, s, 3) uint8, each colour on its own in memory."""
    return pictures.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)


def _sampled(values: Tensor, grid: Tensor, augmentation: Augmentation, fill: np.ndarray) -> Tensor:
    """Return (n, 3, s, s) float32 interpolated at the points of the grid; `fill` is (n or 1, 3) of 0..255."""
    colour = None
    if augmentation.fill not in PADDING:
        colour = torch.from_numpy(fill.astype(np.float32)).to(values.device)[:, :, None, None]
    # Torch reads zeros outside: with the colour subtracted before and added after, zero is the colour.
    found = functional.grid_sample(
        values if colour is None else values - colour,
        grid,
        mode=augmentation.interpolation,
        padding_mode=PADDING.get(augmentation.fill, "zeros"),
        align_corners=False,
    )
    return found if colour is None else found.add_(colour)


def _copied(pictures: Tensor, places: tuple[Tensor, Tensor], fill: str, colour: np.ndarray) -> Tensor:
    """Return (n, s, s, 3) uint8 with each pixel copied from its place; `colour` is (n or 1, 3) of 0..255."""
    size = pictures.shape[1]
    numbers = _numbered(places, size, mirrored=fill == "reflect")
    if pictures.device.type == "cpu":  # numpy copies three bytes at a time twice as fast as torch
        found = torch.from_numpy(pictures.numpy().reshape(-1, 3).take(numbers.numpy(), axis=0))
    else:
        found = pictures.reshape(-1, 3)[numbers]
    if fill in PADDING:
        return found
    outside = torch.from_numpy(colour.round().astype(np.uint8)).to(pictures.device)
    return torch.where(_inside(places, size)[..., None], found, outside[:, None, None, :])


def _numbered(places: tuple[Tensor, Tensor], size: int, *, mirrored: bool) -> Tensor:
    """Return (n, s, s): the number of each place, counting pixels through the whole batch."""
    x, y = (folded(axis, size, mirrored=mirrored) for axis in places)
    return torch.arange(len(x), device=x.device)[:, None, None] * size**2 + y * size + x


def _inside(places: tuple[Tensor, Tensor], size: int) -> Tensor:
    x, y = places
    return (x >= 0) & (x < size) & (y >= 0) & (y < size)


def _colour(fill: str) -> np.ndarray:
    """Return a fill's colour as (1, 3) of 0..255; black for those that are no colour."""
    number = {"white": 0xFFFFFF}.get(fill) or (int(fill[1:], 16) if fill.startswith("#") else 0)
    return np.array([[number >> 16, number >> 8 & 255, number & 255]])


def _area(boxes: np.ndarray) -> np.ndarray:
    area: np.ndarray = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return area
