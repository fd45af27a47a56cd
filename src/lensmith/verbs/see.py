"""`lensmith see`: what a network has learned, as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensmith.data.store import Store
from lensmith.errors import UsageError
from lensmith.reports import sights as pages
from lensmith.reports.pictures import png
from lensmith.run import Run
from lensmith.seeing.evenly import evenly
from lensmith.seeing.subject import Subject, Target
from lensmith.verbs import exciting, sighting
from lensmith.verbs.console import Console, Stopwatch
from lensmith.verbs.folders import Folder, run_of
from lensmith.verbs.gathering import Gathered, gathered, listed, thinned, trained_on
from lensmith.verbs.resembling import neighbours
from lensmith.verbs.sighting import Album, Look
from lensmith.verbs.subject import open_subject

if TYPE_CHECKING:
    from torch import nn

    from lensmith.seeing.layers import Layer

PAGE, NUMBERS = "page.html", "sights.json"
LAYERS_OF_MAPS, LAYERS_OF_FILTERS, FILTERS_EACH, FILTERS_OF_ONE, CLASSES = 6, 4, 2, 6, 4
MAPS_OF, NEIGHBOURS_OF = 2, 3  # pictures
MEMBERS = 32  # pictures of a class that its template is made from
QUIET_PICTURES = 64


@dataclass(frozen=True)
class Sights:
    """What was seen of a network: `found` is what sights.json holds, in the folder of `page`."""

    network: str
    page: Path
    found: Mapping[str, Any] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form that --json prints."""
        return {"page": str(self.page), **self.found}


@dataclass(frozen=True)
class _Chosen:
    """What is to be looked at: layers for feature maps, and layers for filters; channels of them (none: `each` of those
    that stand out)."""

    of_maps: tuple[Layer, ...]
    of_filters: tuple[Layer, ...]
    channels: tuple[int, ...]
    each: int


def see(
    network: str | Path | Run | nn.Module,
    pictures: str | Path | Sequence[str | Path] | None = None,
    *,
    layer: str | None = None,
    filters: str | Sequence[int] | None = None,
    classes: str | Sequence[str] | None = None,
    search: str | Path | None = None,
    count: int = 300,
    start: str = "fourier",
    steps: int | None = None,
    weights: str = "auto",
    image_size: int | None = None,
    save: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    out: str | Path = "runs",
    quiet: bool = False,
) -> Sights:
    """Look at what a network has learned, write a page about it, and return Sights.

    network: a run, a network by name, module:factory, or in Python a torch module for pictures. pictures: files and
    folders that it is shown; the maps of the first two are drawn. layer: a layer by name, or several with commas
    (None: a few, from the first to the last). filters: channels of that layer, "3,17" or numbers (None: a few that
    stand out). classes: names of classes, several with commas (None: those it answers with, or a few). search:
    a folder of pictures in which to look for what excites filters, for classes and neighbours (None: the training
    pictures of a run, or `pictures`). count: how many of them at most. start: how ascent finds its pictures: fourier,
    blank or noise. steps: of an ascent (None: as many as suit the start). weights: as in train, for networks by name.
    image_size: the side it sees, for networks alone. save: the folder to write to (None: sights in the run's folder, or
    in the current one). seed: of the starts of ascent. device: where it is asked and differentiated, auto, cpu,
    cuda or mps. out: the folder of runs. quiet: show no progress.

    Raises UsageError, RunError, WeightsError or DataError for what is not there or cannot be looked at.
    """
    from lensmith.seeing.ascent import way
    from lensmith.training.memory import keep_memory

    to_filters, to_classes = way(start, steps), way(start, steps, classes=True)
    if count < 1:
        raise UsageError(f"count is {count}; it must be at least 1. Try 300.")
    console, store, watch = Console(quiet), Store(), Stopwatch()
    run = run_of(network, Path(out))
    folder = Folder.of(save, run, "sights")
    subject = open_subject(
        network, weights=weights, image_size=image_size, device=device, out=Path(out), seed=seed, say=console.note
    )
    keep_memory()
    chosen, wanted = _chosen(subject, layer, filters), _wanted(subject, classes)
    for one in wanted:
        console.note(subject.alike(one))
    shown, searched, source = _pictures(subject, pictures, search, run, count, store, console)
    scores = subject.says(searched.squares) if len(searched) else np.empty((0, subject.task.outputs), np.float32)
    look = Look(subject, searched, scores, seed, store, console)
    wanted = wanted or _targets(subject, shown, searched)
    found: dict[str, Any] = {
        "network": subject.name,
        "task": subject.task.kind,
        "image_size": look.side,
        "searched": {"what": source, "pictures": len(searched), "of": searched.of},
        "unreadable": _unreadable(shown, searched),
    }
    found |= _looked(look, shown, chosen, watch)
    with watch.step("classes"):
        found["classes"] = exciting.classes(look, wanted, to_classes)
    with watch.step("filters"):
        asked = dict.fromkeys(chosen.of_filters, chosen.channels)
        found["filters"] = exciting.filters(look, asked, to_filters, chosen.each)
    with watch.step("neighbours"):
        found["nearest"] = neighbours(look, run if search is None else None, shown.first(NEIGHBOURS_OF))
    with watch.step("templates"):
        found["templates"] = sighting.templates(look, wanted, _members(look, wanted))
    found |= {"start": start, "steps": to_filters.steps, "seed": seed}
    times = watch.as_dict()
    found |= {"seconds": times["seconds"], "times": times["steps"]}
    folder.require_apart([*shown.paths, *searched.paths], [f"{name}.png" for name in look.album.pictures])
    return _written(folder, found, look.album)


