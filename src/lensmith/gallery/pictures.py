"""Pictures for the gallery, from no file and no network: handwritten digits, and coloured shapes among clutter."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from lensmith.reports.pictures import as_uri, png
from lensmith.reproduce import generator

STROKES = 4  # that lie behind a shape
TILT = 0.5  # radians that a shape is turned by, either way
GRAIN = 6.0  # standard deviation of the noise, in grey levels
LEAST_CONTRAST = 70  # grey levels between a shape and the ground, in every channel


@dataclass(frozen=True)
class Lot:
    """Pictures (n, s, s, 3) uint8 and their classes (n,) int64; the first `train` are learned from, the rest held out.

    what: the pictures in a few words, for people.
    """

    pictures: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]
    train: int
    what: str

    @property
    def held_out(self) -> int:
        """How many pictures are held out."""
        return len(self.targets) - self.train


def digits(size: int, train: int, held_out: int, seed: int) -> Lot:
    """Return `train` + `held_out` of scikit-learn's 1,797 handwritten digits, enlarged from 8 to `size` pixels.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998), CC BY 4.0.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    chosen = generator(seed, "gallery", "digits").permutation(len(found.target))[: train + held_out]
    small = np.round(found.images[chosen] * (255 / 16)).astype(np.uint8)
    large = [Image.fromarray(grey).resize((size, size), Image.Resampling.BICUBIC) for grey in small]
    pictures = np.repeat(np.stack([np.asarray(picture) for picture in large])[..., None], 3, axis=-1)
    names = tuple(str(digit) for digit in range(10))
    return Lot(pictures, found.target[chosen].astype(np.int64), names, train, f"handwritten digits, {size} pixels")


def framed(lot: Lot, size: int) -> Lot:
    """Return the same pictures in the middle of a black ground of `size` pixels."""
    before = (size - lot.pictures.shape[1]) // 2
    after = size - lot.pictures.shape[1] - before
    pictures = np.pad(lot.pictures, ((0, 0), (before, after), (before, after), (0, 0)))
    return replace(lot, pictures=pictures, what=f"{lot.what} in the middle of {size}")


def moved(pictures: np.ndarray, right: int, down: int) -> np.ndarray:
    """Return pictures (n, s, s, ...) moved by whole pixels; the edge is repeated where something comes in."""
    size = pictures.shape[1]
    rows = np.clip(np.arange(size) - down, 0, size - 1)
    columns = np.clip(np.arange(size) - right, 0, size - 1)
    found: np.ndarray = pictures[:, rows][:, :, columns]
    return found


# Whether a point lies inside a shape, by its place (u, v) from the middle; all reach about one from it.
SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "disc": lambda u, v: np.hypot(u, v) < 0.85,
    "ring": lambda u, v: (np.hypot(u, v) < 0.95) & (np.hypot(u, v) > 0.55),
    "moon": lambda u, v: (np.hypot(u, v) < 1) & (np.hypot(u - 0.45, v) > 0.75),
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) < 0.75,
    "triangle": lambda u, v: np.maximum(u, np.abs(v) * math.sqrt(0.75) - u / 2) < 0.52,
    "star": lambda u, v: np.hypot(u, v) < 0.42 + 0.63 * np.abs(2 * _fifth(u, v) - 1) ** 1.3,
    "cross": lambda u, v: (np.minimum(np.abs(u), np.abs(v)) < 0.28) & (np.maximum(np.abs(u), np.abs(v)) < 0.92),
    "rails": lambda u, v: (np.abs(u) < 0.85) & (np.abs(v) > 0.22) & (np.abs(v) < 0.68),
}


def _fifth(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return where in its fifth of the circle a direction lies, 0 to 1."""
    found: np.ndarray = np.arctan2(v, u) * 5 / (2 * math.pi) % 1
    return found


def shapes(size: int, train: int, held_out: int, seed: int) -> Lot:
    """Return drawn pictures: one of eight shapes, in any colour, somewhere, tilted, over strokes that mean nothing."""
    count, names = train + held_out, tuple(SHAPES)
    targets = generator(seed, "gallery", "shapes").permutation(count) % len(names)
    drawn = [_shape(names[target], generator(seed, "gallery", "shape", n), size) for n, target in enumerate(targets)]
    return Lot(np.stack(drawn), targets.astype(np.int64), names, train, f"drawn shapes, {size} pixels")


def _shape(name: str, random: np.random.Generator, size: int) -> np.ndarray:
    """Return one (size, size, 3) uint8 picture, drawn at twice the size, so that edges are smooth."""
    y, x = (np.mgrid[0 : 2 * size, 0 : 2 * size] + 0.5) / (2 * size)
    one, other = random.uniform(20, 235, (2, 3))
    along, _ = _turned(x - 0.5, y - 0.5, random)
    picture = one + (other - one) * (0.5 + 0.5 * np.sin(random.uniform(1, 5) * along))[..., None]
    for _ in range(STROKES):
        along, across = _turned(x - random.uniform(), y - random.uniform(), random)
        stroke = (np.abs(along) < random.uniform(0.06, 0.2)) & (np.abs(across) < random.uniform(0.012, 0.03))
        picture[stroke] = random.uniform(0, 255, 3)
    reach = random.uniform(0.2, 0.3)
    u, v = _turned(x - random.uniform(0.3, 0.7), y - random.uniform(0.3, 0.7), random, TILT)
    ground = (one + other) / 2
    picture[SHAPES[name](u / reach, v / reach)] = (
        ground + random.uniform(LEAST_CONTRAST, 255 - LEAST_CONTRAST, 3)
    ) % 255
    small = picture.reshape(size, 2, size, 2, 3).mean((1, 3)) + random.normal(0, GRAIN, (size, size, 3))
    pixels: np.ndarray = np.clip(small, 0, 255).astype(np.uint8)
    return pixels


def _turned(
    x: np.ndarray, y: np.ndarray, random: np.random.Generator, most: float = math.pi
) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates turned by a random angle, at most so many radians either way."""
    angle = random.uniform(-most, most)
    return x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)


def png_uri(pixels: np.ndarray) -> str:
    """Return (h, w, 3) or (h, w) uint8 pixels as a data URI that keeps every one of them."""
    return as_uri(png(Image.fromarray(pixels)), "png")


def shaded(values: np.ndarray) -> np.ndarray:
    """Return numbers (h, w), none below zero, as grey levels (h, w) uint8, the largest white."""
    highest = float(values.max())
    levels: np.ndarray = np.round(255 * values / (highest or 1.0)).astype(np.uint8)
    return levels
