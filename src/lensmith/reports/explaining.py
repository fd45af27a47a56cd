"""What `lensmith explain` writes: a sheet a picture, the arrays behind it, and the page."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image, ImageDraw, ImageFont

from lensmith import __version__
from lensmith.reports import words
from lensmith.reports.draw import TEMPLATES, draw
from lensmith.reports.mosaic import about_grey
from lensmith.reports.pictures import as_uri, jpeg, png
from lensmith.seeing.explanation import Explanation
from lensmith.seeing.overlay import CROWD, classes_over, colours, full_scale, painted, softened

SIDE = 448  # of a picture on a sheet
GAP, BAR, RIGHT, BELOW = 14, 22, 128, 92
PAPER, INK, SOFT = (255, 255, 255), (19, 32, 31), (74, 91, 88)
QUALITY = 88
PATTERNS = ("deconvnet", "guided-grad-cam")
MOST_CARDS = 200


@dataclass(frozen=True)
class Panel:
    """One of the pictures of an explanation: its title, and its legend, pairs of a colour and a name."""

    title: str
    picture: Image.Image
    legend: tuple[tuple[tuple[int, int, int], str], ...] = ()


def panels(found: Explanation, classes: Sequence[str]) -> list[Panel]:
    """Return the picture, the map over it, and what else the method has to show, each SIDE pixels wide."""
    crisp = len(found.picture) * 2 <= SIDE
    kernel = Image.Resampling.NEAREST if crisp else Image.Resampling.BICUBIC
    picture = Image.fromarray(found.picture).resize((SIDE, SIDE), kernel)
    shown = [Panel("what the network saw", picture)]
    if not np.isfinite(found.map).all():
        return shown
    values = softened(found)
    shown.append(Panel(_title(found), painted(picture, values, full_scale(values), outlined=not found.fine)))
    if found.answers is not None and len(np.unique(found.answers)) > 1:
        over, named = classes_over(picture, found.answers)
        legend = [(colour, "others" if place == CROWD else classes[place]) for place, colour in named]
        shown.append(Panel("what it answers while this is hidden", over, tuple(legend)))
    if found.colours is not None and (found.method in PATTERNS or found.rule != "plain"):
        drawn = Image.fromarray(about_grey(found.colours, full_scale(found.colours)))
        shown.append(Panel("the pattern itself", drawn.resize((SIDE, SIDE), kernel)))
    return shown


def sheet(found: Explanation, shown: Sequence[Panel]) -> bytes:
    """Return a PNG of the panels of an explanation, with the map's scale, and a line that says what it is."""
    width = len(shown) * (SIDE + GAP) + GAP + RIGHT
    paper = Image.new("RGB", (width, SIDE + 2 * GAP + BELOW), PAPER)
    pen = ImageDraw.Draw(paper)
    left = GAP
    for number, panel in enumerate(shown):
        paper.paste(panel.picture, (left, GAP))
        pen.text((left, GAP + SIDE + 6), panel.title, INK, _font(15))
        for row, (colour, name) in enumerate(panel.legend[:4]):
            top = GAP + SIDE + 30 + 19 * row
            pen.rectangle((left, top + 2, left + 12, top + 14), fill=colour)
            pen.text((left + 19, top), words.shorten(_clean(name), 40), SOFT, _font(14))
        left += SIDE + GAP
        if number == 1:
            _scale(paper, pen, left, found)
            left += RIGHT
    for row, line in enumerate(_lines(found)):
        pen.text((GAP, GAP + SIDE + 32 + 21 * row), line, INK if row == 0 else SOFT, _font(16 if row == 0 else 13))
    return png(paper)


def _scale(paper: Image.Image, pen: ImageDraw.ImageDraw, left: int, found: Explanation) -> None:
    """Draw the colours of the map with their numbers."""
    low, high, over = limits(found)
    strength = np.linspace(1, -1 if low < 0 else 0, SIDE)[:, None]
    bar = np.repeat(colours(strength), BAR, 1).astype(np.uint8)
    paper.paste(Image.fromarray(bar), (left, GAP))
    marks = [high, high / 2, 0.0] if low == 0 else [high, high / 2, 0.0, low / 2, low]
    for place, value in enumerate(marks):
        top = GAP + round(place * (SIDE - 1) / (len(marks) - 1))
        pen.line((left + BAR, top, left + BAR + 4, top), fill=SOFT)
        # Pillow's own font has neither the sign for "at least" nor the true minus.
        text = ("> " if over and place == 0 else "") + number_text(value).replace("\u2212", "-")
        pen.text((left + BAR + 7, min(max(top - 8, GAP - 2), GAP + SIDE - 15)), text, SOFT, _font(13))
    pen.text((left, GAP + SIDE + 6), "\n".join(textwrap.wrap(found.unit, 18)), SOFT, _font(13))


def limits(found: Explanation) -> tuple[float, float, bool]:
    """Return the ends of the scale, 0 or below and above, and whether some pixels are beyond them."""
    values = softened(found)
    scale = full_scale(values)
    low = -scale if float(values.min()) < 0 else 0.0
    return low, scale, float(np.abs(values).max()) > scale * 1.001


def number_text(value: float) -> str:
    """Return a number in three digits."""
    return "0" if value == 0 else f"{value:.3g}".replace("-", "\u2212")


