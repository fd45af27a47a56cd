"""How results look on a terminal, and as CSV. Plain text, the same with and without colour."""

from __future__ import annotations

import csv
import io
import math
import re
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from lensmith.data.dataset import Dataset
from lensmith.data.store import Entry, cache_folder
from lensmith.errors import RunError
from lensmith.files import write_atomic, writing
from lensmith.run import Run
from lensmith.verbs.cells import cell, plain, width
from lensmith.verbs.check import Check, Spread
from lensmith.verbs.evaluate import Evaluation
from lensmith.verbs.networks import Network, facts
from lensmith.verbs.predict import Prediction
from lensmith.zoo.papers import PAPER_OF, PAPERS

MOST_ROWS = 20
LONGEST_BAR = 40
LABELS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "map": "mean average precision",
    "mae": "mean absolute error",
    "rmse": "root mean square error",
    "r2": "R2",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "exact_match": "exactly right",
    "top5": "top-5 accuracy",
    "auc": "AUC",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}

NEW = {"picture": "YOUR-PICTURE.jpg", "clip": "YOUR-CLIP", "row": "NEW.csv", "sentence": '"A SENTENCE"'}
HUGE, SMALL = 1e5, 1e-3  # beyond these a score is written with three digits


def run(finished: Run) -> None:
    """Print a finished run: scores, where the report is, what to do next."""
    document = finished.document
    if len(document.get("ladder", {}).get("rows", [])) > 1:
        ladder(document["ladder"], document["metric"])
    metrics(finished.metrics[document["held_out"]], document["held_out"], document.get("example", "picture"))
    print(f"\nreport  {finished.report}")
    new = NEW[document.get("example", "picture")]
    print(f"next    lensmith predict {shlex.quote(str(finished.folder))} {new}")


def run_as_dict(finished: Run) -> dict[str, Any]:
    """Return what `train --json` prints."""
    document = finished.document
    kept = ("name", "status", "recipe", "held_out", "verdict", "diagnosis", "engine", "result", "times", "seed")
    return {
        "run": str(finished.folder),
        "report": str(finished.report),
        **{key: document[key] for key in kept},
        "ladder": document.get("ladder"),
        "metrics": finished.metrics,
    }


def metrics(scores: Mapping[str, Any], split: str, example: str = "picture") -> None:
    """Print the scores of one split with their intervals."""
    known = [(label, scores[key]) for key, label in LABELS.items() if key in scores]
    title = f"{split}, {known[0][1]['n']} {example}s"
    print(f"\n{title:<37}95 % interval")
    for label, interval in known:
        print(f"  {label:<24} {_number(interval['value']):>7}   {_range(interval)}")


def ladder(account: Mapping[str, Any], metric: str) -> None:
    """Print what each step of the ladder cost and gained, and why it stopped."""
    print(f"\n  step        seconds  predicted {metric:>9}    gain  better with   outcome")
    for row in account["rows"]:
        spent = [_cell(row[key], "8.0f") for key in ("seconds", "predicted")]
        found = [_cell(row["value"], "7.3f"), _cell(row["gain"], "+7.3f"), _cell(row["probability"], "12.0%")]
        cells = f"{spent[0]:>8} {spent[1]:>10} {found[0]:>9} {found[1]:>7} {found[2]:>12}"
        print(f"  {row['step']:<10} {cells}   {row['status']}")
    print(f"  {account['why']}")


def evaluation(found: Evaluation) -> None:
    """Print an evaluation."""
    print(found.verdict)
    if found.seen:
        print(found.warning)
    metrics(found.metrics, found.split, found.example)
    if "per_class" in found.metrics:
        _per_class(found.metrics["per_class"], found.task.kind, found.example)
    for path, reason in found.unreadable:
        print(f"left out: {plain(path)}: {reason}")


