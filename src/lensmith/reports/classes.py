"""The sections on classes and labels: what was taken for what, and how well each one is told.

One function a section; None where the run folder has nothing to say on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lensmith.reports import figures
from lensmith.reports.source import Measure, Source, mapping, measure, number

GRID_CLASSES = 30
SHARE_CLASSES = 6
PAIRS, PAIRS_BESIDE_GRID = 12, 6
ROWS_SHOWN, ROWS_DRAWN, LABELS_SHOWN = 15, 60, 20

Values = dict[str, Any]


def confusion(source: Source) -> Values | None:
    """What was taken for what: a grid up to thirty classes, a heat map above, and the commonest mistakes."""
    scored = source.metrics.get(source.held_out, {})
    names = list(mapping(scored.get("per_class")))
    matrix = matrix_of(scored, len(names))
    if matrix is None:
        return None
    rows = matrix.sum(1)
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    small = len(names) <= GRID_CLASSES
    order = np.argsort(-wrong, axis=None, kind="stable")[: PAIRS_BESIDE_GRID if small else PAIRS]
    pairs = [
        {"target": names[i], "said": names[j], "count": int(wrong[i, j]), "share": float(wrong[i, j] / rows[i])}
        for i, j in (divmod(int(place), len(names)) for place in order)
        if wrong[i, j] > 0
    ]
    cells = range(len(names)) if small else ()
    grid = [{"name": names[i], "cells": [_cell(int(matrix[i, j]), int(rows[i]), i == j) for j in cells]} for i in cells]
    return {
        "names": names,
        "grid": grid,
        "beside": len(names) <= SHARE_CLASSES // 2,
        "dense": len(names) > SHARE_CLASSES,
        "packed": len(names) > 2 * SHARE_CLASSES,
        "heat": None if small else figures.heat(matrix),
        "pairs": pairs,
        "mistakes": int(wrong.sum()),
        "n": int(matrix.sum()),
    }


def classes(source: Source) -> Values | None:
    """The table of classes, the weakest first; the first rows are open, and only the first sixty get bars."""
    rows = _table(source, ("recall", "precision", "f1"))
    if not rows or any("ap" in entry for entry in _entries(source)):
        return None
    rows.sort(key=lambda row: (_worst(row["f1"]), _worst(row["recall"]), row["name"]))
    _add_bars(rows, ("recall", "precision"))
    return {"shown": rows[:ROWS_SHOWN], "rest": rows[ROWS_SHOWN:], "count": len(rows)}


def labels(source: Source) -> Values | None:
    """The table of labels of pictures that may have several, the weakest average precision first."""
    rows = _table(source, ("ap", "recall", "precision", "f1", "threshold"))
    if not rows or not any("ap" in entry for entry in _entries(source)):
        return None
    rows.sort(key=lambda row: (_worst(row["ap"]), _worst(row["f1"]), row["name"]))
    _add_bars(rows, ("ap",))
    return {"shown": rows[:LABELS_SHOWN], "rest": rows[LABELS_SHOWN:], "count": len(rows)}


def matrix_of(scored: Values, k: int) -> np.ndarray | None:
    """Return the confusion matrix as (k, k) floats; None where it is missing or is not one."""
    try:
        matrix = np.array(scored.get("confusion_matrix"), dtype=float)
    except (TypeError, ValueError):
        return None
    sound = k > 0 and matrix.shape == (k, k) and bool(np.isfinite(matrix).all()) and bool((matrix >= 0).all())
    return matrix if sound else None


def _entries(source: Source) -> list[Values]:
    """Return what was scored of each class or label."""
    scored = source.metrics.get(source.held_out, {})
    return [mapping(entry) for entry in mapping(scored.get("per_class")).values()]


def _table(source: Source, keys: Sequence[str]) -> list[Values]:
    """Return a row of measures for each class or label."""
    scored = source.metrics.get(source.held_out, {})
    rows = []
    for name, entry in mapping(scored.get("per_class")).items():
        values = mapping(entry)
        row: Values = {key: measure(values.get(key)) for key in keys}
        rows.append(row | {"name": name, "n": number(values.get("n"))})
    return rows


def _add_bars(rows: list[Values], keys: Sequence[str]) -> None:
    """Add `KEY_bar` to each row; bars of the many last rows would make the page heavy and are left out."""
    for place, row in enumerate(rows):
        for key in keys:
            row[f"{key}_bar"] = figures.bar(row[key]) if place < ROWS_DRAWN else None


def _cell(count: int, total: int, right: bool) -> Values:
    """Return one cell of the grid; its shade, 1 to 10, is the share of its row in tenths."""
    share = count / total if total else 0.0
    return {"count": count, "share": share, "right": right, "shade": math.ceil(10 * share - 1e-9)}


def _worst(found: Measure) -> float:
    """Order by value; what has none comes last, since there is nothing to judge."""
    return found.value if found.value is not None else 2.0
