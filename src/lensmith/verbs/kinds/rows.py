"""The rows of a table: their columns become numbers, and these are the features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from lensmith.data.dataset import Dataset
from lensmith.data.encoding import Encoding, fit_encoding
from lensmith.data.measured import cells_of, records_of, unlabelled
from lensmith.data.pixels import Pictures
from lensmith.data.source import open_data
from lensmith.data.store import Store
from lensmith.data.table import read_table
from lensmith.data.vocabulary import Vocabulary
from lensmith.engines.interface import collect
from lensmith.errors import RunError
from lensmith.model import Model
from lensmith.run import Run
from lensmith.seeing.permutation import column_losses
from lensmith.training.features import Features
from lensmith.training.others import resolve_rows
from lensmith.training.recipe import Resolved
from lensmith.training.request import Request
from lensmith.training.stages import Course
from lensmith.verbs.console import Console, Stopwatch
from lensmith.verbs.kinds.kind import LaidOut, Material, Said
from lensmith.verbs.score import Answers
from lensmith.zoo.measured import Measured


def settle(request: Request, dataset: Dataset, store: Store, say: Callable[[str], None]) -> Resolved:
    """Return the recipe of a dense stack."""
    return resolve_rows(request, dataset)


def headline(resolved: Resolved) -> str:
    """Return the layers and the scaling of the columns."""
    hidden = "-".join(map(str, resolved.recipe.dense))
    return f"{f'dense layers of {hidden}' if hidden else 'a linear model'} on the columns, {resolved.recipe.preprocess}"


def read(resolved: Resolved, dataset: Dataset, store: Store, console: Console, watch: Stopwatch) -> Material:
    """Return a record of every row; they are there already."""
    return Material(store, records_of(dataset), _no_pictures)


def lay_out(resolved: Resolved, material: Material, dataset: Dataset, train: np.ndarray) -> LaidOut:
    """Encode the columns as the training rows say."""
    kind = resolved.recipe.preprocess
    found, _ = fit_encoding(dataset.columns, cells_of(dataset, dataset.columns, train.tolist()), kind)
    base = Measured(found)
    features = found.encode(cells_of(dataset, found.names, range(len(dataset))))
    chosen = base.engine(material.store)
    return LaidOut(replace(material, features=features, base=base, chosen=chosen), found)


def features(
    model: Model, dataset: Dataset, chosen: np.ndarray, store: Store, advance: Callable[[int], None]
) -> Features:
    """Return what the base makes of the cells: of rows their columns, of sentences what the network reads in them."""
    values = collect(model.chosen.engine.run(encoded(model, dataset, chosen))).features
    advance(len(chosen))
    return Features(values, records_of(dataset, chosen.tolist()), len(values))


def encoded(model: Model, dataset: Dataset, chosen: np.ndarray) -> np.ndarray:
    """Return the cells of the chosen examples as the model's numbers."""
    how = model.base.preprocessing
    assert isinstance(how, Encoding | Vocabulary)
    numbers: np.ndarray = how.encode(cells_of(dataset, how.names, chosen.tolist()))
    return numbers


def show(
    run: Run, resolved: Resolved, course: Course, model: Model, dataset: Dataset, chosen: np.ndarray, found: Answers
) -> None:
    """Write what each column counts for."""
    how, task, targets = model.base.preprocessing, model.task, dataset.targets[chosen]
    assert isinstance(how, Encoding)
    losses = column_losses(
        lambda rows: task.worth(targets, task.answers(model.head.logits(rows))),
        encoded(model, dataset, chosen),
        [(column.name, column.width) for column in how.columns],
        resolved.recipe.seed,
    )
    run.write_json("figures/columns.json", [asdict(loss) for loss in losses])


def held_out(run: Run, model: Model, rows: Sequence[dict[str, str]], split: str, store: Store) -> Dataset:
    """Open the data that was trained on, and return the held-out part."""
    source, task = Path(run.field("request")["data"]), model.task
    target = str(run.document.get("target", "")) or None
    dataset = open_data(source, task=task.kind, target=target, classes=task.classes)
    there = {record.path: (index, record.sha256) for index, record in enumerate(records_of(dataset))}
    chosen = []
    for row in rows:
        index, content = there.get(row["path"], (0, ""))
        if content != row["sha256"]:
            said = f"the held-out {dataset.example} {row['path']} in {dataset.root}"
            raise RunError(f"{said} has changed since the run. Train again.")
        chosen.append(index)
    return replace(
        dataset,
        paths=tuple(dataset.paths[index] for index in chosen),
        targets=dataset.targets[chosen],
        given=(split,) * len(chosen),
        cells=tuple(dataset.cells[index] for index in chosen),
    )


def ask(model: Model, places: Sequence[str | Path], store: Store, console: Console) -> Iterator[Said]:
    """Yield the answer for every row of the tables, called by its table and line."""
    how = model.base.preprocessing
    assert isinstance(how, Encoding)
    for table in (read_table(Path(place)) for place in places):
        rows = how.encode(unlabelled(table, how.names))
        found = (row for answer in model.ask(rows) for row in answer.answers)
        yield from (Said(f"{table.file}:{line}", row) for line, row in zip(table.lines, found, strict=True))


def _no_pictures() -> Pictures:
    raise NotImplementedError("rows have no pixels")
