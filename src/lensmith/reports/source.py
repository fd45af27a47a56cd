"""The run folder as the report reads it: any part may be missing, no value is trusted to be a number."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lensmith.errors import RunError

FORMAT = 1

# Columns of history.csv that had another name once; this is the only place that knows.
RENAMED = {"train_accuracy": "train_metric", "validation_accuracy": "validation_metric"}
MOST_RATES = 2000
LABELS_JOINED_BY = ";"

Numbers = dict[str, float | None]


@dataclass(frozen=True)
class Measure:
    """A metric with its interval and the number of pictures behind it; each part is None where unknown."""

    value: float | None
    low: float | None
    high: float | None
    n: int | None


@dataclass(frozen=True)
class Row:
    """One line of history.csv: the stage's name (empty in old runs), the epoch in it, and every column as a number."""

    stage: str
    epoch: float
    values: Numbers


@dataclass(frozen=True)
class Source:
    """What a run folder says.

    run: run.json. metrics: split name to its metrics, empty where nothing was scored. history: one row an epoch.
    rates: (learning rate, loss) pairs of the finder. counts: class or label to split to number of pictures, from
    splits.csv. spreads: split to the numbers that were to be told (regression). answers: (true, predicted) numbers of
    the held-out pictures (regression). pictures: the entries of figures/pictures.json.
    columns: those of figures/columns.json, what the columns of a table count for. sentences: those of
    figures/sentences.json.
    """

    folder: Path
    run: dict[str, Any]
    metrics: dict[str, dict[str, Any]]
    history: tuple[Row, ...] = ()
    rates: tuple[tuple[float, float], ...] = ()
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    spreads: dict[str, list[float]] = field(default_factory=dict)
    answers: tuple[tuple[float, float], ...] = ()
    pictures: tuple[dict[str, Any], ...] = ()
    columns: tuple[dict[str, Any], ...] = ()
    sentences: tuple[dict[str, Any], ...] = ()
    deep: dict[str, Any] = field(default_factory=dict)

    @property
    def held_out(self) -> str:
        """The split whose numbers lead the report; empty where none was scored."""
        name = text(self.run.get("held_out"))
        return name if name in self.metrics else next(iter(self.metrics), "")

    @property
    def started(self) -> str:
        """When the run began, an ISO time; empty where unknown."""
        return text(mapping(self.run.get("times")).get("started") or self.run.get("started"))


def read_source(folder: Path) -> Source:
    """Read a run folder of format 1. Raises RunError where there is none or a file in it is broken."""
    run = _read_json(folder / "run.json")
    if run is None:
        raise RunError(f"no run.json in {folder}; a run folder is allowed. Name a folder that `lensmith train` made.")
    run = mapping(run)
    version = number(run.get("format"))
    if version is None:
        raise RunError(f"run.json in {folder} is damaged (it names no format). Train again.")
    if version > FORMAT:
        raise RunError(
            f"run.json has format {run.get('format')!r}; up to {FORMAT} can be read. Install a newer lensmith."
        )
    scored = mapping(_read_json(folder / "metrics.json"))
    task = text(run.get("task"))
    return Source(
        folder=folder,
        run=run,
        metrics={name: values for name, values in scored.items() if isinstance(values, dict) and values},
        history=tuple(_read_history(folder / "history.csv")),
        rates=tuple(_read_pairs(folder / "rates.csv", "learning_rate", "loss"))[:MOST_RATES],
        counts=_read_counts(folder / "splits.csv", task) if task != "regression" else {},
        spreads=_read_spreads(folder / "splits.csv") if task == "regression" else {},
        answers=tuple(_read_pairs(folder / "predictions.csv", "target", "predicted")) if task == "regression" else (),
        pictures=_entries(folder / "figures" / "pictures.json"),
        sentences=_entries(folder / "figures" / "sentences.json"),
        columns=_entries(folder / "figures" / "columns.json"),
        deep=mapping(_read_json(folder / "figures" / "deep.json")),
    )


def _entries(path: Path) -> tuple[dict[str, Any], ...]:
    return tuple(entry for entry in listing(_read_json(path)) if mapping(entry))


def number(value: object) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def measure(value: object) -> Measure:
    """Return a metric written as `{"value", "low", "high", "n"}` or as a bare number."""
    if not isinstance(value, Mapping):
        return Measure(number(value), None, None, None)
    n = number(value.get("n"))
    return Measure(
        number(value.get("value")),
        number(value.get("low")),
        number(value.get("high")),
        None if n is None else int(n),
    )


def mapping(value: object) -> dict[str, Any]:
    """Return `value` if it is a dictionary, else an empty one."""
    return value if isinstance(value, dict) else {}


def listing(value: object) -> list[Any]:
    """Return `value` if it is a list, else an empty one; a bare sentence becomes a list of one."""
    if isinstance(value, str) and value:
        return [value]
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Return `value` as text, nothing for None."""
    return "" if value is None else str(value)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as broken:
        raise RunError(f"{path.name} of the run is not valid JSON ({broken}). Make the run again.") from broken


def _read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file, none where it is missing; a file that stops being CSV ends there."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        try:
            for row in csv.DictReader(lines):
                yield {key: value or "" for key, value in row.items() if key}
        except csv.Error:
            return


def _read_history(path: Path) -> Iterator[Row]:
    """Yield the rows with an epoch; a last line cut short by a kill is left out."""
    for row in _read_rows(path):
        values = {RENAMED.get(key, key): number(value) for key, value in row.items()}
        epoch = values.get("epoch")
        if epoch is not None:
            yield Row(row.get("stage", ""), epoch, values)


def _read_pairs(path: Path, first: str, second: str) -> Iterator[tuple[float, float]]:
    """Yield two columns of a CSV file where both are numbers."""
    for row in _read_rows(path):
        one, other = number(row.get(first)), number(row.get(second))
        if one is not None and other is not None:
            yield one, other


def _read_counts(path: Path, task: str) -> dict[str, dict[str, int]]:
    """Return class to split to number of pictures; a picture with several labels counts under each."""
    counts: dict[str, dict[str, int]] = {}
    for row in _read_rows(path):
        target, name = row.get("target", ""), row.get("split", "")
        for label in target.split(LABELS_JOINED_BY) if task == "multilabel" else (target,):
            splits = counts.setdefault(label, {})
            splits[name] = splits.get(name, 0) + 1
    return counts


def _read_spreads(path: Path) -> dict[str, list[float]]:
    """Return split to the numbers that its pictures carry."""
    spreads: dict[str, list[float]] = {}
    for row in _read_rows(path):
        target = number(row.get("target"))
        if target is not None and row.get("split"):
            spreads.setdefault(row["split"], []).append(target)
    return spreads
