"""`lensmith check`: what is in a folder of pictures, and what is wrong with it, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensmith.data.audit import Findings, audit
from lensmith.data.dataset import Dataset
from lensmith.data.folders import open_folder
from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files, read_pictures
from lensmith.data.split import split
from lensmith.data.store import Store
from lensmith.errors import DataError
from lensmith.verbs.console import Console

# Every picture is decoded whole; what comes out is not kept, so it is made as small as can be.
TINY = Preprocessing(image_size=1, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="nearest")


@dataclass(frozen=True)
class Check:
    """A data set, its findings, and the problem that would stop training (empty if there is none)."""

    dataset: Dataset
    findings: Findings
    problem: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form that --json prints."""
        found = self.findings.as_dict(self.dataset)
        return {"data": str(self.dataset.root), "problem": self.problem or None, **found}


def check(data: str | Path, *, quiet: bool = False) -> Check:
    """Read every picture below a folder and return what was found; nothing is written beside the data.

    data: a folder with one sub-folder a class, or train, validation and test folders of such. quiet: show no
    progress. Raises DataError where there is nothing to check (an empty folder, one class).
    """
    console, store = Console(quiet), Store()
    dataset = open_folder(Path(data).expanduser().resolve())
    files = Files(dataset.root, dataset.paths, store)
    known = set(files.hashes())
    records = []
    with console.progress("pictures", len(dataset.paths)) as advance:
        for picture in read_pictures(files, TINY, known=known):
            records.append(picture.record)
            advance(len(records))
    findings = audit(dataset, records)
    return Check(dataset, findings, _problem(dataset, findings))


def _problem(dataset: Dataset, findings: Findings) -> str:
    try:
        findings.require_sound(dataset)
        split(dataset, findings, seed=0)
    except DataError as error:
        return str(error)
    return ""
