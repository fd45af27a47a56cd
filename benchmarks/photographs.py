"""A folder like one of photographs, made from what there is: 3,781 pictures of 400 x 533 pixels, ten classes.

Each picture shows several things of one class in its middle: pictures of objects32, enlarged and set side by side, each
mirrored or not, lighter or darker, with the grain and the file size of photographs of that size (those of ants-bees:
0.27 bytes a pixel). What is around them is their mirror image, since photographers put things in the middle and some
libraries look at nothing else: so sized, cutting out the middle or squashing the whole cost about the same. A head on
mobilenet_v2's features is right about as often (0.885) as on the photographs that the goals were set with. Training
pictures are made of objects32/train, the others, one in five, of objects32/test.

`benchmarks/photographs.py FOLDER [COUNT]` writes the folder; other benchmarks call `make`.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

import measure

COUNT = 3781
WIDTH, HEIGHT = 533, 400
MIDDLE = 375  # side of the square that the things fill
GRID = (3, 2)  # things across and down
GRAIN = 7.0  # standard deviation of the noise, of 255
QUALITY = 86


def make(folder: Path, count: int = COUNT) -> Path:
    """Write `count` pictures below an existing folder, the classes in turn; return it."""
    things: dict[tuple[str, str], list[Image.Image]] = {}
    for path in sorted((measure.data() / "objects32").glob("*/*/*.jpg")):
        things.setdefault((path.parent.parent.name, path.parent.name), []).append(Image.open(path).convert("RGB"))
    classes = sorted({name for _, name in things})
    jobs = []
    for number in range(count):
        split, name = "test" if number // len(classes) % 5 == 4 else "train", classes[number % len(classes)]
        jobs.append((folder / split / name / f"{number:06d}.jpg", number, split, name))
        jobs[-1][0].parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(initializer=_keep, initargs=(things,)) as pool:
        list(pool.map(_write, jobs, chunksize=64))
    return folder


_things: dict[tuple[str, str], list[Image.Image]] = {}


def _keep(things: dict[tuple[str, str], list[Image.Image]]) -> None:
    _things.update(things)


def _write(job: tuple[Path, int, str, str]) -> None:
    path, seed, split, name = job
    random, there = np.random.default_rng(seed), _things[split, name]
    across, down = GRID
    size = (-(-MIDDLE // across), -(-MIDDLE // down))
    picture = Image.new("RGB", (MIDDLE, MIDDLE))
    for place, chosen in enumerate(random.permutation(len(there))[: across * down]):
        thing = there[chosen].resize(size, Image.Resampling.BICUBIC)
        if random.random() < 0.5:
            thing = thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture.paste(thing, (place % across * size[0], place // across * size[1]))
    noise = random.normal(0, GRAIN, (HEIGHT, WIDTH, 1)).astype(np.float32)
    (left, right), (above, below) = ((side // 2, side - side // 2) for side in (WIDTH - MIDDLE, HEIGHT - MIDDLE))
    whole = np.pad(np.asarray(picture, np.float32), ((above, below), (left, right), (0, 0)), "symmetric")
    values = whole * np.float32(random.uniform(0.8, 1.2)) + noise
    Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)).save(path, quality=QUALITY)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else COUNT)
