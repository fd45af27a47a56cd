"""Clips for the report: the surest mistakes and the hardest right answers, a few frames of each in a strip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lensmith.data.clips import Moving, read_clips
from lensmith.model import Model
from lensmith.reports.examples import MOST_HARD, MOST_MISTAKES, MOST_TYPICAL
from lensmith.reports.pictures import jpeg
from lensmith.run import Run

FRAMES, SIDE, GAP = 4, 160, 4


def write_strips(
    run: Run,
    model: Model,
    moving: Moving,
    root: Path,
    paths: Sequence[str],
    targets: np.ndarray,
    answers: np.ndarray,
) -> None:
    """Choose clips of the held-out split and write their strips and figures/pictures.json into the run."""
    task = model.task
    chosen = task.order(targets, answers).chosen(MOST_MISTAKES, MOST_HARD, MOST_TYPICAL)
    shown = replace(moving, frames=FRAMES, picture=replace(moving.picture, image_size=SIDE))
    entries = []
    clips = read_clips(root, [paths[index] for _, index in chosen], shown)
    for number, ((kind, index), (_, frames)) in enumerate(zip(chosen, clips, strict=True), 1):
        if frames is None:  # it could be read a moment ago; the report does without it
            continue
        name = f"figures/{kind}-{number}.jpg"
        run.write_bytes(name, jpeg(_strip(frames)))
        confidence = task.row(answers[index]).get("confidence")
        entries.append(
            {
                "kind": kind,
                "picture": name,
                "map": None,
                "path": paths[index],
                "target": task.target_text(targets[index]),
                "predicted": task.target_text(task.decode(answers[index : index + 1])[0]),
                "right": kind != "mistake",
                "confidence": None if confidence is None else round(float(confidence), 4),
            }
        )
    run.write_json("figures/pictures.json", entries)


def _strip(frames: np.ndarray) -> Image.Image:
    """Return the frames (t, s, s, 3) beside each other."""
    strip = Image.new("RGB", (len(frames) * (SIDE + GAP) - GAP, SIDE), "white")
    for number, frame in enumerate(frames):
        strip.paste(Image.fromarray(frame), (number * (SIDE + GAP), 0))
    return strip
