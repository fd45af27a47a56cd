"""What is kept of an exhibit, and its page: made from what is kept, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from lensmith import __version__
from lensmith.gallery.exhibit import Part, Plate
from lensmith.gallery.exhibits import exhibit
from lensmith.gallery.figures import Picture, strip
from lensmith.gallery.lessons import Values
from lensmith.reports import words
from lensmith.reports.draw import TEMPLATES, draw
from lensmith.reproduce import machine, versions

FORMAT = 1
REPORT, VALUES = "report.html", "values.json"


def document(task: str, values: Values, *, seed: int, seconds: float, started: str) -> dict[str, Any]:
    """Return what values.json holds: all that was measured, what was seen in it, and where it was measured."""
    said = exhibit(task).said(values)
    return {
        "format": FORMAT,
        "task": task,
        "lensmith": __version__,
        "started": started,
        "seconds": round(seconds, 2),
        "seed": seed,
        "headline": said.headline,
        "paragraphs": list(said.paragraphs),
        "values": values,
        "versions": versions(),
        "machine": machine(),
    }


def render(document: Mapping[str, Any]) -> str:
    """Return the page of what values.json holds."""
    task, values = document["task"], document["values"]
    found = exhibit(task)
    values_of_page = {
        # Our own files, the only text that enters the page unescaped.
        "style": Markup(
            "".join((TEMPLATES / name).read_text("utf-8") for name in ("style.css", "gallery/gallery.css"))
        ),
        "task": task,
        "question": found.question,
        "headline": words.kept_together(document["headline"]),
        "paragraphs": [words.kept_together(paragraph) for paragraph in document["paragraphs"]],
        "facts": _facts(document),
        "parts": [*found.parts(values), _pictures(values)],
        "commands": [
            (f"lensmith demo --task {task} --seed {document['seed']}", "the same again"),
            (f"lensmith demo --task {task} --seed {document['seed'] + 1}", "with another draw of weights and pictures"),
        ],
        "day": words.date(document["started"]).partition(",")[0],
        "lensmith": document["lensmith"],
    }
    return str(draw("gallery/page.html", values_of_page))


def _pictures(values: Values) -> Part:
    """Return the section that shows a picture of every class."""
    found = values["examples"]
    row = strip("A picture of every class", found["classes"], [("", [Picture(uri) for uri in found["uris"]])])
    text = f"One of each class, of those held out: {values['data']['what']}."
    return Part("What they were to tell apart", text, [Plate("", row)])


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts that stand under the opening of every page."""
    values, data = document["values"], document["values"]["data"]
    return [
        ("Pictures", data["what"]),
        ("Learned from, held out", f"{data['train']:,}, {data['held_out']:,}"),
        ("Trainings", f"{values['trainings']}, {words.plural(values['epochs'], 'epoch')} each"),
        ("Time", f"{words.seconds(document['seconds'])} on {words.plural(document['machine']['cores'], 'core')}"),
        ("Seed", str(document["seed"])),
    ]
