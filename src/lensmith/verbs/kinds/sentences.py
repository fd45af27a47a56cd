"""Sentences: words become numbers, and a text CNN reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lensmith.data.dataset import Dataset
from lensmith.data.measured import cells_of, unlabelled
from lensmith.data.sentences import read_lines
from lensmith.data.store import Store
from lensmith.data.table import TABLE_SUFFIXES, is_file, read_table
from lensmith.data.vocabulary import Vocabulary, fit_vocabulary
from lensmith.model import Model
from lensmith.reports.reading import write_sentences
from lensmith.run import Run
from lensmith.training.others import resolve_sentences
from lensmith.training.recipe import Resolved
from lensmith.training.request import Request
from lensmith.training.stages import Course
from lensmith.verbs.console import Console
from lensmith.verbs.kinds.kind import LaidOut, Material, Said
from lensmith.verbs.kinds.rows import features as features
from lensmith.verbs.kinds.rows import held_out as held_out
from lensmith.verbs.kinds.rows import read as read
from lensmith.verbs.score import Answers


def settle(request: Request, dataset: Dataset, store: Store, say: Callable[[str], None]) -> Resolved:
    """Return the recipe of a text CNN."""
    return resolve_sentences(request, dataset)


def headline(resolved: Resolved) -> str:
    """Return what reads."""
    return "a text CNN: filters of three, four and five words"


def lay_out(resolved: Resolved, material: Material, dataset: Dataset, train: np.ndarray) -> LaidOut:
    """Number the words that the training sentences have often enough."""
    (column,), asked = dataset.columns, resolved.preprocessing
    assert isinstance(asked, Vocabulary)
    seen = [sentence for (sentence,) in cells_of(dataset, dataset.columns, train.tolist())]
    vocabulary = fit_vocabulary(column, seen, asked.margin)
    numbers = vocabulary.encode(dataset.cells)
    return LaidOut(replace(material, pixels=lambda: numbers), vocabulary)


def show(
    run: Run, resolved: Resolved, course: Course, model: Model, dataset: Dataset, chosen: np.ndarray, found: Answers
) -> None:
    """Write a few sentences with what each of their words counts for."""
    how = model.base.preprocessing
    assert isinstance(how, Vocabulary)
    sentences = [sentence for (sentence,) in cells_of(dataset, how.names, chosen.tolist())]
    write_sentences(run, model, how, found.paths, sentences, found.targets, found.answers)


def ask(model: Model, places: Sequence[str | Path], store: Store, console: Console) -> Iterator[Said]:
    """Yield the answer for every sentence, called by its file and line; one that is no file stands for itself."""
    how = model.base.preprocessing
    assert isinstance(how, Vocabulary)
    for place in map(str, places):
        names, cells = _at(place, how)
        found = (row for answer in model.ask(how.encode(cells)) for row in answer.answers)
        yield from (Said(name, row) for name, row in zip(names, found, strict=True))


def _at(place: str, how: Vocabulary) -> tuple[list[str], Sequence[Sequence[str]]]:
    """Return what the sentences at a place are called, and their cells."""
    file = Path(place)
    if file.suffix.lower() in TABLE_SUFFIXES:
        table = read_table(file)
        return [f"{table.file}:{line}" for line in table.lines], unlabelled(table, how.names)
    if not is_file(file):
        return [place], [(place,)]
    lines = [(number, line) for number, line in enumerate(read_lines(file), 1) if line]
    return [f"{file}:{number}" for number, _ in lines], [(line,) for _, line in lines]