def _looked(look: Look, shown: Gathered, chosen: _Chosen, watch: Stopwatch) -> dict[str, Any]:
    """Return what needs no climbing: the first layer, maps, and how much stays silent."""
    found: dict[str, Any] = {}
    with watch.step("first layer and maps"):
        found["first_layer"] = sighting.first_layer(look)
        found["pictures"] = sighting.maps(look, shown.first(MAPS_OF), chosen.of_maps, chosen.channels)
    with watch.step("activations"):
        seen = (shown if len(shown) else look.searched).squares[:QUIET_PICTURES]
        found["activations_of"] = len(seen)
        found["activations"] = sighting.quiet(look, seen)
    return found


def _unreadable(shown: Gathered, searched: Gathered) -> list[dict[str, str]]:
    """Return paths and reasons, each once."""
    every = dict.fromkeys([*shown.unreadable, *searched.unreadable])
    return [{"path": path, "reason": reason} for path, reason in every]


def _pictures(
    subject: Subject,
    pictures: str | Path | Sequence[str | Path] | None,
    search: str | Path | None,
    run: Run | None,
    count: int,
    store: Store,
    console: Console,
) -> tuple[Gathered, Gathered, str]:
    """Return the pictures shown, those searched, and what the latter are."""
    places = [pictures] if isinstance(pictures, str | Path) else list(pictures or ())
    classes, geometry = subject.task.classes, subject.geometry
    own = listed(places, classes)
    if search is not None:
        pool, source = listed([search], classes), "in the folder"
    elif run is not None:
        pool, source = trained_on(run), "it was trained on"
    else:
        pool, source = own, "given"
    if not places and run is not None:
        own = thinned(trained_on(run, str(run.document.get("held_out", "test"))), NEIGHBOURS_OF)
    elif not places and search is not None:
        own = thinned(pool, NEIGHBOURS_OF)
    own, pool = thinned(own, count), thinned(pool, count)
    with console.progress("pictures read", len(own.paths) + len(pool.paths)) as advance:
        shown = gathered(own, geometry, store, advance)
        if pool == own:
            return shown, shown, source
        return shown, gathered(pool, geometry, store, lambda done: advance(len(own.paths) + done)), source


