"""`lensmith predict`: what a model says of pictures it is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lensmith.data import decode
from lensmith.data.clips import Moving, clips_in, frames_in, read_clips
from lensmith.data.encoding import Encoding
from lensmith.data.measured import unlabelled
from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files, read_pictures
from lensmith.data.sentences import read_lines
from lensmith.data.store import Store
from lensmith.data.table import TABLE_SUFFIXES, is_file, read_table
from lensmith.data.vocabulary import Vocabulary
from lensmith.errors import DataError
from lensmith.model import Model, load_model
from lensmith.run import Run, open_run
from lensmith.verbs.console import Console
from lensmith.zoo.measured import Measured


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

    run: a run, its folder, or its name in `out`. pictures: one file or folder, or several; tables for a run that was
    trained on rows; tables, text files or sentences for one that was trained on sentences;
    videos, folders of frames or of clips for one that was trained on clips. engine: openvino or
    torch (default: the one the model was trained with). device: auto, cpu, cuda or mps. out: the folder of runs.
    quiet: show no progress.

    A picture that cannot be read gives a Prediction with a reason. Raises RunError if there is no such run,
    DataError if there is nothing to look at.
    """
    found, console, store = open_run(run, Path(out)), Console(quiet), Store()
    places = [pictures] if isinstance(pictures, str | Path) else pictures
    # Pictures that are not there are told of before the model is loaded.
    paths = [] if found.document.get("example", "picture") != "picture" else list_pictures(places)
    model = load_model(found.model_folder, store, engine=engine, device=device)
    if isinstance(model.base.preprocessing, Moving):
        return list(_of_clips(model, model.base.preprocessing, places))
    if isinstance(model.base, Measured):
        return list(_of_cells(model, model.base.preprocessing, places))
    return _of_pictures(model, model.base.preprocessing, paths, store, console)


def _of_clips(model: Model, moving: Moving, places: Sequence[str | Path]) -> Iterator[Prediction]:
    """Yield the answer for every clip; a folder without frames of its own is one of clips."""
    paths = []
    for place in map(Path, places):
        alone = not place.is_dir() or frames_in(place)
        found = [place] if alone else clips_in(place)
        if not place.exists() or not found:
            raise DataError(
                f"there is no clip at {str(place)!r}. Name a video file, or a folder of frames or of clips."
            )
        paths += [str(clip) for clip in found]
    for path, (record, frames) in zip(paths, read_clips(Path(), paths, moving), strict=True):
        if frames is None:
            yield Prediction(path, {}, record.reason)
        else:
            (answer,) = model.ask([frames])
            yield Prediction(path, model.task.row(answer.answers[0]))


def _of_cells(model: Model, encoding: Encoding | Vocabulary, places: Sequence[str | Path]) -> Iterator[Prediction]:
    """Yield the answer for every row or sentence, called by its file and line; a sentence may stand for itself."""
    for place in places:
        names, cells = _cells(str(place), encoding)
        found = (row for answer in model.ask(encoding.encode(cells)) for row in answer.answers)
        for name, answer in zip(names, found, strict=True):
            yield Prediction(name, model.task.row(answer))


def _cells(said: str, encoding: Encoding | Vocabulary) -> tuple[list[str], Sequence[Sequence[str]]]:
    """Return what the rows or sentences at a place are called, and their cells."""
    place, sentences = Path(said), isinstance(encoding, Vocabulary)
    if sentences and place.suffix.lower() not in TABLE_SUFFIXES:
        if not is_file(place):
            return [said], [(said,)]
        lines = [(number, line) for number, line in enumerate(read_lines(place), 1) if line]
        return [f"{place}:{number}" for number, _ in lines], [(line,) for _, line in lines]
    table = read_table(place)
    return [f"{table.file}:{line}" for line in table.lines], unlabelled(table, encoding.names)


def _of_pictures(
    model: Model, preprocessing: Preprocessing, paths: Sequence[str], store: Store, console: Console
) -> list[Prediction]:
    answers: dict[int, np.ndarray] = {}
    reasons: dict[int, str] = {}
    waiting: list[int] = []

    def pixels() -> Iterator[np.ndarray]:
        read = read_pictures(Files(Path(), paths, store), preprocessing)
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
