"""The figures: each function turns numbers into positions, and a template turns positions into SVG.

Charts have a viewBox and grow with the page. Scales and small bars have none: their positions are percentages,
so that their text keeps its size from a phone to a desk. Colours are classes and come from the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from lensmith.reports import words
from lensmith.reports.axes import nice_ticks
from lensmith.reports.draw import draw
from lensmith.reports.leads import Lead
from lensmith.reports.source import Measure

RAYS = 20
HEAT_CELLS = 60
HEAT_LEVELS = 5


@dataclass(frozen=True)
class Bin:
    """One bin of the reliability diagram: mean confidence and accuracy, shares of 1, of `n` pictures."""

    confidence: float
    accuracy: float
    n: int


def lens(share: float | None, ray: str) -> Markup:
    """Draw the header: twenty rays through a lens, of which `share` meets in focus; `ray` says what one stands for.

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
        # A marginal ray crosses the axis before the focus and ends on the other side of it.
        end = axis - math.copysign(16 + 5.2 * (missing - place) ** 0.9, height) if misses else axis
        rays.append({"y": axis + height, "end": end, "misses": misses})
    rays.sort(key=lambda drawn: bool(drawn["misses"]), reverse=True)
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
            "ray": ray,
        },
    )


def ruler(lead: Lead, found: Measure, baseline: float | None) -> Markup:
    """Draw a measure with its interval on a scale from 0 to 100 %, or past the baseline, and what guessing reaches."""
    known = [x for x in (found.value, found.high, baseline) if x is not None and x >= 0]
    labels = [0.0, 0.25, 0.5, 0.75, 1.0] if lead.share else nice_ticks(0, max(known, default=1.0))
    top, fine = labels[-1], 5 * (len(labels) - 1)
    texts = [f"{100 * tick:g}" if lead.share else words.tick(tick) for tick in labels]
    if lead.share:
        texts[-1] += f"{words.THIN}%"
    at = None if baseline is None else baseline / top
    return draw(
        "figures/ruler.svg",
        {
            "name": lead.name,
            "end": "100 per cent" if lead.share else texts[-1],
            **_inside(found, top),
            "said": {"value": found.value, "low": found.low, "high": found.high, "baseline": baseline},
            "show": lead.show,
            "guess": lead.guess,
            "guessed": lead.guessed.partition(";")[0],
            "baseline": at if at is not None and 0 <= at <= 1 else None,
            "ticks": [{"at": 100 * i / fine, "long": i % 5 == 0} for i in range(fine + 1)],
            "labels": [{"at": tick / top, "text": text} for tick, text in zip(labels, texts, strict=True)],
            "anchor": _anchor,
        },
    )


def bar(found: Measure) -> Markup:
    """Draw a small interval bar for a table; hidden from screen readers, since the number stands beside it."""
    return draw("figures/bar.svg", _inside(found))


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


def budget(steps: Sequence[tuple[str, float, bool]], allowed: float | None) -> Markup:
    """Draw the time that steps took, (name, seconds, is it the chosen one), one after the other within the budget."""
    spent = sum(seconds for _, seconds, _ in steps)
    whole = max(spent, allowed or 0.0)
    if whole <= 0:
        return Markup("")
    parts, start = [], 0.0
    for name, seconds, chosen in steps:
        parts.append({"name": name, "at": start / whole, "width": seconds / whole, "seconds": seconds, "best": chosen})
        start += seconds
    return draw(
        "figures/budget.svg",
        {"parts": parts, "spent": spent, "allowed": allowed, "end": None if allowed is None else allowed / whole},
    )


def parted(trained: float, frozen: float) -> Markup:
    """Draw the weights of a network as one bar: the frozen ones, and behind them the trained ones."""
    whole = trained + frozen
    # A sliver stays visible however small its share is.
    share = min(0.996, max(0.004, frozen / whole)) if trained and frozen else frozen / whole
    return draw("figures/parted.svg", {"frozen": share, "weights": frozen, "trained": trained, "true": frozen / whole})


def _inside(found: Measure, top: float = 1.0) -> dict[str, float | None]:
    """Return value and ends as parts of `top`; what lies outside would be drawn outside the figure and is None."""
    parts = (None if x is None else x / top for x in (found.value, found.low, found.high))
    value, low, high = (x if x is not None and 0 <= x <= 1 else None for x in parts)
    if low is None or high is None or low > high:
        low = high = None
    return {"value": value, "low": low, "high": high}


def _anchor(share: float) -> str:
    """Return the text-anchor that keeps a label at `share` of the width inside the figure."""
    return "start" if share < 0.12 else "end" if share > 0.88 else "middle"
