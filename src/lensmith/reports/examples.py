"""Pictures for the report: the surest mistakes, the hardest right answers, and where the network looked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lensmith.data import decode
from lensmith.data.preprocess import Interpolation, Preprocessing, read_square
from lensmith.engines.head import pool_map
from lensmith.model import Model
from lensmith.reports.pictures import jpeg
from lensmith.reproduce import cores
from lensmith.run import Run
from lensmith.seeing.cam import grad_cam
from lensmith.seeing.overlay import full_scale, painted

MOST_MISTAKES, MOST_HARD, MOST_TYPICAL = 8, 4, 4
SHOWN_SIDE = 320


def write_examples(
    run: Run,
    model: Model,
    preprocessing: Preprocessing,
    root: Path,
    paths: Sequence[str],
    targets: np.ndarray,
    answers: np.ndarray,
) -> None:
    """Choose pictures of the held-out split and write them, their maps and figures/pictures.json into the run.

    `targets` and `answers` belong to `paths` and are what the model's task takes: classes, labels or numbers.
    """
    task = model.task
    chosen = task.order(targets, answers).chosen(MOST_MISTAKES, MOST_HARD, MOST_TYPICAL)
    with ThreadPoolExecutor(cores()) as pool:
        seen = pool.map(lambda found: _seen(root / paths[found[1]], preprocessing), chosen)
        there = [(*found, squares) for found, squares in zip(chosen, seen, strict=True) if squares is not None]
    places = [index for _, index, _ in there]
    heats = _heats(model, [network for _, _, (network, _) in there], answers[places])
    decoded = task.decode(answers[places])
    entries = []
    for number, ((kind, index, (_, shown)), heat) in enumerate(zip(there, heats, strict=True), start=1):
        name = f"figures/{kind}-{number}"
        square = Image.fromarray(shown)
        run.write_bytes(f"{name}.jpg", jpeg(square))
        without = _without_map(heat)
        if heat is not None and not without:
            run.write_bytes(f"{name}-map.jpg", jpeg(painted(square, heat, full_scale(heat))))
        confidence = task.row(answers[index]).get("confidence")
        entries.append(
            {
                "kind": kind,
                "picture": f"{name}.jpg",
                "map": None if without else f"{name}-map.jpg",
                "without_map": without,
                "path": paths[index],
                "target": task.target_text(targets[index]),
                "predicted": task.target_text(decoded[number - 1]),
                "right": kind != "mistake",
                "confidence": None if confidence is None else round(float(confidence), 4),
            }
        )
    run.write_json("figures/pictures.json", entries)


def _without_map(heat: np.ndarray | None) -> str:
    """Return why a picture has no map beside it, "" where it has one; `heat` (h, w) is None where the base has none."""
    if heat is None or not np.isfinite(heat).all():
        return "no map"
    if float(heat.max()) <= 0:
        return "no place spoke for it"
    return "one place only" if heat.size == 1 else ""


def _heats(model: Model, squares: Sequence[np.ndarray], answers: np.ndarray) -> list[np.ndarray | None]:
    """Return one map (h, w) a picture of what spoke for its answer, or None where the base has no map."""
    outputs, signs = model.task.explained(answers)
    heats: list[np.ndarray | None] = []
    for answer in model.ask(squares, maps=True):
        if answer.maps is None:
            heats += [None] * len(answer.features)
            continue
        part = slice(len(heats), len(heats) + len(answer.features))
        # The features are made from the map again: an engine may round the two outputs differently.
        features = pool_map(answer.maps, model.base.pool)
        # Where the answer is spoken for by a smaller output, the map counts the other way round.
        signed = answer.maps * signs[part, None, None, None]
        heats += list(grad_cam(model.head, model.base.pool, features, signed, outputs[part]))
    return heats


def _seen(path: Path, preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what the network sees of a file, and the same at the size of the report; None if it is gone.

    Small pictures keep their pixels visible.
    """
    try:
        data = decode.picture_bytes(path)
        square, size = read_square(data, preprocessing)
        kernel: Interpolation = "nearest" if min(size) * 2 <= SHOWN_SIDE else preprocessing.interpolation
        larger = replace(preprocessing, image_size=SHOWN_SIDE, interpolation=kernel, kind="standardise")
        return square, read_square(data, larger)[0]
    except decode.Unreadable:  # it could be read a moment ago; the report does without it
        return None
