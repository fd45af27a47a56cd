"""What `lensmith see` looks at, part by part: each returns what sights.json holds of it, and draws its pictures.

What excites filters and classes is in `exciting`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lensmith.engines.interface import batches
from lensmith.reports import mosaic
from lensmith.seeing.subject import Subject, Target
from lensmith.verbs.gathering import Gathered

if TYPE_CHECKING:
    from PIL import Image

    from lensmith.seeing.layers import Layer

Part = dict[str, Any]
BATCH = 16
TILES, TILE = 24, 112  # of a layer's feature maps
TOP = 9
SHOWN = 224
CRISP_BELOW = 100  # pixels: smaller pictures keep them visible


@dataclass
class Album:
    """The pictures made so far, by the name of their file without its ending. smooth: those that are no tiles."""

    pictures: dict[str, Image.Image] = field(default_factory=dict)
    smooth: set[str] = field(default_factory=set)

    def add(self, name: str, picture: Image.Image, *, smooth: bool = False) -> str:
        """Keep a picture and return its name."""
        self.pictures[name] = picture
        if smooth:
            self.smooth.add(name)
        return name


def first_layer(subject: Subject, album: Album) -> Part:
    """Look at the filters of the first layer."""
    from lensmith.seeing.filters import first_filters

    found = first_filters(subject.eye, subject.geometry.image_size)
    picture = None
    if len(found.weights):
        side = 64 if found.weights.shape[1] <= 16 else 112
        tiles = mosaic.about_grey(found.weights, found.scale)
        picture = album.add("first-layer", mosaic.mosaic(list(tiles), _columns(len(tiles), side), side, crisp=True))
    return {
        "layer": found.layer,
        "kind": found.kind,
        "filters": len(found.weights),
        "size": list(found.weights.shape[1:3]),
        "silent": found.silent,
        "scale": found.scale,
        "order": found.numbers.tolist(),
        "picture": picture,
        "reason": found.reason,
    }


def maps(subject: Subject, shown: Gathered, layers: Sequence[Layer], wanted: Sequence[int], album: Album) -> list[Part]:
    """Look at the strongest feature maps of each picture, layer by layer, or at those of the wanted channels."""
    from lensmith.seeing.activity import maps_of

    parts = []
    answers = subject.answers(list(shown.squares))
    for number, (path, square) in enumerate(zip(shown.paths, shown.squares, strict=True), 1):
        rows = []
        for found in maps_of(subject.eye, square, layers, TILES, wanted):
            name = f"maps-{number}-{found.layer.name.replace('/', '-')}"
            tiles = [mosaic.glowing(one, found.scale) for one in found.maps]
            rows.append(
                {
                    "layer": found.layer.name,
                    "kind": found.layer.kind,
                    "size": list(found.maps.shape[1:]),
                    "channels": found.channels.tolist(),
                    "of": found.of,
                    "scale": found.scale,
                    "signed": bool((found.maps < 0).any()),
                    "picture": album.add(name, mosaic.mosaic(tiles, 12, TILE, crisp=True)),
                }
            )
        parts.append(
            {
                "path": path,
                "answer": answer_of(subject, answers[number - 1]),
                "picture": album.add(f"picture-{number}", large(square), smooth=True),
                "layers": rows,
            }
        )
    return parts


def quiet(subject: Subject, squares: np.ndarray) -> list[Part]:
    """Look at how many numbers are zero after each activation."""
    from lensmith.seeing.activity import sparsity

    return [dict(vars(found)) for found in sparsity(subject.eye, batches(squares, BATCH))]


def templates(
    subject: Subject,
    wanted: Sequence[Target],
    members: Mapping[str, Sequence[int]],
    scores: np.ndarray,
    searched: Gathered,
    album: Album,
) -> list[Part]:
    """Look at what each class is to the network: how its score follows the pixels, and the mean of its surest pictures.

    members: by class the positions of its pictures, those that the gradient is the mean of.
    """
    from lensmith.seeing.templates import is_linear, surest, template

    side = subject.geometry.image_size
    linear = bool(wanted) and is_linear(subject.eye, side, wanted[0].output)
    parts = []
    for number, one in enumerate(wanted, 1):
        mine = list(members.get(one.name, ()))
        if not mine and not linear:
            continue
        squares = searched.squares[mine] if mine else np.zeros((1, side, side, 3), np.uint8)
        best = surest(scores[:, one.output] * one.sign, mine, TOP) if mine else np.zeros(0, np.int64)
        found = template(subject.eye, squares, searched.squares[best], one.output, one.sign)
        scale = float(np.quantile(np.abs(found.slopes), 0.999))
        drawn = mosaic.about_grey(found.slopes, scale)
        parts.append(
            {
                "class": one.name,
                "linear": linear,
                "pictures": len(mine),
                "scale": scale,
                "picture": album.add(f"template-{number}", large(drawn), smooth=side >= CRISP_BELOW),
                "mean": None
                if found.mean is None
                else album.add(f"template-{number}-mean", large(found.mean), smooth=side >= CRISP_BELOW),
                "surest": len(best),
            }
        )
    return parts


def answer_of(subject: Subject, answer: np.ndarray) -> str:
    """Return what the network says of a picture, in a word or two."""
    row = subject.task.row(answer)
    said = row.get("predicted")
    text = (
        "; ".join(map(str, said)) if isinstance(said, list) else f"{said:g}" if isinstance(said, float) else str(said)
    )
    sure = row.get("confidence")
    return text if sure is None else f"{text}, {100 * float(sure):.0f} %"


def channels_of(layer: Layer) -> int:
    """Return how many channels a layer has: of (C, h, w), (h, w, C), (T, C) or (F,)."""
    if len(layer.shape) == 3:
        return int(layer.shape[2] if layer.shape[0] == layer.shape[1] != layer.shape[2] else layer.shape[0])
    return int(layer.shape[-1])


def _columns(count: int, side: int) -> int:
    """Return how many tiles stand in a row: about as many as fill a page, twice as wide as high."""
    return max(1, min(count, 1024 // side, round(math.sqrt(2.4 * count))))


def large(square: np.ndarray) -> Image.Image:
    """Return a picture at the size it is shown; small ones keep their pixels visible."""
    return mosaic.fitted(square, max(SHOWN, square.shape[0]), crisp=square.shape[0] < CRISP_BELOW)
