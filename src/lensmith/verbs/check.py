"""`lensmith check`: what is in a folder or table of pictures, and what is wrong with it, before training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lensmith.data.audit import Findings, audit
from lensmith.data.dataset import Dataset, spoken
from lensmith.data.measured import records_of
from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files, Record, read_pictures
from lensmith.data.source import open_data
from lensmith.data.split import split
from lensmith.data.store import Store
from lensmith.errors import DataError
from lensmith.verbs.console import Console

# Every picture is read to its end; what comes out is not kept, so it is made as small as can be.
TINY = Preprocessing(image_size=1, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


BARS = 10


@dataclass(frozen=True)
class Spread:
    """How the numbers to be told lie: of all pictures, `counts[i]` from `edges[i]` to `edges[i + 1]`."""

    smallest: float
    median: float
    largest: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Check:
    """A data set, its findings, and the problem that would stop training (empty if there is none).

    asked: the options that the data was opened with, as words of a command line.
    """

    dataset: Dataset
    findings: Findings
    problem: str
    asked: tuple[str, ...] = ()

    @property
    def spread(self) -> Spread | None:
        """How the numbers lie where the task is regression, else None."""
        if self.dataset.task != "regression":
            return None
        numbers = self.dataset.targets.astype(np.float64)
        counts, edges = np.histogram(numbers, bins=BARS)
        smallest, median, largest = np.quantile(numbers, (0, 0.5, 1)).tolist()
        return Spread(smallest, median, largest, tuple(edges.tolist()), tuple(counts.tolist()))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form that --json prints."""
        found = self.findings.as_dict(self.dataset)
        return {
            "data": str(self.dataset.source),
            "task": self.dataset.task,
            "example": self.dataset.example,
            "target": self.dataset.target_name or None,
            "problem": self.problem or None,
            "numbers": asdict(self.spread) if self.spread else None,
            **found,
        }


def check(data: str | Path, *, task: str = "auto", target: str | None = None, quiet: bool = False) -> Check:
    """Read every picture of a folder or table and return what was found; nothing is written beside the data.

    data: a folder with one sub-folder a class, or train, validation and test folders of such; or a table (.csv, .tsv,
    .jsonl) of pictures and labels, or of rows to learn from. task: what the table is for: auto, classification,
    multilabel or regression. target: the column of the table to learn (default: the one named as such, or the only
    one). quiet: show no progress. Raises DataError where there is nothing to check (an empty folder, one class).
    """
    console, store = Console(quiet), Store()
    dataset = open_data(Path(data).expanduser().resolve(), task=task, target=target)
    findings = audit(dataset, records_of(dataset) if dataset.cells else _looked_at(dataset, store, console))
    asked = (*(("--task", task) if task != "auto" else ()), *(("--target", target) if target else ()))
    return Check(dataset, findings, _problem(dataset, findings), asked)


def _looked_at(dataset: Dataset, store: Store, console: Console) -> list[Record]:
    """Read every picture to its end, and return a record of each."""
    files = Files(dataset.root, dataset.paths, store)
    known = set(files.hashes())
    records = []
    with console.progress("pictures", len(dataset.paths)) as advance:
        for picture in read_pictures(files, TINY, known=known):
            records.append(picture.record)
            advance(len(records))
    return records


def _problem(dataset: Dataset, findings: Findings) -> str:
    try:
        findings.require_sound(dataset)
        split(dataset, findings, seed=0)
    except DataError as error:
        return spoken(str(error), dataset.example)
    return ""
