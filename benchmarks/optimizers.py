"""Every optimiser on the digits, with its own default rate: held-out accuracy of two seeds, all of them shown."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import measure
from lensmith.data.synthetic import write_digits
from lensmith.training.optimizers import OPTIMIZERS

SEEDS, EPOCHS = 2, 20


def main() -> None:
    values: dict[str, object] = {"epochs": EPOCHS}
    with tempfile.TemporaryDirectory() as place:
        digits = write_digits(Path(place) / "digits")
        for name in OPTIMIZERS:
            command = [
                measure.LENSMITH,
                "train",
                str(digits),
                "--recipe",
                "scratch",
                "--optimizer",
                name,
                "--json",
                "--quiet",
            ]
            command += ["--epochs", str(EPOCHS), "--seed"]
            runs = [
                json.loads(measure.run([*command, str(seed)], cache=Path(place) / "cache", folder=Path(place)).output)
                for seed in range(SEEDS)
            ]
            values[name] = [round(run["metrics"]["test"]["accuracy"]["value"], 4) for run in runs]
    measure.write("optimizers", values)


if __name__ == "__main__":
    main()
