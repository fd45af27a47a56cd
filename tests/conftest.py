"""What tests share: a store of their own, a small drawn data set, and the real data where it is at hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lensmith.reproduce import generator

# As the command line does: threads that wait sleep, or tests beside other work take many times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for the whole test session, away from the user's; no test may reach for the network."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["LENSMITH_CACHE"] = str(folder)
    os.environ["LENSMITH_OFFLINE"] = "1"
    return folder


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data named by LENSMITH_DATA."""
    place = os.environ.get("LENSMITH_DATA")
    if not place:
        pytest.skip("LENSMITH_DATA is not set: no real data")
    return Path(place)


@pytest.fixture(scope="session")
def mobilenet(data: Path) -> Path:
    return data / "weights" / "mobilenet_v2.safetensors"


def draw_shape(kind: str, number: int, size: int) -> Image.Image:
    """A disc, a square or a cross of some colour at some place, on grainy ground."""
    random = generator(0, kind, number)
    y, x = np.mgrid[0:size, 0:size]
    centre, radius = random.uniform(0.35, 0.65, 2) * size, random.uniform(0.2, 0.3) * size
    across, down = np.abs(x - centre[0]), np.abs(y - centre[1])
    inside = {
        "disc": across**2 + down**2 < radius**2,
        "square": np.maximum(across, down) < radius * 0.9,
        "cross": (np.minimum(across, down) < radius * 0.25) & (np.maximum(across, down) < radius),
    }[kind]
    picture = random.normal(90, 25, (size, size, 3))
    picture[inside] = random.uniform(150, 255, 3) + random.normal(0, 10, (int(inside.sum()), 3))
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def write_shapes(
    folder: Path, each: int = 30, size: int = 32, kinds: tuple[str, ...] = ("cross", "disc", "square")
) -> Path:
    for kind in kinds:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            draw_shape(kind, number, size).save(folder / kind / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 3 x 30 pictures of 32 pixels, easy to tell apart; tests that change it make their own."""
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes")


@pytest.fixture
def make_shapes(tmp_path: Path) -> Callable[..., Path]:
    return lambda name="shapes", **options: write_shapes(tmp_path / name, **options)
