"""Pictures for the report: the surest mistakes, the hardest right answers, and where the network looked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lensmith.data import decode
from lensmith.data.preprocess import to_square
from lensmith.engines.head import pool_map
from lensmith.model import Model
from lensmith.run import Run
from lensmith.seeing.cam import grad_cam
from lensmith.seeing.overlay import spotlight

MOST_MISTAKES, MOST_HARD, MOST_TYPICAL = 8, 4, 4
SHOWN_SIDE = 320
QUALITY = 85


def write_examples(
    run: Run, model: Model, root: Path, paths: Sequence[str], targets: np.ndarray, probabilities: np.ndarray
) -> None:
    """Choose pictures of the held-out split and write them, their maps and figures/pictures.json into the run."""
    predicted = model.task.decode(probabilities)
    confidence = model.task.confidence(probabilities)
    chosen = choose_examples(targets, predicted, confidence)
    shown = [(kind, index, _open(root / paths[index])) for kind, index in chosen]
    there = [(kind, index, picture) for kind, index, picture in shown if picture is not None]
    heats = _heats(model, [picture for _, _, picture in there], predicted[[index for _, index, _ in there]])
    entries = []
    for number, ((kind, index, picture), heat) in enumerate(zip(there, heats, strict=True), start=1):
        name = f"figures/{kind}-{number}"
        square = Image.fromarray(_shown(model, picture))
        run.write_bytes(f"{name}.jpg", _jpeg(square))
        lit = spotlight(square, heat) if heat is not None else None
        if lit is not None:
            run.write_bytes(f"{name}-map.jpg", _jpeg(lit))
        entries.append(
            {
                "kind": kind,
                "picture": f"{name}.jpg",
                "map": f"{name}-map.jpg" if lit is not None else None,
                "path": paths[index],
                "target": model.task.classes[targets[index]],
                "predicted": model.task.classes[predicted[index]],
                "confidence": round(float(confidence[index]), 4),
            }
        )
    run.write_json("figures/pictures.json", entries)


def choose_examples(targets: np.ndarray, predicted: np.ndarray, confidence: np.ndarray) -> list[tuple[str, int]]:
    """Return (kind, position): wrong answers by falling confidence, right ones by rising, and the surest right ones."""
    order = np.argsort(confidence, kind="stable")
    wrong = [int(index) for index in order[::-1] if predicted[index] != targets[index]][:MOST_MISTAKES]
    right = [int(index) for index in order if predicted[index] == targets[index]]
    hard, rest = right[:MOST_HARD], right[MOST_HARD:]
    typical = rest[::-1][:MOST_TYPICAL]
    return [("mistake", i) for i in wrong] + [("hard", i) for i in hard] + [("typical", i) for i in typical]


def _heats(model: Model, pictures: Sequence[Image.Image], classes: np.ndarray) -> list[np.ndarray | None]:
    """Return one map (h, w) a picture for the class it was given, or None where the base has no map."""
    squares = (to_square(picture, model.base.preprocessing) for picture in pictures)
    heats: list[np.ndarray | None] = []
    for answer in model.ask(squares, maps=True):
        if answer.maps is None:
            heats += [None] * len(answer.features)
            continue
        asked = classes[len(heats) : len(heats) + len(answer.features)]
        # The features are made from the map again: an engine may round the two outputs differently.
        features = pool_map(answer.maps, model.base.pool)
        heats += list(grad_cam(model.head, model.base.pool, features, answer.maps, asked))
    return heats


def _shown(model: Model, picture: Image.Image) -> np.ndarray:
    """Return what the network was shown, at the size of the report; small pictures keep their pixels visible."""
    kernel = "nearest" if min(picture.size) * 2 <= SHOWN_SIDE else model.base.preprocessing.interpolation
    return to_square(picture, replace(model.base.preprocessing, image_size=SHOWN_SIDE, interpolation=kernel))


def _open(path: Path) -> Image.Image | None:
    try:
        return decode.read_picture(path)
    except decode.Unreadable:  # it could be read a moment ago; the report does without it
        return None


def _jpeg(picture: Image.Image) -> bytes:
    """Return JPEG bytes; a picture made from pixels alone carries no EXIF."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