def _per_class(table: Mapping[str, Any], kind: str, example: str) -> None:
    columns = ("ap", "precision", "recall", "f1") if kind == "multilabel" else ("precision", "recall", "f1")
    noun = "label" if kind == "multilabel" else "class"
    print(
        f"\n  {noun:<20}" + "".join(f"{name if name not in ('ap', 'f1') else name.upper():>11}" for name in columns),
        end="",
    )
    print(f"{f'{example}s':>10}")
    ranked = sorted(table, key=lambda name: table[name]["f1"]["value"] or 0)
    for name in ranked[:MOST_ROWS]:
        row = table[name]
        print(
            f"  {cell(name, 20)}" + "".join(f"{_number(row[key]['value']):>11}" for key in columns) + f"  {row['n']:>8}"
        )
    if len(ranked) > MOST_ROWS:
        more = "labels" if kind == "multilabel" else "classes"
        print(f"  and {len(ranked) - MOST_ROWS} {more} more, all better (--json has them)")


def predictions(found: Sequence[Prediction]) -> None:
    """Print one line a picture."""
    paths = min(60, max(width(plain(prediction.path)) for prediction in found))
    answers = max([width(plain(said(prediction))) for prediction in found] + [1])
    for prediction in found:
        path = cell(prediction.path, paths, end=True)
        if prediction.reason:
            print(f"{path}  cannot be read: {prediction.reason}")
            continue
        named = prediction.predicted if isinstance(prediction.predicted, list) else [prediction.predicted]
        others = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
        then = ", ".join(f"{plain(name)} {share:.0%}" for name, share in others[:3] if name not in named)
        sure = f"{prediction.confidence:6.1%}" if prediction.confidence is not None else ""
        print(f"{path}  {cell(said(prediction), answers)}  {sure}   {then}".rstrip())


def said(prediction: Prediction) -> str:
    """Return an answer as text: a class, labels joined by ";", or a number."""
    value = prediction.predicted
    return ";".join(value) if isinstance(value, list) else "" if value is None else f"{value}"


def predictions_csv(found: Sequence[Prediction]) -> None:
    """Print one CSV row a picture; an unreadable one has only its path and error."""
    classes = next((list(prediction.probabilities) for prediction in found if prediction.probabilities), [])
    sure = all(prediction.reason or prediction.confidence is not None for prediction in found)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["path", "predicted", *(["confidence"] * sure), "error", *(f"p:{name}" for name in classes)])
    for prediction in found:
        shares = ["" if prediction.reason else f"{prediction.probabilities[name]:.6f}" for name in classes]
        confidence = "" if prediction.confidence is None else f"{prediction.confidence:.6f}"
        row = [prediction.path, said(prediction), *([confidence] * sure), prediction.reason, *shares]
        table.writerow(row)


