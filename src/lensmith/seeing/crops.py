"""The parts of pictures that excite a filter most (Zeiler and Fergus 2014, figure 2)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lensmith.seeing.attribution import reconstruct
from lensmith.seeing.eye import Eye
from lensmith.seeing.layers import Layer, as_map, tapped
from lensmith.zoo.chain import weightless
from lensmith.zoo.follow import Follower
from lensmith.zoo.sight import Sight

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Peaks:
    """Where pictures excite the wanted channels of a layer: highest values (n, c) float32, their places (n, c, 2), row
    and column of the map, and the means (n, c) of the maps."""

    values: np.ndarray
    places: np.ndarray
    means: np.ndarray

    def best(self, column: int, most: int) -> np.ndarray:
        """Return the positions of the pictures that excite a channel most, the first first; none that do not at all.

        A picture counts once, with its best place.
        """
        order = np.argsort(-self.values[:, column], kind="stable")[:most]
        found: np.ndarray = order[self.values[order, column] > 0]
        return found


@dataclass(frozen=True)
class Field:
    """What the places of a layer's map see: the pixels from first + place * stride, `size` of them, an axis each
    (down, right). None for `size`: every place sees the whole picture."""

    first: tuple[float, float] = (0, 0)
    stride: tuple[float, float] = (0, 0)
    size: tuple[int, int] | None = None

    def box(self, place: Sequence[int], side: int) -> Box:
        """Return what a place (row, column) sees: left, top, right, bottom, up to the border."""
        if self.size is None:
            return 0, 0, side, side
        start_left, start_top = self._start(place)
        left, top = max(0, min(side - 1, start_left)), max(0, min(side - 1, start_top))
        right, bottom = (
            min(side, max(1, start + size)) for start, size in ((start_left, self.size[1]), (start_top, self.size[0]))
        )
        return left, top, right, bottom

    def corner(self, place: Sequence[int], side: int) -> tuple[int, int]:
        """Return where what a place sees begins, (left, top); off the border, unless it is larger than the picture."""
        if self.size is None or max(self.size) >= side:
            return self.box(place, side)[:2]
        return self._start(place)

    def _start(self, place: Sequence[int]) -> tuple[int, int]:
        down, right = (
            math.floor(first + step * at) for first, step, at in zip(self.first, self.stride, place, strict=True)
        )
        return right, down


def peaks(eye: Eye, batches: Iterable[np.ndarray], wanted: Mapping[Layer, Sequence[int]]) -> dict[Layer, Peaks]:
    """Return where pictures, in batches (n, s, s, 3) uint8, excite the wanted channels of some layers most."""
    rows: dict[Layer, list[tuple[np.ndarray, ...]]] = {layer: [] for layer in wanted}
    for batch in batches:
        with torch.no_grad(), ExitStack() as stack:
            taps = {layer: stack.enter_context(tapped(eye, layer)) for layer in wanted}
            eye(eye.pixels(batch))
            for layer, tap in taps.items():
                rows[layer].append(_highest(as_map(tap.value)[:, list(wanted[layer])]))
    found = {}
    for layer, channels in wanted.items():
        empty = [np.zeros((0, len(channels)), np.float32), np.zeros((0, len(channels), 2), np.int64)]
        parts = zip(*rows[layer], strict=True) if rows[layer] else ([one] for one in (*empty, empty[0]))
        found[layer] = Peaks(*(np.concatenate(list(part)) for part in parts))
    return found


def field_of(eye: Eye, side: int, layer: Layer) -> Field:
    """Return what the places of a layer's map see of a picture of `side` pixels; the whole where no rule tells."""
    follower = Follower(weightless(_UpTo(eye.network, layer)), (3, side, side))
    with suppress(Exception):  # whatever the code of a user's module does without numbers
        follower.run()
    sights = next((visit.before for visit in follower.visits if visit.path == "end"), None)
    if not sights or any(_sees_all(sight) for sight in sights):
        return Field()
    down, right = sights
    return Field(
        (float(down.first), float(right.first)), (float(down.stride), float(right.stride)), (down.size, right.size)
    )


def patterns(eye: Eye, squares: np.ndarray, layer: Layer, channel: int) -> np.ndarray:
    """Return what in each picture (n, s, s, 3) excited its strongest unit of a channel, sent back through the layers
    below (`reconstruct`): (n, s, s, 3) float32, zero where the unit did not look."""
    traces = reconstruct(eye, eye.pixels(squares), layer, channel)
    found: np.ndarray = traces.permute(0, 2, 3, 1).cpu().numpy()
    return found


def _sees_all(sight: Sight) -> bool:
    return sight.whole or sight.dim is None or not sight.alone


def _highest(maps: Tensor) -> tuple[np.ndarray, ...]:
    """Return the highest values (N, C) of maps, their places (N, C, 2), and the means."""
    flat = maps.float().flatten(2)
    values, places = flat.max(2)
    down, right = places // maps.shape[3], places % maps.shape[3]
    return tuple(part.cpu().numpy() for part in (values, torch.stack([down, right], 2), flat.mean(2)))


class _UpTo(nn.Module):
    """A network whose answer is what one of its layers gives."""

    def __init__(self, network: nn.Module, layer: Layer) -> None:
        super().__init__()
        self.network, self.end, self._layer = network, nn.Identity(), layer

    def forward(self, images: Tensor) -> Tensor:
        """Return the value of the layer, through `end`."""
        with tapped(self.network, self._layer) as tap:
            self.network(images)
        found: Tensor = self.end(tap.value)
        return found
