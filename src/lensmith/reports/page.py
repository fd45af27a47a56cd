"""The page: read the run folder, fill the template, write one file that opens anywhere."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup

from lensmith.data.dataset import spoken
from lensmith.files import write_atomic, writing
from lensmith.reports import classes, closer, inventory, learning, making, results, words
from lensmith.reports.draw import TEMPLATES, draw
from lensmith.reports.source import Source, read_source, text

NAME = "report.html"
KEPT = re.compile(r"(<style.*?</style>|<bdi.*?</bdi>|<code.*?</code>|<[^>]*>)", re.DOTALL)


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder from what lies in that folder, and return its path.

    The page is one file: pictures, figures and style are inside, nothing is loaded, no script is in it. A run that
    is running or stopped gets a page that says so. Raises RunError if the folder is not a run or a file is broken.
    """
    folder = Path(folder)
    page = render(read_source(folder))
    with writing(folder):
        write_atomic(folder / NAME, page.encode())
    return folder / NAME


def render(source: Source) -> str:
    """Return the whole page as text."""
    run = source.run
    values = {
        # Our own file, the only text that enters the page unescaped.
        "style": Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        "name": text(run.get("name")) or source.folder.name,
        "status": text(run.get("status")),
        "task": text(run.get("task")),
        "day": words.date(source.started).partition(",")[0],
        "lensmith": text(run.get("lensmith")),
        "format": text(run.get("format")),
        "opening": results.opening(source),
        "facts": making.facts(source),
        "ladder": learning.ladder(source),
        "learning": learning.learning(source),
        "frozen": learning.frozen(source),
        "distances": results.distances(source),
        "confusion": classes.confusion(source),
        "classes": classes.classes(source),
        "labels": classes.labels(source),
        "measures": results.measures(source),
        "sureness": results.sureness(source),
        "examples": making.examples(source),
        "deep": closer.deep(source),
        "sentences": making.sentences(source),
        "columns": results.columns(source),
        "data": inventory.data(source),
        "recipe": making.recipe(source),
        "environment": making.environment(source),
        "commands": making.commands(source),
    }
    return _spoken(str(draw("page.html", values)), text(run.get("example")) or "picture")


def _spoken(page: str, example: str) -> str:
    """Return the page with the word for its examples in our own sentences; what is the user's stands in <bdi>."""
    if example == "picture":
        return page
    parts = KEPT.split(page)  # every second part is matched by the pattern
    return "".join(part if place % 2 else spoken(part, example) for place, part in enumerate(parts))
