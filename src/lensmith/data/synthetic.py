"""Drawn pictures: for checking engines against each other, and scikit-learn's digits as an image folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lensmith.reproduce import generator


def check_pictures(count: int, size: int) -> list[np.ndarray]:
    """Return `count` different (size, size, 3) uint8 pictures: coloured discs and stripes, soft light, some grain."""
    return [_scene(generator(0, "check", index), size) for index in range(count)]


def _scene(random: np.random.Generator, size: int) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / max(size - 1, 1)
    direction = random.normal(size=2)
    light = 0.5 + 0.4 * np.sin(direction[0] * x * 6 + direction[1] * y * 6 + random.uniform(0, 6))
    picture = light[..., None] * random.uniform(40, 255, 3)
    for _ in range(random.integers(2, 6)):
        centre, radius = random.uniform(0, 1, 2), random.uniform(0.05, 0.35)
        disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
        stripes = np.sin((x * random.normal() + y * random.normal()) * random.uniform(20, 90)) > 0
        picture[disc] = random.uniform(0, 255, 3)
        picture[disc & stripes] = random.uniform(0, 255, 3)
    picture += random.normal(0, random.uniform(2, 20), picture.shape)
    pixels: np.ndarray = np.clip(picture, 0, 255).astype(np.uint8)
    return pixels


def write_digits(folder: Path) -> Path:
    """Write scikit-learn's 1,797 handwritten digits (8 x 8, 17 greys) as `folder/CLASS/NUMBER.png`; return folder.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998), CC BY 4.0. The folder
    appears whole or not at all; one that is there is left as it is.
    """
    if folder.exists():
        return folder
    from sklearn.datasets import load_digits

    digits = load_digits()
    building = folder.with_name(f".{folder.name}.partial")
    for digit in range(10):
        (building / str(digit)).mkdir(parents=True, exist_ok=True)
    for index, (grey, target) in enumerate(zip(digits.images, digits.target, strict=True)):
        pixels = np.round(grey * (255 / 16)).astype(np.uint8)
        Image.fromarray(pixels).save(building / str(target) / f"{index:04d}.png")
    building.rename(folder)
    return folder
