"""Plain networks of 20 and 56 layers, and the same two with shortcuts (He, Zhang, Ren and Sun 2015, section 4.2)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lensmith.gallery.exhibit import Part, Plate, Said, facts, figure, last, share
from lensmith.gallery.figures import Line, Scale, chart, table
from lensmith.gallery.lessons import Steps, Values, Way, gradients, learned, network, parameters
from lensmith.gallery.pictures import Lot, digits

if TYPE_CHECKING:
    from torch import nn

KINDS = ("plain", "residual")
FEATURES = 64  # what the bases of these networks give
MORE, LEAST = 1.1, 0.02  # a loss counts as higher by this factor and this much: below, it is the order of the pictures
SLOPE = 0.5  # powers of ten of the gradient, from which on it counts as growing or shrinking
COLOURS = {"plain": 2, "residual": 1}
GRADIENTS = 128  # pictures whose gradient is measured


@dataclass(frozen=True)
class Residual:
    """Two depths, with and without shortcuts, on digits of 16 pixels."""

    question: ClassVar[str] = "What do shortcuts do for a deep network?"

    shallow: int = 20
    deep: int = 56
    epochs: int = 10
    train: int = 1000
    held_out: int = 500
    size: int = 16
    batch_size: int = 32
    learning_rate: float = 0.1
    augment: str = "none"
    device: str = "cpu"

    @property
    def notes(self) -> int:
        """An epoch of each of the four networks."""
        return 4 * self.epochs

    def measured(self, seed: int) -> Steps:
        """Train the four networks on digits."""
        return (yield from self.compared(digits(self.size, self.train, self.held_out, seed), seed))

    def compared(self, lot: Lot, seed: int) -> Steps:
        """Train the four networks on any pictures."""
        found = {}
        for depth in (self.shallow, self.deep):
            for kind in KINDS:
                found[f"{kind}{depth}"] = yield from self.one(kind, depth, lot, seed)
        return {**facts(lot, 4, self.epochs), "depths": [self.shallow, self.deep], "networks": found}

    def one(self, kind: str, depth: int, lot: Lot, seed: int) -> Steps:
        """Train one of the networks."""
        pupil = network(lambda: built(kind, depth), FEATURES, lot, seed)
        first = gradients(pupil, lot, min(GRADIENTS, lot.train))
        way = Way(self.epochs, self.batch_size, self.learning_rate, augment=self.augment, device=self.device)
        rows = yield from learned(pupil, lot, way, seed, f"{kind}, {depth} layers")
        return {"kind": kind, "depth": depth, "parameters": parameters(pupil), "gradients": first, "rows": rows}

    @staticmethod
    def said(values: Values) -> Said:
        """Return what depth did to the training loss of each kind."""
        return Said(_headline(values), (_losses(values), _causes(values)))

    @staticmethod
    def parts(values: Values) -> list[Part]:
        """Return the curves, the gradients layer by layer, and the numbers."""
        networks = values["networks"]
        curves = [
            Plate(
                title, chart(f"curve-{name}", title, _lines(networks, name), Scale("epoch", "count"), Scale(up, kind))
            )
            for title, name, up, kind in (
                ("The pictures it learns from", "train_loss", "training loss", "zero"),
                ("Pictures it has never seen", "accuracy", "held-out accuracy", "share"),
            )
        ]
        flows = [
            Plate(
                f"{depth} layers",
                chart(
                    f"flow-{depth}",
                    f"Gradients in networks of {depth} layers",
                    [_flow(networks[f"{kind}{depth}"]) for kind in KINDS],
                    Scale("layer, from the picture up", "count"),
                    Scale("gradient over weights, at the start", "log"),
                    within=[value for each in networks.values() for value in each["gradients"]],
                ),
            )
            for depth in values["depths"]
        ]
        columns = ("Network", "Weights", "Training loss", "Training accuracy", "Held-out accuracy", "Seconds")
        return [
            Part(
                "How they learned",
                "Broken lines are the deeper networks. Left, lower is better: this is what a network is asked to bring "
                "down. Right, higher is better.",
                curves,
            ),
            Part(
                "What reached the first layers",
                "Before the first step: how long the gradient of each layer is, beside the layer's own weights. A "
                "level line means that one learning rate suits every layer. A slope of many powers of ten means that "
                "it suits none.",
                flows,
            ),
            Part(
                "The numbers",
                "After the last epoch. Shortcuts have no weights of their own, so each pair is of equal size.",
                [Plate("", table("The four networks", columns, [_row(each) for each in networks.values()]))],
            ),
        ]


def built(kind: str, depth: int) -> nn.Module:
    """Return the base of a network for small pictures, `plain` or `residual`, of 20, 32, 44, 56 or 110 layers."""
    from lensmith.zoo.build import build
    from lensmith.zoo.names import canonical

    return build(canonical(f"lensmith/{'resnet' if kind == 'residual' else 'plain'}{depth}"))


def _headline(values: Values) -> str:
    shallow, deep = values["depths"]
    plain, residual = (_hurt(values, kind) for kind in KINDS)
    begin = f"Going from {shallow} to {deep} layers hurt"
    if plain and not residual:
        return f"{begin} the plain network, and not the one with shortcuts."
    if plain and _growth(values, "residual") < _growth(values, "plain"):
        return f"{begin} both networks, and the one with shortcuts less."
    if plain:
        return f"{begin} both networks: here the shortcuts did not help."
    return f"This time {deep} layers did not hurt the plain network: what was expected did not show."


def _final(values: Values, kind: str) -> tuple[float, float]:
    """Return the final training losses of the shallower and the deeper network of a kind."""
    shallow, deep = (last(values["networks"][f"{kind}{depth}"]["rows"], "train_loss") for depth in values["depths"])
    return shallow, deep


def _growth(values: Values, kind: str) -> float:
    shallow, deep = _final(values, kind)
    return deep / shallow if math.isfinite(deep) and shallow > 0 else math.inf


def _hurt(values: Values, kind: str) -> bool:
    """Return whether the deeper network ended at the higher training loss, by more than a hair."""
    shallow, deep = _final(values, kind)
    return deep > MORE * shallow and deep > shallow + LEAST


def _losses(values: Values) -> str:
    said = [_loss(values, "plain", "The plain network")]
    if _hurt(values, "plain"):
        said.append(
            "The deeper one could have copied the other and let its further layers do nothing; training did not find "
            "that. Nor is it learning by heart, for these are the very pictures that it learned from."
        )
    said.append(_loss(values, "residual", "With a shortcut around every two layers, the network"))
    return " ".join(said)


def _loss(values: Values, kind: str, start: str) -> str:
    (shallow, deep), (small, large) = values["depths"], _final(values, kind)
    said = f"{start} of {shallow} layers ended at a training loss of {figure(small)}, that of {deep} at {figure(large)}"
    growth = _growth(values, kind)
    if _hurt(values, kind):
        return f"{said}, {figure(growth)} times as high." if math.isfinite(growth) else f"{said}."
    if small > MORE * large and small > large + LEAST:
        return f"{said}, which is lower."
    return f"{said}: {'both next to nothing' if max(small, large) < 2 * LEAST else 'about the same'}."


def _causes(values: Values) -> str:
    networks, (shallow, deep) = values["networks"], values["depths"]
    seen = {name: share(last(each["rows"], "accuracy")) for name, each in networks.items()}
    plain, residual = (tilt(networks[f"{kind}{deep}"]["gradients"]) for kind in KINDS)
    said = (
        f"Of {values['data']['held_out']:,} pictures that no network had seen, the plain ones named "
        f"{seen[f'plain{shallow}']} rightly with {shallow} layers and {seen[f'plain{deep}']} with {deep}, those with "
        f"shortcuts {seen[f'residual{shallow}']} and {seen[f'residual{deep}']}. Before the first step, the gradient of "
        f"the lowest third of the {deep} layers, measured against the weights, was {figure(plain)} times that of the "
        f"highest third in the plain network, and {figure(residual)} times with shortcuts."
    )
    if _slope(plain) > SLOPE and _slope(plain) > 1.5 * _slope(residual):
        return f"{said} A sum hands the gradient on as it is; layer upon layer of products does not."
    return f"{said} So the gradients at the start do not tell the two apart here."


def tilt(gradients: Sequence[float]) -> float:
    """Return the median over the lowest third of the layers over that of the highest third."""
    third = max(1, len(gradients) // 3)
    return statistics.median(gradients[:third]) / max(statistics.median(gradients[-third:]), 1e-30)


def _slope(tilted: float) -> float:
    """Return how many powers of ten the gradient grows or shrinks by."""
    return abs(math.log10(max(tilted, 1e-30)))


def _lines(networks: Values, name: str) -> list[Line]:
    shallow = min(each["depth"] for each in networks.values())
    return [
        Line(
            f"{each['kind']} {each['depth']}",
            [(row["epoch"], row[name]) for row in each["rows"]],
            COLOURS[each["kind"]],
            each["depth"] > shallow,
        )
        for each in networks.values()
    ]


def _flow(found: Values) -> Line:
    points = [(float(place), value) for place, value in enumerate(found["gradients"], start=1)]
    return Line(found["kind"], points, COLOURS[found["kind"]])


def _row(found: Values) -> tuple[str, ...]:
    rows = found["rows"]
    return (
        f"{found['kind']}, {found['depth']} layers",
        f"{found['parameters']:,}",
        figure(last(rows, "train_loss")),
        share(last(rows, "train_accuracy")),
        share(last(rows, "accuracy")),
        f"{sum(row['seconds'] for row in rows):.1f}",
    )
