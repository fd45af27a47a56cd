"""`lensmith report --deep`: the best, the worst and typical held-out pictures, explained in several ways and graded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensmith.data import decode
from lensmith.data.preprocess import Preprocessing, read_square
from lensmith.errors import UsageError
from lensmith.reports.pictures import jpeg
from lensmith.run import Run
from lensmith.seeing.explanation import Explanation
from lensmith.seeing.methods import METHODS, Settings, explained, targets_of
from lensmith.seeing.overlay import full_scale, painted, softened
from lensmith.verbs.console import Console
from lensmith.verbs.evaluate import Evaluation, evaluate
from lensmith.verbs.kinds.pictures import root_of
from lensmith.verbs.subject import open_subject

if TYPE_CHECKING:
    from PIL import Image

WAYS = ("grad-cam", "guided-grad-cam", "integrated", "smoothgrad", "occlusion")
EACH = 2  # pictures of each kind
SIDE = 320


def look_deeper(run: Run, console: Console) -> None:
    """Write figures/deep.json and its pictures into a run. Raises UsageError for a run that has seen no pictures,
    RunError where its held-out pictures are gone."""
    from lensmith.seeing.believing import Grader

    example = str(run.document.get("example") or "picture")
    if example != "picture":
        raise UsageError(f"--deep explains pictures; {run.name} was trained on {example}s. Leave it out.")
    found = evaluate(run, quiet=True)
    subject = open_subject(run)
    chosen = _chosen(found.task.worth(found.targets, found.answers))
    root, geometry = root_of(run), subject.geometry
    there = [(kind, place, one) for kind, place in chosen for one in _squares(root / found.paths[place], geometry)]
    squares, paths = [square for _, _, square in there], [found.paths[place] for _, place, _ in there]
    targets, grader = targets_of(subject, squares), Grader(subject, Settings())
    trials = [grader.trial(square, target) for square, target in zip(squares, targets, strict=True)]
    entries = [_entry(run, found, *one, number) for number, one in enumerate(there, start=1)]
    left: dict[str, str] = {}
    with console.progress("ways to explain", len(WAYS)) as advance:
        for done, way in enumerate(WAYS, start=1):
            try:
                made = list(explained(subject, squares, paths, targets, way))
                explanations = grader.grades(made, targets, trials)
            except UsageError as error:  # this network has no map, or no gradient that the way could use
                left[way] = str(error)
            else:
                for number, (entry, one) in enumerate(zip(entries, explanations, strict=True), start=1):
                    entry["ways"].append(_way(run, one, f"figures/deep-{number}-{way}.jpg"))
            advance(done)
    run.write_json("figures/deep.json", {"pictures": entries, "left": left})


def _chosen(worth: np.ndarray) -> list[tuple[str, int]]:
    """Return (kind, position) of the best, the worst and typical answers, none twice."""
    order = np.argsort(-worth, kind="stable").tolist()
    middle = [order[at] for at in sorted(range(len(order)), key=lambda at: abs(at - len(order) // 2))]
    found: dict[int, str] = {}
    for kind, places in (("worst", order[::-1]), ("best", order), ("typical", middle)):
        new = [place for place in places if place not in found]
        found |= dict.fromkeys(new[:EACH], kind)
    return [(kind, place) for place, kind in found.items()]


def _squares(path: Path, geometry: Preprocessing) -> Sequence[np.ndarray]:
    """Return what the network sees of a picture; nothing if it cannot be read any more."""
    try:
        return [read_square(decode.picture_bytes(path), geometry)[0]]
    except decode.Unreadable:
        return []


def _entry(run: Run, found: Evaluation, kind: str, place: int, square: np.ndarray, number: int) -> dict[str, Any]:
    """Write a picture and return what the report says of it."""
    name = f"figures/deep-{number}.jpg"
    run.write_bytes(name, jpeg(_sized(square)))
    task = found.task
    decoded = task.decode(found.answers[place : place + 1])[0]
    return {
        "kind": kind,
        "picture": name,
        "path": found.paths[place],
        "target": task.target_text(found.targets[place]),
        "predicted": task.target_text(decoded),
        "ways": [],
    }


def _way(run: Run, one: Explanation, name: str) -> dict[str, Any]:
    """Write a map over its picture and return what the report says of it; an empty map has no picture."""
    if not one.empty:
        values = softened(one)
        laid = painted(_sized(one.picture), values, full_scale(values), outlined=not one.fine)
        run.write_bytes(name, jpeg(laid))
    assert one.grade is not None
    return {
        "way": one.method,
        "what": METHODS[one.method].sentence,
        "explained": one.target,
        "map": None if one.empty else name,
        "verdict": one.grade.verdict,
        "passed": one.grade.passed,
        "sentence": one.grade.sentence,
    }


def _sized(square: np.ndarray) -> Image.Image:
    """Return a square at the size of the report; small pictures keep their pixels visible."""
    from PIL import Image

    kernel = Image.Resampling.NEAREST if len(square) * 2 <= SIDE else Image.Resampling.BICUBIC
    return Image.fromarray(square).resize((SIDE, SIDE), kernel)
