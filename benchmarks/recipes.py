"""What each recipe is worth on real pictures: three seeds, all shown, and paired intervals between recipes.

`python benchmarks/recipes.py [scratch] [finetune] [ants-bees]` runs the parts named, or all: about two hours.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import measure
from lensmith.metrics.intervals import bootstrap_mean

SEEDS = (0, 1, 2)
WEIGHTS = "weights/mobilenet_v2.safetensors"
SCRATCH = ("--recipe", "scratch", "--network", "convnet/64-128-256", "--augment", "shift,flip=true", "--epochs", "40")


def main() -> None:
    parts = sys.argv[1:] or ["scratch", "finetune", "ants-bees"]
    data = measure.data()
    with tempfile.TemporaryDirectory() as place:
        for part in parts:
            PARTS[part](data, Path(place))


def scratch(data: Path, place: Path) -> None:
    """A small network from nothing on 5,000 pictures of 32 pixels."""
    runs = [train(place, data / "objects32", *SCRATCH, "--seed", str(seed)) for seed in SEEDS]
    measure.write("objects32_scratch", {"command": " ".join(SCRATCH), **summary("scratch", runs), "goal": 0.62})


def finetune(data: Path, place: Path) -> None:
    """Features against finetune at 96 pixels, on the same held-out pictures."""
    compare("objects32_finetune", data / "objects32", ("--image-size", "96"), data, place)


def ants_bees(data: Path, place: Path) -> None:
    """Features against finetune on 244 photographs of ants and bees."""
    compare("ants_bees_finetune", data / "ants-bees", (), data, place)


PARTS = {"scratch": scratch, "finetune": finetune, "ants-bees": ants_bees}


def compare(name: str, folder: Path, options: tuple[str, ...], data: Path, place: Path) -> None:
    """Run both recipes with every seed; the interval is that of the mean difference over seeds, picture by picture."""
    found: dict[str, list[dict[str, Any]]] = {}
    for recipe in ("features", "finetune"):
        common = ("--weights", str(data / WEIGHTS), "--recipe", recipe, *options)
        found[recipe] = [train(place, folder, *common, "--seed", str(seed)) for seed in SEEDS]
    right = {recipe: np.mean([run["right"] for run in runs], axis=0) for recipe, runs in found.items()}
    difference = bootstrap_mean(right["finetune"] - right["features"], 0, name, 10_000)
    values = {**summary("features", found["features"]), **summary("finetune", found["finetune"])}
    values["gain of finetune"] = [round(float(x), 4) for x in (difference.value, difference.low, difference.high)]
    measure.write(name, values)


def train(place: Path, folder: Path, *options: str) -> dict[str, Any]:
    """Return accuracy, seconds and, picture by picture, what was right, of one whole process."""
    command = [measure.LENSMITH, "train", str(folder), *options, "--json", "--quiet"]
    process = measure.run(command, cache=place / "cache", folder=place)
    said = json.loads(process.output)
    with (place / said["run"] / "predictions.csv").open(encoding="utf-8") as file:
        right = {row["path"]: float(row["target"] == row["predicted"]) for row in csv.DictReader(file)}
    held_out = said["metrics"][said["held_out"]]
    print(" ".join(options[-6:]), round(held_out["accuracy"]["value"], 4), process.seconds, "s", flush=True)
    return {
        "accuracy": held_out["accuracy"]["value"],
        "seconds": process.seconds,
        "megabytes": process.megabytes,
        "right": np.array([right[path] for path in sorted(right)]),
        "stage": said["result"]["stage"],
    }


def summary(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what is reported of one recipe."""
    accuracies = [round(run["accuracy"], 4) for run in runs]
    return {
        f"{name} accuracy": accuracies,
        f"{name} mean": round(float(np.mean(accuracies)), 4),
        f"{name} seconds": [run["seconds"] for run in runs],
        f"{name} kept": [run["stage"] for run in runs],
    }


if __name__ == "__main__":
    main()
