"""Where values stand in a chart: round ticks, scales that one wild value cannot squash, and how ticks are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lensmith.reports import words

WILD = 8.0
"""How many times larger than nearly all others a value must be to be cut off at the edge of a chart."""


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high` between two pixels, its ticks, and how they are written."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()
    log: bool = False

    def at(self, value: float) -> float:
        """Return where a value stands, in pixels; values beyond the ends stand at them."""
        low, high, value = (math.log10(max(x, 1e-300)) if self.log else x for x in (self.low, self.high, value))
        part = min(1.0, max(0.0, (value - low) / (high - low)))
        return round(self.start + (self.end - self.start) * part, 1)

    @property
    def marks(self) -> list[dict[str, object]]:
        """The ticks as a template wants them."""
        return [{"at": self.at(tick), "text": text} for tick, text in zip(self.ticks, self.texts, strict=True)]


def share_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Return an axis in per cent; it spans at least a twentieth, so that noise is not blown up, and ends at 100 %."""
    ticks = nice_ticks(min(*values, max(values) - 0.05), max(values))
    ticks = [tick for tick in ticks if tick <= 1] if max(values) <= 1 else ticks
    return Axis(ticks[0], ticks[-1], start, end, tuple(ticks), tuple(f"{100 * x:g}{words.THIN}%" for x in ticks))


def zero_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Return an axis that begins at zero, for losses and errors."""
    ticks = nice_ticks(min(*values, 0.0), roof(values))
    return Axis(ticks[0], ticks[-1], start, end, tuple(ticks), tuple(words.tick(tick) for tick in ticks))


def plain_axis(low: float, high: float, start: float, end: float) -> Axis:
    """Return an axis over round numbers that hold `low` and `high`."""
    ticks = nice_ticks(low, high)
    return Axis(ticks[0], ticks[-1], start, end, tuple(ticks), tuple(words.tick(tick) for tick in ticks))


def log_axis(values: Sequence[float], start: float, end: float, decades: float = 4.0) -> Axis:
    """Return a logarithmic axis of values above zero, at most `decades` deep."""
    high = max(values)
    low = max(min(values), high / 10**decades)
    low, high = (low / 2, high * 2) if low > high / 1.5 else (low, high)
    for steps in ((1,), (1, 3), (1, 2, 5)):
        powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
        ticks = [step * 10.0**power for power in powers for step in steps]
        ticks = [tick for tick in ticks if low / 1.001 <= tick <= high * 1.001]
        if len(ticks) >= 2:
            break
    return Axis(low, high, start, end, tuple(ticks), tuple(words.power(tick) for tick in ticks), log=True)


def roof(values: Sequence[float]) -> float:
    """Return the highest value to draw: the largest, unless it stands far above nine tenths of the others."""
    usual = sorted(values)[max(0, math.ceil(0.9 * len(values)) - 1)]
    return min(max(values), WILD * usual) if usual > 0 else max(values)


def nice_ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Return four to eight round numbers from at most `low` to at least `high`; whole ones if asked."""
    span = max(high - low, 1e-6 if low == 0 else abs(low) * 1e-6, 1e-9)
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if span / (step * factor) <= 5)
    if whole:
        step = max(1.0, float(math.ceil(step)))
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * tick, 10) for tick in range(start, max(end, start + 1) + 1)]
