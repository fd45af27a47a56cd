"""Wider against deeper: what more maps and what more layers do for a small network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import ClassVar

from lensmith.gallery.exhibit import Part, Plate, Said, differ, facts, last, points, share
from lensmith.gallery.figures import Line, Scale, chart, table
from lensmith.gallery.lessons import Steps, Values, Way, learned, network, stack
from lensmith.gallery.pictures import Lot, shapes

STAGES = 3
FAMILIES = ("wider", "deeper")
COLOURS = {"wider": 1, "deeper": 2}


@dataclass(frozen=True)
class Capacity:
    """Networks of three stages on drawn shapes: the first of `widths` with one convolution a stage, grown both ways."""

    question: ClassVar[str] = "Is it better to make a network wider, or deeper?"

    widths: tuple[int, ...] = (8, 12, 16, 24)
    eaches: tuple[int, ...] = (1, 2, 3, 5)
    epochs: int = 12
    train: int = 2000
    held_out: int = 1000
    size: int = 32

    @property
    def notes(self) -> int:
        """The smallest network is trained once for both families."""
        return (len(self.widths) + len(self.eaches) - 1) * self.epochs

    def measured(self, seed: int) -> Steps:
        """Train the smallest network, then wider and deeper ones."""
        lot = shapes(self.size, self.train, self.held_out, seed)
        wider = [(width, self.eaches[0]) for width in self.widths]
        deeper = [(self.widths[0], each) for each in self.eaches]
        found = {}
        for width, each in dict.fromkeys([*wider, *deeper]):
            found[width, each] = yield from self._one(width, each, lot, seed)
        return {
            **facts(lot, self.notes // self.epochs, self.epochs),
            "wider": [found[size] for size in wider],
            "deeper": [found[size] for size in deeper],
        }

    def _one(self, width: int, each: int, lot: Lot, seed: int) -> Steps:
        from lensmith.zoo.arithmetic import totals

        pupil = network(lambda: stack(width, each, stages=STAGES), width * 2 ** (STAGES - 1), lot, seed)
        counted = totals(pupil, self.size)
        way = Way(self.epochs, learning_rate=0.01, optimizer="adamw", weight_decay=0.01)
        rows = yield from learned(pupil, lot, way, seed, f"{STAGES * each} layers, {width} maps")
        return {
            "width": width,
            "layers": STAGES * each,
            "field": field(each),
            "parameters": counted.parameters,
            "multiply_adds": counted.multiply_adds,
            "rows": rows,
        }

    @staticmethod
    def said(values: Values) -> Said:
        """Return which way of growing was worth more at the same number of weights."""
        return Said(_headline(values), (_growth(values), _price(values)))

    @staticmethod
    def parts(values: Values) -> list[Part]:
        """Return accuracy by weights, the pictures, and the numbers."""
        plots = [
            Plate(
                title,
                chart(
                    f"by-{name}",
                    title,
                    [Line(family, _points(values[family], name), COLOURS[family]) for family in FAMILIES],
                    Scale(axis, "log"),
                    Scale("held-out accuracy", "share"),
                    dots=True,
                ),
            )
            for title, name, axis in (
                ("By the number of weights", "parameters", "weights"),
                ("By the work of one picture", "multiply_adds", "multiply-adds"),
            )
        ]
        columns = ("Layers", "Maps", "Sees, in pixels", "Weights", "Multiply-adds", "Training", "Held-out", "Seconds")
        rows = [_row(each) for each in [*values["wider"], *values["deeper"][1:]]]
        return [
            Part(
                "Two ways to grow",
                "Both lines begin with the same small network. A dot further to the right costs more, a higher one is "
                "right more often.",
                plots,
            ),
            Part(
                "The numbers",
                f"Maps are those of the first of {STAGES} stages; each stage has twice as many as the one before. What "
                "a network sees is the square of pixels that one position of its last map depends on.",
                [Plate("", table("The networks", columns, rows))],
            ),
        ]


def field(each: int) -> int:
    """Return the receptive field, in pixels, of STAGES stages of `each` 3 x 3 convolutions and a 2 x 2 pooling."""
    seen, jump = 1, 1
    for _ in range(STAGES):
        seen += each * 2 * jump + jump
        jump *= 2
    return seen


def _accuracy(found: Values) -> float:
    return last(found["rows"], "accuracy")


def at_weights(family: Sequence[Values], weights: float) -> float:
    """Return the accuracy that a family reaches with so many weights, on a straight line over their logarithm."""
    known = sorted((each["parameters"], _accuracy(each)) for each in family)
    for (low, before), (high, after) in pairwise(known):
        if low <= weights <= high:
            return before + (after - before) * log(weights / low) / log(high / low)
    return known[0][1] if weights < known[0][0] else known[-1][1]


def _pair(values: Values) -> tuple[float, float, float]:
    """Return the largest number of weights that both families reach, and the accuracy of each there."""
    weights = min(max(each["parameters"] for each in values[family]) for family in FAMILIES)
    return weights, at_weights(values["wider"], weights), at_weights(values["deeper"], weights)


def _headline(values: Values) -> str:
    _, wide, deep = _pair(values)
    if not differ(wide, deep, values["data"]["held_out"]):
        return "With as many weights, the wider and the deeper network were equally good here."
    return f"With as many weights, the {'deeper' if deep > wide else 'wider'} network was right more often."


def _growth(values: Values) -> str:
    n = values["data"]["held_out"]
    small, wide, deep = values["wider"][0], values["wider"][-1], values["deeper"][-1]
    weights, broad, tall = _pair(values)
    said = (
        f"The smallest network, {small['layers']} layers and {small['parameters']:,} weights, named {_share(small)} of "
        f"{n:,} new pictures rightly. Made {wide['width'] / small['width']:.3g} times as wide ({wide['parameters']:,} "
        f"weights) it came to {_share(wide)}{_gain(small, wide, n)}, made {deep['layers'] / small['layers']:.3g} times "
        f"as deep ({deep['parameters']:,}) to {_share(deep)}{_gain(small, deep, n)}. "
    )
    if differ(broad, tall, n):
        better = "depth" if tall > broad else "width"
        return f"{said}At {weights:,.0f} weights {better} is ahead by {points(tall - broad)}."
    return (
        f"{said}At {weights:,.0f} weights they are {points(tall - broad)} apart, which {n:,} pictures cannot tell from "
        "chance."
    )


def _share(found: Values) -> str:
    return share(_accuracy(found))


def _gain(small: Values, large: Values, n: int) -> str:
    if differ(_accuracy(small), _accuracy(large), n):
        return ""
    return " (no more of a change than chance makes)"


def _price(values: Values) -> str:
    wide, deep = values["wider"][-1], values["deeper"][-1]
    seconds = {name: sum(row["seconds"] for row in each["rows"]) for name, each in (("wide", wide), ("deep", deep))}
    every = [*values["wider"], *values["deeper"][1:]]
    gaps = [last(each["rows"], "train_accuracy") - _accuracy(each) for each in every]
    widest = max(range(len(every)), key=gaps.__getitem__)
    said = (
        f"A picture cost the widest network {_millions(wide)} multiply-adds and the deepest {_millions(deep)}; their "
        f"trainings took {seconds['wide']:.0f} and {seconds['deep']:.0f} seconds. A position of the last map sees "
        f"{wide['field']} pixels across in the one and {deep['field']} in the other. "
    )
    if gaps[widest] > 0.03:
        found = every[widest]
        return (
            f"{said}Most was learned by heart by the network of {found['layers']} layers and {found['parameters']:,} "
            f"weights: it was right in {points(gaps[widest])} more of the pictures it learned from than of new ones."
        )
    return f"{said}No network knew its training pictures more than 3 points better than new ones, so all could grow on."


def _millions(found: Values) -> str:
    return f"{found['multiply_adds'] / 1e6:.1f} million"


def _points(family: Sequence[Values], name: str) -> list[tuple[float, float | None]]:
    return sorted((float(each[name]), _accuracy(each)) for each in family)


def _row(found: Values) -> tuple[str, ...]:
    return (
        str(found["layers"]),
        str(found["width"]),
        str(found["field"]),
        f"{found['parameters']:,}",
        _millions(found),
        share(last(found["rows"], "train_accuracy")),
        _share(found),
        f"{sum(row['seconds'] for row in found['rows']):.1f}",
    )
