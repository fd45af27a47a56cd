"""Figures of a training: curves over the epochs of each stage, learning rates, and the finder's curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lensmith.reports import words
from lensmith.reports.axes import Axis, log_axis, nice_ticks, share_axis, zero_axis
from lensmith.reports.draw import draw

MOST_POINTS = 160
LEFT, RIGHT = 44.0, 372.0
SHALLOW = 136.0  # where the small charts end
GAP, NARROWEST, LETTER = 9.0, 26.0, 6.4

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Line:
    """One curve: (epoch, value) pairs, the style it is drawn in ("train", "seen", "other" or "rate") and its name."""

    style: str
    name: str
    points: Points


@dataclass(frozen=True)
class Panel:
    """One stage of a chart: its name, its curves, and the epoch whose weights the model has, if it is one of these."""

    name: str
    lines: Sequence[Line]
    kept: float | None = None


def curves(kind: str, name: str, panels: Sequence[Panel], scale: str) -> Markup:
    """Draw the stages side by side on one scale of values, so that what a later one gained can be seen.

    `kind` is a word that makes the figure's ids its own, `scale` "share" (in per cent), "zero" (from zero on) or
    "log". Returns empty markup if there is no point to draw.
    """
    panels = [panel for panel in panels if _values(panel)]
    values = [y for panel in panels for y in _values(panel)]
    if scale == "log":
        values = [y for y in values if y > 0]
    if not values:
        return Markup("")
    several, low = len(panels) > 1, scale == "log"
    top, bottom = (52.0 if several else 36.0), (SHALLOW if low else 222.0)
    axis = {"share": share_axis, "zero": zero_axis, "log": log_axis}[scale](values, bottom, top)
    drawn = [_drawn(panel, *ends, axis, several) for panel, ends in zip(panels, _widths(panels), strict=True)]
    kept = next((panel.kept for panel, part in zip(panels, drawn, strict=True) if part["kept"]), None)
    return draw(
        "figures/curves.svg",
        {
            "kind": kind,
            "name": name,
            "panels": drawn,
            "several": several,
            "kept": kept,
            "ys": axis.marks,
            "frame": {"left": LEFT, "right": RIGHT, "top": top, "bottom": bottom, "height": bottom + 40},
            "names": {line.style: line.name for panel in panels for line in panel.lines},
            "ends": [sentence for panel in panels for sentence in _ends(panel, scale, several)],
        },
    )


def finder(points: Points, suggested: float | None) -> Markup:
    """Draw the loss against the learning rate, step by step and as a running mean, and the rate it suggests."""
    known = sorted((x, y) for x, y in points if y is not None and x > 0)
    if len(known) < 2 or known[0][0] == known[-1][0]:
        return Markup("")
    smooth = _running([y for _, y in known])
    # A loss that explodes says no more than one that has doubled.
    values = [min(y, 2 * smooth[0]) if smooth[0] > 0 else y for y in smooth]
    xs = log_axis([x for x, _ in known], LEFT, RIGHT, decades=12)
    ys = zero_axis(values, SHALLOW, 36.0)
    shown = suggested if suggested is not None and known[0][0] <= suggested <= known[-1][0] else None
    return draw(
        "figures/finder.svg",
        {
            "steps": path(known, None, xs, ys),
            "mean": path([(x, y) for (x, _), y in zip(known, smooth, strict=True)], None, xs, ys),
            "xs": xs.marks,
            "ys": ys.marks,
            "suggested": None if shown is None else {"at": xs.at(shown), "text": words.power(shown)},
            "frame": {"left": LEFT, "right": RIGHT, "top": 36.0, "bottom": SHALLOW, "height": SHALLOW + 40},
            "range": [words.power(known[0][0]), words.power(known[-1][0])],
            "ends": [min(smooth), max(smooth)],
        },
    )


def _running(values: Sequence[float]) -> list[float]:
    """Return the running mean in which each value counts 0.7 times as much as the one after it."""
    found, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = 0.7 * total + value, 0.7 * weight + 1
        found.append(total / weight)
    return found


def path(points: Points, kept: float | None, xs: Axis, ys: Axis) -> str:
    """Return SVG path data with gaps where values are missing, thinned out but never losing the kept epoch."""
    every = math.ceil(len(points) / MOST_POINTS)
    parts, pen = [], "M"
    for place, (x, y) in enumerate(points):
        if y is None or (ys.log and y <= 0):
            pen = "M"
        elif place % every == 0 or x == kept or place == len(points) - 1:
            parts.append(f"{pen}{xs.at(x):g} {ys.at(y):g}")
            pen = "L"
    return "".join(parts)


def _drawn(panel: Panel, left: float, right: float, ys: Axis, several: bool) -> dict[str, object]:
    """Return one panel as its template wants it."""
    epochs = [x for line in panel.lines for x, _ in line.points]
    first, last = min(epochs), max(epochs)
    # A stage of one epoch has its point in the middle.
    xs = Axis(first - 1, last + 1, left, right) if first == last else Axis(first, last, left, right)
    kept = panel.kept if panel.kept is not None and first <= panel.kept <= last else None
    dots = [
        {"x": xs.at(x), "y": ys.at(y), "style": line.style}
        for line in panel.lines
        for x, y in line.points
        if y is not None and line.style in ("train", "seen") and (x == kept or len(line.points) == 1)
    ]
    ticks = [first, last] if several and right - left > 60 and last > first else [last]
    if not several:
        ticks = [x for x in nice_ticks(first, last, whole=True) if first <= x <= last]
    return {
        "name": panel.name,
        "left": left,
        "right": right,
        "middle": (left + right) / 2,
        "lines": [{"style": line.style, "path": path(line.points, kept, xs, ys)} for line in panel.lines],
        "dots": dots,
        "kept": None if kept is None else {"x": xs.at(kept), "epoch": kept},
        "xs": [{"at": xs.at(x), "text": f"{x:g}", "anchor": _anchor(x, first, last, several)} for x in ticks],
    }


def _anchor(x: float, first: float, last: float, several: bool) -> str:
    """Return how a number stands to its tick; among several panels it stays inside its own."""
    if not several or first == last:
        return "middle"
    return "start" if x == first else "end"


def _widths(panels: Sequence[Panel]) -> list[tuple[float, float]]:
    """Share the width out: each panel has room for its name, the rest goes by the root of the number of epochs."""
    room = RIGHT - LEFT - GAP * (len(panels) - 1)
    needed = [max(NARROWEST, LETTER * len(words.shorten(panel.name, 14))) for panel in panels]
    spare, tight = max(0.0, room - sum(needed)), min(1.0, room / sum(needed))
    roots = [math.sqrt(max((len(line.points) for line in panel.lines), default=1)) for panel in panels]
    ends, start = [], LEFT
    for need, root in zip(needed, roots, strict=True):
        width = need * tight + spare * root / sum(roots)
        ends.append((round(start, 1), round(start + width, 1)))
        start += width + GAP
    return ends


def _values(panel: Panel) -> list[float]:
    return [y for line in panel.lines for _, y in line.points if y is not None]


def _ends(panel: Panel, scale: str, several: bool) -> list[str]:
    """Return the first and the last value of each curve in words, for readers who do not see it."""
    show = {"share": words.percent, "zero": words.decimal, "log": words.power}[scale]
    found = []
    for line in panel.lines:
        known = [y for _, y in line.points if y is not None]
        if line.style == "other":
            continue
        said = f"{line.name}: from {show(known[0])} to {show(known[-1])}" if known else f"{line.name}: no values"
        found.append(f"{panel.name}, {said}" if several else said)
    return found
