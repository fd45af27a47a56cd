"""The page of `lensmith see`: what a network has learned, as pictures."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from markupsafe import Markup
from PIL import Image, features

from lensmith.reports import words
from lensmith.reports.axes import Axis, nice_ticks, share_axis
from lensmith.reports.curves import path
from lensmith.reports.draw import TEMPLATES, draw
from lensmith.reports.pictures import as_uri, png

LEFT, RIGHT, TOP, BOTTOM = 52.0, 1010.0, 18.0, 250.0
QUALITY = 88
STARTS = {
    "fourier": "The pictures are sums of waves and of uncorrelated colours, and the network sees them shifted, turned "
    "and scaled at every step, so that only what holds for all of these views can grow (Olah, Mordvintsev and "
    "Schubert 2017).",
    "blank": "Each picture began as plain grey, and its pixels followed the gradient. The network is excited by "
    "fine patterns that no photograph has: this is what it answers to, not what it was shown in training.",
    "noise": "Each picture began as noise; its pixels followed the gradient, shifted a little at every step and "
    "blurred every few, so that fine patterns fade.",
}


def page(found: Mapping[str, Any], pictures: Mapping[str, Image.Image], smooth: Collection[str]) -> str:
    """Return a page that opens anywhere, from what sights.json holds and its pictures by name.

    smooth: the names of those that may be made smaller at a small loss; all others keep every pixel.
    """

    def picture(name: str, words_for_it: str, style: str = "") -> Markup:
        one = pictures[name]
        source = _uri(one, name in smooth)
        return Markup('<img src="{}" alt="{}" width="{}" height="{}" class="{}">').format(
            source, words.clean(words_for_it), one.width, one.height, style
        )

    values = {
        "style": Markup("".join((TEMPLATES / name).read_text("utf-8") for name in ("style.css", "see/see.css"))),
        "found": found,
        "picture": picture,
        "chart": _chart(found["activations"]) if _drawn(found) else "",
        "by_layer": _by_layer(found["filters"]),
        "how": STARTS[found["start"]],
        "file": lambda name: PurePath(name).name,
        "missing": _missing(found),
    }
    return str(draw("see/page.html", values))


def _missing(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the questions that have no answer on the page, and why."""
    first, seen = found["first_layer"], found["activations_of"]
    none = "no picture was given."
    parts = (
        ("What does the first layer look for?", first["picture"], f"{first['reason']}."),
        ("What becomes of a picture on its way?", found["pictures"], "no layer gives a map." if seen else none),
        ("How much of the network stays silent?", _drawn(found), "fewer than two activations ran." if seen else none),
        ("What excites a filter?", found["filters"], "no layer gives a map."),
        ("Which pictures does it find alike?", found["nearest"], "there are no pictures to compare."),
        ("How does a class follow the pixels?", found["templates"], "there is no picture of these classes."),
    )
    return {question: reason[:1].upper() + reason[1:] for question, there, reason in parts if not there}


def _drawn(found: Mapping[str, Any]) -> bool:
    """Return whether there are activations enough for a curve."""
    return len(found["activations"]) > 1


def _uri(one: Image.Image, smooth: bool) -> str:
    """Return a picture as a data URI: a PNG, or, smooth and where Pillow can, WebP at a fraction of the size."""
    if not smooth or not features.check("webp"):
        return as_uri(png(one), "png")
    buffer = io.BytesIO()
    one.save(buffer, "WEBP", quality=QUALITY, method=4)
    return as_uri(buffer.getvalue(), "webp")


def _by_layer(filters: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in filters:
        found.setdefault(one["layer"], []).append(one)
    return found


def _chart(activations: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw the shares of zeros over all activations."""
    points = {name: [(number, one[name]) for number, one in enumerate(activations, 1)] for name in ("zeros", "nearly")}
    ys = share_axis([0.0, 1.0], BOTTOM, TOP)
    ticks = [1.0, *(tick for tick in nice_ticks(1, len(activations), whole=True) if 1 < tick <= len(activations))]
    xs = Axis(1, len(activations), LEFT, RIGHT, tuple(ticks), tuple(f"{tick:g}" for tick in ticks))
    return draw(
        "see/quiet.svg",
        {
            "xs": xs.marks,
            "ys": ys.marks,
            "lines": {name: path(some, None, xs, ys) for name, some in points.items()},
            "dots": [
                {
                    "x": xs.at(number),
                    "y": ys.at(one["zeros"]),
                    "says": f"{one['name']} ({one['kind']}): {words.percent(one['zeros'])} zero, "
                    f"{words.percent(one['nearly'])} zero or nearly",
                }
                for number, one in enumerate(activations, 1)
            ],
            "frame": {"left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
            "first": activations[0],
            "last": activations[-1],
        },
    )