def write_evaluation(found: Evaluation, path: Path) -> None:
    """Write one row a picture, in the form of predictions.csv."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(found.task.table_header())
    table.writerows(found.task.table_rows(found.paths, found.targets, found.answers))
    if not path.parent.is_dir():
        raise RunError(f"there is no folder {str(path.parent)!r} to write {path.name} into. Make it first.")
    with writing(path):
        write_atomic(path, text.getvalue().encode("utf-8", "surrogateescape"))


def check(found: Check) -> None:
    """Print what a check found."""
    report, dataset = found.findings.as_dict(found.dataset), found.dataset
    width, height = report["median_size"]
    size = f", mostly about {width} x {height} pixels" if width else f" and {len(dataset.columns)} columns"
    what = {
        "classification": f"in {len(dataset.classes)} classes",
        "multilabel": f"with any of {len(dataset.classes)} labels",
        "regression": f"with a number each ({dataset.target_name})",
    }
    print(f"{report['pictures']} {dataset.example}s {what[dataset.task]}{size}")
    print()
    if found.spread is None:
        _counts(dataset)
    else:
        _spread(found.spread, dataset.example)
    print()
    _listed("cannot be read", [f"{item['path']}: {item['reason']}" for item in report["unreadable"]])
    _listed("exact copies", [" = ".join(group) for group in report["copies"]])
    _listed("not pictures, ignored", report["not_pictures"]["examples"], report["not_pictures"]["count"])
    _listed("without a class, ignored", report["without_class"]["examples"], report["without_class"]["count"])
    for warning in report["warnings"]:
        print(f"note: {plain(warning)}")
    if found.problem:
        print(f"\nproblem: {found.problem}")
    else:
        print(f"ready: lensmith train {shlex.join([str(dataset.source), *found.asked])}")


def _counts(dataset: Dataset) -> None:
    counts = dataset.counts()
    splits = [name for name in ("", "train", "validation", "test") if any(name in row for row in counts.values())]
    print(f"  {dataset.noun:<24}" + "".join(f"{name or f'{dataset.example}s':>12}" for name in splits))
    for name, row in list(counts.items())[:MOST_ROWS]:
        print(f"  {cell(name, 24)}" + "".join(f"{row.get(split, 0):>12}" for split in splits))
    if len(counts) > MOST_ROWS:
        more = "labels" if dataset.noun == "label" else "classes"
        print(f"  and {len(counts) - MOST_ROWS} {more} more")


def _spread(spread: Spread, example: str) -> None:
    print(f"  smallest {spread.smallest:g}, median {spread.median:g}, largest {spread.largest:g}\n")
    print(f"  {'from':>12}{'to':>12}{f'{example}s':>12}")
    for (low, high), count in zip(pairwise(spread.edges), spread.counts, strict=True):
        bar = "#" * math.ceil(LONGEST_BAR * count / max(spread.counts))
        print(f"  {low:>12.6g}{high:>12.6g}{count:>12}  {bar}".rstrip())


def networks(names: Sequence[str], pattern: str) -> None:
    """Print the networks of the papers where there is no pattern, else those that match it, one a line."""
    if not names:
        print(f"no network matches {pattern!r}")
    elif pattern:
        _matching(facts(names))
    else:
        _papers({network.name: network for network in facts(PAPER_OF)})
        more = len(names) - len(PAPER_OF)
        print(f"\n{more:,} more can be built by name; lensmith networks PATTERN finds them.")


def _papers(known: Mapping[str, Network]) -> None:
    """Print paper by paper, in the order of years; 76 columns are enough."""
    print(f"{'':<28}{'input':>6}{'parameters':>13}{'multiply-adds':>15}  weights")
    for paper in PAPERS:
        print(f"\n{paper.year}  {paper.authors}\n      {paper.idea}")
        for name, numbers in paper.networks.items():
            size = f"{numbers.image_size:>6}{numbers.parameters:>13,}{_amount(numbers.multiply_adds):>15}"
            print(f"      {known[name].bare:<22}{size}  {known[name].licence or '-'}")


def _matching(found: Sequence[Network]) -> None:
    """Print names ready for `--network`, and what is known of each; cut off where a terminal ends."""
    width = max(len(network.name) for network in found)
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = [f"{'network':<{width}}  year  input   parameters  multiply-adds  {'weights':<14}idea"]
    for network in found:
        numbers, paper = network.numbers, network.paper
        size = f"{numbers.parameters:>13,}{_amount(numbers.multiply_adds):>15}" if numbers else " " * 28
        year, idea = (paper.year, paper.idea) if paper else ("", "")
        lines.append(f"{network.name:<{width}}  {year:<4}  {network.image_size:>5}{size}  {network.licence:<14}{idea}")
    print("\n".join(line[:columns].rstrip() for line in lines))


def _amount(multiply_adds: int) -> str:
    """Return three digits and a unit: 0.327 M, 40.6 M, 15.5 G."""
    scale, unit = (1e9, "G") if multiply_adds >= 1e9 else (1e6, "M")
    return f"{multiply_adds / scale:.3g} {unit}"


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
            print(f"  {plain(line)}")
        if total > MOST_ROWS:
            print(f"  and {total - MOST_ROWS} more")


def _number(value: float | None) -> str:
    """Return a score for a column of seven letters: 0.975, 12.345, 5.35e10, 0.00012."""
    if value is None:
        return "    -"
    if value and math.isfinite(value) and not SMALL <= abs(value) < HUGE:
        return re.sub(r"e([+-])0*", lambda found: "e" + found[1].strip("+"), f"{value:.3g}")
    return f"{value:.3f}"


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}".strip()


def _range(interval: Mapping[str, float | None]) -> str:
    return f"{_number(interval['low'])} to {_number(interval['high'])}"


def _bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.1f} MB"
