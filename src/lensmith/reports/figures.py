"""The figures: each function turns numbers into positions, and a template turns positions into SVG.

Charts have a viewBox and grow with the page. Scales and small bars have none: their positions are percentages,
so that their text keeps its size from a phone to a desk. Colours are classes and come from the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from lensmith.reports import words
from lensmith.reports.draw import draw
from lensmith.reports.source import Measure

RAYS = 20
HEAT_CELLS = 60
HEAT_LEVELS = 5
MOST_POINTS = 160


@dataclass(frozen=True)
class Line:
    """One curve: (epoch, value) pairs, the style it is drawn in ("train", "seen" or "other") and its name."""

    style: str
    name: str
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Bin:
    """One bin of the reliability diagram: mean confidence and accuracy, shares of 1, of `n` pictures."""

    confidence: float
    accuracy: float
    n: int


def lens(share: float | None, split: str) -> Markup:
    """Draw the header: twenty rays through a lens, of which the share of right answers meets in focus.

    Rays that miss are the outer ones, as in a real lens. With share None the rays end in the lens.
    """
    axis, middle, focus, spacing = 130.0, 236.0, 604.0, 9.4
    share = share if share is not None and 0 <= share <= 1 else None
    missing = RAYS - round(RAYS * share) if share is not None else 0
    # From the outermost pair inwards, upper and lower in turn.
    heights = [side * spacing * (place + 0.5) for place in reversed(range(RAYS // 2)) for side in (-1, 1)]
    rays = []
    for place, height in enumerate(heights):
        misses = place < missing
        ray = {"y": axis + height, "end": axis, "misses": misses}
        if misses:
            # A marginal ray crosses the axis before the focus and ends on the other side of it.
            ray["end"] = axis - math.copysign(16 + 5.2 * (missing - place) ** 0.9, height)
        rays.append(ray)
    rays.sort(key=lambda ray: bool(ray["misses"]), reverse=True)
    return draw(
        "figures/lens.svg",
        {
            "rays": rays,
            "axis": axis,
            "middle": middle,
            "focus": focus,
            "scored": share is not None,
            "meeting": RAYS - missing,
            "all": RAYS,
            "split": split,
        },
    )


def ruler(name: str, found: Measure, baseline: float | None) -> Markup:
    """Draw a measure with its interval on a scale from 0 to 100 %, and what guessing would reach."""
    return draw(
        "figures/ruler.svg",
        {
            "name": name,
            **_inside(found),
            "baseline": baseline if baseline is not None and 0 <= baseline <= 1 else None,
            "ticks": [tick * 5 for tick in range(21)],
            "anchor": _anchor,
        },
    )


def bar(found: Measure) -> Markup:
    """Draw a small interval bar for a table; hidden from screen readers, since the number stands beside it."""
    return draw("figures/bar.svg", _inside(found))


def curves(kind: str, name: str, lines: Sequence[Line], kept: float | None, shares: bool) -> Markup:
    """Draw `lines` over epochs; `kept` is the epoch whose weights the model has, `shares` puts % on the axis.

    `kind` is a word that makes the figure's ids its own. Returns empty markup if there is no point to draw.
    """
    points = [(x, y) for line in lines for x, y in line.points if y is not None]
    if not points:
        return Markup("")
    xs, ys = [x for x, _ in points], [y for _, y in points]
    first, last = min(xs), max(max(xs), min(xs) + 1)
    # Losses start at 0; shares show at least a twentieth, so that noise is not blown up, and end at 1.
    ticks = nice_ticks(min(*ys, max(ys) - 0.05) if shares else min(*ys, 0.0), max(ys))
    ticks = [tick for tick in ticks if tick <= 1] if shares and max(ys) <= 1 else ticks
    low, high = ticks[0], ticks[-1]
    left, right, top, bottom = 44.0, 372.0, 36.0, 222.0

    def x_at(x: float) -> float:
        """Return where an epoch stands."""
        return round(left + (right - left) * (x - first) / (last - first), 1)

    def y_at(y: float) -> float:
        """Return where a value stands."""
        return round(bottom - (bottom - top) * (y - low) / (high - low), 1)

    drawn = [{"style": line.style, "path": _path(line.points, kept, x_at, y_at)} for line in lines]
    dots = [
        {"x": x_at(x), "y": y_at(y), "style": line.style}
        for line in lines
        for x, y in line.points
        if y is not None and (x == kept or len(line.points) == 1) and line.style != "other"
    ]
    return draw(
        "figures/curves.svg",
        {
            "kind": kind,
            "name": name,
            "lines": drawn,
            "dots": dots,
            "kept": {"x": x_at(kept), "epoch": kept} if kept is not None and first <= kept <= last else None,
            "xs": [
                {"at": x_at(x), "text": f"{x:g}"} for x in nice_ticks(first, last, whole=True) if first <= x <= last
            ],
            "ys": [{"at": y_at(y), "text": f"{100 * y:g}{words.THIN}%" if shares else f"{y:g}"} for y in ticks],
            "frame": {"left": left, "right": right, "top": top, "bottom": bottom},
            "names": {line.style: line.name for line in lines},
            "ends": [_end(line, shares) for line in lines if line.style != "other"],
        },
    )


def reliability(bins: Sequence[Bin]) -> Markup:
    """Draw how often the network was right against how sure it was; large dots are many pictures."""
    filled = [bin for bin in bins if bin.n > 0]
    most = max((bin.n for bin in filled), default=1)
    left, right, top, bottom, floor = 46.0, 346.0, 12.0, 312.0, 372.0
    dots = [
        {
            "x": round(left + (right - left) * bin.confidence, 1),
            "y": round(bottom - (bottom - top) * bin.accuracy, 1),
            "ideal": round(bottom - (bottom - top) * bin.confidence, 1),
            "r": round(3 + 7 * math.sqrt(bin.n / most), 1),
            "bar": round(34 * bin.n / most, 1),
            # A gap that few pictures speak for is drawn faintly.
            "weight": round(0.5 + 2 * math.sqrt(bin.n / most), 2),
            "n": bin.n,
            "confidence": bin.confidence,
            "accuracy": bin.accuracy,
        }
        for bin in filled
    ]
    frame = {"left": left, "right": right, "top": top, "bottom": bottom, "floor": floor}
    ticks = [
        {
            "x": left + (right - left) * i / 4,
            "y": bottom - (bottom - top) * i / 4,
            "text": f"{25 * i}{words.THIN}%",
        }
        for i in range(5)
    ]
    return draw("figures/reliability.svg", {"dots": dots, "frame": frame, "ticks": ticks})


def heat(matrix: np.ndarray) -> Markup:
    """Draw a (k, k) matrix of counts as a grid of at most 60 x 60 squares, shaded by the share of their row.

    Neighbouring classes share a square where there are more. Squares of one shade become one path, which keeps
    a thousand classes under a hundred kilobytes.
    """
    k = len(matrix)
    size = math.ceil(k / HEAT_CELLS)
    cells = math.ceil(k / size)
    padded = np.zeros((cells * size, cells * size))
    padded[:k, :k] = matrix
    blocks = padded.reshape(cells, size, cells, size).sum((1, 3))
    shares = blocks / np.maximum(blocks.sum(1, keepdims=True), 1)
    shades = np.ceil(np.sqrt(shares) * HEAT_LEVELS).astype(int)
    paths = []
    for diagonal in (True, False):
        for shade in range(1, HEAT_LEVELS + 1):
            chosen = (shades == shade) & (np.eye(cells, dtype=bool) == diagonal)
            path = "".join(f"M{column} {row}h1v1h-1z" for row, column in np.argwhere(chosen))
            if path:
                paths.append({"path": path, "right": diagonal, "shade": shade})
    return draw("figures/heat.svg", {"cells": cells, "size": size, "classes": k, "paths": paths})


def nice_ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Return four to eight round numbers from at most `low` to at least `high`; whole ones if asked."""
    span = max(high - low, 1e-6 if low == 0 else abs(low) * 1e-6, 1e-9)
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if span / (step * factor) <= 5)
    if whole:
        step = max(1.0, float(math.ceil(step)))
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * tick, 10) for tick in range(start, max(end, start + 1) + 1)]


