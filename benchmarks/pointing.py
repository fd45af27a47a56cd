"""Whether Grad-CAM points at the thing: its peak against boxes drawn by hand round the thing the file is named after.

marks.json holds 30 of photos/, every third file in the order of names, chosen before they were looked at: left, top,
right, bottom as shares of the square that the network sees (the middle of the picture, 224 / 256 of its short side).
Where the thing fills the square no map can miss it; what counts is the comparison with what knows nothing of the
picture: any point of it (the share of the box, and its distance, exactly), the middle, and the peak of another
picture's map; once for all, and once for the boxes that cover less than half of the square. `luck`: how often
differences as large come about when the two sides of each of the 30 pairs are swapped at random.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import measure
from lensmith.data import decode
from lensmith.data.preprocess import read_square
from lensmith.reproduce import generator
from lensmith.seeing.methods import explained, targets_of
from lensmith.verbs.subject import open_subject

CROP = 224 / 256
POINTS = 200  # along a side: of the grid that stands for any point
FLIPS = 20_000
SMALL = 0.5  # of the square

Box = tuple[float, float, float, float]


def peak(values: np.ndarray) -> tuple[float, float]:
    """Return where a map is highest, (x, y) as shares of the square; of a coarse one, drawn smoothly."""
    side = 224
    smooth = np.asarray(Image.fromarray(values.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC))
    y, x = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return (float(x) + 0.5) / side, (float(y) + 0.5) / side


def distance(x: np.ndarray, y: np.ndarray, box: Box) -> np.ndarray:
    """Return how far points are from a box, 0 inside, as shares of the side."""
    left, top, right, bottom = box
    return np.hypot(np.maximum(np.maximum(left - x, x - right), 0), np.maximum(np.maximum(top - y, y - bottom), 0))


def from_middle(x: np.ndarray, y: np.ndarray, box: Box) -> np.ndarray:
    """Return how far points are from the middle of a box, in half sides of it: 1 is its edge."""
    left, top, right, bottom = box
    across, down = (x - (left + right) / 2) / ((right - left) / 2), (y - (top + bottom) / 2) / ((bottom - top) / 2)
    return np.maximum(np.abs(across), np.abs(down))


def luck(better: Sequence[float], worse: Sequence[float]) -> float:
    """Return how often random signs give paired differences a mean at least as large (one-sided)."""
    differences = np.array(worse) - np.array(better)
    signs = generator(0, "pointing").choice((-1.0, 1.0), (FLIPS, len(differences)))
    reached = int(((signs * differences).mean(1) >= differences.mean() - 1e-12).sum())
    return round((reached + 1) / (FLIPS + 1), 5)


def main() -> None:
    """Measure, and write results/pointing.json."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--network", default="mobilenet_v2")
    options.add_argument("--method", default="grad-cam")
    given = options.parse_args()
    marks: dict[str, Box] = json.loads((Path(__file__).parent / "marks.json").read_text("utf-8"))
    weights = str(measure.data() / "weights" / f"{given.network}.safetensors")
    subject = open_subject(given.network, weights=weights)
    subject = replace(subject, geometry=replace(subject.geometry, crop=CROP))
    files = [measure.data() / "photos" / name for name in marks]
    squares = [read_square(decode.picture_bytes(file), subject.geometry)[0] for file in files]
    answers = targets_of(subject, squares)
    true = [replace(answers[0], output=int(name[:4]), name=name[5:-4]) for name in marks]
    values: dict[str, object] = {"network": given.network, "method": given.method, "pictures": len(marks)}
    for what, targets in (("what it answers", answers), ("what the picture shows", true)):
        maps = [one.map for one in explained(subject, squares, list(marks), targets, given.method)]
        peaks, boxes = [peak(one) for one in maps], list(marks.values())
        small = [place for place, box in enumerate(boxes) if (box[2] - box[0]) * (box[3] - box[1]) < SMALL]
        values[what] = compared(peaks, boxes)
        values[f"{what}, {len(small)} small boxes"] = compared(
            [peaks[place] for place in small], [boxes[place] for place in small]
        )
    measure.write("pointing" if given.method == "grad-cam" else f"pointing-{given.method}", values)


def compared(peaks: list[tuple[float, float]], boxes: list[Box]) -> dict[str, object]:
    """Return how the peaks of maps lie to the boxes, beside what knows nothing of the picture."""
    count = len(boxes)
    at = (np.arange(POINTS) + 0.5) / POINTS
    x, y = (grid.ravel() for grid in np.meshgrid(at, at))
    points = {
        "peak": [(np.array([across]), np.array([down])) for across, down in peaks],
        "any point": [(x, y)] * count,
        "the middle": [(np.array([0.5]), np.array([0.5]))] * count,
        "another picture's peak": [
            tuple(np.array(part) for part in zip(*(peaks[:own] + peaks[own + 1 :]), strict=True))
            for own in range(count)
        ],
    }
    rows: dict[str, dict[str, list[float]]] = {}
    for name, places in points.items():
        away = [distance(*place, box) for place, box in zip(places, boxes, strict=True)]
        rows[name] = {
            "inside": [float((one == 0).mean()) for one in away],
            "distance": [float(one.mean()) for one in away],
            "from_middle": [float(from_middle(*place, box).mean()) for place, box in zip(places, boxes, strict=True)],
        }
    found: dict[str, object] = {}
    for name, row in rows.items():
        found[name] = {what: round(float(np.mean(numbers)), 4) for what, numbers in row.items()}
        if name != "peak":
            found[name] |= {  # type: ignore[operator]
                "luck_inside": luck([-one for one in rows["peak"]["inside"]], [-one for one in row["inside"]]),
                "luck_distance": luck(rows["peak"]["distance"], row["distance"]),
            }
    return found


if __name__ == "__main__":
    main()
