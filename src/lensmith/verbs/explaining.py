"""What `lensmith explain` does with pictures, one after the other: asks, grades, writes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensmith.data.read import Files, read_pictures
from lensmith.data.store import Store
from lensmith.errors import UsageError, nearest
from lensmith.run import Run
from lensmith.seeing.explanation import Explanation
from lensmith.seeing.methods import METHODS, Settings, checked, require_values, targets_of
from lensmith.seeing.subject import Subject
from lensmith.verbs.cells import cell, plain, width
from lensmith.verbs.console import Console, if_stopped
from lensmith.verbs.folders import Folder, run_of, stems
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
WIDEST = (44, 28, 8, 16, 16, 90)  # columns of the printed table
PAGE, NUMBERS = "page.html", "explanations.json"
TAKEN_BY = {
    "window": ("occlusion",),
    "stride": ("occlusion",),
    "fill": ("occlusion", "integrated"),
    "steps": ("integrated",),
    "samples": ("smoothgrad",),
    "noise": ("smoothgrad",),
}


@dataclass(frozen=True)
class Question:
    """What is to be explained, and how: the arguments of `explain`, those of the methods as `settings`."""

    network: str | Path | Run | nn.Module
    pictures: str | Path | Sequence[str | Path]
    method: str
    target: str | int | None
    settings: Settings
    weights: str
    image_size: int | None
    save: str | Path | None
    grade: bool
    device: str
    engine: str
    out: str | Path
    quiet: bool


@dataclass(frozen=True)
class Unreadable:
    """A picture that could not be read, and why."""

    path: str
    reason: str


class Explanations(list[Explanation]):
    """The explanations, in the order of the pictures. entries: what --json prints of each; `file` is its sheet.
    unreadable: the pictures that could not be read. folder: where page.html, the sheets and the arrays lie. seconds:
    for all, grades included, once the network was there."""

    def __init__(self, network: str, folder: Path, question: Question) -> None:
        super().__init__()
        self.network, self.folder, self.question = network, folder, question
        self.entries: list[dict[str, Any]] = []
        self.unreadable: list[Unreadable] = []
        self.seconds = 0.0

    @property
    def page(self) -> Path | None:
        """The page, None where no picture could be read."""
        return self.folder / PAGE if self.entries else None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form that --json prints."""
        return {
            "network": self.network,
            "method": self.question.method,
            "target": self.question.target,
            "seed": self.question.settings.seed,
            "page": None if self.page is None else str(self.page),
            "seconds": round(self.seconds, 3),
            "explanations": self.entries,
            "unreadable": [vars(one) for one in self.unreadable],
        }


def answers(question: Question) -> tuple[Explanations, Iterator[Explanation]]:
    """Open what is asked about. Return what will be told of it, and the explanations, made and written as they are
    taken: their arrays are a megabyte each, and the list is left empty.

    When the last has been taken, the page is there. Raises UsageError, RunError, WeightsError or DataError.
    """
    _refuse(question.method, question.settings)
    console, out = Console(question.quiet), Path(question.out)
    run = run_of(question.network, out)
    _refuse_other(run)
    paths = list_pictures(question.pictures)
    folder, names = Folder.of(question.save, run, "explained"), stems(paths)
    folder.require_apart(paths, [f"{name}.png" for name in names])
    subject = open_subject(
        question.network,
        weights=question.weights,
        image_size=question.image_size,
        engine=question.engine,
        device=question.device,
        out=out,
        seed=question.settings.seed,
        say=console.note,
    )
    if question.target is not None:  # a class that is not there is an error before anything is read
        console.note(subject.alike(subject.target(question.target)))
    told = Explanations(subject.name, folder.path, question)
    return told, _written(subject, question, list(zip(paths, names, strict=True)), folder, told, console)