def _chosen(subject: Subject, layer: str | None, filters: str | Sequence[int] | None) -> _Chosen:
    """Return the layers and filters to look at. Raises UsageError for one that is not there."""
    from lensmith.seeing.activity import over_depth
    from lensmith.seeing.layers import layers_of, named

    there = layers_of(subject.eye, subject.geometry.image_size)
    channels = _numbers(filters)
    if channels and layer is None:
        raise UsageError(f"filter is {filters!r}, but of which layer? Name one by --layer.")
    if layer is None:
        of_maps, of_filters = over_depth(there, LAYERS_OF_MAPS), over_depth(there, LAYERS_OF_FILTERS)
        each = FILTERS_EACH
    else:
        of_filters = [named(there, name.strip()) for name in layer.split(",")]
        of_maps = [one for one in of_filters if one.is_map]
        each = FILTERS_OF_ONE if len(of_filters) == 1 else FILTERS_EACH
    for one in of_filters:
        if not one.is_map and len(one.shape) == 2:
            raise UsageError(
                f"layer {one.name} gives {one.shape[0]} rows of numbers that are no map. Try another layer."
            )
        _require_channels(one, channels)
    return _Chosen(tuple(of_maps), tuple(of_filters), channels, each)


def _numbers(filters: str | Sequence[int] | None) -> tuple[int, ...]:
    if filters is None:
        return ()
    try:
        every = filters.split(",") if isinstance(filters, str) else [filters] if isinstance(filters, int) else filters
        found = tuple(int(part) for part in every)
    except (ValueError, TypeError):
        raise UsageError(f"filter is {filters!r}; numbers with commas between them are needed. Try 0,1,2.") from None
    return tuple(dict.fromkeys(found))


def _require_channels(layer: Layer, wanted: Sequence[int]) -> None:
    beyond = [number for number in wanted if not 0 <= number < layer.channels]
    if beyond:
        raise UsageError(
            f"layer {layer.name} has no filter {beyond[0]}: it has {layer.channels}, from 0 to {layer.channels - 1}."
        )


def _wanted(subject: Subject, classes: str | Sequence[str] | None) -> list[Target]:
    """Return the classes asked for: each text is one, or, where no class is called so, several with commas.

    Raises UsageError for one that is not there.
    """
    found: list[str] = []
    every = [classes] if isinstance(classes, str | int) else classes or ()
    for text in map(str, every):
        found += [text] if text in subject.task.classes else [name.strip() for name in text.split(",")]
    return [subject.target(name) for name in dict.fromkeys(found) if name]


def _targets(subject: Subject, shown: Gathered, searched: Gathered) -> list[Target]:
    """Return the classes to look at where none is named: what the network answers for the pictures shown, and others
    from the first to the last."""
    names = subject.task.classes
    if not names:
        return [subject.speaking(0, 1.0)]
    few = (shown if len(shown) else searched).squares[:CLASSES]
    answered = [names[int(np.argmax(answer))] for answer in subject.answers(few)] if len(few) else []
    others = [names[place] for place in evenly(len(names), CLASSES)]
    chosen = sorted(list(dict.fromkeys([*answered, *others]))[:CLASSES], key=names.index)
    return [subject.target(name) for name in chosen]


def _members(look: Look, classes: Sequence[Target]) -> dict[str, list[int]]:
    """Return the positions of each class's pictures, by what they show, or else by what the network answers."""
    task, labels = look.subject.task, look.searched.labels
    if not task.classes:
        return {one.name: list(range(len(labels)))[:MEMBERS] for one in classes}
    shows = [label.split(";") for label in labels]
    if not any(labels) and len(labels):
        shows = [[task.classes[place]] for place in task.answers(look.scores).argmax(1)]
    return {one.name: [place for place, names in enumerate(shows) if one.name in names][:MEMBERS] for one in classes}


def _written(folder: Folder, found: dict[str, Any], album: Album) -> Sights:
    for name, picture in album.pictures.items():
        folder.write(f"{name}.png", png(picture))
    folder.write_json(NUMBERS, found)
    folder.write(PAGE, pages.page(found, album.pictures, album.smooth).encode("utf-8", "replace"))
    return Sights(str(found["network"]), folder.path / PAGE, found)
