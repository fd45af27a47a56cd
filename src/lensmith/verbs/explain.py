"""`lensmith explain`: why a network answered as it did, picture by picture, and whether to believe it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensmith.data.read import Files, read_pictures
from lensmith.data.store import Store
from lensmith.errors import UsageError, nearest
from lensmith.run import Run
from lensmith.seeing.explanation import Explanation
from lensmith.seeing.methods import METHODS, Settings, checked, targets_of
from lensmith.seeing.subject import Subject
from lensmith.verbs.console import Console
from lensmith.verbs.folders import Folder, run_of
from lensmith.verbs.kinds.pictures import list_pictures
from lensmith.verbs.subject import open_subject

if TYPE_CHECKING:
    from torch import nn

BATCH = 8
REMAINS = {
    "row": "the report's section on columns, which tells what each of them counts for",
    "sentence": "the report's section on sentences, which marks the words that spoke for and against",
    "clip": "the report, and lensmith inspect",
}
PAGE, NUMBERS = "page.html", "explanations.json"


@dataclass(frozen=True)
class Unread:
    """A picture that could not be read, and why."""

    path: str
    reason: str


class Explanations(list[Explanation]):
    """The explanations, in the order of the pictures. unread: those that could not be read. folder: where page.html,
    the sheets and the arrays lie, and `files` the stem of each. seconds: for all, grades
    included, once the network was there."""

    def __init__(self, found: Sequence[Explanation], network: str, folder: Path, files: Sequence[str]) -> None:
        super().__init__(found)
        self.network, self.folder, self.files = network, folder, list(files)
        self.unread: list[Unread] = []
        self.seconds = 0.0

    @property
    def page(self) -> Path | None:
        """The page, None where no picture could be read."""
        return self.folder / PAGE if self else None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form that --json prints."""
        made = [{**one.as_dict(), "file": f"{stem}.png"} for one, stem in zip(self, self.files, strict=True)]
        return {
            "network": self.network,
            "page": None if self.page is None else str(self.page),
            "seconds": round(self.seconds, 3),
            "explanations": made,
            "unread": [vars(one) for one in self.unread],
        }


def explain(
    network: str | Path | Run | nn.Module,
    pictures: str | Path | Sequence[str | Path],
    *,
    method: str = "auto",
    target: str | None = None,
    layer: str | None = None,
    rule: str = "plain",
    window: int | None = None,
    stride: int | None = None,
    weights: str = "auto",
    image_size: int | None = None,
    save: str | Path | None = None,
    grade: bool = True,
    seed: int = 0,
    device: str = "auto",
    engine: str = "auto",
    out: str | Path = "runs",
    quiet: bool = True,
) -> Explanations:
    """Return an Explanation for every picture, in the order given, and write them to a folder; folders are searched.

    network: a run, a network by name, module:factory, or in Python a torch module for pictures. pictures: one file or
    folder, or several. method: one of `seeing.methods.METHODS`, or auto: the first of a few that passes its tests.
    target: the class or label to explain (None: what the network answers). layer: whose map is drawn, for methods that
    draw one (None: the last). rule: what a ReLU does to the gradient, plain, guided or rectified. window, stride: of
    occlusion, in pixels (None: a seventh of the picture, half a window). weights: as in train, for networks by name.
    image_size: the side it sees, for networks alone. save: the folder to write to (None: explained in the run's folder,
    or in the current one). grade: test each map, and say whether to believe it. seed: of the random maps and weights it
    is tested with. device: auto, cpu, cuda or mps. engine: auto, openvino or torch. out: the folder of runs. quiet:
    show no progress.

    A picture that cannot be read is left out and stands in `unread`. Raises UsageError, RunError, WeightsError or
    DataError.
    """
    settings = Settings(rule=rule, layer=layer, window=window, stride=stride, seed=seed)
    _refuse(method, settings)
    console = Console(quiet)
    run = run_of(network, Path(out))
    _refuse_other(run)
    subject = open_subject(
        network,
        weights=weights,
        image_size=image_size,
        engine=engine,
        device=device,
        out=Path(out),
        seed=seed,
        say=console.say,
    )
    if target is not None:
        subject.target(target)  # a class that is not there is an error before anything is read
    started = time.perf_counter()
    paths = list_pictures([pictures] if isinstance(pictures, str | Path) else pictures)
    folder = Folder.of(save, run, "explained")
    result = Explanations([], subject.name, folder.path, [])
    taken: set[str] = set()
    with console.progress("pictures", len(paths)) as advance:
        for found in _explained(subject, paths, method, target, settings, grade, result.unread):
            stem = _stem(found.path, taken)
            _write(folder, stem, found, subject)
            result.append(found)
            result.files.append(stem)
            advance(len(result))
    result.seconds = time.perf_counter() - started
    if result:
        _write_page(folder, result, subject, method, target)
    return result


