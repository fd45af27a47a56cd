"""The pictures nearest to each, in the last layer before the classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files
from lensmith.data.store import Store
from lensmith.engines.interface import batches, collect
from lensmith.run import Run
from lensmith.seeing.neighbours import nearest_rows
from lensmith.seeing.subject import Subject
from lensmith.verbs.console import Console
from lensmith.verbs.gathering import Gathered, Listed, gathered, trained_on
from lensmith.verbs.sighting import Album, Part, answer_of, large

if TYPE_CHECKING:
    from lensmith.model import Model

LIKE = 6
SAME = 1e-4  # of the distance: a picture is no neighbour of itself
BATCH = 16


def neighbours(
    subject: Subject,
    run: Run | None,
    asked: Gathered,
    searched: Gathered,
    own: bool,
    store: Store,
    album: Album,
    console: Console,
) -> list[Part]:
    """Look for the pictures nearest to each of those asked: among all training pictures of a run, whose features are
    kept, or (not `own`, or for a network) among those searched."""
    if not len(asked) or not len(searched):
        return []
    if run is not None and own:
        return _in_a_run(subject, run, asked, store, album, console)
    mine, theirs = _features(subject, asked.squares), _features(subject, searched.squares)
    known = Listed(Path(), searched.paths, searched.labels)
    return _parts(subject, asked, mine, known, theirs, searched, album)


def _in_a_run(subject: Subject, run: Run, asked: Gathered, store: Store, album: Album, console: Console) -> list[Part]:
    from lensmith.model import load_model
    from lensmith.training.features import extract

    model = load_model(run.model_folder, store)
    geometry = model.base.preprocessing
    assert isinstance(geometry, Preprocessing)
    known = trained_on(run)
    files = Files(known.root, known.paths, store)
    with console.progress("features", len(known.paths)) as advance:
        stored = extract(files, geometry, model.base.key, model.chosen.engine, store, advance=advance)
    readable = [place for place, record in enumerate(stored.records) if not record.reason]
    theirs = _last(model, stored.values[np.array(readable, np.int64)])
    mine = _last(model, collect(model.chosen.engine.run(asked.squares)).features)
    kept = Listed(known.root, tuple(known.paths[n] for n in readable), tuple(known.labels[n] for n in readable))
    return _parts(subject, asked, mine, kept, theirs, None, album)


def _last(model: Model, features: np.ndarray) -> np.ndarray:
    """Return what the last layer of the head is given."""
    found: np.ndarray = model.head.layers(np.asarray(features))[-2]
    return found


def _features(subject: Subject, squares: np.ndarray) -> np.ndarray:
    """Return (n, F): what comes before the scores, averaged over its places where it is a map."""
    from lensmith.seeing.before import before_scores, features_of

    layer = before_scores(subject.eye, subject.geometry.image_size)
    return np.concatenate([features_of(subject.eye, batch, layer) for batch in batches(squares, BATCH)])


def _parts(
    subject: Subject,
    asked: Gathered,
    mine: np.ndarray,
    known: Listed,
    theirs: np.ndarray,
    searched: Gathered | None,
    album: Album,
) -> list[Part]:
    """Return the neighbours of each picture asked, and draw them."""
    places, distances = nearest_rows(mine, theirs, LIKE + 1)
    answers = subject.answers(list(asked.squares))
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
        squares = _squares(subject, known, [place for place, _ in found], searched)
        for rank, (row, square) in enumerate(zip(rows, squares, strict=True), 1):
            row["picture"] = album.add(f"nearest-{number + 1}-{rank}", large(square), smooth=True)
        picture = album.add(f"asked-{number + 1}", large(asked.squares[number]), smooth=True)
        parts.append(
            {
                "path": path,
                "class": asked.labels[number],
                "answer": answer_of(subject, answers[number]),
                "picture": picture,
                "nearest": rows,
            }
        )
    return parts


def _squares(subject: Subject, known: Listed, places: Sequence[int], searched: Gathered | None) -> Sequence[np.ndarray]:
    if searched is not None:
        return [searched.squares[place] for place in places]
    few = Listed(known.root, tuple(known.paths[n] for n in places), tuple(known.labels[n] for n in places))
    return list(gathered(few, subject.geometry, Store()).squares)
