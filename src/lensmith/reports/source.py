"""The run folder as the report reads it: any part may be missing, no value is trusted to be a number."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensmith.errors import RunError

FORMAT = 1


@dataclass(frozen=True)
class Measure:
    """A metric with its interval and the number of pictures behind it; each part is None where unknown."""

    value: float | None
    low: float | None
    high: float | None
    n: int | None


@dataclass(frozen=True)
class Source:
    """What a run folder says.

    run: run.json. metrics: split name to its metrics, empty where nothing was scored. history: one dictionary
    of column to number (or None) an epoch. counts: class name to split name to number of pictures, from
    splits.csv. pictures: the entries of figures/pictures.json.
    """

    folder: Path
    run: dict[str, Any]
    metrics: dict[str, dict[str, Any]]
    history: tuple[dict[str, float | None], ...]
    counts: dict[str, dict[str, int]]
    pictures: tuple[dict[str, Any], ...]

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
    return Source(
        folder=folder,
        run=run,
        metrics={name: values for name, values in scored.items() if isinstance(values, dict) and values},
        history=tuple(_read_history(folder / "history.csv")),
        counts=_read_counts(folder / "splits.csv"),
        pictures=tuple(entry for entry in listing(_read_json(folder / "figures" / "pictures.json")) if mapping(entry)),
    )


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


def _read_history(path: Path) -> list[dict[str, float | None]]:
    """Return the rows with an epoch; a last line cut short by a kill is left out."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [{key: number(value) for key, value in row.items() if key} for row in csv.DictReader(lines)]
    return [row for row in rows if row.get("epoch") is not None]


def _read_counts(path: Path) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    if not path.is_file():
        return counts
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        for row in csv.DictReader(lines):
            splits = counts.setdefault(row.get("target") or "", {})
            name = row.get("split") or ""
            splits[name] = splits.get(name, 0) + 1
    return counts
