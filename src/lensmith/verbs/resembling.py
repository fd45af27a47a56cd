"""The pictures nearest to each, in the last layer before the classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files
from lensmith.engines.interface import batches, collect
from lensmith.run import Run
from lensmith.seeing.neighbours import nearest_rows
from lensmith.seeing.subject import Subject
from lensmith.verbs.gathering import Gathered, Listed, gathered, trained_on
from lensmith.verbs.sighting import Look, Part, answer_of, large

if TYPE_CHECKING:
    from lensmith.model import Model

LIKE = 6
SAME = 1e-4  # of the distance: a picture is no neighbour of itself
BATCH = 16


def neighbours(look: Look, run: Run | None, asked: Gathered) -> list[Part]:
    """Look for the pictures nearest to each of those asked: among all training pictures of a run, whose features are
    kept, or, without a run, among those searched."""
    if not len(asked) or not len(look.searched):
        return []
    if run is not None:
        return _in_a_run(look, run, asked)
    known = Listed(Path(), look.searched.paths, look.searched.labels)
    mine, theirs = (_features(look.subject, squares) for squares in (asked.squares, look.searched.squares))
    return _parts(look, asked, mine, known, theirs, look.searched.squares)


def _in_a_run(look: Look, run: Run, asked: Gathered) -> list[Part]:
    from lensmith.model import load_model
    from lensmith.training.features import extract

    model = load_model(run.model_folder, look.store)
    geometry = model.base.preprocessing
    assert isinstance(geometry, Preprocessing)
    known = trained_on(run)
    files = Files(known.root, known.paths, look.store)
    with look.console.progress("features", len(known.paths)) as advance:
        stored = extract(files, geometry, model.base.key, model.chosen.engine, look.store, advance=advance)
    readable = [place for place, record in enumerate(stored.records) if not record.reason]
    theirs = _last(model, stored.values[np.array(readable, np.int64)])
    mine = _last(model, collect(model.chosen.engine.run(asked.squares)).features)
    return _parts(look, asked, mine, known.at(readable), theirs, None)


def _last(model: Model, features: np.ndarray) -> np.ndarray:
    """Return what the last layer of the head is given."""
    found: np.ndarray = model.head.layers(np.asarray(features))[-2]
    return found


def _features(subject: Subject, squares: np.ndarray) -> np.ndarray:
    """Return (n, F): what comes before the scores, averaged over its places where it is a map."""
    from lensmith.seeing.before import before_scores

    return np.concatenate([before_scores(subject.eye, batch) for batch in batches(squares, BATCH)])


def _parts(
    look: Look, asked: Gathered, mine: np.ndarray, known: Listed, theirs: np.ndarray, squares: np.ndarray | None
) -> list[Part]:
    """Return the neighbours of each picture asked, and draw them; `squares` of those known, where they are read."""
    places, distances = nearest_rows(mine, theirs, LIKE + 1)
    answers = look.subject.answers(list(asked.squares))
    parts = []
    for number, path in enumerate(asked.paths):
        found = [
            (place, distance)
            for place, distance in zip(places[number].tolist(), distances[number].tolist(), strict=True)
            if known.paths[place] != path or distance > SAME
        ][:LIKE]
        rows = [
            {"path": known.paths[place], "class": known.labels[place], "distance": round(distance, 5)}
            for place, distance in found
        ]
        near = [place for place, _ in found]
        drawn = (
            squares[near]
            if squares is not None
            else gathered(known.at(near), look.subject.geometry, look.store).squares
        )
        for rank, (row, square) in enumerate(zip(rows, drawn, strict=True), 1):
            row["picture"] = look.album.add(f"nearest-{number + 1}-{rank}", large(square), smooth=True)
        picture = look.album.add(f"asked-{number + 1}", large(asked.squares[number]), smooth=True)
        parts.append(
            {
                "path": path,
                "class": asked.labels[number],
                "answer": answer_of(look.subject, answers[number]),
                "picture": picture,
                "nearest": rows,
            }
        )
    return parts
