"""Reading: pictures a second, whole against reduced decode; how far the pixels are apart; Pillow against others.

The pictures are made of photographs set side by side at the size they have, so that there is detail down to a pixel,
as the largest telephone pictures hardly have. Whole and reduced decode take turns; ratios are of medians.

`benchmarks/reading.py [SHARE]` reads a share of the pictures only (0.1: a quick look).
"""

from __future__ import annotations

import hashlib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import measure
from lensmith.data.decode import decode_picture, decode_reduced, picture_bytes
from lensmith.data.preprocess import SPARE, Preprocessing, read_square, to_square
from lensmith.data.read import Files, read_pictures
from lensmith.data.store import Store
from lensmith.reproduce import generator

OPEN = Preprocessing(224, (0, 0, 0), (1, 1, 1), crop=0.875)
COUNTS = {(533, 400): 400, (1600, 1200): 60, (4000, 3000): 24}
ROUNDS, QUALITY = 5, 90
Square = Callable[[bytes], object]


def main(share: float) -> None:
    photographs = [_open(path) for path in _files("photos", "ants-bees")]
    values: dict[str, object] = {"pixels": OPEN.image_size, "crop": OPEN.crop, "rounds": ROUNDS}
    with tempfile.TemporaryDirectory() as place:
        for (width, height), count in COUNTS.items():
            folder = Path(place, f"{width}x{height}")
            paths = list(_written(folder, photographs, width, height, max(4, round(count * share))))
            values |= {f"{folder.name}: {key}": value for key, value in _speed(paths).items()}
            values[f"{folder.name}: MB, highest, whole and reduced"] = [
                _memory(folder, way) for way in ("whole", "reduced")
            ]
            if width < 1000:
                values |= _others([path.read_bytes() for path in paths])
    values["distance"] = _distances(photographs, share)
    values["distance to the same square saved again as JPEG, quality 95"] = _saved_again(photographs, share)
    measure.write("reading", values)


# ---- pictures


def _files(*names: str) -> list[Path]:
    found = [path for name in names for path in sorted((measure.data() / name).rglob("*"))]
    return [path for path in found if path.suffix in (".jpg", ".png") and "masks" not in path.parts]


def _open(path: Path) -> Image.Image:
    return decode_picture(path.read_bytes())


def _mosaic(pictures: Sequence[Image.Image], width: int, height: int, seed: int) -> Image.Image:
    """Return a picture filled with others, row by row, none of them scaled."""
    random, whole, top = generator(seed, "mosaic", width), Image.new("RGB", (width, height)), 0
    while top < height:
        left, lowest = 0, height
        while left < width:
            picture = pictures[int(random.integers(len(pictures)))]
            whole.paste(picture, (left, top))
            left, lowest = left + picture.width, min(lowest, picture.height)
        top += lowest
    return whole


def _jpeg(picture: Image.Image, quality: int = QUALITY, subsampling: str = "4:2:0") -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()


def _written(folder: Path, photographs: Sequence[Image.Image], width: int, height: int, count: int) -> Iterator[Path]:
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:03d}.jpg"
        path.write_bytes(_jpeg(_mosaic(photographs, width, height, number)))
        yield path


# ---- speed


def _whole(data: bytes) -> object:
    return to_square(decode_picture(data), OPEN)


def _reduced(data: bytes) -> object:
    return read_square(data, OPEN)


def _speed(paths: Sequence[Path]) -> dict[str, object]:
    """Return pictures a second, files to squares with their hashes, by way and number of threads."""
    values: dict[str, object] = {"reduced by": OPEN.reduction(_open(paths[0]).size)}
    for threads in (1, 2):
        rates = _rates({"whole": _whole, "reduced": _reduced}, paths, threads)
        values |= {f"{name}, {threads} threads, pictures a second": round(rate, 1) for name, rate in rates.items()}
        values[f"reduced over whole, {threads} threads"] = round(rates["reduced"] / rates["whole"], 2)
    return values


