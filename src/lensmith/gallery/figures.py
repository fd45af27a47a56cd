"""What hangs on a page of the gallery: lines over numbers, grids of cells, rows of pictures, tables.

Numbers become positions here and templates make SVG and HTML of them; colours are classes of the style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lensmith.reports import words
from lensmith.reports.axes import Axis, log_axis, nice_ticks, plain_axis, share_axis, zero_axis
from lensmith.reports.curves import path
from lensmith.reports.draw import draw

NARROW, WIDE = 380.0, 780.0  # as wide as half a page and as a whole one, so that text keeps its size
TOP, BOTTOM, LEFT = 30.0, 236.0, 46.0
LETTER, GAP = 6.6, 15.0  # how wide a letter of a line's name is, and how far apart two names stand
FAINTEST = 0.05


@dataclass(frozen=True)
class Scale:
    """What an axis counts, and how: "plain", "count" (whole numbers), "zero" (from zero on), "share" or "log"."""

    name: str
    kind: str = "plain"


@dataclass(frozen=True)
class Line:
    """One line of a chart: (x, y) points, y None where there is none; colour 1 to 5, solid or broken.

    stem: a height from which every point hangs by itself, in place of a line that joins them.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    colour: int
    broken: bool = False
    stem: float | None = None


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, and what is written below it."""

    uri: str
    words: str = ""


def chart(
    key: str,
    title: str,
    lines: Sequence[Line],
    across: Scale,
    up: Scale,
    *,
    dots: bool = False,
    wide: bool = False,
    within: Sequence[float] = (),
) -> Markup:
    """Draw lines, each named at its end; empty markup if there is no point to draw.

    `key` makes its ids its own; `within` are heights that the scale holds too, for charts that
    stand side by side.
    """
    lines = [line for line in lines if _known(line)]
    if not lines:
        return Markup("")
    points = [point for line in lines for point in _known(line)]
    width = WIDE if wide else NARROW
    right = width - 12 - LETTER * max(len(line.name) for line in lines)
    heights = [y for _, y in points] + [line.stem for line in lines if line.stem is not None]
    heights += within
    xs, ys = _axis(across.kind, [x for x, _ in points], LEFT, right), _axis(up.kind, heights, BOTTOM, TOP)
    ends = [_known(line)[-1] for line in lines]
    places = spread([ys.at(y) for _, y in ends], TOP, BOTTOM)
    show = {"share": words.percent, "log": words.power}.get(up.kind, words.quantity)
    return draw(
        "gallery/chart.svg",
        {
            "key": key,
            "title": title,
            "said": [f"{line.name}: from {show(_known(line)[0][1])} to {show(_known(line)[-1][1])}" for line in lines],
            "across": across.name,
            "up": up.name,
            "xs": xs.marks,
            "ys": ys.marks,
            "frame": {"width": width, "left": LEFT, "right": right, "top": TOP, "bottom": BOTTOM},
            "lines": [
                {
                    "name": line.name,
                    "colour": line.colour,
                    "broken": line.broken,
                    "path": _stems(line, xs, ys) if line.stem is not None else path(line.points, None, xs, ys),
                    "dots": [
                        (xs.at(x), ys.at(y))
                        for x, y in _known(line)
                        if dots or line.stem is not None or len(_known(line)) == 1
                    ],
                    "at": place,
                }
                for line, place in zip(lines, places, strict=True)
            ],
        },
    )


def spread(heights: Sequence[float], top: float, bottom: float) -> list[float]:
    """Return the heights moved apart, in the same order, so that no two are nearer than `GAP` where there is room."""
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    found = [0.0] * len(heights)
    lowest = top - GAP
    for place in order:
        found[place] = lowest = max(heights[place], lowest + GAP)
    highest = bottom + GAP
    for place in reversed(order):
        found[place] = highest = min(found[place], highest - GAP)
    return [round(place, 1) for place in found]


def cells(
    key: str,
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    shares: Sequence[Sequence[float | None]],
    names: tuple[str, str],
    marked: Sequence[tuple[int, int]] = (),
) -> Markup:
    """Draw shares of 1 as a grid of shaded cells in per cent; `names` say what rows and columns are.

    A share that is None is a dash. `marked` cells, (row, column), have a frame.
    """
    left, top = 14 + LETTER * max(len(row) for row in rows), 34.0
    width = (NARROW - left) / len(columns)
    height = min(width, 38.0)
    known = [share for row in shares for share in row if share is not None]
    return draw(
        "gallery/cells.svg",
        {
            "key": key,
            "title": title,
            "range": (words.percent(min(known)), words.percent(max(known))) if known else ("–", "–"),
            "names": names,
            "rows": [{"at": round(top + height * (place + 0.5), 1), "text": text} for place, text in enumerate(rows)],
            "columns": [
                {"at": round(left + width * (place + 0.5), 1), "text": text} for place, text in enumerate(columns)
            ],
            "cells": [
                {
                    "x": round(left + width * column, 1),
                    "y": round(top + height * row, 1),
                    "shade": 0.0 if share is None else round(FAINTEST + (1 - FAINTEST) * share, 3),
                    "text": "–" if share is None else f"{100 * share:.0f}",
                    "marked": (row, column) in marked,
                }
                for row, line in enumerate(shares)
                for column, share in enumerate(line)
            ],
            "frame": {
                "left": round(left, 1),
                "width": round(width - 2, 1),
                "height": round(height - 2, 1),
                "top": top,
                "bottom": round(top + height * len(rows), 1),
            },
        },
    )


def strip(title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Picture]]]) -> Markup:
    """Lay pictures out in named rows and columns."""
    return draw("gallery/strip.html", {"title": title, "columns": columns, "rows": rows})


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], named: int = 1) -> Markup:
    """Return a table whose first column names its rows; from column `named` on there are numbers."""
    return draw("gallery/table.html", {"title": title, "columns": columns, "rows": rows, "named": named})


def _known(line: Line) -> list[tuple[float, float]]:
    return [(x, y) for x, y in line.points if y is not None]


def _axis(kind: str, values: Sequence[float], start: float, end: float) -> Axis:
    if kind == "share":
        return share_axis(values, start, end)
    if kind == "zero":
        return zero_axis(values, start, end)
    if kind == "log":
        above = [value for value in values if value > 0]
        return log_axis(above or [1.0], start, end, decades=24)
    low, high = min(values), max(values)
    if kind == "count" and low < high:
        ticks = [tick for tick in nice_ticks(low, high, whole=True) if low <= tick <= high]
        return Axis(low, high, start, end, tuple(ticks), tuple(words.tick(tick) for tick in ticks))
    return plain_axis(low - (low == high), high + (low == high), start, end)


def _stems(line: Line, xs: Axis, ys: Axis) -> str:
    """Return path data: from the line's stem down or up to each of its points."""
    assert line.stem is not None
    return "".join(f"M{xs.at(x):g} {ys.at(line.stem):g}V{ys.at(y):g}" for x, y in _known(line))
