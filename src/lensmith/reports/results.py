"""The sections that say how good the model is, from the run's files to what a template shows.

One function a section; None where the run folder has nothing to say on it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lensmith.reports import figures, scatter, words
from lensmith.reports.classes import matrix_of
from lensmith.reports.leads import Lead, lead_in, target_name
from lensmith.reports.source import Measure, Source, listing, mapping, measure, number, text
from lensmith.reports.stages import read_stages

MOST_NUMBER = 1e15  # what lies beyond is no measurement and would break the figures
WIDE_INTERVAL = 0.10
COLUMNS_SHOWN = 25

# Metric, its name, what it says, and how it is written: a share of 1, a number in the unit of what is predicted, or
# a plain number.
METRICS = (
    ("accuracy", "Accuracy", "the share of pictures named correctly", words.percent),
    ("balanced_accuracy", "Balanced accuracy", "the same with every class counting alike, however rare", words.percent),
    (
        "map",
        "Mean average precision",
        "do pictures with a label come first, averaged over the labels",
        words.percent,
    ),
    ("macro_f1", "Mean F1", "finding a {group} and being right about it, averaged over the {groups}", words.percent),
    (
        "micro_f1",
        "F1 of all answers",
        "the same over all answers at once: common labels weigh more",
        words.percent,
    ),
    (
        "exact_match",
        "All labels right",
        "the share of pictures with all labels found, none too many",
        words.percent,
    ),
    ("top5", "Right among five", "the share whose class is among the five likeliest", words.percent),
    ("auc", "Area under the curve", "how well it ranks one class above the other; 0.5 is guessing", words.decimal),
    ("mae", "Mean error", "how far off the answers are on average (mean absolute error)", words.quantity),
    ("median_error", "Median error", "half of the answers are closer than this", words.quantity),
    ("rmse", "Root mean square error", "the same with large errors weighing more", words.quantity),
    ("mse", "Mean square error", "its square, in squared units", words.quantity),
    ("r2", "Spread explained (R²)", "1 is perfect, 0 is no better than the mean; below 0 is worse", words.decimal),
    ("log_loss", "Log loss", "what being sure of a wrong answer costs; 0 is perfect", words.decimal),
    ("calibration_error", "Calibration error", "how far being sure and being right lie apart", words.percent),
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

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")

Values = dict[str, Any]


def opening(source: Source) -> Values:
    """The verdict, the number with its interval, and where it comes from."""
    scored, lead = source.metrics.get(source.held_out, {}), lead_in(source)
    found = measure(scored.get(lead.key))
    baseline = measure(scored.get(lead.baseline)).value
    right, n = _right(scored, measure(scored.get("accuracy")))
    said = [text(verdict) for verdict in listing(source.run.get("verdict"))]
    rays = measure(scored.get(lead.rays)).value
    return {
        "verdict": [part for verdict in said or _plain_verdict(source, right, n) for part in words.sentences(verdict)],
        "split": source.held_out,
        "lead": lead,
        "number": None if found.value is None else found,
        "baseline": baseline,
        "right": right if lead.key == "accuracy" else None,
        "n": n if lead.key == "accuracy" else found.n or _count(scored),
        "target": target_name(source.run) if not lead.share else "",
        "explained": rays if lead.rays != lead.key else None,
        "wide": _wide(lead, found),
        "meaning": HELD_OUT.get(source.held_out, f"These numbers come from the {source.held_out} pictures."),
        # A model that explains less than nothing sends no ray into focus.
        "lens": figures.lens(
            rays if lead.share or rays is None else max(0.0, rays), lead.ray.format(split=source.held_out)
        ),
        "ruler": figures.ruler(lead, found, baseline),
    }


def distances(source: Source) -> Values | None:
    """How far the predicted numbers are from the true ones: scatter, histogram, and the same in words."""
    answers = [pair for pair in source.answers if max(map(abs, pair)) <= MOST_NUMBER]
    if not answers:
        return None
    true, said = (np.array(column) for column in zip(*answers, strict=True))
    errors = said - true
    sizes = np.abs(errors)
    mae = float(sizes.mean())
    target = target_name(source.run)
    half, most = (float(np.quantile(sizes, part)) for part in (0.5, 0.9))
    mean = float(errors.mean())
    # Twice the standard error of the mean: less cannot be told from no bias at all.
    told = len(errors) > 1 and abs(mean) > 2 * float(errors.std(ddof=1)) / math.sqrt(len(errors))
    return {
        "target": target,
        "scatter": scatter.scatter(true, said, mae, target),
        "histogram": scatter.histogram(errors, mae),
        "n": len(errors),
        "drawn": len(scatter.thinned(true, said)),
        "mae": mae,
        "half": half,
        "most": most,
        "bias": mean if told else None,
        "far": int((sizes > scatter.FAR * mae).sum()),
    }


def measures(source: Source) -> Values | None:
    """All metrics of the held-out split with their intervals, and the values of the other scored splits."""
    if not source.metrics:
        return None
    scored = source.metrics[source.held_out]
    others = [name for name in source.metrics if name != source.held_out]
    one, several = lead_in(source).groups
    rows = []
    for key, name, meaning, show in METRICS:
        found = measure(scored.get(key))
        if found.value is None:
            continue
        known = found.low is not None and found.high is not None
        row = {"name": name, "meaning": meaning.format(group=one, groups=several), "value": show(found.value)}
        row["range"] = f"{show(found.low)} to {show(found.high)}" if known else ""
        rows.append({**row, "others": [show(measure(source.metrics[other].get(key)).value) for other in others]})
    threshold = measure(scored.get("threshold")).value
    names = list(mapping(scored.get("per_class")))
    return {
        "split": source.held_out,
        "others": others,
        "rows": rows,
        "threshold": threshold if len(names) == 2 and lead_in(source).key == "accuracy" else None,
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
    matrix = matrix_of(scored, len(mapping(scored.get("per_class"))))
    if matrix is not None:
        return int(matrix.trace()), int(matrix.sum())
    if accuracy.value is None or not accuracy.n:
        return None, None
    return round(accuracy.value * accuracy.n), accuracy.n


def _plain_verdict(source: Source, right: int | None, n: int | None) -> list[str]:
    """Return a verdict for a run that has none of its own."""
    scored, lead = source.metrics.get(source.held_out, {}), lead_in(source)
    value = measure(scored.get(lead.key)).value
    if right is not None:
        return [f"It named {right} of {n} {source.held_out} pictures correctly."]
    if value is not None:
        return [f"{lead.name}: {lead.show(value)} on the {source.held_out} pictures."]
    after = _after(source)
    if source.run.get("status") == "running":
        return [f"This run is not finished: nothing has been scored{after}."]
    return [f"This run ended{after}, before it was scored."]


def _after(source: Source) -> str:
    """Return how far a run came: its epochs, and the stage they belong to where there were several."""
    stages = read_stages(source)
    if not stages:
        return ""
    if len(stages) == 1:
        return f" after {words.plural(len(source.history), 'epoch')}"
    place = ORDINALS[len(stages) - 1] if len(stages) <= len(ORDINALS) else "last"
    return f" after {words.plural(len(stages[-1].rows), 'epoch')} of its {place} stage, {stages[-1].name}"


def _wide(lead: Lead, found: Measure) -> bool:
    """Return whether an interval is so wide that more pictures would help."""
    if found.value is None or found.low is None or found.high is None:
        return False
    return found.high - found.low > WIDE_INTERVAL * (1 if lead.share else 3 * found.value)


def _count(scored: Values) -> int | None:
    n = number(scored.get("n"))
    return None if n is None else int(n)


def columns(source: Source) -> Values | None:
    """What the columns of a table count for, the weightiest first; None for other examples."""
    losses = [entry for entry in source.columns if number(entry.get("mean")) is not None]
    if not losses:
        return None
    lead = lead_in(source)
    unit = {"accuracy": "Accuracy lost", "mae": "Error added"}.get(lead.key, "Log loss added")
    shown = losses[:COLUMNS_SHOWN]
    most = max(number(entry["mean"]) or 0.0 for entry in losses)
    rows = []
    for entry in shown:
        mean = number(entry["mean"]) or 0.0
        said = words.percent(max(mean, 0.0)) if lead.share else words.quantity(max(mean, 0.0))
        share = 100 * max(mean, 0.0) / most if most > 0 else 0.0
        rows.append({"name": text(entry.get("column")), "said": said, "share": share})
    return {"rows": rows, "unit": unit, "left": len(losses) - len(shown)}