def _rates(ways: dict[str, Square], items: Sequence[Path] | Sequence[bytes], threads: int = 1) -> dict[str, float]:
    """Return pictures a second by way: the medians of rounds in which the ways take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with ThreadPoolExecutor(threads) as pool:
        for number in range(ROUNDS + 1):
            for name, way in ways.items():
                begun = time.perf_counter()
                for _ in pool.map(lambda item, way=way: _one(item, way), items):
                    pass
                if number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - begun)
    return {name: len(items) / statistics.median(times) for name, times in seconds.items()}


def _one(item: Path | bytes, way: Square) -> None:
    if isinstance(item, Path):
        item = picture_bytes(item)
        hashlib.sha256(item).hexdigest()
    way(item)


def _memory(folder: Path, way: str) -> float:
    """Return the highest resident memory in MB of a process that reads a folder as every verb does."""
    with tempfile.TemporaryDirectory() as cache:
        ended = measure.run([sys.executable, __file__, "--read", str(folder), way], cache=Path(cache))
    return float(ended.output)


def _read(folder: Path, way: str) -> None:
    # Of the nearest pixels no reduced decode is made.
    preprocessing = replace(OPEN, interpolation="nearest") if way == "whole" else OPEN
    for _ in read_pictures(Files(folder, sorted(path.name for path in folder.iterdir()), Store()), preprocessing):
        pass
    # Not ru_maxrss: it counts the process that started this one. Linux only.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1))


# ---- other decoders


def _others(pictures: Sequence[bytes]) -> dict[str, object]:
    """Return how other decoders do beside Pillow in one thread, and whether their pixels are the same."""
    decoders: dict[str, Callable[[bytes], np.ndarray]] = {}
    values: dict[str, object] = {}
    try:
        import cv2

        cv2.setNumThreads(1)
        decoders["OpenCV"] = lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except ImportError:
        values["OpenCV"] = "not installed"
    try:
        import simplejpeg

        decoders["simplejpeg"] = lambda data: simplejpeg.decode_jpeg(data, "RGB")
    except ImportError:
        values["simplejpeg"] = "not installed"
    ways: dict[str, Square] = {"Pillow: decoded": lambda data: decode_reduced(data, lambda size: 1)}
    ways["Pillow: square"] = _reduced
    for name, decode in decoders.items():
        ways[f"{name}: decoded"] = decode
        ways[f"{name}: square"] = lambda data, decode=decode: to_square(Image.fromarray(decode(data)), OPEN)
        same = [np.array_equal(decode(data), np.asarray(decode_picture(data))) for data in pictures]
        values[f"{name}: pictures equal to Pillow's, share"] = float(np.mean(same))
    rates = _rates(ways, pictures)
    return values | {f"{name}, pictures a second": round(rate) for name, rate in rates.items()}


# ---- distance


def _distances(photographs: Sequence[Image.Image], share: float) -> dict[str, dict[str, float]]:
    """Return how far the squares of a reduced decode are from those of the whole picture, of 255.

    For each reduction the square is as large as it may be: what is left is just SPARE times its side; to show why,
    also with 1 and 3 in place of SPARE. Over the filters that average, and three ways of sampling colours.
    """
    step = max(1, round(1 / share))
    groups = {
        "mosaics": [_mosaic(photographs, 2001, 1501, seed) for seed in range(max(1, round(6 * share)))],
        "ants-bees": [_open(path) for path in _files("ants-bees")[::step]],
        "street": [_open(path) for path in _files("street")[::step]],
        "blood-cells": [_open(path) for path in _files("blood-cells")[::step]],
    }
    table = {}
    for spare in (1, SPARE, 3):
        for name, pictures in groups.items():
            table[f"{spare} x the square left, {name}"] = _summary(
                gap
                for picture in pictures
                for subsampling in ("4:4:4", "4:2:2", "4:2:0")
                for gap in _gaps(_jpeg(picture, 92, subsampling), spare)
            )
    return table


def _gaps(data: bytes, spare: int) -> Iterator[np.ndarray]:
    whole = decode_picture(data)
    for asked in (2, 4, 8):
        reduced = decode_reduced(data, lambda size, by=asked: by)
        size = int(min(whole.size) * OPEN.crop / asked / spare)
        if reduced.image.size != whole.size and size >= 16:  # 4:2:2 is reduced by half of what is asked for
            for name in ("bilinear", "bicubic", "lanczos"):
                preprocessing = replace(OPEN, image_size=size, interpolation=name)
                yield _gap(to_square(reduced.image, preprocessing, reduced.place), to_square(whole, preprocessing))


def _gap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(one.astype(np.int16) - other)


def _summary(gaps: Iterator[np.ndarray]) -> dict[str, float]:
    """Return the mean over all squares, and of single squares the worst mean, 99.9th percentile and pixel."""
    rows = [(gap.mean(), np.quantile(gap, 0.999), gap.max()) for gap in gaps]
    means, most, largest = zip(*rows, strict=True)
    return {
        "mean": round(float(np.mean(means)), 2),
        "worst mean": round(float(max(means)), 2),
        "worst 99.9th percentile": round(float(max(most)), 1),
        "largest": int(max(largest)),
    }


def _saved_again(photographs: Sequence[Image.Image], share: float) -> dict[str, float]:
    """Return, for comparison, what saving the square itself as a JPEG does to it."""
    squares = [to_square(picture, OPEN) for picture in photographs[:: max(1, round(1 / share))]]
    return _summary(_gap(np.asarray(decode_picture(_jpeg(Image.fromarray(each), 95))), each) for each in squares)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        _read(Path(sys.argv[2]), sys.argv[3])
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
