"""Pictures of classes by gradient ascent: do they reach scores far above any photograph's, and what do they show?

Ten classes of a network with its weights, from the start that `lensmith see` takes by default, each beside the highest
score that any of the photographs reaches for it (photos: one of every tenth class of ImageNet). --sheet draws them.

    python benchmarks/ascent.py --sheet sheet.png
    python benchmarks/ascent.py --network squeezenet1_0 --start blank --steps 32 --classes zebra,volcano
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import measure
from lensmith.data.preprocess import read_square
from lensmith.seeing.ascent import WAYS, Wanted, ascend, way
from lensmith.seeing.folded import folded
from lensmith.training.memory import keep_memory
from lensmith.verbs.subject import open_subject

# Each has a photograph of its own, which scores higher than others can.
CLASSES = "flamingo,zebra,alp,volcano,jaguar,black swan,lorikeet,steam locomotive,teddy,traffic light"
GAP, LINE = 6, 34


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--network", default="mobilenet_v2")
    asked.add_argument("--classes", default=CLASSES)
    asked.add_argument("--start", default="fourier", choices=list(WAYS))
    asked.add_argument("--steps", type=int)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--sheet", type=Path, help="draw the pictures into this file")
    asked.add_argument("--quick", action="store_true", help="write no result")
    options = asked.parse_args()
    keep_memory()
    folder = measure.data()
    subject = open_subject(options.network, weights=str(folder / "weights" / f"{options.network}.safetensors"))
    photographs = sorted((folder / "photos").glob("*.jpg"))
    scores = subject.says(read_square(path.read_bytes(), subject.geometry)[0] for path in photographs)
    wanted = [Wanted(name, subject.target(name).output) for name in options.classes.split(",")]
    climbing = way(options.start, options.steps, classes=True)
    begun = time.perf_counter()
    for climb in ascend(folded(subject.eye), wanted, subject.geometry.image_size, climbing, options.seed):
        print(f"step {climb.step}/{climbing.steps}", end="\r", flush=True)
    seconds = time.perf_counter() - begun
    pictures = climb.pixels.permute(0, 2, 3, 1).numpy().astype(np.uint8)
    reached = subject.says(list(pictures))  # by the engine, of what would be saved
    rows = {}
    for place, one in enumerate(wanted):
        best = int(scores[:, one.number].argmax())
        rows[one.name] = {
            "reached": round(float(reached[place, one.number]), 2),
            "in torch": round(float(climb.scores[place]), 2),
            "highest photograph": round(float(scores[best, one.number]), 2),
            "which": photographs[best].stem,
            "deviations above": round(
                float((reached[place, one.number] - scores[:, one.number].mean()) / scores[:, one.number].std()), 1
            ),
            "answer": subject.task.classes[int(reached[place].argmax())],
        }
    ratios = [row["reached"] / row["highest photograph"] for row in rows.values()]
    values = {
        "network": options.network,
        "photographs": len(photographs),
        "start": options.start,
        "steps": climbing.steps,
        "seconds a class": round(seconds / len(wanted), 2),
        "above every photograph": f"{sum(ratio > 1 for ratio in ratios)} of {len(ratios)}",
        "times the highest, median": round(float(np.median(ratios)), 2),
        "times the highest, least": round(min(ratios), 2),
        "answered as the class": f"{sum(row['answer'] == name for name, row in rows.items())} of {len(rows)}",
        "classes": rows,
    }
    if options.sheet:
        sheet(options.sheet, pictures, rows)
    if options.quick:
        for name, value in values.items():
            print(f"{name:<28} {value}")
    else:
        measure.write("ascent", values)


def sheet(path: Path, pictures: np.ndarray, rows: dict[str, dict[str, object]]) -> None:
    """Draw the pictures, five in a row, each with its class and its score beside that of the best photograph."""
    side, columns = pictures.shape[1], min(5, len(pictures))
    height = -(-len(pictures) // columns)
    size = (columns * (side + GAP) - GAP, height * (side + LINE + GAP) - GAP)
    drawn = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(drawn)
    for place, (picture, (name, row)) in enumerate(zip(pictures, rows.items(), strict=True)):
        left, top = (place % columns) * (side + GAP), (place // columns) * (side + LINE + GAP)
        drawn.paste(Image.fromarray(picture), (left, top))
        pen.text((left + 2, top + side + 3), f"{name}\n{row['reached']}, photographs to {row['highest photograph']}", 0)
    drawn.save(path)


if __name__ == "__main__":
    main()