def _inside(found: Measure) -> dict[str, float | None]:
    """Return value and ends of a share; what lies outside 0 to 1 would be drawn outside the figure and is None."""
    value, low, high = (x if x is not None and 0 <= x <= 1 else None for x in (found.value, found.low, found.high))
    if low is None or high is None or low > high:
        low = high = None
    return {"value": value, "low": low, "high": high}


def _anchor(share: float) -> str:
    """Return the text-anchor that keeps a label at `share` of the width inside the figure."""
    return "start" if share < 0.12 else "end" if share > 0.88 else "middle"


def _end(line: Line, shares: bool) -> str:
    """Return the first and the last value of a curve in words, for readers who do not see it."""
    values = [y for _, y in line.points if y is not None]
    if not values:
        return f"{line.name}: no values"
    first, last = (words.percent(y) if shares else f"{y:.3f}" for y in (values[0], values[-1]))
    return f"{line.name}: from {first} to {last}"


def _path(
    points: Sequence[tuple[float, float | None]],
    kept: float | None,
    x_at: Callable[[float], float],
    y_at: Callable[[float], float],
) -> str:
    """Return SVG path data with gaps where values are missing, thinned out but never losing the kept epoch."""
    every = math.ceil(len(points) / MOST_POINTS)
    path, pen = [], "M"
    for place, (x, y) in enumerate(points):
        if y is None:
            pen = "M"
        elif place % every == 0 or x == kept or place == len(points) - 1:
            path.append(f"{pen}{x_at(x):g} {y_at(y):g}")
            pen = "L"
    return "".join(path)
