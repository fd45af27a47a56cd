"""From a name to a task: what a user asks for, and what a model's file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lensmith.data.dataset import TASKS
from lensmith.errors import UsageError, nearest
from lensmith.tasks import regression
from lensmith.tasks.classification import Classification
from lensmith.tasks.interface import Task
from lensmith.tasks.multilabel import Multilabel
from lensmith.tasks.regression import Regression

OUTPUTS = ("softmax", "sigmoid")


def task_for(
    kind: str, classes: tuple[str, ...], *, target_name: str = "", loss: str | None = None, output: str = "softmax"
) -> Task:
    """Return the task of a kind, as `Dataset.task` names it; `loss` None is the usual one.

    `output` "sigmoid" is for exactly two classes; labels have it anyway. Raises UsageError for an output or a loss
    that the kind does not have.
    """
    if output not in OUTPUTS:
        raise UsageError(f"output is {output!r}; must be {' or '.join(OUTPUTS)}.{nearest(output, OUTPUTS)}")
    if output == "sigmoid" and (kind == "regression" or (kind == "classification" and len(classes) != 2)):
        seen = "a number" if kind == "regression" else f"{len(classes)} classes"
        raise UsageError(f"output is 'sigmoid' for {seen}; it needs exactly two classes. Leave --output away.")
    known: tuple[str, ...] = ("binary_cross_entropy",)
    if kind == "regression":
        known = regression.LOSSES
    elif kind == "classification" and output == "softmax":
        known = ("cross_entropy",)
    if loss is not None and loss not in known:
        sigmoid = kind == "classification" and output == "softmax" and loss == "binary_cross_entropy"
        fix = " With two classes --output sigmoid has that loss." if sigmoid else ""
        raise UsageError(f"loss is {loss!r}; {kind} has {', '.join(known)}.{nearest(loss, known)}{fix}")
    if kind == "regression":
        return Regression(target_name, loss or known[0])
    if kind == "multilabel":
        return Multilabel(classes)
    if kind == "classification":
        return Classification(classes, output=output)
    raise ValueError(f"task is {kind!r}; must be one of {', '.join(TASKS)}.")


def task_from_dict(fields: Mapping[str, Any]) -> Task:
    """Return the task that `as_dict` described; "loss" and "output" may be missing, as in older files.

    Raises KeyError, TypeError or ValueError for what does not fit.
    """
    kind = fields["task"]
    if kind == "regression":
        task: Task = Regression(_text(fields, "target_name"), _text(fields, "loss"))
    elif kind == "multilabel":
        task = Multilabel(_names(fields["classes"]), _thresholds(fields["thresholds"]))
    elif kind == "classification":
        threshold = None if fields["threshold"] is None else _share(fields["threshold"])
        task = Classification(_names(fields["classes"]), threshold, _text(fields, "output", "softmax"))
    else:
        raise ValueError(f"task is {kind!r}; must be one of {', '.join(TASKS)}")
    if fields.get("loss", task.loss) != task.loss:
        raise ValueError(f"loss is {fields['loss']!r}; must be {task.loss}")
    return task


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"classes are {value!r}; must be a list of names")
    return tuple(value)


def _thresholds(value: object) -> tuple[float, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError(f"thresholds are {value!r}; must be a list of numbers, or null")
    return tuple(_share(one) for one in value)


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"threshold is {value!r}; must be a number between 0 and 1")
    return float(value)


def _text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = fields[name] if default is None else fields.get(name, default)
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}; must be text")
    return value
