"""First weights, with and without batch normalisation: how far a signal gets, and what is learned from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lensmith.gallery.exhibit import Part, Plate, Said, facts, figure, last, listed, number, share, small
from lensmith.gallery.figures import Line, Scale, chart, table
from lensmith.gallery.lessons import Steps, Values, Way, learned, network, spreads, stack
from lensmith.gallery.pictures import Lot, digits

if TYPE_CHECKING:
    from torch import nn

# Kind: what it is called, and how the weights are drawn; n numbers come into a neuron.
INITS = {
    "small": ("0.01", "normal, deviation 0.01 (as AlexNet had it)"),
    "uniform": ("uniform", "even between ±1 / √n"),
    "xavier": ("Xavier", "even between ±√(6 / (n in + n out)) (Glorot and Bengio 2010)"),
    "he": ("He", "normal, deviation √(2 / n) (He et al. 2015)"),
}
SMALL = 0.01
STAGES, WIDTH, FEATURES = 3, 16, 64
LEARNED = 3.0  # a network that is right this many times as often as guessing has learned something
LOOKED_AT = 256  # pictures over which the spread is measured
FADED = 10.0  # a signal that changed by less than this factor counts as kept


@dataclass(frozen=True)
class Initial:
    """Deep stacks of 3 x 3 convolutions on digits of 16 pixels, from each kind of first weights."""

    question: ClassVar[str] = "Do the first weights matter, and does batch-norm make up for bad ones?"

    each: int = 4
    epochs: int = 6
    train: int = 1000
    held_out: int = 500
    size: int = 16

    @property
    def notes(self) -> int:
        """Each kind is trained with and without batch normalisation."""
        return 2 * len(INITS) * self.epochs

    def measured(self, seed: int) -> Steps:
        """Draw the weights, look at the signal, train."""
        lot = digits(self.size, self.train, self.held_out, seed)
        runs = []
        for norm in (False, True):
            for kind in INITS:
                run = yield from self._one(kind, norm, lot, seed)
                runs.append(run)
        return {
            **facts(lot, len(runs), self.epochs),
            "layers": STAGES * self.each,
            "classes": len(lot.classes),
            "runs": runs,
        }

    def _one(self, kind: str, norm: bool, lot: Lot, seed: int) -> Steps:
        pupil = network(lambda: stack(WIDTH, self.each, norm=norm, stages=STAGES), FEATURES, lot, seed)
        draw(pupil, kind, seed)
        spread = spreads(pupil, lot, min(LOOKED_AT, lot.train))
        way = Way(self.epochs, learning_rate=0.005)
        rows = yield from learned(pupil, lot, way, seed, f"{INITS[kind][0]} {'with' if norm else 'without'} batch-norm")
        return {"init": kind, "norm": norm, "spread": spread, "rows": rows}

    @staticmethod
    def said(values: Values) -> Said:
        """Return which first weights learned, and what became of the signal."""
        return Said(_headline(values), (_signals(values), _outcomes(values)))

    @staticmethod
    def parts(values: Values) -> list[Part]:
        """Return the signal by layer, the curves, and the numbers."""
        sides = (("Without batch-norm", False), ("With batch-norm", True))
        signals = [
            Plate(
                title,
                chart(
                    f"spread-{norm}".lower(),
                    f"Spread of the signal by layer, {title.lower()}",
                    [_line(run, enumerate(run["spread"], start=1)) for run in _of(values, norm)],
                    Scale("layer, from the picture up", "count"),
                    Scale("deviation of what a layer passes on", "log"),
                    within=[value for run in values["runs"] for value in run["spread"]],
                ),
            )
            for title, norm in sides
        ]
        curves = [
            Plate(
                title,
                chart(
                    f"loss-{norm}".lower(),
                    f"Training loss, {title.lower()}",
                    [
                        _line(run, ((row["epoch"], row["train_loss"]) for row in run["rows"]))
                        for run in _of(values, norm)
                    ],
                    Scale("epoch", "count"),
                    Scale("training loss", "zero"),
                    within=[last(run["rows"][:1], "train_loss") for run in values["runs"]],
                ),
            )
            for title, norm in sides
        ]
        rows = [
            (INITS[kind][0], INITS[kind][1], *(share(_accuracy(_run(values, kind, norm))) for norm in (False, True)))
            for kind in INITS
        ]
        columns = ("First weights", "How they are drawn", "Without batch-norm", "With batch-norm")
        return [
            Part(
                "How far the signal gets",
                "Before anything is learned: the standard deviation of what each layer passes on, on a scale of powers "
                "of ten. Where a line falls, pictures look more and more alike to the layers above.",
                signals,
            ),
            Part(
                "What is learned from it",
                "A line that stays where it began belongs to a network that learns nothing. Guessing among "
                f"{values['classes']} digits has a loss of 2.30.",
                curves,
            ),
            Part(
                "The numbers",
                f"Held-out accuracy after {values['epochs']} epochs. n is how many numbers come into a neuron.",
                [Plate("", table("First weights and accuracy", columns, rows, named=2))],
            ),
        ]


def draw(pupil: nn.Module, kind: str, seed: int) -> None:
    """Draw the weights of every convolution and dense layer as `kind` says; their biases become zero."""
    from torch import nn

    from lensmith.reproduce import counter
    from lensmith.training.initial import draw_weights
    from lensmith.training.seeded import seeded

    with seeded(counter(seed, "init")):
        draw_weights(pupil, "he" if kind == "small" else kind)
        if kind == "small":
            for layer in pupil.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    nn.init.normal_(layer.weight, 0, SMALL)


def _of(values: Values, norm: bool) -> list[Values]:
    return [run for run in values["runs"] if run["norm"] == norm]


def _run(values: Values, kind: str, norm: bool) -> Values:
    return next(run for run in _of(values, norm) if run["init"] == kind)


def _line(run: Values, points: Iterable[tuple[float, float | None]]) -> Line:
    return Line(INITS[run["init"]][0], list(points), list(INITS).index(run["init"]) + 1)


def _accuracy(run: Values) -> float:
    return last(run["rows"], "accuracy")


def _learners(values: Values, norm: bool) -> list[str]:
    return [INITS[run["init"]][0] for run in _of(values, norm) if _accuracy(run) > LEARNED / values["classes"]]


def _headline(values: Values) -> str:
    bare, normal, every = len(_learners(values, False)), len(_learners(values, True)), len(INITS)
    if bare == normal == every:
        return f"All {number(every)} kinds of first weights learned, with batch-norm and without."
    begin = f"Without batch-norm {number(bare)} of {number(every)} kinds of first weights learned"
    if normal == every:
        return f"{begin}; with it, all of them."
    return f"{begin}, with it {number(normal)}{': it did not help here' if normal <= bare else ''}."


def change(spread: Sequence[float]) -> float:
    """Return the spread behind the last layer over that behind the first."""
    return spread[-1] / max(spread[0], 1e-300)


def _signals(values: Values) -> str:
    bare, normal = _of(values, False), [run["spread"][-1] for run in _of(values, True)]
    factors = {INITS[run["init"]][0]: change(run["spread"]) for run in bare}
    faded = [name for name, factor in factors.items() if factor < 1 / FADED]
    grown = [name for name, factor in factors.items() if factor > FADED]
    kept = [name for name in factors if name not in (*faded, *grown)]
    became = [
        f"{verb} with {listed(names)}"
        for verb, names in (("faded", faded), ("grew", grown), ("was kept", kept))
        if names
    ]
    said = (
        f"Before anything is learned, and without batch-norm, the spread behind layer {values['layers']} was "
        f"{listed([f'{small(factor)} ({name})' for name, factor in factors.items()])} times that behind the first: the "
        f"signal {listed(became)}. "
    )
    if max(normal) < FADED * min(normal):
        return (
            f"{said}With batch-norm the last layer gave a spread of {_range(normal)}, "
            "whatever the weights: each layer's scale is set anew."
        )
    return f"{said}Even with batch-norm the last layer's spread ran from {small(min(normal))} to {small(max(normal))}."


def _range(numbers: Sequence[float]) -> str:
    low, high = figure(min(numbers)), figure(max(numbers))
    return low if low == high else f"{low} to {high}"


def _outcomes(values: Values) -> str:
    bare, normal = _learners(values, False), _learners(values, True)
    every = {norm: [share(_accuracy(run)) for run in _of(values, norm)] for norm in (False, True)}
    order = listed([INITS[kind][0] for kind in INITS])
    said = (
        f"After {values['epochs']} epochs on {values['data']['train']:,} digits, the networks without batch-norm named "
        f"{listed(every[False])} of {values['data']['held_out']:,} new ones rightly ({order}), those with it "
        f"{listed(every[True])}. "
    )
    faded = [INITS[run["init"]][0] for run in _of(values, False) if change(run["spread"]) < 1 / FADED]
    lost = [name for name in faded if name not in bare]
    if lost and all(name in normal for name in lost):
        return f"{said}Where the signal faded ({listed(lost)}), nothing was learned; batch-norm repaired that."
    if lost:
        return (
            f"{said}Where the signal faded ({listed(lost)}), nothing was learned, and batch-norm did not repair "
            "all of that."
        )
    if faded:
        return f"{said}A signal that faded ({listed(faded)}) did not keep these networks from learning."
    return f"{said}In none of them did the signal fade, so there was nothing to repair."
