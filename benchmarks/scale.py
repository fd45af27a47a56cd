"""Cost and memory against the number of pictures: recipe features, whole processes, folders of 1,000 to 100,000.

The pictures are those of objects32, twice as large, each mirrored or not, moved, lighter or darker and with a grain of
its own, so that no two files are alike. One folder grows; at each size the store knows the converted base and nothing
else. `python benchmarks/scale.py [SIZE...]`: 15 minutes for all sizes on two cores, 400 MB of disk for pictures, and
1.5 GB for features.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import measure

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
SIDE, MOVED, GRAIN, QUALITY = 64, 4, 4.0, 85
EVERY = 0.05  # seconds between looks at the memory


def main(sizes: list[int]) -> None:
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        there = min(200, sizes[0])
        train(place, grown(place / "pictures", 0, there), there)  # converts the base
        for size in sizes:
            folder, there = grown(place / "pictures", there, size), size
            for kind in ("features", "files"):
                shutil.rmtree(place / "cache" / kind)
            rows.append({"pictures": size, **train(place, folder, size)})
            print(rows[-1], flush=True)
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    measure.write("scale", {"side": SIDE, "image_size": 224, **columns})


def train(place: Path, folder: Path, size: int) -> dict[str, Any]:
    """Return what one whole process took for `size` pictures."""
    weights = measure.data() / "weights" / "mobilenet_v2.safetensors"
    command = [measure.LENSMITH, "train", str(folder), "--recipe", "features", "--weights", str(weights)]
    with Watch() as watch:
        process = measure.run([*command, "--json", "--quiet"], cache=place / "cache", folder=place)
    said = json.loads(process.output)
    run = json.loads((place / said["run"] / "run.json").read_text(encoding="utf-8"))
    return {
        "seconds": process.seconds,
        "pictures a second": round(size / process.seconds, 1),
        "peak MB": process.megabytes,
        "peak anonymous MB": round(watch.most / 1024, 1),
        "seconds by step": run["times"]["steps"],
    }


class Watch:
    """Sees how much memory that no file stands behind the one child of this process holds, at most, in KB."""

    def __enter__(self) -> Watch:
        self.most, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._look, args=(threading.get_native_id(),))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self, parent: int) -> None:
        while not self._done.wait(EVERY):
            for child in Path(f"/proc/self/task/{parent}/children").read_text().split():
                try:
                    status = Path(f"/proc/{child}/status").read_text()
                except OSError:  # it has just ended
                    continue
                found = [int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")]
                self.most = max([self.most, *found])


def grown(folder: Path, there: int, size: int) -> Path:
    """Write the pictures from number `there` to `size` into a folder of ten classes; return it."""
    sources = sorted((measure.data() / "objects32" / "train").glob("*/*.jpg"))
    np.random.default_rng(0).shuffle(sources)  # type: ignore[arg-type]
    jobs = [(sources[number % len(sources)], folder, number) for number in range(there, size)]
    for name in {source.parent.name for source in sources}:
        (folder / name).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(_write, jobs, chunksize=256))
    return folder


def _write(job: tuple[Path, Path, int]) -> None:
    source, folder, number = job
    random = np.random.default_rng(number)
    picture = Image.open(source).convert("RGB").resize((SIDE + MOVED, SIDE + MOVED), Image.Resampling.BICUBIC)
    left, top = random.integers(0, MOVED + 1, 2).tolist()
    values = np.asarray(picture.crop((left, top, left + SIDE, top + SIDE)), np.float32)
    values = values[:, :: random.choice([1, -1])] * np.float32(random.uniform(0.8, 1.2))
    values = values + random.normal(0, GRAIN, (SIDE, SIDE, 1)).astype(np.float32)
    picture = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    picture.save(folder / source.parent.name / f"{number:06d}.jpg", quality=QUALITY)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or list(SIZES))
