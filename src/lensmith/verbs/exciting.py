"""What excites the filters and classes of a network: pictures made for it, and the crops of pictures that do most."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lensmith.engines.interface import batches
from lensmith.reports import mosaic
from lensmith.seeing.evenly import evenly
from lensmith.seeing.subject import Target
from lensmith.verbs.sighting import BATCH, TOP, Look, Part, answer_of, large

if TYPE_CHECKING:
    from lensmith.seeing.ascent import Wanted, Way
    from lensmith.seeing.crops import Field, Peaks
    from lensmith.seeing.layers import Layer

AT_ONCE = 8  # ascents in one batch: what a large network remembers of one picture is some hundred megabytes
CROP = 96
WEAK = 0.2  # of what half of the filters reach
FEWEST = 32  # pixels of the side of a picture that a filter is shown alone


def filters(look: Look, wanted: Mapping[Layer, Sequence[int]], way: Way, each: int) -> list[Part]:
    """Look for what excites filters: pictures made by ascent, and the crops of pictures that excite them most.

    each: where no channels are wanted of a layer, so many of those whose best picture stands out most; without
    pictures twice as many, evenly spread.
    """
    from lensmith.seeing.crops import field_of, peaks

    channels = {layer: tuple(some) or tuple(range(layer.channels)) for layer, some in wanted.items()}
    found = {}
    if len(look.searched):
        with look.console.progress("pictures searched", len(look.searched)) as advance:
            found = peaks(look.subject.eye, _counted(batches(look.searched.squares, BATCH), advance), channels)
    parts: list[Part] = []
    for layer, some in channels.items():
        seen = found.get(layer)
        columns = list(range(len(some)))
        if not wanted[layer]:
            columns = _outstanding(seen.values, each) if seen else evenly(len(some), 2 * each)
        sees = field_of(look.subject.eye, look.side, layer)
        climbs = _filters_climbed(look, layer, [some[column] for column in columns], sees, way)
        for column, climb in zip(columns, climbs, strict=True):
            part = {"layer": layer.name, "channel": some[column], "sees": sees.size, **climb}
            part["highest_of_pictures"] = float(seen.means[:, column].max()) if seen else None
            part |= _crops(look, layer, some[column], seen, column, sees)
            parts.append(part)
    return parts


def classes(look: Look, wanted: Sequence[Target], way: Way) -> list[Part]:
    """Look for the picture that most excites each class, by ascent."""
    from lensmith.seeing.ascent import Wanted

    sought = [Wanted(one.name, one.output, None, one.sign) for one in wanted]
    parts = []
    climbs = _climbed(look, sought, look.side, way, "ascent for classes")
    for number, (one, (picture, reached, seconds)) in enumerate(zip(sought, climbs, strict=True), 1):
        part = {
            "class": one.name,
            "start": way.start,
            "steps": way.steps,
            "score": reached,
            "answer": answer_of(look.subject, look.subject.answers([picture])[0]),
            "highest_of_pictures": None,
            "highest_path": None,
            "best": None,
            "picture": look.album.add(f"class-{number}", large(picture), smooth=True),
            "seconds": round(seconds, 2),
        }
        if len(look.scores):
            own = look.scores[:, one.number] * one.sign
            best = int(own.argmax())
            drawn = look.album.add(f"class-{number}-best", large(look.searched.squares[best]), smooth=True)
            part |= {"highest_of_pictures": float(own[best]), "highest_path": look.searched.paths[best], "best": drawn}
        parts.append(part)
    return parts


def _filters_climbed(look: Look, layer: Layer, numbers: Sequence[int], sees: Field, way: Way) -> list[Part]:
    """Return what ascent reached for some channels of a layer."""
    from lensmith.seeing.ascent import Wanted

    sought = [Wanted(f"{layer.name} {number}", number, layer) for number in numbers]
    climbs = _climbed(look, sought, _side_for(look, layer, sees), way, f"ascent in {layer.name}")
    parts = []
    for one, (picture, reached, seconds) in zip(sought, climbs, strict=True):
        name = look.album.add(f"filter-{layer.name}-{one.number}", large(picture), smooth=True)
        parts.append({"start": way.start, "steps": way.steps, "score": reached, "picture": name, "seconds": seconds})
    return parts


def _climbed(
    look: Look, sought: Sequence[Wanted], side: int, way: Way, what: str
) -> Iterator[tuple[np.ndarray, float, float]]:
    """Yield the picture (s, s, 3) uint8 and the score that an ascent ends with, and the seconds it took, one by one."""
    from lensmith.seeing.ascent import ascend
    from lensmith.seeing.folded import gives_the_same

    eye = look.subject.eye
    if gives_the_same(eye, look.lighter, side, sought[0].layer):
        eye = look.lighter
    groups = [sought[begin : begin + AT_ONCE] for begin in range(0, len(sought), AT_ONCE)]
    with look.console.progress(what, way.steps * len(groups)) as advance:
        for done, group in enumerate(groups):
            start = time.perf_counter()
            for climb in ascend(eye, group, side, way, look.seed):
                advance(done * way.steps + climb.step)
            seconds = (time.perf_counter() - start) / len(group)
            pictures = climb.pixels.permute(0, 2, 3, 1).numpy().astype(np.uint8)
            for picture, score in zip(pictures, climb.scores.tolist(), strict=True):
                yield picture, float(score), seconds


def _side_for(look: Look, layer: Layer, sees: Field) -> int:
    """Return the side of the picture that a filter is sought in: three of its fields where the layer can be had so.

    A filter that sees eleven pixels needs no picture of 224.
    """
    import torch

    from lensmith.seeing.ascent import value_of

    smaller = max(FEWEST, 3 * max(sees.size)) if sees.size else look.side
    if smaller >= look.side:
        return look.side
    eye = look.subject.eye
    try:
        with torch.no_grad():
            value, _ = value_of(eye, eye.pixels(np.zeros((1, smaller, smaller, 3), np.uint8)), layer)
    except Exception:  # a network may want its own size, for whatever reason of its own
        return look.side
    return smaller if value.ndim == len(layer.shape) + 1 and min(value.shape[2:], default=1) > 1 else look.side


def _crops(look: Look, layer: Layer, channel: int, seen: Peaks | None, column: int, sees: Field) -> Part:
    """Return the crops that excite a channel most, which stands in a column of what was seen, and what in them did."""
    from lensmith.seeing.crops import patterns

    best = seen.best(column, TOP) if seen else np.zeros(0, np.int64)
    if seen is None or not len(best):
        return {"crops": [], "crops_picture": None, "patterns_picture": None}
    side, squares = look.side, look.searched.squares[best]
    places = seen.places[best, column]
    boxes = [sees.box(place, side) for place in places]
    corners = [sees.corner(place, side) for place in places]
    crops: list[np.ndarray] = []
    drawn: list[np.ndarray] = []
    traces = patterns(look.subject.eye, squares, layer, channel)
    for square, trace, box, corner in zip(squares, traces, boxes, corners, strict=True):
        left, top, right, bottom = box
        part = trace[top:bottom, left:right]
        trace_drawn = mosaic.about_grey(part, float(np.quantile(np.abs(part), 0.995)))
        whole = sees.size if sees.size and max(sees.size) < side else (bottom - top, right - left)
        for kept, found in ((crops, square[top:bottom, left:right]), (drawn, trace_drawn)):
            kept.append(mosaic.within(found, whole, (left - corner[0], top - corner[1])))
    crisp = max(crops[0].shape[:2]) < CROP / 2
    sheets = (mosaic.mosaic(tiles, 3, CROP, crisp=crisp) for tiles in (crops, drawn))
    names = [
        look.album.add(f"{what}-{layer.name}-{channel}", sheet, smooth=not crisp)
        for what, sheet in zip(("crops", "patterns"), sheets, strict=True)
    ]
    rows = zip(best, seen.values[best, column], boxes, strict=True)
    return {
        "crops": [
            {"path": look.searched.paths[place], "value": float(value), "box": list(box)} for place, value, box in rows
        ],
        "crops_picture": names[0],
        "patterns_picture": names[1],
    }


def _outstanding(values: np.ndarray, most: int) -> list[int]:
    """Return the columns (n, c) whose best picture stands furthest above the others, in deviations; those that hardly
    answer to any come last."""
    highest = values.max(0)
    gap = (highest - values.mean(0)) / np.maximum(values.std(0), 1e-12)
    alive = np.where(highest > WEAK * np.median(highest), gap, -1)
    return sorted(np.argsort(-alive, kind="stable")[:most].tolist())


def _counted(parts: Iterable[np.ndarray], advance: Any) -> Iterator[np.ndarray]:
    done = 0
    for part in parts:
        yield part
        done += len(part)
        advance(done)
