"""What recipe auto chooses on four made data sets, with its account of every step.

tiny and easy: 60 pictures, coloured shapes. tiny and unlike photographs: 240 gratings of 32 pixels that differ in how
fine they are, at any angle. large and easy: 1,600 coloured shapes. large and hard: 2,400 gratings that differ by 4
degrees, under noise. The weights are those of mobilenet_v2 for photographs.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

import measure
from lensmith.reproduce import generator

WEIGHTS = "weights/mobilenet_v2.safetensors"
SHAPES = ("disc", "square", "triangle", "cross")
Picture = Callable[[int, np.random.Generator], Image.Image]


def shape(kind: int, random: np.random.Generator) -> Image.Image:
    """A large shape of any colour on a noisy ground, 96 pixels."""
    ground = random.integers(90, 166, (96, 96, 3), np.uint8)
    picture = Image.fromarray(ground)
    draw = ImageDraw.Draw(picture)
    x, y, r = random.uniform(36, 60), random.uniform(36, 60), random.uniform(20, 32)
    colour = tuple(random.integers(0, 256, 3).tolist())
    if kind == 0:
        draw.ellipse((x - r, y - r, x + r, y + r), colour)
    elif kind == 1:
        draw.rectangle((x - r, y - r, x + r, y + r), colour)
    elif kind == 2:
        draw.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], colour)
    else:
        draw.line((x - r, y, x + r, y), colour, 12)
        draw.line((x, y - r, x, y + r), colour, 12)
    return picture


def fineness(kind: int, random: np.random.Generator) -> Image.Image:
    """A grating of 32 pixels at any angle; classes differ by a twelfth in how many waves cross the picture."""
    return grating(32, 5.0 * 1.08**kind, random.uniform(0, 180), 0.25, random)


def direction(kind: int, random: np.random.Generator) -> Image.Image:
    """A grating of 96 pixels under noise; classes differ by 4 degrees in its direction."""
    return grating(96, random.uniform(6, 12), 30 + 4 * kind + random.uniform(-1, 1), 1.2, random)


def grating(size: int, waves: float, angle: float, noise: float, random: np.random.Generator) -> Image.Image:
    """Stripes in any colour and phase, under normal noise of a deviation."""
    y, x = np.mgrid[:size, :size] / size
    turned = np.cos(np.radians(angle)) * x + np.sin(np.radians(angle)) * y
    stripes = np.sin(2 * np.pi * (waves * turned + random.uniform()))[..., None] * random.uniform(0.2, 0.4, 3)
    values = 0.5 + stripes + random.normal(0, noise, (size, size, 3)) * 0.4
    return Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8))


SETS: dict[str, tuple[Picture, int, int]] = {  # what is drawn, classes, pictures a class
    "tiny and easy": (shape, 2, 30),
    "tiny and unlike photographs": (fineness, 4, 60),
    "large and easy": (shape, 4, 400),
    "large and hard": (direction, 6, 400),
}


def write_set(name: str, folder: Path) -> Path:
    """Draw one of the data sets into class folders."""
    draw, classes, count = SETS[name]
    for kind in range(classes):
        place = folder / name.replace(" ", "-") / f"class-{kind}"
        place.mkdir(parents=True)
        for number in range(count):
            draw(kind, generator(0, name, kind, number)).save(place / f"{number:04}.png")
    return folder / name.replace(" ", "-")


def main() -> None:
    options = ("--weights", str(measure.data() / WEIGHTS), *sys.argv[1:])
    values: dict[str, Any] = {"options": " ".join(sys.argv[1:]) or "none: the default budget of 10 minutes"}
    with tempfile.TemporaryDirectory() as place:
        for name in SETS:
            data = write_set(name, Path(place))
            command = [measure.LENSMITH, "train", str(data), *options, "--json", "--quiet"]
            process = measure.run(command, cache=Path(place) / "cache", folder=Path(place))
            said = json.loads(process.output)
            account = said["ladder"]
            values[name] = {
                "chosen": account["chosen"],
                "why": account["why"],
                "held-out accuracy": round(said["metrics"][said["held_out"]]["accuracy"]["value"], 4),
                "seconds": process.seconds,
                "steps": [
                    {key: row[key] for key in ("step", "status", "seconds", "predicted", "value", "probability")}
                    for row in account["rows"]
                ],
            }
            print(name, json.dumps(values[name], indent=1), flush=True)
    measure.write("ladder", values)


if __name__ == "__main__":
    main()
