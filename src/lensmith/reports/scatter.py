"""Figures of predicted numbers: what was said against what is true, and how the errors are spread."""

from __future__ import annotations

import math

import numpy as np
from markupsafe import Markup

from lensmith.reports import words
from lensmith.reports.axes import Axis, plain_axis
from lensmith.reports.draw import draw

MOST_DOTS = 2000
LARGEST_DRAWN = 400
PILES = 6  # dots are spread over so many half-transparent paths, so that crowded places are darker
COLUMNS = 24
FAR = 4.0  # mean errors from which on an answer is far off: a larger dot, and in the last columns of the histogram
CROWDED = 600  # dots from which on they are drawn smaller


def scatter(true: np.ndarray, said: np.ndarray, mae: float, target: str) -> Markup:
    """Draw (n,) predicted against (n,) true numbers, the line of perfect answers and a band of `mae` beside it.

    At most `MOST_DOTS` are drawn; the largest errors and the ends of the range are always among them.
    """
    chosen = thinned(true, said)
    # Of wild answers the line and the band would be squashed: they stand at the edge of the picture.
    low, high = _range(true, said)
    xs, ys = plain_axis(low, high, 52.0, 352.0), plain_axis(low, high, 328.0, 28.0)
    dots = [(xs.at(float(x)), ys.at(float(y))) for x, y in zip(true[chosen], said[chosen], strict=True)]
    far = np.abs(said - true)[chosen] > FAR * mae
    piles = ["".join(f"M{x:g} {y:g}h0" for x, y in _pile(dots, far, place)) for place in range(PILES)]
    return draw(
        "figures/scatter.svg",
        {
            "target": target,
            "xs": xs.marks,
            "ys": ys.marks,
            "band": _band(xs, ys, mae),
            "line": f"M{xs.at(xs.low):g} {ys.at(ys.low):g}L{xs.at(xs.high):g} {ys.at(ys.high):g}",
            "piles": [pile for pile in piles if pile],
            "far": "".join(f"M{x:g} {y:g}h0" for (x, y), is_far in zip(dots, far, strict=True) if is_far),
            "n": len(true),
            "crowded": len(chosen) > CROWDED,
            "frame": {"left": xs.start, "right": xs.end, "top": ys.end, "bottom": ys.start},
            "ends": [words.quantity(float(x)) for x in (true.min(), true.max(), said.min(), said.max())],
            "mae": mae,
        },
    )


def histogram(errors: np.ndarray, mae: float) -> Markup:
    """Draw how many answers were how much too low or too high; (n,) errors are predicted minus true."""
    reach = reach_of(errors, mae)
    counts, edges = np.histogram(np.clip(errors, -reach, reach), bins=COLUMNS, range=(-reach, reach))
    left, right, top, bottom = 8.0, 372.0, 34.0, 178.0
    xs, most = Axis(-reach, reach, left, right), int(counts.max())
    columns = [
        {"x": xs.at(float(edge)), "y": round(bottom - (bottom - top) * int(n) / most, 1), "n": int(n)}
        for edge, n in zip(edges[:-1], counts, strict=True)
        if n
    ]
    ticks = [tick for tick in plain_axis(-reach, reach, left, right).ticks if abs(tick) <= reach]
    return draw(
        "figures/histogram.svg",
        {
            "columns": columns,
            "width": round((right - left) / COLUMNS - 1, 1),
            "zero": xs.at(0.0),
            "xs": [
                {"at": xs.at(tick), "text": words.tick(tick) if tick <= 0 else f"+{words.tick(tick)}"} for tick in ticks
            ],
            "frame": {"left": left, "right": right, "top": top, "bottom": bottom},
            "low": int((errors < 0).sum()),
            "high": int((errors > 0).sum()),
            "beyond": int((np.abs(errors) > reach).sum()),
            "reach": reach,
            "mae": {"from": xs.at(-mae), "width": round(xs.at(mae) - xs.at(-mae), 1), "value": mae},
            "most": most,
        },
    )


def reach_of(errors: np.ndarray, mae: float) -> float:
    """Return where the histogram ends on either side."""
    return min(float(np.abs(errors).max()), FAR * mae) or 1.0


def thinned(true: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Return the positions of the dots to draw: all of few; of many the largest errors, the ends, and an even share."""
    n = len(true)
    if n <= MOST_DOTS:
        return np.arange(n)
    largest = np.argsort(-np.abs(said - true), kind="stable")[:LARGEST_DRAWN]
    ends = np.array([true.argmin(), true.argmax(), said.argmin(), said.argmax()])
    always = np.union1d(largest, ends)
    rest = np.setdiff1d(np.argsort(true, kind="stable"), always, assume_unique=True)
    every = math.ceil(len(rest) / (MOST_DOTS - len(always)))
    return np.union1d(always, rest[::every])


def _range(true: np.ndarray, said: np.ndarray) -> tuple[float, float]:
    """Return the ends of both axes: all true numbers, and the answers up to once more that range beyond them."""
    low, high = float(true.min()), float(true.max())
    room = (high - low) or max(abs(high), 1.0) * 0.1
    return max(min(low, float(said.min())), low - room), min(max(high, float(said.max())), high + room)


def _band(xs: Axis, ys: Axis, mae: float) -> str:
    """Return the path of the band of one mean error around the line of perfect answers, cut at the frame."""
    low, high, wide = xs.low, xs.high, min(mae, xs.high - xs.low)
    corners = (
        (low, low), (low, low + wide), (high - wide, high), (high, high), (high, high - wide), (low + wide, low),
    )  # fmt: skip
    return "M" + "L".join(f"{xs.at(x):g} {ys.at(y):g}" for x, y in corners) + "z"


def _pile(dots: list[tuple[float, float]], far: np.ndarray, place: int) -> list[tuple[float, float]]:
    near = [dot for dot, is_far in zip(dots, far, strict=True) if not is_far]
    return near[place::PILES]
