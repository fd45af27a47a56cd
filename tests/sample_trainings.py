"""Trainings of a second or less by every recipe that leaves checkpoints: what they are given, where they are killed,
and whether one of them ended as another."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conftest import write_shapes
from killing import STEP, WRITING, Incident
from lensmith.reproduce import generator

EPOCHS = 10
WEIGHTS = "drawn.safetensors"


@dataclass(frozen=True)
class Recipe:
    """Options of train, and the stage that leaves checkpoints."""

    options: str
    stage: str


RECIPES = {
    "adamw": Recipe("--recipe scratch --learning-rate 0.01 --ema 0.8 --mixup 0.2 --dense 8 --dropout 0.3", "scratch"),
    "momentum": Recipe(
        "--recipe scratch --optimizer momentum --find-rate --clip 1 --cutmix 0.2 --batch-size 4", "scratch"
    ),
    "frozen": Recipe("--recipe frozen --dense 8 --dropout 0.3 --augment shift --learning-rate 0.01", "frozen"),
    "finetune": Recipe(
        "--recipe finetune --unfreeze all --ema 0.8 --crop 0.875 --learning-rate 0.01 --batch-size 8", "finetune"
    ),
    # With pictures as few as these the ladder asks out of fold; it climbs to finetune.
    "auto": Recipe("--budget 1h --unfreeze all --learning-rate 0.01 --batch-size 8 --epochs 12", "finetune"),
}
FINISHING = ("model.safetensors", "config.json", "metrics.json", "predictions.csv", "pictures.json", "README.md")


def prepare(folder: Path) -> None:
    """Write the pictures, and weights that were never trained, so that there is something left to learn."""
    import torch
    from safetensors.torch import save_file

    from lensmith.zoo.convnet import Convnet

    write_shapes(folder / "pictures", each=12, size=16, kinds=("cross", "disc"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(Convnet((4, 8)).state_dict(), folder / WEIGHTS)


def words(folder: Path, name: str, run: str) -> tuple[str, ...]:
    """Return the command line that trains by RECIPES[name] on what `prepare` wrote into a folder."""
    recipe = RECIPES[name]
    weights = () if recipe.stage == "scratch" else ("--weights", str(folder / WEIGHTS))
    always = f"--network convnet/4-8 --image-size 16 --engine torch --epochs {EPOCHS}".split()
    return ("train", str(folder / "pictures"), *weights, *always, *recipe.options.split(), "--name", run)


def drawn_kills(name: str, kills: int, seed: int) -> list[Incident]:
    """Draw where the processes of a run are killed, one after another: half of `kills` inside steps, half inside writes
    of checkpoints; and once more while the run is finished."""
    recipe, random = RECIPES[name], generator(seed, "kills", name)
    places = random.permutation([STEP] * (kills // 2) + ["write"] * (kills - kills // 2))
    epochs = np.sort(random.choice(EPOCHS, kills, replace=False))
    found = []
    for place, epoch in zip(places, epochs.tolist(), strict=True):
        after = (recipe.stage, epoch) if epoch else None
        if place == STEP:
            found.append(Incident(STEP, after=after, number=int(random.integers(1, 3))))
        else:
            found.append(Incident(str(random.choice(WRITING)), f"{recipe.stage}.safetensors", after))
    if name == "auto":  # two of them while it climbs: amid a fold, and amid what it decided
        found[0] = Incident(STEP, number=int(random.integers(1, 2000)))
        found[1] = Incident(str(random.choice(WRITING)), "ladder.safetensors", number=int(random.integers(1, 6)))
    return [*found, Incident(str(random.choice(WRITING)), str(random.choice(FINISHING)))]


def differences(run: Path, whole: Path) -> list[str]:
    """Return in what a run differs from the one that nothing happened to; clocks aside, that should be in nothing."""
    found = [
        name
        for name in ("model/model.safetensors", "model/config.json", "metrics.json", "predictions.csv", "splits.csv")
        if not (run / name).exists() or (run / name).read_bytes() != (whole / name).read_bytes()
    ]
    found += [] if _history(run) == _history(whole) else ["history.csv"]
    one, other = document(run), document(whole)
    found += [f"run.json: {name}" for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    files = [{str(path.relative_to(folder)) for path in folder.rglob("*")} for folder in (run, whole)]
    return found + sorted(files[0] ^ files[1])


def _history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="", encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def document(run: Path) -> dict[str, Any]:
    """Return what run.json says, but for the name and whatever a clock had a part in."""

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            clocks = ("name", "started", "times", "seconds", "predicted")
            return {key: timeless(item) for key, item in value.items() if key not in clocks}
        return [timeless(item) for item in value] if isinstance(value, list) else value

    found: dict[str, Any] = timeless(json.loads((run / "run.json").read_text(encoding="utf-8")))
    return found
