"""Training steps a second beside a plain loop over the same timm network, in turns, each in a process of its own.

The plain loop is what timm's own documentation leads to: create_model, a torch DataLoader over PIL pictures that are
resized and flipped, AdamW, cross-entropy, eager float32. Both see the same pictures at the same size and batch.

Then pictures a second of a fine-tuning step alone, torchvision's mobilenet_v2 at 224 pixels with held statistics: as it
is, channels-last, with normalisation folded into the convolutions, in bfloat16, and of the part above a place; once
with the memory of a step given back, as any program does, and once with it kept (training/memory.py).
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import measure
from lensmith.data.source import open_data
from lensmith.engines.folding import fold_batch_norm
from lensmith.engines.pytorch import Normalise
from lensmith.tasks.classification import Classification
from lensmith.training.augmentation import PRESETS
from lensmith.training.fit import FitSettings, Lessons, Positions, fit
from lensmith.training.memory import keep_memory
from lensmith.training.views import Augmented
from lensmith.zoo.base import assemble, assemble_top
from lensmith.zoo.heads import Classifier

NETWORK, SIZE, BATCH, PICTURES, ROUNDS, TURNS = "mobilenetv2_100", 160, 32, 256, 3, 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _apart(part: str) -> Any:
    """Return what a part says in a process of its own."""
    with tempfile.TemporaryDirectory() as cache:
        return json.loads(measure.run([sys.executable, __file__, part], cache=Path(cache)).output)


def _epochs(make: Callable[[list[Path], np.ndarray], PlainLoop | OurLoop]) -> list[float]:
    """Return the seconds of some epochs, the first of all left out."""
    dataset = open_data(measure.data() / "ants-bees")
    loop = make([dataset.root / path for path in dataset.paths[:PICTURES]], dataset.targets[:PICTURES])
    taken = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        loop.epoch()
        taken.append(time.perf_counter() - begun)
    return taken[1:]


class Folder(Dataset):
    """Pictures opened, resized and flipped one by one, as a plain loop does."""

    def __init__(self, paths: list[Path], targets: np.ndarray) -> None:
        from torchvision import transforms

        self.paths, self.targets = paths, targets
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(SIZE),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.open(self.paths[index]).convert("RGB")), int(self.targets[index])


def main() -> None:
    if sys.argv[1:]:
        print(json.dumps(PARTS[sys.argv[1]]()))
        return
    seconds: dict[str, list[float]] = {name: [] for name in LOOPS}
    for _ in range(TURNS):
        for name in LOOPS:
            seconds[name] += _apart(name)
    steps = PICTURES / BATCH
    rates = {name: statistics.median(steps / taken for taken in times) for name, times in seconds.items()}
    measure.write(
        "steps",
        {
            "network": f"timm/{NETWORK} at {SIZE} pixels, batch {BATCH}, from scratch, float32",
            **{f"{name}, steps a second": round(rate, 3) for name, rate in rates.items()},
            "ratio": round(rates["lensmith"] / rates["timm loop"], 2),
            "ratio of bfloat16 to float32": round(rates["lensmith in bfloat16"] / rates["lensmith"], 2),
            "seconds an epoch": {name: [round(taken, 2) for taken in times] for name, times in seconds.items()},
            "fine-tuning, pictures a second, memory given back": _apart("given back"),
            "fine-tuning, pictures a second, memory kept": _apart("kept"),
        },
    )


def tuned(kept: bool) -> dict[str, float]:
    """Return medians of steps taken in turn."""
    if kept:
        keep_memory()
    network, end = "torchvision/mobilenet_v2", "features"
    rows = {  # where it begins, channels-last, folded, bfloat16
        "as it is": ("", False, False, False),
        "channels-last": ("", True, False, False),
        "folded": ("", True, True, False),
        "folded, bfloat16": ("", True, True, True),
        "above features.3": ("features.3", True, True, False),
        "above features.3, bfloat16": ("features.3", True, True, True),
        "above features.6": ("features.6", True, True, False),
        "above features.6, bfloat16": ("features.6", True, True, True),
        "above features.10": ("features.10", True, True, False),
        "above features.10, bfloat16": ("features.10", True, True, True),
    }
    steps, images = {}, torch.randn(BATCH, 3, 224, 224)
    for name, (start, channels_last, folded, low) in rows.items():
        base = assemble_top(network, start, end, 224) if start else assemble(network, None, 224)[0]
        assert base is not None
        classifier = Classifier(base, 1280, 2, "mean", (), 0.0).eval()
        order = torch.channels_last if channels_last else torch.contiguous_format
        classifier.to(memory_format=order)  # type: ignore[call-overload]
        if folded:
            fold_batch_norm(classifier.base)
        with torch.no_grad():
            maps = assemble(network, start, 224)[0].eval()(images) if start else images
        steps[name] = _step(classifier, maps.contiguous(memory_format=order), low)
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(ROUNDS + 1):
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            if number:
                taken[name].append(time.perf_counter() - begun)
    return {name: round(BATCH / statistics.median(times), 1) for name, times in taken.items()}


def _step(network: Classifier, images: torch.Tensor, low: bool) -> Callable[[], None]:
    optimizer, targets = torch.optim.AdamW(network.parameters(), 1e-4, fused=True), torch.arange(BATCH) % 2

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            logits = network(images)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits.float(), targets).backward()
        optimizer.step()

    return step


class PlainLoop:
    """A timm network in the loop that its documentation leads to."""

    def __init__(self, paths: list[Path], targets: np.ndarray) -> None:
        import timm

        self.network = timm.create_model(NETWORK, num_classes=2)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 1e-3)
        self.loader = DataLoader(Folder(paths, targets), BATCH, shuffle=True, num_workers=2, persistent_workers=True)

    def epoch(self) -> None:
        """One pass."""
        self.network.train()
        for images, targets in self.loader:
            loss = torch.nn.functional.cross_entropy(self.network(images), targets)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


class OurLoop:
    """The same network in lensmith's loop, on pictures that were read once before, as in a run."""

    def __init__(self, paths: list[Path], targets: np.ndarray, precision: str) -> None:
        base, place = assemble(f"timm/{NETWORK}", None, SIZE)
        pictures = np.stack([np.asarray(Image.open(path).convert("RGB").resize((SIZE, SIZE))) for path in paths])
        everything = np.arange(len(paths))
        views = Augmented(pictures, PRESETS["small-data"], 0, everything)
        task = Classification(("ants", "bees"))
        network = Classifier(base, place.shape[0], 2, "mean", (), 0.0)
        lessons = Lessons(
            network,
            views,
            Normalise(MEAN, STD, {}),
            Positions(targets, everything),
            Positions(targets, everything[:1]),
            task.watched,
        )
        settings = FitSettings(
            stage="scratch",
            epochs=ROUNDS + 1,
            batch_size=BATCH,
            learning_rate=1e-3,
            optimizer="adamw",
            weight_decay=0.01,
            loss="cross_entropy",
            device="cpu",
            seed=0,
            precision=precision,
        )
        self.epochs = fit(lessons, settings)

    def epoch(self) -> None:
        """One pass."""
        next(self.epochs)


LOOPS: dict[str, Callable[[list[Path], np.ndarray], PlainLoop | OurLoop]] = {
    "timm loop": PlainLoop,
    "lensmith": lambda paths, targets: OurLoop(paths, targets, "float32"),
    "lensmith in bfloat16": lambda paths, targets: OurLoop(paths, targets, "bfloat16"),
}
PARTS: dict[str, Callable[[], Any]] = {
    **{name: partial(_epochs, make) for name, make in LOOPS.items()},
    "given back": partial(tuned, False),
    "kept": partial(tuned, True),
}

if __name__ == "__main__":
    main()
