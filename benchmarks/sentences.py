"""Film-review sentences in ten folds: the text CNN with words from scratch (Kim 2014 has 0.761).

Each fold is held out once; of the rest a tenth decides when to stop, as in the paper.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path

import numpy as np

import lensmith
import measure
from lensmith.data.source import open_data
from lensmith.reproduce import generator

FOLDS, STOPPING = 10, 0.1


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--folds", type=int, default=FOLDS, help="how many of the ten are run")
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--name", default="sentences")
    asked = options.parse_args()
    dataset = open_data(measure.data() / "sentences")
    order = generator(0, "folds").permutation(len(dataset))
    found, seconds = [], []
    with tempfile.TemporaryDirectory() as place:
        for fold in range(asked.folds):
            held = order[fold::FOLDS]
            rest = np.setdiff1d(order, held)
            stopping = generator(0, "stopping", fold).permutation(rest)[: round(STOPPING * len(rest))]
            names = np.full(len(dataset), "train", "<U10")
            names[held], names[stopping] = "test", "validation"
            file = Path(place) / f"fold-{fold}.csv"
            with file.open("w", newline="", encoding="utf-8") as out:
                table = csv.writer(out)
                table.writerow(("text", "label", "split"))
                for (sentence,), target, split in zip(dataset.cells, dataset.targets, names, strict=True):
                    table.writerow((sentence, dataset.classes[target], split))
            begun = time.perf_counter()
            run = lensmith.train(file, epochs=asked.epochs, patience=3, seed=fold, out=Path(place) / "runs", quiet=True)
            seconds.append(round(time.perf_counter() - begun, 1))
            found.append(round(run.metrics["test"]["accuracy"]["value"], 4))
            print(fold, found[-1], seconds[-1], flush=True)
    values = {"folds": asked.folds, "accuracy": round(float(np.mean(found)), 4), "accuracy, all": found}
    measure.write(asked.name, {**values, "seconds a fold": float(np.median(seconds))})


if __name__ == "__main__":
    main()
