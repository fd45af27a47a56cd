"""Writes finished run folders of the other tasks, numbers and labels, scored by the tasks themselves."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lensmith.tasks.interface import Task
from lensmith.tasks.multilabel import Multilabel
from lensmith.tasks.regression import Regression
from sample_run import STAGES, change_run, draw_picture, write_history, write_sample

LABELS = (
    "beach", "boat", "bridge", "car", "child", "dog", "flower", "mountain", "night", "person", "snow", "tree",
)  # fmt: skip


def write_numbers(folder: Path, *, n: int = 300, target: str = "age", noise: float = 4.0, seed: int = 0) -> Path:
    """Write a regression run: numbers from 0 to 90, too low at the upper end, with a few wild answers."""
    rng = np.random.default_rng(seed)
    true = np.round(rng.gamma(4, 8, n).clip(1, 90), 1).astype(np.float32)
    said = (true * 0.9 + 2 + rng.normal(0, noise, n)).astype(np.float32)
    said[:3] += np.array([48, -25, 33], np.float32)[: min(3, n)]
    again = (true * 0.92 + 2 + rng.normal(0, noise, n)).astype(np.float32)
    task = Regression(target)
    _write(folder, task, rng, true, said, again, errors=True)
    change_run(folder, task="regression", metric="mae", target_name=target)
    return folder


def write_labels(
    folder: Path, labels: Sequence[str] = LABELS, *, n: int = 300, skill: float = 3.0, seed: int = 0
) -> Path:
    """Write a multi-label run: the first labels are common and well told, the last ones rare and poorly."""
    rng = np.random.default_rng(seed)
    k = len(labels)
    place = np.arange(k) / max(1, k - 1)
    true = (rng.random((n, k)) < 0.4 - 0.35 * place).astype(np.uint8)
    true[0], true[1] = 0, 1
    clear = skill * (1.15 - place)
    answers, again = (
        (1 / (1 + np.exp(1.5 - clear * (2 * true - 0.6) - rng.normal(0, 1, (n, k))))).astype(np.float32) for _ in "ab"
    )
    task = Multilabel(tuple(labels)).settled(true, again)
    _write(folder, task, rng, true, answers, again, errors=False)
    change_run(folder, task="multilabel", metric="f1")
    return folder


def _write(
    folder: Path,
    task: Task,
    rng: np.random.Generator,
    targets: np.ndarray,
    answers: np.ndarray,
    again: np.ndarray,
    errors: bool,
) -> None:
    """Write a run folder as a classification leaves it, and put this task's files in place of that one's."""
    write_sample(folder, a_class=4, pictures=0)
    write_history(folder, rng, STAGES["features"], short=False, errors=errors)
    scores = {"test": task.score(targets, answers), "validation": task.score(targets, again)}
    (folder / "metrics.json").write_text(json.dumps(scores), encoding="utf-8")
    paths = [f"pictures/{i:04d}.jpg" for i in range(len(targets))]
    _write_table(folder / "predictions.csv", task.table_header(), task.table_rows(paths, targets, answers))
    splits = np.resize(["train", "train", "train", "validation", "test"], len(targets))
    rows = [
        (path, task.target_text(target), split, "0" * 64, i)
        for i, (path, target, split) in enumerate(zip(paths, targets, splits, strict=True))
    ]
    _write_table(folder / "splits.csv", ("path", "target", "split", "sha256", "group"), rows)
    _write_pictures(folder, task, rng, paths, targets, answers)
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    found = run["findings"] | {"classes": {}, "pictures": len(targets) + 3, "used": len(targets)}
    found |= {
        "contradictions": [],
        "leaks": [],
        "copies": [],
        "warnings": [],
        "without_class": {"count": 0, "examples": []},
    }
    change_run(folder, verdict=[task.verdict(scores["test"], "test")], findings=found)


def _write_table(path: Path, header: Sequence[str], rows: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def _write_pictures(
    folder: Path, task: Task, rng: np.random.Generator, paths: list[str], targets: np.ndarray, answers: np.ndarray
) -> None:
    """Write example pictures, the ones that the task chooses."""
    decoded, entries = task.decode(answers), []
    for kind, i in task.order(targets, answers).chosen(4, 2, 2):
        name = f"figures/{kind}-{i}.jpg"
        drawn, heat = draw_picture(rng, i)
        drawn.save(folder / name, quality=85)
        heat.save(folder / name.replace(".jpg", "-map.jpg"), quality=85)
        entries.append({
            "kind": kind, "picture": name, "map": name.replace(".jpg", "-map.jpg"), "path": paths[i],
            "target": task.target_text(targets[i]), "predicted": task.target_text(decoded[i]),
            "right": kind != "mistake", "confidence": None,
        })  # fmt: skip
    (folder / "figures" / "pictures.json").write_text(json.dumps(entries), encoding="utf-8")
