"""Max against mean against stride: what each keeps of a map, and what comes of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lensmith.gallery.exhibit import Part, Plate, Said, differ, facts, last, points, share
from lensmith.gallery.figures import Line, Picture, Scale, chart, strip, table
from lensmith.gallery.lessons import POOLS, Steps, Values, Way, answers, learned, maps, network, stack
from lensmith.gallery.pictures import Lot, moved, png_uri, shaded, shapes
from lensmith.reproduce import counter

if TYPE_CHECKING:
    from lensmith.zoo.heads import Classifier

WIDTH, STAGES = 12, 3
MEASURED, SHOWN = 200, 4  # pictures


@dataclass(frozen=True)
class Pooling:
    """The same three stages on drawn shapes, halved in three ways, each from several first weights."""

    question: ClassVar[str] = (
        "What is the best way to make a picture smaller: its maximum, its mean, or every other one?"
    )

    trials: int = 3
    epochs: int = 12
    train: int = 2000
    held_out: int = 1000
    size: int = 32

    @property
    def notes(self) -> int:
        """Every way is trained so many times."""
        return len(POOLS) * self.trials * self.epochs

    def measured(self, seed: int) -> Steps:
        """Train all networks; look at the first map of one of them."""
        lot = shapes(self.size, self.train, self.held_out, seed)
        way = Way(self.epochs, learning_rate=0.01, optimizer="adamw", weight_decay=0.01)
        found, first = {}, None
        for kind in POOLS:
            trials = []
            for trial in range(self.trials):
                own = counter(seed, "trial", trial)
                pupil = network(partial(stack, WIDTH, pool=kind), WIDTH * 2 ** (STAGES - 1), lot, own)
                rows = yield from learned(pupil, lot, way, own, f"{kind}, {trial + 1}")
                trials.append({"rows": rows, "changed": changed(pupil, lot)})
                first = first or pupil
            found[kind] = {**_size(pupil, self.size), "trials": trials}
        assert first is not None
        kept, pictures = _kept(first, lot)
        return {
            **facts(lot, len(POOLS) * self.trials, self.epochs),
            "kinds": found,
            "kept": kept,
            "pictures": pictures,
        }

    @staticmethod
    def said(values: Values) -> Said:
        """Return which way was right most often, and what each kept."""
        return Said(_headline(values), (_rightness(values), _keeping(values)))

    @staticmethod
    def parts(values: Values) -> list[Part]:
        """Return what was kept of some pictures, the curves, and the numbers."""
        kinds, pictures = values["kinds"], values["pictures"]
        curves = [
            Plate(
                title,
                chart(
                    f"curve-{name}",
                    title,
                    [Line(kind, _mean_curve(values, kind, name), place) for place, kind in enumerate(POOLS, start=1)],
                    Scale("epoch", "count"),
                    Scale(up, scale),
                ),
            )
            for title, name, up, scale in (
                ("The pictures it learns from", "train_loss", "training loss", "zero"),
                ("Pictures it has never seen", "accuracy", "held-out accuracy", "share"),
            )
        ]
        shown = [
            ("", [Picture(row["picture"]), Picture(row["map"]), *(_small(row, kind) for kind in POOLS)])
            for row in pictures["rows"]
        ]
        columns = ("Way", "Weights", "Multiply-adds", "Accuracy, mean", "Lowest", "Highest", "Answers changed")
        rows = [
            (
                kind,
                f"{found['parameters']:,}",
                f"{found['multiply_adds'] / 1e6:.2f} million",
                share(mean_accuracy(values, kind)),
                share(min(_accuracies(values, kind))),
                share(max(_accuracies(values, kind))),
                share(_changed(values, kind)),
            )
            for kind, found in kinds.items()
        ]
        return [
            Part(
                "What is kept",
                "A map of the first layer of a trained network, halved twice in each way, all on one scale. "
                "Below each: how much of the map's highest value is still there. The maximum keeps the strongest "
                "answer, wherever in its square it was; the mean keeps the sum; a stride keeps what happens to lie on "
                "its grid.",
                [Plate("", strip("What is kept of a map", pictures["columns"], shown))],
            ),
            Part(
                "How they learned",
                f"Means of {len(next(iter(kinds.values()))['trials'])} trainings each, from different first weights.",
                curves,
            ),
            Part(
                "The numbers",
                "Answers changed: the share of held-out pictures that are named differently after a move by one pixel, "
                "right or down.",
                [Plate("", table("The three ways", columns, rows))],
            ),
        ]


def halved(values: np.ndarray, kind: str) -> np.ndarray:
    """Return maps (..., 2 h, 2 w) as (..., h, w): the maximum or the mean of every 2 x 2, or its first number."""
    *rest, height, width = values.shape
    if kind == "stride":
        return values[..., ::2, ::2]
    squares = values.reshape(*rest, height // 2, 2, width // 2, 2)
    found: np.ndarray = squares.max((-3, -1)) if kind == "max" else squares.mean((-3, -1))
    return found


def changed(pupil: Classifier, lot: Lot) -> float:
    """Return the share of held-out pictures that are named differently when they are moved by one pixel."""
    pictures = lot.pictures[lot.train :]
    still = answers(pupil, lot, pictures)
    ways = ((1, 0), (0, 1))
    return float(np.mean([(answers(pupil, lot, moved(pictures, *way)) != still).mean() for way in ways]))


def _size(pupil: Classifier, size: int) -> Values:
    from lensmith.zoo.arithmetic import totals

    counted = totals(pupil, size)
    return {"parameters": counted.parameters, "multiply_adds": counted.multiply_adds}


def _kept(pupil: Classifier, lot: Lot) -> tuple[Values, Values]:
    """Return what two halvings keep of peaks and sums, over many maps of the first layer, and pictures of some."""
    from torch import nn

    pictures = lot.pictures[lot.train :][:MEASURED]
    place = next(layer for layer in pupil.base.modules() if isinstance(layer, nn.ReLU))
    found = maps(pupil, lot, pictures, [place])[0]
    small = dict.fromkeys(POOLS, found)
    for _ in range(2):
        small = {kind: halved(values, kind) for kind, values in small.items()}
    alive = found.max((2, 3)) > 0
    kept = {
        kind: {
            "peak": float((values.max((2, 3))[alive] / found.max((2, 3))[alive]).mean()),
            "sum": float((values.mean((2, 3))[alive] / found.mean((2, 3))[alive]).mean()),
            "sum_deviation": float((values.mean((2, 3))[alive] / found.mean((2, 3))[alive]).std()),
        }
        for kind, values in small.items()
    }
    rows = []
    for n in range(min(SHOWN, len(pictures))):
        strongest = int(found[n].max((1, 2)).argmax())
        peak = float(found[n, strongest].max()) or 1.0
        rows.append(
            {
                "picture": png_uri(pictures[n]),
                "map": png_uri(shaded(found[n, strongest])),
                "small": {kind: png_uri(_on_scale(values[n, strongest], peak)) for kind, values in small.items()},
                "peaks": {kind: float(values[n, strongest].max()) / peak for kind, values in small.items()},
            }
        )
    side = found.shape[-1] // 4
    columns = [
        "picture",
        f"map, {found.shape[-1]} x {found.shape[-1]}",
        *(f"{kind}, {side} x {side}" for kind in POOLS),
    ]
    return kept, {"columns": columns, "rows": rows}


def _on_scale(values: np.ndarray, peak: float) -> np.ndarray:
    levels: np.ndarray = np.round(255 * np.clip(values / peak, 0, 1)).astype(np.uint8)
    return levels


def _small(row: Values, kind: str) -> Picture:
    return Picture(row["small"][kind], f"{100 * row['peaks'][kind]:.0f} %")


def _accuracies(values: Values, kind: str) -> list[float]:
    return [last(trial["rows"], "accuracy") for trial in values["kinds"][kind]["trials"]]


def mean_accuracy(values: Values, kind: str) -> float:
    """Return the held-out accuracy of a way, the mean over its trainings."""
    return statistics.mean(_accuracies(values, kind))


def _changed(values: Values, kind: str) -> float:
    return float(statistics.mean(trial["changed"] for trial in values["kinds"][kind]["trials"]))


def _mean_curve(values: Values, kind: str, name: str) -> list[tuple[float, float | None]]:
    """Return the mean over the trainings, epoch by epoch, of those that have a number there."""
    rows: dict[int, list[float]] = {}
    for trial in values["kinds"][kind]["trials"]:
        for row in trial["rows"]:
            if row[name] is not None:
                rows.setdefault(row["epoch"], []).append(row[name])
    return [(epoch, statistics.mean(found)) for epoch, found in sorted(rows.items())]


def _ranked(values: Values) -> list[str]:
    return sorted(POOLS, key=lambda kind: -mean_accuracy(values, kind))


def _headline(values: Values) -> str:
    order, n = _ranked(values), values["data"]["held_out"]
    best, _, worst = (_noun(kind) for kind in order)
    first, final, apart = _apart([mean_accuracy(values, kind) for kind in order], n)
    if first and final:
        return f"The {best} was right most often, the {worst} least."
    if first or final:
        return f"The {best} was right most often." if first else f"The {worst} was right least often."
    if apart:
        return f"The {best} was right more often than the {worst}."
    return "Maximum, mean and stride were about equally right here; what they keep of a picture is not equal."


def _apart(shares: Sequence[float], n: int) -> tuple[bool, bool, bool]:
    """Return whether of three shares, in their order, the first, the last, and these two stand apart by more than
    chance."""
    first, middle, final = shares
    return differ(first, middle, n), differ(middle, final, n), differ(first, final, n)


def _noun(kind: str) -> str:
    return {"max": "maximum", "mean": "mean", "stride": "stride"}[kind]


def _rightness(values: Values) -> str:
    best, middle, worst = _ranked(values)
    kinds, n = values["kinds"], values["data"]["held_out"]
    gap = mean_accuracy(values, best) - mean_accuracy(values, worst)
    weights = kinds[best]["parameters"]
    trials = len(kinds[best]["trials"])
    spread = max(max(_accuracies(values, kind)) - min(_accuracies(values, kind)) for kind in POOLS)
    work = {kind: f"{kinds[kind]['multiply_adds'] / 1e6:.2f}" for kind in POOLS}
    said = (
        f"All three have the same {weights:,} weights. Over {trials} trainings each, the {_noun(best)} named "
        f"{share(mean_accuracy(values, best))} of {n:,} new pictures rightly, the {_noun(middle)} "
        f"{share(mean_accuracy(values, middle))} and the {_noun(worst)} {share(mean_accuracy(values, worst))}"
    )
    if differ(mean_accuracy(values, best), mean_accuracy(values, worst), n):
        said += f", {points(gap)} behind. "
    else:
        said += f": {points(gap)} from first to last, no more than chance makes with so many pictures. "
    if trials > 1:
        said += f"Trainings of one kind lay up to {points(spread)} apart. "
    return (
        f"{said}A picture costs {work['stride']} million multiply-adds with the stride, {work['max']} with the others."
    )


def _keeping(values: Values) -> str:
    kept = values["kept"]
    order = sorted(POOLS, key=lambda kind: _changed(values, kind))
    few, _, many = (_noun(kind) for kind in order)
    first, final, apart = _apart([_changed(values, kind) for kind in order], values["data"]["held_out"])
    peak = {kind: share(kept[kind]["peak"]) for kind in POOLS}
    said = (
        f"Halved twice, maps of the first layer kept {peak['max']} of their highest value by the maximum, "
        f"{peak['mean']} by the mean and {peak['stride']} by the stride. The sum is what the mean keeps exactly; by "
        f"the stride it was off by {share(kept['stride']['sum_deviation'])} (standard deviation). "
    )
    said += (
        f"After a move by one pixel {share(_changed(values, 'max'))} of the answers changed with the maximum, "
        f"{share(_changed(values, 'mean'))} with the mean and {share(_changed(values, 'stride'))} with the stride"
    )
    if first and final:
        return f"{said}: the {few} is the steadiest, the {many} minds most."
    if first or final:
        return f"{said}: the {few} is the steadiest." if first else f"{said}: the {many} minds most."
    if apart:
        return f"{said}: the {few} is steadier than the {many}."
    return f"{said}, too little of a difference to call one steadier."
