"""A residual network with one block taken out, a plain one beside it (Veit, Wilber and Belongie 2016, section 4)."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from lensmith.gallery.exhibit import Part, Plate, Said, differ, facts, last, number, points, share
from lensmith.gallery.figures import Line, Scale, chart, table
from lensmith.gallery.lessons import Steps, Values, Way, accuracy, learned, network, parameters
from lensmith.gallery.pictures import Lot, digits
from lensmith.gallery.residual import COLOURS, FEATURES, KINDS, built
from lensmith.reproduce import generator

if TYPE_CHECKING:
    from torch import nn

    from lensmith.zoo.heads import Classifier
    from lensmith.zoo.resnet import Block

CHEAP = 0.05  # a block whose loss costs less than this share of the pictures can be done without


@dataclass(frozen=True)
class Dropped:
    """A residual and a plain network learn digits; then blocks of two layers are skipped, without learning anew."""

    question: ClassVar[str] = "What happens to a trained network when a block is taken out?"

    depth: int = 32
    epochs: int = 10
    train: int = 1000
    held_out: int = 400
    size: int = 16
    most: int = 6
    draws: int = 8

    @property
    def notes(self) -> int:
        """Both networks are trained once."""
        return len(KINDS) * self.epochs

    def measured(self, seed: int) -> Steps:
        """Train both, then take out every block alone, and several together."""
        lot = digits(self.size, self.train, self.held_out, seed)
        found = {}
        for kind in KINDS:
            pupil = network(partial(built, kind, self.depth), FEATURES, lot, seed)
            rows = yield from learned(pupil, lot, Way(self.epochs), seed, f"{kind}, {self.depth} layers")
            found[kind] = {"parameters": parameters(pupil), "rows": rows, **self._taken_out(pupil, lot, seed)}
        return {
            **facts(lot, len(KINDS), self.epochs),
            "depth": self.depth,
            "draws": self.draws,
            "classes": len(lot.classes),
            "networks": found,
        }

    def _taken_out(self, pupil: Classifier, lot: Lot, seed: int) -> Values:
        """Return the accuracy of the whole, without each block (None: it cannot be left out), and without several."""
        every = blocks(pupil.base)
        free = [place for place, block in enumerate(every) if block.shortcut or block.stride == 1]
        one = [_without(pupil, [block], lot) if place in free else None for place, block in enumerate(every)]
        several = []
        for count in range(1, min(self.most, len(free)) + 1):
            drawn = [generator(seed, "dropped", count, draw).permutation(len(free)) for draw in range(self.draws)]
            chosen = [[every[free[place]] for place in order[:count]] for order in drawn]
            several.append(statistics.mean(_without(pupil, gone, lot) for gone in chosen))
        return {"whole": accuracy(pupil, lot), "one": one, "several": several}

    @staticmethod
    def said(values: Values) -> Said:
        """Return what one block, and several, cost each network."""
        return Said(_headline(values), (_singles(values), _many(values)))

    @staticmethod
    def parts(values: Values) -> list[Part]:
        """Return accuracy by block taken out, by how many, and the numbers."""
        networks = values["networks"]
        plots = [
            Plate(
                f"The {kind} network",
                chart(
                    f"one-{kind}",
                    f"Accuracy without a block, {kind}",
                    [Line(kind, _numbered(found["one"]), COLOURS[kind], stem=found["whole"])],
                    Scale("block taken out, from the picture up", "count"),
                    Scale("held-out accuracy", "share"),
                    within=[0.0, 1.0],
                ),
            )
            for kind, found in networks.items()
        ]
        lines = [
            Line(kind, [(0.0, found["whole"]), *_numbered(found["several"])], COLOURS[kind])
            for kind, found in networks.items()
        ]
        more = chart(
            "several",
            "Accuracy without several blocks",
            lines,
            Scale("blocks taken out", "count"),
            Scale("held-out accuracy", "share"),
            dots=True,
            wide=True,
        )
        columns = ("Network", "Weights", "Whole", "One block less, mean", "Worst", "Best", "Training loss")
        rows = [
            (
                f"{kind}, {values['depth']} layers",
                f"{found['parameters']:,}",
                share(found["whole"]),
                share(statistics.mean(_known(found))),
                share(min(_known(found))),
                share(max(_known(found))),
                f"{last(found['rows'], 'train_loss'):.3g}",
            )
            for kind, found in networks.items()
        ]
        return [
            Part(
                "One block at a time",
                "Each line hangs from the accuracy of the whole network; its dot is what is left when that block of "
                "two layers is skipped. Blocks that halve the picture cannot be skipped in a plain network, since what "
                "comes out has another shape than what goes in.",
                plots,
            ),
            Part(
                "Several at once",
                f"The mean over {values['draws']} random choices of so many blocks. Guessing is right in 1 of "
                f"{values['classes']}.",
                [Plate("", more)],
            ),
            Part("The numbers", "Held-out accuracy.", [Plate("", table("Both networks", columns, rows))]),
        ]


def blocks(base: nn.Module) -> list[Block]:
    """Return the blocks of a network, from the picture up."""
    from lensmith.zoo.resnet import Block

    return [part for part in base.modules() if isinstance(part, Block)]


@contextmanager
def skipped(block: Block) -> Iterator[None]:
    """Lead what comes to a block around it while the context lasts: of a residual block only the shortcut remains.

    The ReLU that follows the addition has nothing to do then, since it was passed once already.
    """
    hook = block.register_forward_hook(lambda module, given, output: block.led_around(given[0]))
    try:
        yield
    finally:
        hook.remove()


def _without(pupil: Classifier, gone: Sequence[Block], lot: Lot) -> float:
    with ExitStack() as stack:
        for block in gone:
            stack.enter_context(skipped(block))
        return accuracy(pupil, lot)


def _numbered(shares: Sequence[float | None]) -> list[tuple[float, float | None]]:
    return [(float(place), each) for place, each in enumerate(shares, start=1)]


def _known(found: Values) -> list[float]:
    return [each for each in found["one"] if each is not None]


def _left(found: Values) -> float:
    """Return the mean accuracy of a network that lacks one block."""
    return statistics.mean(_known(found))


def _cost(found: Values) -> float:
    return float(found["whole"] - _left(found))


def _headline(values: Values) -> str:
    networks = values["networks"]
    plain, residual = (_cost(networks[kind]) for kind in KINDS)
    if plain > residual + CHEAP:
        return (
            f"Without one of its blocks the residual network lost {_lost(residual)} on average, the plain one "
            f"{_lost(plain)}."
        )
    return (
        f"Without a block the plain network lost {_lost(plain)} on average, the residual one {_lost(residual)}: the "
        "difference that was expected did not show."
    )


def _lost(cost: float) -> str:
    return "nothing" if cost <= 0 else points(cost)


def _singles(values: Values) -> str:
    said = []
    for kind, found in values["networks"].items():
        known = _known(found)
        cheap = sum(found["whole"] - each < CHEAP for each in known)
        worst = 1 + found["one"].index(min(known))
        said.append(
            f"The {kind} network of {values['depth']} layers named {share(found['whole'])} of "
            f"{values['data']['held_out']} held-out digits rightly, and {share(_left(found))} on average with a block "
            f"missing; {number(cheap)} of {number(len(known))} blocks cost less than {100 * CHEAP:.0f} points, block "
            f"{worst} the most ({share(min(known))} without it)."
        )
    return " ".join(said)


def _many(values: Values) -> str:
    networks, chance = values["networks"], 1 / values["classes"]
    count = min(len(found["several"]) for found in networks.values())
    plain, residual = (networks[kind]["several"][count - 1] for kind in KINDS)
    said = (
        f"With {number(count)} blocks missing the residual network was right in {share(residual)}, the plain one in "
        f"{share(plain)}; guessing is right in {share(chance)}. "
    )
    if residual > plain and differ(residual, plain, values["data"]["held_out"]):
        return (
            f"{said}Through a residual network there are many ways, of every length, and a missing block closes only "
            "those that lead through it. A plain network has one way, and each layer knows only what the layer below "
            "it used to say."
        )
    return f"{said}So this run does not show that the shortcuts keep other ways open."