def _written(
    subject: Subject,
    question: Question,
    pictures: Sequence[tuple[str, str]],
    folder: Folder,
    told: Explanations,
    console: Console,
) -> Iterator[Explanation]:
    """Yield the explanations of (path, stem), each when its files are written, and write the page in the end."""
    from lensmith.reports import explaining, words

    started, cards = time.perf_counter(), list[dict[str, Any]]()

    def kept() -> str:
        some = f"what was explained so far is in {folder.path}, without a page"
        return some if told.entries else "nothing was written"

    with if_stopped(kept), console.progress("pictures", len(pictures)) as advance:
        for stem, found in _explained(subject, question, pictures, told.unreadable):
            shown = explaining.panels(found, subject.task.classes)
            folder.write(f"{stem}.png", explaining.sheet(found, shown))
            folder.write(f"{stem}.npz", explaining.arrays(found))
            told.entries.append({**found.as_dict(), "file": f"{stem}.png"})
            if len(cards) < explaining.MOST_CARDS:
                cards.append(explaining.card(found, shown))
            advance(len(told.entries) + len(told.unreadable))
            yield found
    told.seconds = time.perf_counter() - started
    if not cards:
        return
    notes = {
        "asked": _asked(subject, question.target),
        "method": question.method,
        "seconds": words.seconds(told.seconds),
        "pictures": words.plural(len(told.entries), "picture"),
        "unreadable": [vars(one) for one in told.unreadable],
    }
    folder.write_json(NUMBERS, told.as_dict())
    folder.write(PAGE, explaining.page(subject.name, told.entries, cards, notes).encode("utf-8", "replace"))


def _asked(subject: Subject, target: str | int | None) -> str:
    """Return what is explained, in words."""
    if target is not None:
        return subject.target(target).name
    return "what it answers" if subject.task.classes else "the number"


def _explained(
    subject: Subject, question: Question, pictures: Sequence[tuple[str, str]], unreadable: list[Unreadable]
) -> Iterator[tuple[str, Explanation]]:
    """Yield (stem, explanation) of the pictures that can be read, made a few at a time; the others: `unreadable`."""
    from lensmith.seeing.believing import Grader, believed

    grader = Grader(subject, question.settings)
    files = Files(Path(), [path for path, _ in pictures], Store())
    coming = zip(pictures, read_pictures(files, subject.geometry), strict=True)
    while batch := list(islice(coming, BATCH)):
        there: list[tuple[str, str, np.ndarray]] = []
        for (path, stem), picture in batch:
            if picture.pixels is None:
                unreadable.append(Unreadable(path, picture.record.reason))
            else:
                there.append((path, stem, picture.pixels))
        if there:
            paths, names, squares = map(list, zip(*there, strict=True))
            targets = targets_of(subject, squares, question.target)
            made = believed(grader, squares, paths, targets, question.method, grade=question.grade)
            yield from zip(names, made, strict=True)


def _refuse(method: str, settings: Settings) -> None:
    """Raise UsageError for a method or setting that is not there, before anything is loaded."""
    from lensmith.seeing.believing import TRIED

    if method not in ("auto", *METHODS):
        names = ["auto", *METHODS]
        raise UsageError(f"method is {method!r}; allowed are {', '.join(names)}.{nearest(method, names)}")
    if method == "auto":
        require_values(settings)
    else:
        checked(method, settings)
    asked = TRIED if method == "auto" else (method,)
    for name, takers in TAKEN_BY.items():
        if getattr(settings, name) != getattr(Settings(), name) and not set(asked) & set(takers):
            raise UsageError(f"{name} is of {' and '.join(takers)}, not of {method}. Leave it out.")


def _refuse_other(run: Run | None) -> None:
    """Raise UsageError for a run that was not trained on pictures, with what there is in place of heat maps."""
    example = "picture" if run is None else run.document.get("example", "picture")
    if run is not None and example != "picture":
        what = REMAINS.get(example, f"lensmith predict {run.name} says what it answers")
        raise UsageError(f"{run.name} was trained on {example}s; heat maps are drawn over pictures. There is: {what}.")


def table(found: Explanations) -> list[str]:
    """Return the lines that the command prints: picture, class, probability, method, verdict, file."""
    rows = [("picture", "explained", "sure", "method", "verdict", "file")]
    for one in found.entries:
        sure = "" if one["probability"] is None else f"{one['probability']:.1%}"
        verdict = "not graded" if one["grade"] is None else one["grade"]["verdict"]
        rows.append((plain(one["path"]), plain(one["target"]), sure, one["method"], verdict, one["file"]))
    widths = [min(most, max(map(width, column))) for most, column in zip(WIDEST, zip(*rows, strict=True), strict=True)]
    lines = [
        "  ".join(cell(text, wide, end=not at) for at, (text, wide) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return [line.rstrip() for line in lines] + [
        f"{plain(one.path)}  cannot be read: {one.reason}" for one in found.unreadable
    ]
