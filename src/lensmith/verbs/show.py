"""How results look on a terminal, and as CSV. Plain text, the same with and without colour."""

from __future__ import annotations

import csv
import io
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lensmith.data.store import Entry, cache_folder
from lensmith.errors import RunError
from lensmith.files import write_atomic, writing
from lensmith.run import Run
from lensmith.verbs.check import Check
from lensmith.verbs.evaluate import Evaluation
from lensmith.verbs.predict import Prediction

MOST_ROWS = 20
LABELS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "top5": "top-5 accuracy",
    "auc": "AUC",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}


def run(finished: Run) -> None:
    """Print a finished run: scores, where the report is, what to do next."""
    document = finished.document
    metrics(finished.metrics[document["held_out"]], document["held_out"])
    print(f"\nreport  {finished.report}")
    print(f"next    lensmith predict {shlex.quote(str(finished.folder))} YOUR-PICTURE.jpg")


def run_as_dict(finished: Run) -> dict[str, Any]:
    """Return what `train --json` prints."""
    document = finished.document
    kept = ("name", "status", "held_out", "verdict", "diagnosis", "engine", "result", "times", "seed")
    return {
        "run": str(finished.folder),
        "report": str(finished.report),
        **{key: document[key] for key in kept},
        "metrics": finished.metrics,
    }


def metrics(scores: Mapping[str, Any], split: str) -> None:
    """Print the scores of one split with their intervals."""
    print(f"\n{split}, {scores['accuracy']['n']} pictures         95 % interval")
    for key, label in LABELS.items():
        if key in scores:
            print(f"  {label:<20} {_number(scores[key]['value'])}   {_range(scores[key])}")


def evaluation(found: Evaluation) -> None:
    """Print an evaluation."""
    print(found.verdict)
    if found.seen:
        print(found.warning)
    metrics(found.metrics, found.split)
    print("\n  class                 precision  recall     F1  pictures")
    per_class = found.metrics["per_class"]
    ranked = sorted(per_class, key=lambda name: per_class[name]["f1"]["value"] or 0)
    for name in ranked[:MOST_ROWS]:
        row = per_class[name]
        parts = "  ".join(f"{_number(row[key]['value']):>9}" for key in ("precision", "recall"))
        print(f"  {name[:20]:<20} {parts}  {_number(row['f1']['value'])}  {row['n']:>8}")
    if len(ranked) > MOST_ROWS:
        print(f"  and {len(ranked) - MOST_ROWS} classes more, all better (--json has them)")
    for path, reason in found.unreadable:
        print(f"left out: {path}: {reason}")


def predictions(found: Sequence[Prediction]) -> None:
    """Print one line a picture."""
    width = min(60, max(len(prediction.path) for prediction in found))
    name_width = max([len(prediction.predicted) for prediction in found] + [1])
    for prediction in found:
        path = prediction.path if len(prediction.path) <= width else "…" + prediction.path[1 - width :]
        if prediction.reason:
            print(f"{path:<{width}}  cannot be read: {prediction.reason}")
            continue
        others = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
        then = ", ".join(f"{name} {share:.0%}" for name, share in others[:3] if name != prediction.predicted)
        print(f"{path:<{width}}  {prediction.predicted:<{name_width}}  {prediction.confidence:6.1%}   {then}")


def predictions_csv(found: Sequence[Prediction]) -> None:
    """Print one CSV row a picture; an unreadable one has only its path and error."""
    classes = next((list(prediction.probabilities) for prediction in found if prediction.probabilities), [])
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["path", "predicted", "confidence", "error", *(f"p:{name}" for name in classes)])
    for prediction in found:
        shares = [f"{prediction.probabilities[name]:.6f}" if not prediction.reason else "" for name in classes]
        confidence = "" if prediction.reason else f"{prediction.confidence:.6f}"
        table.writerow([prediction.path, prediction.predicted, confidence, prediction.reason, *shares])


def write_evaluation(found: Evaluation, path: Path) -> None:
    """Write one row a picture, in the form of predictions.csv."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path", "target", "predicted", "confidence", *(f"p:{name}" for name in found.classes)])
    for place, target, answer, row in zip(
        found.paths, found.targets, found.predicted, found.probabilities, strict=True
    ):
        shares = [f"{share:.6f}" for share in row]
        table.writerow([place, found.classes[target], found.classes[answer], shares[answer], *shares])
    if not path.parent.is_dir():
        raise RunError(f"there is no folder {str(path.parent)!r} to write {path.name} into. Make it first.")
    with writing(path):
        write_atomic(path, text.getvalue().encode("utf-8", "surrogateescape"))


def check(found: Check) -> None:
    """Print what a check found."""
    report = found.findings.as_dict(found.dataset)
    width, height = report["median_size"]
    print(
        f"{report['pictures']} pictures in {len(found.dataset.classes)} classes, mostly about {width} x {height} pixels"
    )
    counts = found.dataset.counts()
    splits = [name for name in ("", "train", "validation", "test") if any(name in row for row in counts.values())]
    print(f"\n  {'class':<24}" + "".join(f"{name or 'pictures':>12}" for name in splits))
    for name, row in list(counts.items())[:MOST_ROWS]:
        print(f"  {name[:24]:<24}" + "".join(f"{row.get(split, 0):>12}" for split in splits))
    if len(counts) > MOST_ROWS:
        print(f"  and {len(counts) - MOST_ROWS} classes more")
    print()
    _listed("cannot be read", [f"{item['path']}: {item['reason']}" for item in report["unreadable"]])
    _listed("exact copies", [" = ".join(group) for group in report["copies"]])
    _listed("not pictures, ignored", report["not_pictures"]["examples"], report["not_pictures"]["count"])
    _listed("without a class, ignored", report["without_class"]["examples"], report["without_class"]["count"])
    for warning in report["warnings"]:
        print(f"note: {warning}")
    if found.problem:
        print(f"\nproblem: {found.problem}")
    else:
        print(f"ready: lensmith train {shlex.quote(str(found.dataset.root))}")


def entries(found: Sequence[Entry], *, cleared: bool) -> None:
    """Print what is, or was, stored."""
    print(f"{cache_folder()}: {_bytes(sum(entry.bytes for entry in found))} in {len(found)} entries")
    for entry in found:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        print(f"  {entry.kind:<10} {_bytes(entry.bytes):>10}   used {used}   {entry.name}")
    if cleared:
        print("cleared" if found else "there was nothing to clear")


def _listed(title: str, lines: Sequence[str], count: int | None = None) -> None:
    total = len(lines) if count is None else count
    if total:
        print(f"{title}: {total}")
        for line in lines[:MOST_ROWS]:
            print(f"  {line}")
        if total > MOST_ROWS:
            print(f"  and {total - MOST_ROWS} more")


def _number(value: float | None) -> str:
    return "    -" if value is None else f"{value:.3f}"


def _range(interval: Mapping[str, float | None]) -> str:
    return f"{_number(interval['low'])} to {_number(interval['high'])}"


def _bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.1f} MB"
