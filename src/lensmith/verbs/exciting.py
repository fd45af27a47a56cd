"""What excites the filters and classes of a network: pictures made for it, and the crops of pictures that do most."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lensmith.engines.interface import batches
from lensmith.reports import mosaic
from lensmith.seeing.subject import Subject, Target
from lensmith.verbs.console import Console
from lensmith.verbs.gathering import Gathered
from lensmith.verbs.sighting import BATCH, TOP, Album, Part, answer_of, channels_of, large

if TYPE_CHECKING:
    from lensmith.seeing.ascent import Wanted, Way
    from lensmith.seeing.crops import Field, Peaks
    from lensmith.seeing.layers import Layer

AT_ONCE = 8  # ascents in one batch: what a large network remembers of one picture is some hundred megabytes
CROP = 96
WEAK = 0.2  # of what half of the filters reach
FEWEST = 32  # pixels of the side of a picture that a filter is shown alone


def filters(
    subject: Subject,
    wanted: Mapping[Layer, Sequence[int]],
    searched: Gathered,
    way: Way,
    album: Album,
    console: Console,
    *,
    seed: int,
    each: int,
) -> list[Part]:
    """Look for what excites filters: pictures made by ascent, and the crops of pictures that excite them most.

    each: where no channels are wanted of a layer, so many of those whose best picture stands out most; without
    pictures twice as many, evenly spread.
    """
    from lensmith.seeing.crops import peaks

    side = subject.geometry.image_size
    channels = {layer: tuple(some) or tuple(range(channels_of(layer))) for layer, some in wanted.items()}
    found = {}
    if len(searched):
        with console.progress("pictures searched", len(searched)) as advance:
            found = peaks(subject.eye, _counted(batches(searched.squares, BATCH), advance), channels)
    parts: list[Part] = []
    for layer, some in channels.items():
        seen = found.get(layer)
        columns = list(range(len(some)))
        if not wanted[layer]:
            columns = _outstanding(seen.values, each) if seen else _evenly(len(some), 2 * each)
        numbers = [some[column] for column in columns]
        climbs = _filters_climbed(subject, layer, numbers, way, seed, album, console)
        sees = _field(subject, layer, side)
        for column, climb in zip(columns, climbs, strict=True):
            highest = float(seen.means[:, column].max()) if seen is not None and len(searched) else None
            part = {"layer": layer.name, "channel": some[column], "sees": sees.size, **climb}
            part["highest_of_pictures"] = highest
            part |= _crops(subject, layer, some[column], column, seen, searched, sees, album)
            parts.append(part)
    return parts


def classes(
    subject: Subject,
    wanted: Sequence[Target],
    scores: np.ndarray,
    searched: Gathered,
    way: Way,
    album: Album,
    console: Console,
    *,
    seed: int,
) -> list[Part]:
    """Look for the picture that most excites each class, by ascent; scores (n, outputs) are those
    of the pictures searched."""
    from lensmith.seeing.ascent import Wanted

    sought = [Wanted(one.name, one.output, None, one.sign) for one in wanted]
    side = subject.geometry.image_size
    parts = []
    climbs = _climbed(subject, sought, side, way, seed, console, "ascent for classes")
    for number, (one, (picture, reached, seconds)) in enumerate(zip(sought, climbs, strict=True), 1):
        answer = subject.answers([picture])[0]
        own = scores[:, one.number] * one.sign
        best = int(own.argmax()) if len(own) else None
        parts.append(
            {
                "class": one.name,
                "start": way.start,
                "steps": way.steps,
                "score": reached,
                "answer": answer_of(subject, answer),
                "highest_of_pictures": None if best is None else float(own[best]),
                "highest_path": None if best is None else searched.paths[best],
                "best": None
                if best is None
                else album.add(f"class-{number}-best", large(searched.squares[best]), smooth=True),
                "picture": album.add(f"class-{number}", large(picture), smooth=True),
                "seconds": round(seconds, 2),
            }
        )
    return parts


def _filters_climbed(
    subject: Subject, layer: Layer, numbers: Sequence[int], way: Way, seed: int, album: Album, console: Console
) -> list[Part]:
    """Return what ascent reached for some channels of a layer."""
    from lensmith.seeing.activity import given_to
    from lensmith.seeing.ascent import Wanted
    from lensmith.seeing.layers import layers_of

    side = _side_for(subject, layer)
    below = given_to(layers_of(subject.eye, subject.geometry.image_size), layer)
    sought = [Wanted(f"{layer.name} {number}", number, layer, below=below) for number in numbers]
    parts = []
    for one, (picture, reached, seconds) in zip(
        sought, _climbed(subject, sought, side, way, seed, console, f"ascent in {layer.name}"), strict=True
    ):
        name = album.add(f"filter-{layer.name}-{one.number}", large(picture), smooth=True)
        parts.append({"start": way.start, "steps": way.steps, "score": reached, "picture": name, "seconds": seconds})
    return parts


def _climbed(
    subject: Subject, sought: Sequence[Wanted], side: int, way: Way, seed: int, console: Console, what: str
) -> Iterator[tuple[np.ndarray, float, float]]:
    """Yield the picture (s, s, 3) uint8 and the score that an ascent ends with, and the seconds it took, one by one."""
    from lensmith.seeing.ascent import ascend

    groups = [sought[begin : begin + AT_ONCE] for begin in range(0, len(sought), AT_ONCE)]
    with console.progress(what, way.steps * len(groups)) as advance:
        for done, group in enumerate(groups):
            start = time.perf_counter()
            for climb in ascend(subject.eye, group, side, way, seed):
                advance(done * way.steps + climb.step)
            seconds = (time.perf_counter() - start) / len(group)
            pictures = climb.pixels.permute(0, 2, 3, 1).to("cpu").numpy().astype(np.uint8)
            for picture, score in zip(pictures, climb.scores.tolist(), strict=True):
                yield picture, float(score), seconds


def _side_for(subject: Subject, layer: Layer) -> int:
    """Return the side of the picture that a filter is sought in: three of its fields where the layer can be had so.

    A filter that sees eleven pixels needs no picture of 224.
    """
    import torch

    from lensmith.seeing.ascent import value_of

    side = subject.geometry.image_size
    sees = _field(subject, layer, side).size
    smaller = max(FEWEST, 3 * max(sees)) if sees else side
    if smaller >= side:
        return side
    try:
        with torch.no_grad():
            value = value_of(subject.eye, subject.eye.pixels(np.zeros((1, smaller, smaller, 3), np.uint8)), layer)
    except Exception:  # a network may want its own size, for whatever reason of its own
        return side
    return smaller if value.ndim == len(layer.shape) + 1 and min(value.shape[2:], default=1) > 1 else side


def _field(subject: Subject, layer: Layer, side: int) -> Field:
    from lensmith.seeing.crops import field_of

    return field_of(subject.eye, side, layer)


def _crops(
    subject: Subject,
    layer: Layer,
    channel: int,
    column: int,
    seen: Peaks | None,
    searched: Gathered,
    sees: Field,
    album: Album,
) -> Part:
    """Return the crops that excite a channel most, and what in them did."""
    from lensmith.seeing.crops import patterns

    best = np.zeros(0, np.int64) if seen is None else seen.best(column, TOP)
    if seen is None or not len(best):
        return {"crops": [], "crops_picture": None, "patterns_picture": None}
    side = subject.geometry.image_size
    boxes = [sees.box(seen.places[place, column], side) for place in best]
    corners = [sees.corner(seen.places[place, column], side) for place in best]
    traces = patterns(subject.eye, searched.squares[best], layer, channel)
    crops: list[np.ndarray] = []
    drawn: list[np.ndarray] = []
    for place, box, corner, trace in zip(best, boxes, corners, traces, strict=True):
        left, top, right, bottom = box
        part = trace[top:bottom, left:right]
        trace_drawn = mosaic.about_grey(part, float(np.quantile(np.abs(part), 0.995)))
        whole = sees.size if sees.size and max(sees.size) < side else (bottom - top, right - left)
        for kept, found in ((crops, searched.squares[place][top:bottom, left:right]), (drawn, trace_drawn)):
            kept.append(mosaic.within(found, whole, (left - corner[0], top - corner[1])))
    crisp = max(crops[0].shape[:2]) < CROP / 2
    name = f"{layer.name}-{channel}"
    return {
        "crops": [
            {"path": searched.paths[place], "value": float(seen.values[place, column]), "box": list(box)}
            for place, box in zip(best, boxes, strict=True)
        ],
        "crops_picture": album.add(f"crops-{name}", mosaic.mosaic(crops, 3, CROP, crisp=crisp), smooth=not crisp),
        "patterns_picture": album.add(f"patterns-{name}", mosaic.mosaic(drawn, 3, CROP, crisp=crisp), smooth=not crisp),
    }


def _outstanding(values: np.ndarray, most: int) -> list[int]:
    """Return the columns (n, c) whose best picture stands furthest above the others, in deviations; those that hardly
    answer to any come last."""
    highest = values.max(0)
    gap = (highest - values.mean(0)) / np.maximum(values.std(0), 1e-12)
    alive = np.where(highest > WEAK * np.median(highest), gap, -1)
    return sorted(np.argsort(-alive, kind="stable")[:most].tolist())


def _evenly(count: int, most: int) -> list[int]:
    """Return at most so many of `count` channels, each in the middle of its share."""
    few = min(most, count)
    return [(2 * place + 1) * count // (2 * few) for place in range(few)]


def _counted(parts: Iterable[np.ndarray], advance: Any) -> Iterator[np.ndarray]:
    done = 0
    for part in parts:
        yield part
        done += len(part)
        advance(done)
