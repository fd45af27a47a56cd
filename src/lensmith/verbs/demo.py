"""`lensmith demo`: the whole way on a small real data set that needs no download."""

from __future__ import annotations

from pathlib import Path

from lensmith.data.synthetic import write_digits
from lensmith.files import writing
from lensmith.run import Run
from lensmith.verbs.console import Console
from lensmith.verbs.train import train

# What one hand does differently from another; never mirrored.
HANDWRITING = "shift,rotation=12,zoom=0.87:1.15,shear=8"


def demo(*, folder: str | Path = "lensmith-demo", out: str | Path = "runs", seed: int = 0, quiet: bool = False) -> Run:
    """Write scikit-learn's 1,797 handwritten digits as an image folder, train on them from scratch, return the run.

    folder: where the pictures go (`folder`/digits). out: the folder of runs. seed: as in train. quiet: say nothing.
    """
    console = Console(quiet)
    pictures = Path(folder) / "digits"
    if not pictures.exists():
        console.say(f"writing 1,797 handwritten digits to {pictures}")
    with writing(Path(folder)):
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_digits(pictures)
    return train(pictures, recipe="scratch", augment=HANDWRITING, seed=seed, out=out, quiet=quiet)
