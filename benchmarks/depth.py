"""20 and 56 layers, plain and residual, on objects32: the training loss of each, for every seed.

The plain network of 56 layers should end higher than that of 20, the residual one should not (He et al. 2015, figure
6). Pictures are moved by up to four pixels and mirrored, which is to pad and crop. Every network is trained by a
process of its own with one thread: three quarters of an hour on two cores. With the paper's 128 pictures a step,
thirty epochs of 5,000 pictures are 1,200 steps, too few for any network of 56 layers; 16 a step make 9,400 of them.

    python benchmarks/depth.py [--epochs 30] [--seeds 2] [--count 5000] [--batch-size 16] [--learning-rate 0.05]
                               [--device cpu] [--name depth]
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import measure
from lensmith.data.preprocess import Preprocessing, read_square
from lensmith.data.source import open_data
from lensmith.gallery.pictures import Lot
from lensmith.gallery.residual import KINDS, Residual
from lensmith.reproduce import cores, generator

SIZE = 32
AUGMENT = "shift_x=0.125,shift_y=0.125,fill=mean,flip=true"
HELD_OUT = 1000


def main() -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does
    asked = arguments()
    lot = objects(measure.data() / "objects32", asked.count)
    exhibit = Residual(
        epochs=asked.epochs,
        batch_size=asked.batch_size,
        learning_rate=asked.learning_rate,
        augment=AUGMENT,
        device=asked.device,
    )
    jobs = [
        (kind, depth, seed)
        for depth in (exhibit.deep, exhibit.shallow)
        for kind in KINDS
        for seed in range(asked.seeds)
    ]
    with ProcessPoolExecutor(cores(), get_context("spawn")) as pool:
        trained = pool.map(followed, *zip(*((exhibit, lot, *job) for job in jobs), strict=True))
        networks = dict(zip(jobs, trained, strict=True))
    found = [
        {"networks": {f"{kind}{depth}": networks[kind, depth, seed] for kind, depth, s in jobs if s == seed}}
        for seed in range(asked.seeds)
    ]
    measure.write(asked.name, summary(found, asked, lot))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--count", type=int, default=5000, help="pictures to learn from, at most all 5,000")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--name", default="depth", help="the result is benchmarks/results/NAME.json")
    return parser.parse_args()


def objects(folder: Path, most: int) -> Lot:
    """Return `most` of the training pictures, and the first thousand of an even draw of the test pictures."""
    dataset = open_data(folder)
    given = np.array(dataset.given)
    train = generator(0, "depth", "train").permutation(np.flatnonzero(given == "train"))[:most]
    held_out = generator(0, "depth", "test").permutation(np.flatnonzero(given == "test"))[:HELD_OUT]
    chosen = np.concatenate([train, held_out])
    geometry = Preprocessing(SIZE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    pictures = [read_square((dataset.root / dataset.paths[place]).read_bytes(), geometry)[0] for place in chosen]
    what = f"objects32, {SIZE} pixels"
    return Lot(np.stack(pictures), dataset.targets[chosen], dataset.classes, len(train), what)


def followed(exhibit: Residual, lot: Lot, kind: str, depth: int, seed: int) -> dict[str, Any]:
    """Train one network with one thread, saying after every epoch how long it has taken so far."""
    import torch

    torch.set_num_threads(1)
    steps, begun = exhibit.one(kind, depth, lot, seed), time.monotonic()
    for epoch in count(1):
        try:
            note = next(steps)
        except StopIteration as end:
            return dict(end.value)
        print(f"seed {seed}, {note}: {epoch} epochs, {time.monotonic() - begun:.0f} s", flush=True)
    raise AssertionError("unreachable")


def summary(found: list[dict[str, Any]], asked: argparse.Namespace, lot: Lot) -> dict[str, Any]:
    """Return what is reported: for each network a number a seed, and whether depth hurt."""

    def each(name: str, field: str) -> list[float | None]:
        return [values["networks"][name]["rows"][-1][field] for values in found]

    names = list(found[0]["networks"])
    loss = {name: each(name, "train_loss") for name in names}
    rounded = {name: [None if x is None else round(x, 4) for x in losses] for name, losses in loss.items()}
    return {
        "pictures": lot.train,
        "epochs": asked.epochs,
        "batch": asked.batch_size,
        "learning rate": asked.learning_rate,
        "augmentation": AUGMENT,
        "device": asked.device,
        **{f"{name}: training loss": losses for name, losses in rounded.items()},
        **{f"{name}: held-out accuracy": each(name, "accuracy") for name in names},
        "plain: loss of 56 over loss of 20": ratio(loss["plain20"], loss["plain56"]),
        "residual: loss of 56 over loss of 20": ratio(loss["residual20"], loss["residual56"]),
        "plain 56 is worse than plain 20": hurt(loss["plain20"], loss["plain56"]),
        "residual 56 is worse than residual 20": hurt(loss["residual20"], loss["residual56"]),
        "seconds": {
            name: [round(sum(row["seconds"] for row in values["networks"][name]["rows"]), 1) for values in found]
            for name in names
        },
        "training loss by epoch": {
            name: [[row["train_loss"] for row in values["networks"][name]["rows"]] for values in found]
            for name in names
        },
        "gradient over weights by layer, at the start": {
            name: found[0]["networks"][name]["gradients"] for name in names
        },
    }


def hurt(shallow: list[float | None], deep: list[float | None]) -> list[bool]:
    """Return for each seed whether the deeper network ended at the higher training loss; no number is the highest."""
    return [more is None or (less is not None and more > less) for less, more in zip(shallow, deep, strict=True)]


def ratio(shallow: list[float | None], deep: list[float | None]) -> list[float | None]:
    """Return for each seed the final training loss of the deeper network over that of the shallower one."""
    return [round(more / less, 3) if less and more else None for less, more in zip(shallow, deep, strict=True)]


if __name__ == "__main__":
    main()
