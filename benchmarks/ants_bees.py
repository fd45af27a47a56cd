"""ants-bees with given mobilenet_v2 weights at 224: accuracy, seconds and memory of whole processes.

Three states of the store: nothing there ("first ever"), the base converted but these pictures never seen ("base
converted"), and the same command again ("again"). Medians of three; accuracy for five seeds, all of them shown.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
from pathlib import Path

import measure

ROUNDS, SEEDS = 3, 5


def main() -> None:
    folder = measure.data()
    train = [measure.LENSMITH, "train", str(folder / "ants-bees"), "--recipe", "features", "--json", "--quiet"]
    train += ["--weights", str(folder / "weights" / "mobilenet_v2.safetensors")]
    found: dict[str, list[measure.Process]] = {"first ever": [], "base converted": [], "again": []}
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place) / "cache"
        for _ in range(ROUNDS):
            shutil.rmtree(cache, ignore_errors=True)
            for state, runs in found.items():
                if state == "base converted":
                    shutil.rmtree(cache / "features"), shutil.rmtree(cache / "files")
                runs.append(measure.run(train, cache=cache, folder=Path(place)))
        seeds = [
            json.loads(measure.run([*train, "--seed", str(seed)], cache=cache, folder=Path(place)).output)
            for seed in range(SEEDS)
        ]
    accuracy = [run["metrics"]["validation"]["accuracy"]["value"] for run in seeds]
    values: dict[str, object] = {
        "accuracy, seed 0": round(accuracy[0], 4),
        "accuracy by seed": [round(value, 4) for value in accuracy],
        "accuracy, mean": round(statistics.mean(accuracy), 4),
        "engine": seeds[0]["engine"],
    }
    for state, runs in found.items():
        values[f"seconds, {state}"] = statistics.median(run.seconds for run in runs)
        values[f"seconds, {state}, all"] = [run.seconds for run in runs]
        values[f"peak MB, {state}"] = max(run.megabytes for run in runs)
    measure.write("ants_bees", values)


if __name__ == "__main__":
    main()
