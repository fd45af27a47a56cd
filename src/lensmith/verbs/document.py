"""What run.json and splits.csv say of a training before it begins."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lensmith import __version__
from lensmith.data.audit import Findings
from lensmith.data.dataset import Dataset
from lensmith.data.split import Splits
from lensmith.reproduce import machine, versions
from lensmith.tasks.interface import Task
from lensmith.training.recipe import Resolved, weights_name
from lensmith.training.request import Request
from lensmith.training.stages import Course


def run_document(
    request: Request, resolved: Resolved, course: Course, dataset: Dataset, findings: Findings, splits: Splits
) -> dict[str, Any]:
    """Return run.json as it stands before training."""
    found = findings.as_dict(dataset)
    found["classes"] = _counts(dataset, splits)
    return {
        "lensmith": __version__,
        "status": "running",
        "task": dataset.task,
        "example": dataset.example,
        "metric": course.task.metric,
        "target": dataset.target_name,
        "held_out": splits.held_out,
        "stopping": splits.stopping,
        "request": asdict(request),
        "recipe": recipe_document(resolved, course),
        "reasons": resolved.reasons,
        "findings": found,
        "base": course.base.key if course.base else None,
        "engine": course.chosen.as_dict() if course.chosen else None,
        "versions": versions(),
        "machine": machine(),
        "seed": request.seed,
    }


def recipe_document(resolved: Resolved, course: Course) -> dict[str, Any]:
    """Return the settled recipe as run.json holds it: the file name of the weights stands for their path."""
    recipe = {**asdict(resolved.recipe), "weights": weights_name(resolved.recipe.weights)}
    return {**recipe, "loss": course.task.loss, "preprocessing": course.preprocessing.as_dict()}


def _counts(dataset: Dataset, splits: Splits) -> dict[str, dict[str, int]]:
    """Return pictures by class or label and split; nothing for numbers."""
    parts, members = ("train", splits.stopping, splits.held_out), dataset.members()
    return {
        name: {part: int((members[:, place] & (splits.names == part)).sum()) for part in parts}
        for place, name in enumerate(dataset.classes)
    }


def split_rows(dataset: Dataset, task: Task, findings: Findings, splits: Splits) -> list[tuple[str, ...]]:
    """Return path, target, split and content of every picture, as splits.csv holds them."""
    targets = [task.target_text(target) for target in dataset.targets]
    return list(zip(dataset.paths, targets, splits.names.tolist(), findings.sha256, strict=True))
