"""The sections that say how good the model is, from the run's files to what a template shows.

One function a section; None where the run folder has nothing to say on it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lensmith.reports import figures, words
from lensmith.reports.source import Measure, Source, listing, mapping, measure, number, text

GRID_CLASSES = 30
SHARE_CLASSES = 6
PAIRS, PAIRS_BESIDE_GRID = 12, 6
ROWS_SHOWN, ROWS_DRAWN = 15, 60
WIDE_INTERVAL = 0.10

# Metric, its name, what it says, and whether it is a share of 1.
METRICS = (
    ("accuracy", "Accuracy", "the share of pictures named correctly", True),
    ("balanced_accuracy", "Balanced accuracy", "the same with every class counting alike, however rare", True),
    ("macro_f1", "Mean F1", "finding a class and being right about it, averaged over the classes", True),
    ("top5", "Right among five", "the share whose class is among the five likeliest", True),
    ("auc", "Area under the curve", "how well it ranks one class above the other; 0.5 is guessing", False),
    ("log_loss", "Log loss", "what being sure of a wrong answer costs; 0 is perfect", False),
    ("calibration_error", "Calibration error", "how far being sure and being right lie apart", True),
)

HELD_OUT = {
    "test": (
        "These numbers come from the test pictures. They were set aside before training, scored once, and nothing "
        "was chosen with them: expect about the same on new pictures of the same kind, and less on other kinds."
    ),
    "validation": (
        "The folder had train and validation pictures but no test pictures. So the validation pictures were set "
        "aside, scored once and never used to stop the training; a part of the train pictures did that."
    ),
}

Values = dict[str, Any]


def opening(source: Source) -> Values:
    """The verdict, the number with its interval, and where it comes from."""
    scored = source.metrics.get(source.held_out, {})
    accuracy = measure(scored.get("accuracy"))
    baseline = measure(scored.get("baseline_accuracy")).value
    right, n = _right(scored, accuracy)
    said = [text(verdict) for verdict in listing(source.run.get("verdict"))]
    wide = None not in (accuracy.low, accuracy.high) and (accuracy.high or 0) - (accuracy.low or 0) > WIDE_INTERVAL
    return {
        "verdict": [part for verdict in said or _plain_verdict(source, right, n) for part in words.sentences(verdict)],
        "split": source.held_out,
        "accuracy": None if accuracy.value is None else accuracy,
        "baseline": baseline,
        "right": right,
        "n": n,
        "wide": wide,
        "meaning": HELD_OUT.get(source.held_out, f"These numbers come from the {source.held_out} pictures."),
        "lens": figures.lens(accuracy.value, source.held_out),
        "ruler": figures.ruler("Accuracy", accuracy, baseline),
    }


def learning(source: Source) -> Values | None:
    """The curves of loss and accuracy; where several penalties were tried, the chosen one leads."""
    if not source.history:
        return None
    result = mapping(source.run.get("result"))
    groups: dict[float | None, list[dict[str, float | None]]] = {}
    for row in source.history:
        groups.setdefault(row.get("l2"), []).append(row)
    wanted = number(result.get("l2"))
    same = [key for key in groups if key is not None and wanted is not None and math.isclose(key, wanted)]
    chosen = same[0] if same else next(reversed(groups))
    others = [rows for key, rows in groups.items() if key != chosen]
    kept = number(result.get("epoch"))
    # The pictures that decide when to stop are named "stopping" where the validation pictures are held out.
    seen = text(source.run.get("stopping")) or "validation"
    drawn = []
    for kind, name, shares in (("loss", "Loss", False), ("accuracy", "Accuracy", True)):
        lines = [figures.Line("other", "another penalty", _column(rows, f"validation_{kind}")) for rows in others]
        lines.append(figures.Line("train", "train", _column(groups[chosen], f"train_{kind}")))
        lines.append(figures.Line("seen", seen, _column(groups[chosen], f"validation_{kind}")))
        drawn.append(figures.curves(kind, name, lines, kept, shares))
    if not any(drawn):
        return None
    return {
        "figures": [figure for figure in drawn if figure],
        "kept": kept,
        "seen": seen,
        "penalties": [key for key in groups if key is not None],
        "chosen": chosen,
        "stopped": text(result.get("stopped")),
        "diagnosis": [text(sentence) for sentence in listing(source.run.get("diagnosis"))],
    }


def confusion(source: Source) -> Values | None:
    """What was taken for what: a grid up to thirty classes, a heat map above, and the commonest mistakes."""
    scored = source.metrics.get(source.held_out, {})
    names = list(mapping(scored.get("per_class")))
    matrix = _matrix(scored, len(names))
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
    scored = source.metrics.get(source.held_out, {})
    rows = []
    for name, entry in mapping(scored.get("per_class")).items():
        values = mapping(entry)
        row: Values = {key: measure(values.get(key)) for key in ("recall", "precision", "f1")}
        rows.append(row | {"name": name, "n": number(values.get("n"))})
    rows.sort(key=lambda row: (_worst(row["f1"]), _worst(row["recall"]), row["name"]))
    for place, row in enumerate(rows):
        for key in ("recall", "precision"):
            row[f"{key}_bar"] = figures.bar(row[key]) if place < ROWS_DRAWN else None
    return {"shown": rows[:ROWS_SHOWN], "rest": rows[ROWS_SHOWN:], "count": len(rows)} if rows else None


def measures(source: Source) -> Values | None:
    """All metrics of the held-out split with their intervals, and the values of the other scored splits."""
    if not source.metrics:
        return None
    scored = source.metrics[source.held_out]
    others = [name for name in source.metrics if name != source.held_out]
    rows = []
    for key, name, meaning, is_share in METRICS:
        found = measure(scored.get(key))
        if found.value is None:
            continue
        show = words.percent if is_share else words.decimal
        known = found.low is not None and found.high is not None
        row = {"name": name, "meaning": meaning, "value": show(found.value)}
        row["range"] = f"{show(found.low)} to {show(found.high)}" if known else ""
        rows.append({**row, "others": [show(measure(source.metrics[other].get(key)).value) for other in others]})
    threshold = measure(scored.get("threshold")).value
    names = list(mapping(scored.get("per_class")))
    return {
        "split": source.held_out,
        "others": others,
        "rows": rows,
        "threshold": threshold if len(names) == 2 else None,
        "positive": names[1] if len(names) == 2 else "",
    }


def sureness(source: Source) -> Values | None:
    """The reliability diagram: is it as often right as it says it is sure?"""
    scored = source.metrics.get(source.held_out, {})
    found = scored.get("calibration")
    bins = []
    for entry in listing(found.get("bins") if isinstance(found, dict) else found):
        confidence, accuracy, n = (number(mapping(entry).get(key)) for key in ("confidence", "accuracy", "n"))
        if confidence is not None and accuracy is not None and n is not None and n >= 1:
            bins.append(figures.Bin(confidence, accuracy, int(n)))
    if not bins:
        return None
    total = sum(part.n for part in bins)
    return {
        "figure": figures.reliability(bins),
        "sure": sum(part.n * part.confidence for part in bins) / total,
        "right": sum(part.n * part.accuracy for part in bins) / total,
        "error": measure(scored.get("calibration_error")),
    }


def _right(scored: Values, accuracy: Measure) -> tuple[int | None, int | None]:
    """Return the number of right answers and of pictures, counted where the matrix is there."""
    matrix = _matrix(scored, len(mapping(scored.get("per_class"))))
    if matrix is not None:
        return int(matrix.trace()), int(matrix.sum())
    if accuracy.value is None or not accuracy.n:
        return None, None
    return round(accuracy.value * accuracy.n), accuracy.n


def _plain_verdict(source: Source, right: int | None, n: int | None) -> list[str]:
    """Return a verdict for a run that has none of its own."""
    if right is not None:
        return [f"It named {right} of {n} {source.held_out} pictures correctly."]
    after = f" after {words.plural(len(source.history), 'epoch')}" if source.history else ""
    if source.run.get("status") == "running":
        return [f"This run is not finished: nothing has been scored{after}."]
    return [f"This run ended{after}, before it was scored."]


def _matrix(scored: Values, k: int) -> np.ndarray | None:
    """Return the confusion matrix as (k, k) floats; None where it is missing or is not one."""
    try:
        matrix = np.array(scored.get("confusion_matrix"), dtype=float)
    except (TypeError, ValueError):
        return None
    sound = k > 0 and matrix.shape == (k, k) and bool(np.isfinite(matrix).all()) and bool((matrix >= 0).all())
    return matrix if sound else None


def _column(rows: list[dict[str, float | None]], name: str) -> list[tuple[float, float | None]]:
    return [(row["epoch"] or 0.0, row.get(name)) for row in rows]


def _cell(count: int, total: int, right: bool) -> Values:
    """Return one cell of the grid; its shade, 1 to 10, is the share of its row in tenths."""
    share = count / total if total else 0.0
    return {"count": count, "share": share, "right": right, "shade": math.ceil(10 * share - 1e-9)}


def _worst(found: Measure) -> float:
    """Order by value; what has none comes last, since there is nothing to judge."""
    return found.value if found.value is not None else 2.0