def _refuse(method: str, settings: Settings) -> None:
    """Raise UsageError for a method or setting that is not there, before anything is loaded."""
    if method not in ("auto", *METHODS):
        names = ["auto", *METHODS]
        raise UsageError(f"method is {method!r}; allowed are {', '.join(names)}.{nearest(method, names)}")
    if method != "auto":
        checked(method, settings)
    if method not in ("auto", "occlusion") and (settings.window is not None or settings.stride is not None):
        raise UsageError(f"window and stride are of occlusion, not of {method}. Leave them out.")


def _refuse_other(run: Run | None) -> None:
    """Raise UsageError for a run that was not trained on pictures, with what there is in place of heat maps."""
    example = "picture" if run is None else run.document.get("example", "picture")
    if run is not None and example != "picture":
        what = REMAINS.get(example, f"lensmith predict {run.name} says what it answers")
        raise UsageError(f"{run.name} was trained on {example}s; heat maps are drawn over pictures. There is: {what}.")


def _explained(
    subject: Subject,
    paths: Sequence[str],
    method: str,
    target: str | None,
    settings: Settings,
    grade: bool,
    unread: list[Unread],
) -> Iterator[Explanation]:
    """Yield the explanations of pictures that can be read, a few at a time; the others go to `unread`."""
    from lensmith.seeing.believing import Grader, believed

    grader = Grader(subject, settings)
    coming = zip(paths, read_pictures(Files(Path(), paths, Store()), subject.geometry), strict=True)
    while batch := list(islice(coming, BATCH)):
        unread += [Unread(path, picture.record.reason) for path, picture in batch if picture.pixels is None]
        there = [(path, picture.pixels) for path, picture in batch if picture.pixels is not None]
        squares = [pixels for _, pixels in there]
        if squares:
            targets = targets_of(subject, squares, target)
            yield from believed(grader, squares, [path for path, _ in there], targets, method, grade=grade)


def _stem(path: str, taken: set[str]) -> str:
    """Return a name for the files of a picture that no other has, of harmless characters."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(path).stem)[:80].strip("._") or "picture"
    number = 1
    found = plain
    while found.lower() in taken:
        number += 1
        found = f"{plain}-{number}"
    taken.add(found.lower())
    return found


def _write(folder: Folder, stem: str, found: Explanation, subject: Subject) -> None:
    from lensmith.reports import explaining

    folder.write(f"{stem}.png", explaining.sheet(found, subject.task.classes))
    folder.write(f"{stem}.npz", explaining.arrays(found))


def _write_page(folder: Folder, result: Explanations, subject: Subject, method: str, target: str | None) -> None:
    from lensmith.reports import explaining, words

    notes = {
        "asked": target or ("the number" if not subject.task.classes else "what it answers"),
        "method": method,
        "seconds": words.seconds(result.seconds / len(result)),
    }
    folder.write_json(NUMBERS, result.as_dict())
    text = explaining.page(subject.name, result, subject.task.classes, notes)
    folder.write(PAGE, text.encode("utf-8", "replace"))


def table(found: Explanations) -> list[str]:
    """Return the lines that the command prints: picture, class, probability, method, verdict, file."""
    rows = [("picture", "explained", "sure", "method", "verdict", "file")]
    for one, stem in zip(found, found.files, strict=True):
        sure = "" if one.probability is None else f"{one.probability:.1%}"
        verdict = "not graded" if one.grade is None else one.grade.verdict
        rows.append((_ending(one.path), one.target[:28], sure, one.method, verdict, f"{stem}.png"))
    widths = [max(len(row[place]) for row in rows) for place in range(6)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"{_ending(one.path)}  cannot be read: {one.reason}" for one in found.unread]
    return lines


def _ending(path: str, most: int = 44) -> str:
    return path if len(path) <= most else "\u2026" + path[1 - most :]
