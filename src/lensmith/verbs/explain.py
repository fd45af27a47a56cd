"""`lensmith explain`: why a network answered as it did, picture by picture, and whether to believe it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lensmith.run import Run
from lensmith.seeing.methods import Settings
from lensmith.verbs.explaining import Explanations, Question, answers
from lensmith.verbs.explaining import table as table

if TYPE_CHECKING:
    from torch import nn


def explain(
    network: str | Path | Run | nn.Module,
    pictures: str | Path | Sequence[str | Path],
    *,
    method: str = "auto",
    target: str | int | None = None,
    layer: str | None = None,
    rule: str = "plain",
    window: int | None = None,
    stride: int | None = None,
    fill: str = "mean",
    steps: int = 32,
    samples: int = 25,
    noise: float = 0.15,
    weights: str = "auto",
    image_size: int | None = None,
    save: str | Path | None = None,
    grade: bool = True,
    seed: int = 0,
    device: str = "auto",
    engine: str = "auto",
    out: str | Path = "runs",
    quiet: bool = False,
) -> Explanations:
    """Return an Explanation for every picture, in the order given, and write them to a folder; folders are searched.

    network: a run, a network by name, module:factory, or in Python a torch module for pictures. pictures: one file or
    folder, or several. method: one of `seeing.methods.METHODS`, or auto: the first of a few that passes its tests.
    target: the class or label to explain (None: what the network answers). layer: whose map is drawn, for methods that
    draw one (None: the last). rule: what a ReLU does to the gradient, plain, guided or rectified. window, stride: of
    occlusion, in pixels (None: a seventh of the picture, half a window). fill: what stands in the window, and where
    integrated gradients begin: mean (the picture's colour), grey, black, white or blur. steps: of integrated gradients.
    samples, noise: of smoothgrad, how many copies, and the standard deviation as a share of the picture's range.
    weights: as in train, for networks by name. image_size: the side it sees, for networks alone. save: the folder to
    write to (None: explained in the run's folder, or in the current one). grade: test each map, and say whether to
    believe it. seed: of the random maps and weights it is tested with, and of noise. device: auto, cpu, cuda or mps.
    engine: auto, openvino or torch. out: the folder of runs. quiet: show no progress.

    A picture that cannot be read is left out and stands in `unreadable`. Each explanation keeps its picture and maps,
    up to a megabyte at 224 pixels; the command line keeps none. Raises UsageError, RunError, WeightsError or DataError.
    """
    settings = Settings(rule, layer, window, stride, fill, steps, samples, noise, seed)
    found, coming = answers(
        Question(
            network, pictures, method, target, settings, weights, image_size, save, grade, device, engine, out, quiet
        )
    )
    found.extend(coming)
    return found