def _title(found: Explanation) -> str:
    signed = float(found.map.min()) < 0
    return f"{found.method}: blue for, amber against" if signed else f"{found.method}: brighter, more"


def _lines(found: Explanation) -> list[str]:
    """Return what stands under a sheet, a headline first."""
    sure = "" if found.probability is None else f", {found.probability:.1%}"
    grade = found.grade
    lines = [words.shorten(_clean(found.target), 48) + sure]
    lines.append(words.shorten(f"score {found.score:.3f}" + (f", {found.layer}" if found.layer else ""), 62))
    if grade is not None:
        lines.append({"the model": "passed: it shows the model", "empty": "empty"}.get(grade.verdict, "not the model"))
    return lines


def _clean(text: str) -> str:
    return str(words.clean(text))


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def arrays(found: Explanation) -> bytes:
    """Return the bytes of an .npz: map, picture, colours (where there are any), target, method, unit."""
    values: dict[str, Any] = {
        "map": found.map,
        "picture": found.picture,
        "target": np.array(found.target),
        "method": np.array(found.method),
        "unit": np.array(found.unit),
    }
    if found.colours is not None:
        values["colours"] = found.colours
    written = io.BytesIO()
    np.savez_compressed(written, **values)
    return written.getvalue()


def page(
    network: str, entries: Sequence[Mapping[str, Any]], cards: Sequence[Mapping[str, Any]], notes: Mapping[str, Any]
) -> str:
    """Return the page, from the JSON form of all explanations and the cards of the first MOST_CARDS of them.

    notes: what was asked, by which method, the time for how many pictures, in words, and those that were not readable.
    """
    style = "".join((TEMPLATES / name).read_text("utf-8") for name in ("style.css", "explain/explain.css"))
    grades = [one["grade"] for one in entries if one["grade"] is not None]
    passed = sum(grade["passed"] for grade in grades)
    values = {
        "style": Markup(style),  # our own files, the only text that enters the page unescaped
        "network": network,
        "headline": _headline(len(entries), len(grades), passed),
        "cards": cards,
        "more": len(entries) - len(cards),
        "graded": len(grades),
        "passed": passed,
        "lensmith": __version__,
        **notes,
    }
    return str(draw("explain/page.html", values))


def _headline(count: int, graded: int, passed: int) -> str:
    pictures = words.plural(count, "picture")
    if not graded:
        return f"Where the network looked, in {pictures}; not graded."
    if passed == graded:
        return f"Where the network looked, in {pictures}: {'the map passes' if passed == 1 else 'every map passes'}."
    if passed == 0:
        return "No map is to be believed." if graded > 1 else "The map is not to be believed."
    return f"Where the network looked, in {pictures}: {passed} of {graded} maps are to be believed."


def card(found: Explanation, shown: Sequence[Panel]) -> dict[str, Any]:
    """Return what a card on the page shows of an explanation and its panels."""
    pictures = [
        {
            "title": panel.title,
            "uri": as_uri(jpeg(panel.picture, QUALITY), "jpeg"),
            "legend": [(f"#{red:02x}{green:02x}{blue:02x}", name) for (red, green, blue), name in panel.legend],
        }
        for panel in shown
    ]
    grade = found.grade
    low, high, over = limits(found) if np.isfinite(found.map).all() else (0.0, 0.0, False)
    return {
        "panels": pictures,
        "path": found.path,
        "target": found.target,
        "probability": None if found.probability is None else f"{found.probability:.1%}",
        "score": number_text(found.score),
        "method": found.method if found.rule == "plain" else f"{found.method}, {found.rule}",
        "layer": found.layer,
        "how": found.how,
        "low": number_text(low),
        "high": ("≥ " if over else "") + number_text(high),
        "signed": low < 0,
        "unit": found.unit,
        "verdict": None if grade is None else grade.verdict,
        "sentence": "" if grade is None else grade.sentence,
        "passed": grade is not None and grade.passed,
        "curves": _curves(grade),
        "likeness": _likeness(grade),
    }


def _likeness(grade: Any) -> list[tuple[str, str]]:
    return [(name, f"{value:+.2f}") for name, value in getattr(grade, "alike", {}).items()]


WIDE, HIGH = 150.0, 84.0  # of a chart of two curves


def _curves(grade: Any) -> list[dict[str, Any]]:
    """Return the curves of deletion and insertion as points of a chart, [] where there are none."""
    if not getattr(grade, "gone", ()):
        return []
    parts = (
        (
            "taken away first",
            grade.gone,
            grade.gone_by_chance,
            grade.deletion,
            grade.deletion_by_chance,
            "lower is better",
        ),
        (
            "put back first",
            grade.back,
            grade.back_by_chance,
            grade.insertion,
            grade.insertion_by_chance,
            "higher is better",
        ),
    )
    top = max(max(own + chance) for _, own, chance, *_ in parts)
    top = max(0.05, math.ceil(top * 20) / 20)
    return [
        {
            "title": title,
            "own": _points(own, top),
            "chance": _points(chance, top),
            "top": f"{top:.0%}",
            "said": f"{area:.0%} in the mean, random places {chance_area:.0%}; {better}",
        }
        for title, own, chance, area, chance_area, better in parts
    ]


def _points(values: Sequence[float], top: float) -> str:
    steps = len(values) - 1
    return " ".join(f"{WIDE * at / steps:.1f},{HIGH * (1 - value / top):.1f}" for at, value in enumerate(values))
