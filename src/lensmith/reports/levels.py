"""A figure of levels: values in equal steps from left to right, so that pictures can stand below them in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lensmith.reports import words
from lensmith.reports.axes import Axis, share_axis, zero_axis
from lensmith.reports.draw import draw

LEFT, WIDTH, TOP, BOTTOM = 45.0, 600.0, 26.0, 150.0
ABOVE, BELOW = 9.0, 19.0  # where a value is written, from its point


@dataclass(frozen=True)
class Steps:
    """Values, one a column, None where there is none; with the ends of their intervals if `low` and `high` are given.

    told: write the values at their points.
    """

    name: str
    style: str
    values: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    told: bool = False


def scale(values: Sequence[float | None], shares: bool) -> Axis:
    """Return the axis for all values of several figures that are to be compared."""
    known = [value for value in values if value is not None]
    if not known:
        return share_axis([0.0, 1.0], BOTTOM, TOP)
    return share_axis([*known, 1.0], BOTTOM, TOP) if shares else zero_axis(known, BOTTOM, TOP)


def figure(key: str, title: str, columns: Sequence[str], lines: Sequence[Steps], axis: Axis, shares: bool) -> Markup:
    """Draw lines over columns; `key` makes its ids its own, the names of the columns are said to those who see none."""
    show = words.percent if shares else words.quantity
    drawn = []
    for line in lines:
        points = [
            None if value is None else (_middle(place, len(columns)), axis.at(value))
            for place, value in enumerate(line.values)
        ]
        drawn.append(
            {
                "name": line.name,
                "style": line.style,
                "path": _path(points),
                "band": _band(line, len(columns), axis),
                "dots": [
                    {"x": point[0], "y": point[1], "at": _written(point, points, place), "text": _short(value, shares)}
                    for place, (point, value) in enumerate(zip(points, line.values, strict=True))
                    if point is not None and value is not None
                ],
                "told": line.told,
                "said": ", ".join(
                    f"{column} {show(value)}" for column, value in zip(columns, line.values, strict=True)
                ),
            }
        )
    values = {
        "key": key,
        "title": title,
        "lines": drawn,
        "ys": axis.marks,
        "left": LEFT,
        "width": WIDTH,
        "bottom": BOTTOM,
    }
    return draw("fragility/levels.svg", values)


def _middle(place: int, count: int) -> float:
    return round(LEFT + (place + 0.5) * (WIDTH - LEFT) / count, 1)


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    parts, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
        else:
            parts.append(f"{pen}{point[0]:g} {point[1]:g}")
            pen = "L"
    return "".join(parts)


def _band(line: Steps, count: int, axis: Axis) -> str:
    """Return the outline of the intervals, empty where there are none."""
    known = [
        (_middle(place, count), axis.at(low), axis.at(high))
        for place, (low, high) in enumerate(zip(line.low, line.high, strict=True))
        if low is not None and high is not None
    ]
    if len(known) < 2:
        return ""
    there = [f"{x:g} {high:g}" for x, _, high in known] + [f"{x:g} {low:g}" for x, low, _ in reversed(known)]
    return f"M{'L'.join(there)}Z"


def _written(point: tuple[float, float], points: Sequence[tuple[float, float] | None], place: int) -> float:
    """Return where a value is written: above its point, below it where the line comes from or goes above."""
    beside = [points[other] for other in (place - 1, place + 1) if 0 <= other < len(points)]
    climbs = any(other is not None and other[1] < point[1] - 12 for other in beside)
    return point[1] + BELOW if climbs and point[1] + BELOW < BOTTOM else point[1] - ABOVE


def _short(value: float, shares: bool) -> str:
    """Return a value as it is written at a point: whole per cent, but never all or nothing that is not."""
    if not shares:
        return words.quantity(value)
    whole = round(100 * value)
    return f"{whole}" if whole not in (0, 100) or value in (0, 1) else f"{100 * value:.1f}"
