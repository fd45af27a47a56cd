"""What `lensmith see` looks at, part by part: each returns what sights.json holds of it, and draws its pictures.

What excites filters and classes is in `exciting`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from lensmith.data.store import Store
from lensmith.engines.interface import batches
from lensmith.reports import mosaic
from lensmith.seeing.subject import Subject, Target
from lensmith.verbs.console import Console
from lensmith.verbs.gathering import Gathered

if TYPE_CHECKING:
    from PIL import Image

    from lensmith.seeing.eye import Eye
    from lensmith.seeing.layers import Layer

Part = dict[str, Any]
BATCH = 16
TILES, TILE = 24, 112  # of a layer's feature maps
TOP = 9
SHOWN = 224
CRISP_BELOW = 100  # pixels: smaller pictures keep them visible
LONGEST = 120  # characters of the name of a file


@dataclass
class Album:
    """The pictures made so far, by the name of their file without its ending. smooth: those that are no tiles."""

    pictures: dict[str, Image.Image] = field(default_factory=dict)
    smooth: set[str] = field(default_factory=set)

    def add(self, name: str, picture: Image.Image, *, smooth: bool = False) -> str:
        """Keep a picture; return its name, in characters that every disk takes, and a number where it is taken."""
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:LONGEST]
        taken = {one.casefold() for one in self.pictures}
        names = (plain if number == 1 else f"{plain}-{number}" for number in count(1))
        free = next(one for one in names if one.casefold() not in taken)
        self.pictures[free] = picture
        if smooth:
            self.smooth.add(free)
        return free


@dataclass(frozen=True)
class Look:
    """What the parts of one look at a network share: the pictures searched, with its `scores` (n, outputs) of them, the
    seed of what is random, and where pictures and lines go."""

    subject: Subject
    searched: Gathered
    scores: np.ndarray
    seed: int
    store: Store
    console: Console
    album: Album = field(default_factory=Album)

    @property
    def side(self) -> int:
        """Of the square that the network sees."""
        return self.subject.geometry.image_size

    @cached_property
    def lighter(self) -> Eye:
        """The network with less to compute, where that can be had."""
        from lensmith.seeing.folded import folded

        return folded(self.subject.eye)


def first_layer(look: Look) -> Part:
    """Look at the filters of the first layer."""
    from lensmith.seeing.filters import first_filters

    found = first_filters(look.subject.eye, look.side)
    picture = None
    if len(found.weights):
        side = 64 if found.weights.shape[1] <= 16 else 112
        tiles = mosaic.about_grey(found.weights, found.scale)
        sheet = mosaic.mosaic(list(tiles), _columns(len(tiles), side), side, crisp=True)
        picture = look.album.add("first-layer", sheet)
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


def maps(look: Look, shown: Gathered, layers: Sequence[Layer], wanted: Sequence[int]) -> list[Part]:
    """Look at the strongest feature maps of each picture, layer by layer, or at those of the wanted channels."""
    from lensmith.seeing.activity import maps_of

    if not len(shown) or not layers:
        return []
    parts = []
    answers = look.subject.answers(list(shown.squares))
    for number, (path, square) in enumerate(zip(shown.paths, shown.squares, strict=True), 1):
        rows = []
        for found in maps_of(look.subject.eye, square, layers, TILES, wanted):
            tiles = [mosaic.glowing(one, found.scale) for one in found.maps]
            sheet = mosaic.mosaic(tiles, 12, TILE, crisp=True)
            rows.append(
                {
                    "layer": found.layer.name,
                    "kind": found.layer.kind,
                    "size": list(found.maps.shape[1:]),
                    "channels": found.channels.tolist(),
                    "of": found.of,
                    "scale": found.scale,
                    "signed": bool((found.maps < 0).any()),
                    "picture": look.album.add(f"maps-{number}-{found.layer.name}", sheet),
                }
            )
        parts.append(
            {
                "path": path,
                "answer": answer_of(look.subject, answers[number - 1]),
                "picture": look.album.add(f"picture-{number}", large(square), smooth=True),
                "layers": rows,
            }
        )
    return parts


def quiet(look: Look, squares: np.ndarray) -> list[Part]:
    """Look at how many numbers are zero after each activation."""
    from lensmith.seeing.activity import sparsity

    return [dict(vars(found)) for found in sparsity(look.subject.eye, batches(squares, BATCH))]


def templates(look: Look, wanted: Sequence[Target], members: Mapping[str, Sequence[int]]) -> list[Part]:
    """Look at what each class is to the network: how its score follows the pixels, and the mean of its surest pictures.

    members: by class the positions of its pictures, those that the gradient is the mean of.
    """
    from lensmith.seeing.templates import is_linear, surest, template

    eye, squares = look.subject.eye, look.searched.squares
    linear = bool(wanted) and is_linear(eye, look.side, wanted[0].output)
    smooth = look.side >= CRISP_BELOW
    parts = []
    for number, one in enumerate(wanted, 1):
        mine = list(members.get(one.name, ()))
        if not mine and not linear:
            continue
        over = squares[mine] if mine else np.zeros((1, look.side, look.side, 3), np.uint8)
        best = surest(look.scores[:, one.output] * one.sign, mine, TOP) if mine else np.zeros(0, np.int64)
        found = template(eye, over, squares[best], one.output, one.sign)
        scale = float(np.quantile(np.abs(found.slopes), 0.999))
        drawn, mean = large(mosaic.about_grey(found.slopes, scale)), found.mean
        parts.append(
            {
                "class": one.name,
                "linear": linear,
                "pictures": len(mine),
                "scale": scale,
                "picture": look.album.add(f"template-{number}", drawn, smooth=smooth),
                "mean": None if mean is None else look.album.add(f"template-{number}-mean", large(mean), smooth=smooth),
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


def _columns(count: int, side: int) -> int:
    """Return how many tiles stand in a row: about as many as fill a page, twice as wide as high."""
    return max(1, min(count, 1024 // side, round(math.sqrt(2.4 * count))))


def large(square: np.ndarray) -> Image.Image:
    """Return a picture at the size it is shown; small ones keep their pixels visible."""
    return mosaic.fitted(square, max(SHOWN, square.shape[0]), crisp=square.shape[0] < CRISP_BELOW)
