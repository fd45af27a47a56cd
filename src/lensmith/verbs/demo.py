"""`lensmith demo`: the whole way on a small real data set that needs no download, or one exhibit of the gallery."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensmith.data.synthetic import write_digits
from lensmith.errors import RunError
from lensmith.files import writing
from lensmith.run import Run, discard
from lensmith.verbs.console import Console, Stopwatch
from lensmith.verbs.train import train

if TYPE_CHECKING:
    from lensmith.gallery.lessons import Steps, Values

# What one hand does differently from another; never mirrored.
HANDWRITING = "shift,rotation=12,zoom=0.87:1.15,shear=8"
PRINTED = 110  # letters of a line
PICTURES = ("examples", "pictures")  # of the values of an exhibit: what is no number


def demo(
    *,
    task: str | None = None,
    folder: str | Path = "lensmith-demo",
    out: str | Path = "runs",
    seed: int = 0,
    quiet: bool = False,
) -> Run:
    """Write scikit-learn's 1,797 handwritten digits as an image folder, train on them from scratch, return the run.

    With a task, run one experiment of the gallery instead and return its folder, which holds report.html and
    values.json: residual, capacity, rates, init, pooling, shift or drop-block.

    folder: where the pictures go (`folder`/digits); no task writes any. out: the folder of runs. seed: as in train.
    quiet: say nothing. Raises UsageError for an unknown task, RunError where the disk does not take the results.
    """
    console = Console(quiet)
    if task is not None:
        return _exhibited(task, Path(out), seed, console)
    pictures = Path(folder) / "digits"
    if not pictures.exists():
        console.say(f"writing 1,797 handwritten digits to {pictures}")
    with writing(Path(folder)):
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_digits(pictures)
    return train(pictures, recipe="scratch", augment=HANDWRITING, seed=seed, out=out, quiet=quiet)


def told(run: Run) -> str:
    """Return what is printed of an exhibit: what was seen, and where its page is. Raises RunError as `as_dict` does."""
    from lensmith.gallery.page import REPORT, VALUES

    said = _values(run)
    paragraphs = [textwrap.fill(text, PRINTED) for text in (said["headline"], *said["paragraphs"])]
    return "\n\n".join([*paragraphs, f"report  {run.folder / REPORT}\nvalues  {run.folder / VALUES}"])


def as_dict(run: Run) -> dict[str, Any]:
    """Return what `demo --task --json` prints: values.json without its pictures, and where the page is.

    Raises RunError if the folder holds no values or damaged ones.
    """
    from lensmith.gallery.page import REPORT

    said = _values(run)
    values = {name: value for name, value in said["values"].items() if name not in PICTURES}
    return {"folder": str(run.folder), "report": str(run.folder / REPORT), **said, "values": values}


def _values(run: Run) -> dict[str, Any]:
    from lensmith.gallery.page import VALUES

    path = run.folder / VALUES
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}). Run lensmith demo --task again.") from error
    return found


def _exhibited(task: str, out: Path, seed: int, console: Console) -> Run:
    """Run an exhibit; its folder appears whole, or not at all."""
    from lensmith.gallery.exhibits import exhibit
    from lensmith.gallery.page import REPORT, VALUES, document, render

    found = exhibit(task)()
    stem = f"gallery-{task}"
    building = Run(out / f".{stem}.{os.getpid()}")
    with writing(out):  # a disk that cannot be written is better known before than after
        building.folder.mkdir(parents=True, exist_ok=True)
    try:
        watch, started = Stopwatch(), datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        console.say(f"{task}: {found.question}")
        with console.progress("training", found.notes) as advance:
            values = _watched(found.measured(seed), advance)
        said = document(task, values, seed=seed, seconds=watch.seconds, started=started)
        building.write_json(VALUES, said)
        building.write_text(REPORT, render(said))
        with writing(out):
            return Run(_placed(building.folder, out, stem))
    except BaseException:
        discard(building)
        raise


def _watched(steps: Steps, advance: Callable[..., None]) -> Values:
    """Go through the steps of an exhibit to its values, showing each note."""
    done = 0
    while True:
        try:
            note = next(steps)
        except StopIteration as end:
            found: Values = end.value
            return found
        done += 1
        advance(done, note)


def _placed(folder: Path, out: Path, stem: str) -> Path:
    """Give a finished folder the first free name `stem-N`."""
    number = 1
    while True:
        place = out / f"{stem}-{number}"
        try:
            if not place.exists():
                return folder.rename(place)
        except OSError:
            if not place.exists():  # it is not that somebody else was faster
                raise
        number += 1
