"""`lensmith predict`: what a model says of pictures it is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lensmith.data import decode
from lensmith.data.read import Files, read_pictures
from lensmith.data.store import Store
from lensmith.errors import DataError
from lensmith.model import load_model
from lensmith.run import Run, open_run
from lensmith.verbs.console import Console


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture: `answer` as the task words it, with "predicted" (a class, labels, or a number) and,
    for classes, "confidence" and "probabilities". `reason` is set, and the answer empty, if it could not be read."""

    path: str
    answer: Mapping[str, Any]
    reason: str = ""

    @property
    def predicted(self) -> Any:
        """The class, the list of labels, or the number; None if the picture could not be read."""
        return self.answer.get("predicted")

    @property
    def confidence(self) -> float | None:
        """The probability of the class; None where there is none."""
        return self.answer.get("confidence")

    @property
    def probabilities(self) -> Mapping[str, float]:
        """The probability of every class or label; empty where there is none."""
        shares: Mapping[str, float] = self.answer.get("probabilities", {})
        return shares

    def as_dict(self) -> dict[str, object]:
        """Return the JSON-ready form."""
        if self.reason:
            return {"path": self.path, "error": self.reason}
        return {"path": self.path, **self.answer}


def predict(
    run: Run | str | Path,
    pictures: str | Path | Sequence[str | Path],
    *,
    engine: str = "",
    device: str = "auto",
    out: str | Path = "runs",
    quiet: bool = True,
) -> list[Prediction]:
    """Return one Prediction a picture, in the order given; folders are searched for pictures, sub-folders too.

    run: a run, its folder, or its name in `out`. pictures: one file or folder, or several. engine: openvino or
    torch (default: the one the model was trained with). device: auto, cpu, cuda or mps. out: the folder of runs.
    quiet: show no progress.

    A picture that cannot be read gives a Prediction with a reason. Raises RunError if there is no such run,
    DataError if there is nothing to look at.
    """
    found, console, store = open_run(run, Path(out)), Console(quiet), Store()
    paths = list_pictures([pictures] if isinstance(pictures, str | Path) else pictures)
    model = load_model(found.model_folder, store, engine=engine, device=device)
    answers: dict[int, np.ndarray] = {}
    reasons: dict[int, str] = {}
    waiting: list[int] = []

    def pixels() -> Iterator[np.ndarray]:
        read = read_pictures(Files(Path(), paths, store), model.base.preprocessing)
        for index, picture in enumerate(read):
            advance(index + 1)
            if picture.pixels is None:
                reasons[index] = picture.record.reason
            else:
                waiting.append(index)
                yield picture.pixels

    with console.progress("pictures", len(paths)) as advance:
        for answer in model.ask(pixels()):
            for row in answer.answers:
                answers[waiting[len(answers)]] = row
    return [
        Prediction(path, {}, reasons[index]) if index in reasons else Prediction(path, model.task.row(answers[index]))
        for index, path in enumerate(paths)
    ]


def list_pictures(places: Sequence[str | Path]) -> list[str]:
    """Return the pictures at the places, folders in the order of names. Raises DataError for what is not there."""
    found: list[str] = []
    for place in map(Path, places):
        if place.is_dir():
            inside = [str(path) for path in _walk(place)]
            if not inside:
                raise DataError(
                    f"there are no pictures in {place}. Pictures end in .jpg, .png, .webp, .tiff and others."
                )
            found += inside
        elif place.exists():
            found.append(str(place))
        else:
            raise DataError(f"there is no file or folder {str(place)!r}. Check the path.")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        if "run.json" in files:  # the pictures of a report are not the user's
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in decode.PICTURE_SUFFIXES:
                yield Path(place, name)
