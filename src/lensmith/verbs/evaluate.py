"""`lensmith evaluate`: a run's model scored again on its held-out pictures, or on new ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lensmith.data.dataset import Dataset, spoken
from lensmith.data.source import open_data
from lensmith.data.store import Store
from lensmith.data.table import TABLE_SUFFIXES
from lensmith.errors import RunError
from lensmith.model import Model, load_model
from lensmith.run import Run, open_run
from lensmith.tasks.interface import Task
from lensmith.verbs.console import Console
from lensmith.verbs.kinds.known import kind_of
from lensmith.verbs.score import score_split


@dataclass(frozen=True)
class Evaluation:
    """What a model made of a set of pictures: `metrics` as in metrics.json, and the rows of predictions.csv."""

    data: str
    split: str
    metrics: dict[str, Any]
    verdict: str
    paths: tuple[str, ...]
    targets: np.ndarray
    answers: np.ndarray
    task: Task
    unreadable: tuple[tuple[str, str], ...]
    seen: int
    example: str

    @property
    def warning(self) -> str:
        """What to know of the score if the model has seen some of these pictures before; empty if it has not."""
        if not self.seen:
            return ""
        return spoken(
            f"{self.seen} of these {len(self.paths)} pictures were used in training, so the score flatters. "
            f"`lensmith evaluate RUN` without a folder scores the held-out pictures alone.",
            self.example,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form that --json prints."""
        return {
            "data": self.data,
            "split": self.split,
            "verdict": self.verdict,
            "seen_in_training": self.seen,
            "metrics": self.metrics,
            "unreadable": [{"path": path, "reason": reason} for path, reason in self.unreadable],
        }


def evaluate(
    run: Run | str | Path,
    data: str | Path | None = None,
    *,
    engine: str = "",
    device: str = "auto",
    out: str | Path = "runs",
    quiet: bool = False,
) -> Evaluation:
    """Score a run's model and return an Evaluation; nothing in the run is changed.

    run: a run, its folder, or its name in `out`. data: a folder with one sub-folder a class, named as in training, or
    a table with the column that was trained on (None: the run's own held-out pictures, which must still be where they
    were, unchanged).
    engine: openvino or torch (default: the one the model was trained with). device: auto, cpu, cuda or mps.
    out: the folder of runs. quiet: say nothing.

    Raises RunError (no such run, held-out pictures gone or changed), DataError (unknown class folders, nothing
    readable).
    """
    found, console, store = open_run(run, Path(out)), Console(quiet), Store()
    model = load_model(found.model_folder, store, engine=engine, device=device)
    if data is None:
        split = str(found.field("held_out"))
        dataset = held_out(found, model, split, store)
    else:
        split, dataset = "new", _new(found, model, Path(data).expanduser().resolve())
    kind = kind_of(dataset.example)
    with console.progress(f"{dataset.example}s", len(dataset.paths)) as advance:
        answers = score_split(model, dataset, np.arange(len(dataset.paths)), store, kind.features, advance=advance)
    seed = int(found.field("seed"))
    metrics = model.task.score(answers.targets, answers.answers, seed)
    seen = _seen(found, split, answers.sha256)
    # Only pictures that were kept away from training count as never seen.
    place = "this table" if dataset.cells else "this folder"
    words = split if data is None else place if seen else "test"
    return Evaluation(
        data=str(dataset.source),
        split=split,
        metrics=metrics,
        verdict=spoken(model.task.verdict(metrics, words), dataset.example),
        paths=answers.paths,
        targets=answers.targets,
        answers=answers.answers,
        task=model.task,
        unreadable=tuple((record.path, record.reason) for record in answers.unreadable),
        seen=seen,
        example=dataset.example,
    )


def _new(run: Run, model: Model, path: Path) -> Dataset:
    """Return new pictures as a data set with the classes of the model; of a table the column that was trained on."""
    listed = path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir()
    column = str(run.document.get("target", "")) or None
    target = column if listed else None
    frames = run.document.get("example") == "clip"
    return open_data(path, task=model.task.kind, target=target, classes=model.task.classes, frames=frames)


def _seen(run: Run, split: str, sha256: tuple[str, ...]) -> int:
    """Return how many of the pictures the run trained on, or stopped by; none of its held-out ones were."""
    if split != "new":
        return 0
    used = contents_used(run)
    return sum(content in used for content in sha256)


def contents_used(run: Run) -> set[str]:
    """Return the SHA-256 of every example that a run learned from, or was stopped by."""
    kept = ("", run.field("held_out"))
    return {row["sha256"] for row in run.read_table("splits.csv", ("sha256", "split")) if row["split"] not in kept}


def held_out(run: Run, model: Model, split: str, store: Store) -> Dataset:
    """Return the run's held-out examples as a data set, after making sure that they are what they were."""
    table = run.read_table("splits.csv", ("path", "target", "split", "sha256"))
    rows = [row for row in table if row["split"] == split]
    if not rows:
        raise RunError(f"{run.folder / 'splits.csv'} is damaged (it has no rows of {split}). Train again.")
    return kind_of(run.document.get("example", "")).held_out(run, model, rows, split, store)
