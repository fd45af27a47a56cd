"""Dense against convolutional networks on pictures that were moved."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lensmith.gallery.exhibit import Part, Plate, Said, differ, facts, points, share
from lensmith.gallery.figures import Line, Picture, Scale, cells, chart, strip, table
from lensmith.gallery.lessons import Steps, Values, Way, answers, learned, network, parameters, stack
from lensmith.gallery.pictures import Lot, digits, framed, moved, png_uri

if TYPE_CHECKING:
    from lensmith.zoo.heads import Classifier

WIDTH, STAGES, DENSE = 8, 3, (128,)
# Name: how its map becomes features ("" for the pixels themselves), and whether it is shown moved digits in training.
KINDS = {
    "dense": ("", False),
    "dense, moved": ("", True),
    "conv, flatten": ("flatten", False),
    "conv, mean": ("mean", False),
}
TITLES = {
    "dense": "Dense",
    "dense, moved": "Dense, shown moved digits",
    "conv, flatten": "Convolutions, every place for itself",
    "conv, mean": "Convolutions, the mean over all places",
}
SHOWN = ((0, 0), (2, -2), (4, 4), (-6, 2), (8, -8))  # right and down, in pixels; clipped to the reach
EXAMPLES = 3
GRID = 4  # pixels


@dataclass(frozen=True)
class Shift:
    """Four networks learn digits in the middle of a black ground, and are then asked about digits anywhere on it."""

    question: ClassVar[str] = "Which networks know a thing again when it has moved?"

    epochs: int = 12
    train: int = 1000
    held_out: int = 400
    size: int = 16
    canvas: int = 32
    step: int = 2

    @property
    def reach(self) -> int:
        """How far a digit can be moved and still be whole, in pixels."""
        return (self.canvas - self.size) // 2

    @property
    def notes(self) -> int:
        """Each kind is trained once."""
        return len(KINDS) * self.epochs

    def measured(self, seed: int) -> Steps:
        """Train four networks, then ask each about every move."""
        lot = framed(digits(self.size, self.train, self.held_out, seed), self.canvas)
        offsets = list(range(-self.reach, self.reach + 1, self.step))
        found: dict[str, Values] = {}
        pupils: dict[str, Classifier] = {}
        for name, (pool, shown) in KINDS.items():
            pupil = pupils[name] = _built(pool, lot, seed)
            part = self.reach / self.canvas
            augment = f"shift_x={part},shift_y={part},fill=black" if shown else "none"
            way = Way(self.epochs, learning_rate=0.02, augment=augment)
            rows = yield from learned(pupil, lot, way, seed, name)
            grid = [[_accuracy(pupil, lot, right, down) for right in offsets] for down in offsets]
            found[name] = {"parameters": parameters(pupil), "map": grid, "rows": rows}
        return {
            **facts(lot, len(KINDS), self.epochs),
            "offsets": offsets,
            "networks": found,
            "pictures": _examples(pupils, lot, self.reach),
        }

    @staticmethod
    def said(values: Values) -> Said:
        """Return who lost how much by which move."""
        return Said(_headline(values), (_losses(values), _reasons(values)))

    @staticmethod
    def parts(values: Values) -> list[Part]:
        """Return a map for each network, accuracy by distance, and some moved digits with what was said of them."""
        networks, offsets, pictures = values["networks"], values["offsets"], values["pictures"]
        steps = [f"{offset:+d}".replace("-", "−") if offset else "0" for offset in offsets]
        grids = [
            Plate(
                TITLES[name],
                cells(
                    f"map-{place}", f"Accuracy by move: {TITLES[name]}", steps, steps, found["map"], ("down", "right")
                ),
            )
            for place, (name, found) in enumerate(networks.items())
        ]
        lines = [
            Line(name, [(distance, _ring(values, name, distance)) for distance in _distances(values)], place)
            for place, name in enumerate(networks, start=1)
        ]
        far = chart(
            "far",
            "Accuracy by distance",
            lines,
            Scale("pixels moved"),
            Scale("held-out accuracy", "share"),
            dots=True,
            wide=True,
        )
        columns = ("Network", "Weights", "In the middle", "Half way", "At the edge", "All places")
        rows = [
            (
                TITLES[name],
                f"{found['parameters']:,}",
                *(share(_ring(values, name, distance)) for distance in _places(values)),
                share(_everywhere(values, name)),
            )
            for name, found in networks.items()
        ]
        return [
            Part(
                "Move by move",
                "Each cell is a move of the held-out digits, in pixels, and its number the share of them that was "
                "named rightly, in per cent. The middle cell is where the digits stood in training.",
                grids,
            ),
            Part(
                "By distance",
                "The mean over all moves of the same distance, the larger of right and down counted.",
                [Plate("", far)],
            ),
            Part(
                "What was asked",
                f"A digit and some moves of it (right, down). Below: what {pictures['kinds'][0]} said, then what "
                f"{pictures['kinds'][1]} said; ✗ is wrong.",
                [Plate("", strip("Moved digits", pictures["columns"], _shown(pictures)))],
            ),
            Part("The numbers", "Shares of held-out digits named rightly.", [Plate("", table("Four", columns, rows))]),
        ]


def _built(pool: str, lot: Lot, seed: int) -> Classifier:
    """Return a dense network on the pixels, or convolutions with the map flattened or averaged."""
    from torch import nn

    side = lot.pictures.shape[1]
    if not pool:
        return network(nn.Flatten, 3 * side * side, lot, seed, dense=DENSE)
    maps, positions = WIDTH * 2 ** (STAGES - 1), (side // 2**STAGES) ** 2
    return network(lambda: stack(WIDTH), maps * (positions if pool == "flatten" else 1), lot, seed, pool=pool)


def _accuracy(pupil: Classifier, lot: Lot, right: int, down: int) -> float:
    said = answers(pupil, lot, moved(lot.pictures[lot.train :], right, down))
    return float((said == lot.targets[lot.train :]).mean())


def _examples(pupils: dict[str, Classifier], lot: Lot, reach: int) -> Values:
    """Return some held-out digits moved, with what the plain dense network and the mean of convolutions said."""
    kinds = ("dense", "conv, mean")
    moves = [tuple(int(np.clip(way, -reach, reach)) for way in move) for move in SHOWN]
    rows = []
    for n in range(lot.train, lot.train + min(EXAMPLES, lot.held_out)):
        pictures = [moved(lot.pictures[n : n + 1], *move) for move in moves]
        said = [[lot.classes[int(answers(pupils[kind], lot, picture)[0])] for kind in kinds] for picture in pictures]
        rows.append(
            {"target": lot.classes[lot.targets[n]], "uris": [png_uri(each[0]) for each in pictures], "said": said}
        )
    columns = [
        f"{right:+d}, {down:+d}".replace("-", "−") if (right, down) != (0, 0) else "still" for right, down in moves
    ]
    return {"kinds": ["the dense network", "convolutions with a mean"], "columns": columns, "rows": rows}


def _shown(pictures: Values) -> list[tuple[str, list[Picture]]]:
    return [
        (
            f"a {row['target']}",
            [
                Picture(uri, " · ".join(name if name == row["target"] else f"{name} ✗" for name in said))
                for uri, said in zip(row["uris"], row["said"], strict=True)
            ],
        )
        for row in pictures["rows"]
    ]


def _distances(values: Values) -> list[int]:
    return sorted({abs(offset) for offset in values["offsets"]})


def _places(values: Values) -> tuple[int, int, int]:
    """Return three distances: none, half of the way, as far as it goes."""
    known = _distances(values)
    return known[0], known[len(known) // 2], known[-1]


def _ring(values: Values, name: str, distance: int) -> float:
    """Return the mean accuracy over all moves whose larger part is `distance`."""
    offsets, grid = values["offsets"], values["networks"][name]["map"]
    return float(
        statistics.mean(
            grid[row][column]
            for row, down in enumerate(offsets)
            for column, right in enumerate(offsets)
            if max(abs(down), abs(right)) == distance
        )
    )


def _everywhere(values: Values, name: str) -> float:
    return float(statistics.mean(cell for row in values["networks"][name]["map"] for cell in row))


def _headline(values: Values) -> str:
    _, _, far = _places(values)
    dense, mean = (_ring(values, name, far) for name in ("dense", "conv, mean"))
    if not differ(dense, mean, values["data"]["held_out"]):
        return f"Moved by {far} pixels, dense and convolutional network were equally lost: not what was expected."
    if dense > mean:
        return f"Moved by {far} pixels, the dense network was right more often: not what was expected."
    return (
        f"Moved by {far} pixels, {share(mean)} of the digits were still known by convolutions and a mean, "
        f"{share(dense)} by a dense network."
    )


def _said_of(values: Values, name: str, places: Sequence[int]) -> str:
    return " and ".join(share(_ring(values, name, place)) for place in places)


def _losses(values: Values) -> str:
    still, half, far = places = _places(values)
    networks = values["networks"]
    return (
        f"Where they had always been, the {values['data']['held_out']} held-out digits were named rightly in "
        f"{share(_ring(values, 'dense', still))} of cases by the dense network of {networks['dense']['parameters']:,} "
        f"weights, and in {share(_ring(values, 'conv, mean', still))} by convolutions with a mean, which have "
        f"{networks['conv, mean']['parameters']:,}. Moved by {half} pixels and by {far}, it was "
        f"{_said_of(values, 'dense', places[1:])} for the one, {_said_of(values, 'conv, mean', places[1:])} for the "
        "other. A weight of the dense network belongs to one pixel; a convolution looks for the same thing everywhere."
    )


def _grid(values: Values) -> str:
    """Return how much better moves are that are multiples of `GRID` both ways, or nothing if they are not."""
    offsets, found = values["offsets"], values["networks"]["conv, mean"]["map"]
    cells_of: dict[bool, list[float]] = {True: [], False: []}
    for row, down in enumerate(offsets):
        for column, right in enumerate(offsets):
            if (right, down) != (0, 0):
                cells_of[right % GRID == down % GRID == 0].append(found[row][column])
    if not all(cells_of.values()):
        return ""
    on, off = (statistics.mean(cells_of[whole]) for whole in (True, False))
    if on < off or not differ(on, off, values["data"]["held_out"]):
        return ""
    return (
        f"Not wholly: moves by multiples of {GRID} pixels left it right in {share(on)}, all others in {share(off)}, "
        "since each halving looks at a grid of its own."
    )


def _reasons(values: Values) -> str:
    still, _, far = _places(values)
    n = values["data"]["held_out"]
    flat, mean, dense, taught = (
        _ring(values, name, far) for name in ("conv, flatten", "conv, mean", "dense", "dense, moved")
    )
    flattened = "with the map laid out flat, so that every place has weights of its own in the layer above"
    if mean > flat and differ(mean, flat, n):
        said = (
            f"Convolving is only half of it: {flattened}, convolutions were right in {share(flat)} at {far} pixels. It "
            f"is the mean over all places that forgets where a thing was. {_grid(values)}"
        ).rstrip()
    else:
        said = (
            f"The mean over all places did not help here: {flattened}, convolutions were right in "
            f"{share(flat)} at {far} pixels."
        )
    middle = f"in the middle it was right in {share(_ring(values, 'dense, moved', still))}"
    if taught > dense and differ(taught, dense, n):
        return (
            f"{said} What is not built in can be taught: shown moved digits in training, the dense network came to "
            f"{share(taught)} at {far} pixels, {points(taught - dense)} more; {middle}, against "
            f"{share(_ring(values, 'dense', still))} before."
        )
    return (
        f"{said} Showing the dense network moved digits in training did not teach it: {share(taught)} at {far} pixels; "
        f"{middle}."
    )
