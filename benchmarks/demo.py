"""`lensmith demo`: accuracy on the held-out digits and seconds of the whole process, for five seeds."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path

import measure

SEEDS = 5


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        runs = [
            measure.run(
                [measure.LENSMITH, "demo", "--json", "--quiet", "--seed", str(seed)],
                cache=Path(place) / f"cache{seed}",
                folder=Path(place),
            )
            for seed in range(SEEDS)
        ]
    accuracy = [json.loads(run.output)["metrics"]["test"]["accuracy"]["value"] for run in runs]
    measure.write(
        "demo",
        {
            "accuracy, seed 0": round(accuracy[0], 4),
            "accuracy by seed": [round(value, 4) for value in accuracy],
            "accuracy, mean": round(statistics.mean(accuracy), 4),
            "seconds, median": statistics.median(run.seconds for run in runs),
            "seconds by seed": [run.seconds for run in runs],
            "peak MB": max(run.megabytes for run in runs),
        },
    )


if __name__ == "__main__":
    main()
