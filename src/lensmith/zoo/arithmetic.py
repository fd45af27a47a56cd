"""The arithmetic of a network: sizes, parameters, multiply-adds and receptive fields, layer by layer.

A blank picture is followed through the network (`follow`). Every layer it meets becomes a row, with the formulas that
give its numbers. Multiply-adds are those of convolutions, dense layers and matrix products for one picture; half of
what torch.utils.flop_counter calls FLOPs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import prod
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from lensmith.zoo.chain import device_of, weightless
from lensmith.zoo.follow import Follower, Visit
from lensmith.zoo.formulas import OPERATIONS, formulas_of, kind_of
from lensmith.zoo.rules import REDUCTIONS
from lensmith.zoo.sight import Shape
from lensmith.zoo.sizes import impossible, require_one_input
from lensmith.zoo.steps import count

# Operations of the code between layers that are worth a row of their own though they have no weights.
SHOWN = (*REDUCTIONS, "pixel_shuffle", "pixel_unshuffle")
FEW = 3
MOST_COLOURS = 4
LOOKING = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
FRAMES = 16
"""How many pictures of a clip a network with three-dimensional convolutions is shown."""


@dataclass(frozen=True)
class Totals:
    """Parameters of a network, and its multiply-adds for one picture."""

    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Layer:
    """One layer, or one operation between layers, for one picture: shapes are without the batch.

    `kind`: what it is in a few words. `sides`: those of the map that comes out, () for vectors and tokens.
    `parameters`: those met here for the first time. `field` and `stride`: pixels an
    axis, None where they are unknown, or where all numbers see the same and there is no stride; `whole`: they see the
    whole picture, however large it is. `formulas`: what gives output, parameters, multiply_adds, field and stride.
    `joint`: everything on the way from picture to answer passes through its result. `quiet`: it has no weights, and
    changes neither sizes nor what is seen (activations, dropout).
    """

    name: str
    kind: str
    given: Shape
    made: Shape
    sides: Shape
    parameters: int
    multiply_adds: int
    field: tuple[int, ...] | None
    stride: tuple[Fraction, ...] | None
    whole: bool
    formulas: dict[str, str]
    joint: bool
    quiet: bool

    @property
    def channels(self) -> int:
        """The maps, or numbers, that come out."""
        return prod(self.made) // max(1, prod(self.sides))

    def as_dict(self) -> dict[str, Any]:
        """Return the layer as JSON-able values; fractions become decimal numbers."""
        stride = None if self.stride is None else [_plain(number) for number in self.stride]
        return {**asdict(self), "stride": stride, "channels": self.channels}


@dataclass(frozen=True)
class Stage:
    """The layers whose maps have one size, and what they cost together. `name`: `56 x 56`, `197 tokens`, `vector`."""

    name: str
    layers: int
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Arithmetic:
    """All layers of a network for a picture of `shape` (channels, *sides), in the order they run; totals; notes.

    `totals` count what no layer was seen to use as well; `notes` say so, and what else is not as it should be.
    """

    shape: Shape
    layers: tuple[Layer, ...]
    totals: Totals
    notes: tuple[str, ...] = ()

    def stages(self) -> tuple[Stage, ...]:
        """Return what the layers cost, by the size of their maps, in the order the sizes appear."""
        found: dict[str, list[Layer]] = {}
        name = ""
        for layer in self.layers:
            name = _stage(layer) or name
            found.setdefault(name, []).append(layer)
        if "vector" in found:  # branches that end early come before maps of later ones
            found["vector"] = found.pop("vector")
        return tuple(
            Stage(name, len(some), sum(layer.parameters for layer in some), sum(layer.multiply_adds for layer in some))
            for name, some in found.items()
        )

    def ends(self) -> tuple[Layer | None, Layer | None]:
        """Return the last layer whose field is known, and the last map before everything sees the whole picture."""
        known = [layer for layer in self.layers if layer.field and not layer.quiet]
        before = next((place for place, layer in enumerate(known) if layer.whole), len(known))
        placed = [layer for layer in known[:before] if layer.stride is not None]
        maps = [layer for layer in placed if layer.sides] or placed
        return (known[-1] if known else None), (maps[-1] if maps else None)

    @property
    def sees_all(self) -> bool:
        """Whether the last layer whose field is known is made from the whole picture."""
        last, _ = self.ends()
        if last is None or last.field is None:
            return False
        enough = all(size >= side for size, side in zip(last.field, self.shape[1:], strict=True))
        return last.whole or (last.stride is None and enough)

    def as_dict(self) -> dict[str, Any]:
        """Return the whole as JSON-able values."""
        return {
            "shape": list(self.shape),
            **asdict(self.totals),
            "stages": [asdict(stage) for stage in self.stages()],
            "layers": [layer.as_dict() for layer in self.layers],
            "notes": list(self.notes),
        }


def totals(network: nn.Module, image_size: int, channels: int = 3) -> Totals:
    """Return the parameters of a network and its multiply-adds for one picture of `image_size` pixels.

    The network is not changed, and takes no memory beyond its own. Raises UsageError if it cannot take such a picture.
    """
    return arithmetic(network, (channels, image_size, image_size)).totals


def arithmetic(network: nn.Module, shape: Sequence[int]) -> Arithmetic:
    """Return the arithmetic of any module that takes pictures (N, channels, *sides), `shape` being (channels, *sides).

    The network runs once in evaluation mode, on a weightless copy of itself where its code allows. Raises UsageError if
    it does not run: naming the layer, and the size next to it that works.
    """
    require_one_input(network)
    _settle(network, tuple(shape))
    follower, note = _followed(network, tuple(shape))
    notes = [*([note] if note else []), *_blind(follower), *_unused(network, follower.used)]
    layers = tuple(_layer(visit, follower) for visit in follower.visits if _is_shown(visit))
    spent = sum(count(done.terms) for visit in follower.visits for done in visit.steps)
    parameters = sum(weight.numel() for weight in network.parameters())
    return Arithmetic(tuple(shape), layers, Totals(parameters, spent), tuple(notes))


def shape_for(network: nn.Module, image_size: int, channels: int | None = None) -> Shape:
    """Return what a network is to be shown, (channels, *sides), by its first convolution: lines, pictures or clips.

    A network without convolutions that begins with a dense layer is shown as many numbers as that takes.
    """
    first = next((part for part in network.modules() if isinstance(part, LOOKING)), None)
    if first is None:
        dense = next((part for part in network.modules() if isinstance(part, nn.Linear)), None)
        picture = (channels or 3, image_size, image_size)
        return (dense.in_features,) if dense and dense.in_features != prod(picture) else picture
    # Convolutions that begin with more have been given the pixels of a neighbourhood as channels.
    takes = first.in_channels if first.in_channels <= MOST_COLOURS else 3
    axes = len(first.kernel_size)
    sides = (FRAMES, image_size, image_size) if axes == 3 else (image_size,) * axes
    return (channels or takes, *sides)


def _settle(network: nn.Module, shape: Shape) -> None:
    """Show a blank picture to layers that wait to see their first input (torch's lazy ones)."""
    if not any(is_lazy(weight) for weight in network.parameters()):
        return
    modes = {part: part.training for part in network.modules()}
    with suppress(Exception), torch.no_grad():  # whatever is wrong is said when the network is followed
        network.eval()(torch.zeros(1, *shape))
    for part, mode in modes.items():
        part.training = mode


def _followed(network: nn.Module, shape: Shape) -> tuple[Follower, str]:
    """Return a picture's way through the network, and what is to be said of how it was found."""
    try:
        follower = Follower(weightless(network), shape)
        follower.run()
    except Exception:
        # Whatever the code of a user's module does without numbers: it may well run with them.
        pass
    else:
        return follower, ""
    follower = Follower(network, shape)
    try:
        follower.run()
    except Exception as error:
        raise impossible(network, shape, error, follower.failure) from error
    if device_of(network).type == "meta":
        return follower, ""
    return follower, "Its code asks for numbers, not only for shapes, so it was run on a blank picture."


def _is_shown(visit: Visit) -> bool:
    """Return whether a visit is a row: every layer is; between layers, what has weights, work, or joins tensors."""
    if visit.module is not None:
        return bool(visit.made) and (visit.last is not None or bool(visit.steps))
    done = visit.steps[0]
    joins = done.joins > 1 and (done.name in OPERATIONS or bool(done.terms))
    return bool(done.weights or done.terms or done.window or done.target or joins or done.name in SHOWN)


def _layer(visit: Visit, follower: Follower) -> Layer:
    weights = [shape for done in visit.steps for _, shape in done.weights]
    spent = sum(count(done.terms) for done in visit.steps)
    before, after = visit.before, visit.after
    moving = [sight.stride for sight in after or () if sight.dim is not None]
    joins = visit.module is None and visit.steps[0].joins > 1
    return Layer(
        name=visit.path,
        kind=kind_of(visit),
        given=_without_batch(visit.given),
        made=_without_batch(visit.made),
        sides=_sides(visit, follower.axes),
        parameters=sum(map(prod, weights)),
        multiply_adds=spent,
        field=None if after is None else tuple(sight.size for sight in after),
        stride=tuple(moving) if moving else None,
        whole=bool(after) and all(sight.whole for sight in after or ()),
        formulas=formulas_of(visit),
        joint=visit.last in follower.joints,
        quiet=not (weights or spent or joins) and visit.given == visit.made and before == after,
    )


def _sides(visit: Visit, axes: int) -> Shape:
    """Return the sides of a map, channels first or last; () for what is none."""
    seen, made = visit.after or (), visit.made
    if seen and all(sight.dim is not None and sight.alone for sight in seen):
        return tuple(made[sight.dim] for sight in seen if sight.dim is not None)
    compared = visit.module is None and any(done.terms and not done.window for done in visit.steps)
    if len(made) != axes + 2 or compared:
        return ()
    channels_last = len(set(made[1:-1])) == 1 and made[1] != made[-1]
    return made[1:-1] if channels_last else made[2:]


def _without_batch(shape: Shape) -> Shape:
    return shape[1:] if shape[:1] == (1,) and len(shape) > 1 else shape


def _stage(layer: Layer) -> str:
    """Return the stage a layer belongs to; empty for comparisons, which belong to the layer before them."""
    if layer.sides and set(layer.sides) != {1}:
        return " x ".join(map(str, layer.sides))
    if len(layer.made) == 1 or set(layer.sides) == {1}:
        return "vector"
    return f"{layer.made[0]} tokens" if len(layer.made) == 2 else ""


def _blind(follower: Follower) -> list[str]:
    """Say where the receptive fields end."""
    if not follower.blind:
        return [] if follower.joints else ["Its answer cannot be followed back to the picture."]
    path, why = follower.blind[0]
    more = f", and at {len(follower.blind) - 1} more places" if len(follower.blind) > 1 else ""
    return [f"No rule says what is seen behind {path} ({why}){more}: receptive fields from there on are left out."]


def _unused(network: nn.Module, used: frozenset[str]) -> list[str]:
    """Name the parameters that the answer does not need, as those of auxiliary heads."""
    spare = {name: weight.numel() for name, weight in network.named_parameters() if name not in used}
    if not spare:
        return []
    parts = list(dict.fromkeys(name.partition(".")[0] for name in spare))
    named = ", ".join(parts[:FEW]) + (f" and {len(parts) - FEW} more" if len(parts) > FEW else "")
    return [f"{sum(spare.values()):,} of the parameters are not used for an answer (in {named})."]


def _plain(number: Fraction) -> int | float:
    return int(number) if number.denominator == 1 else float(number)
