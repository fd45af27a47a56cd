"""Short trials on networks that are thrown away: how long an epoch takes, which rate suits, what the layers do."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lensmith.reproduce import generator
from lensmith.training.augmentation import parse
from lensmith.training.epoch import Epoch
from lensmith.training.recipe import Recipe
from lensmith.training.stages import (
    VIEWS_AT_ONCE,
    Course,
    lessons_of,
    settings_of,
    standardised,
    unit_of,
    views_of,
)

if TYPE_CHECKING:
    from PIL.Image import Image

    from lensmith.training.fit import FitSettings, Lessons
    from lensmith.training.rates import RateTest

SHEET_ROWS, SHEET_COLUMNS = 4, 6
LOOKED_AT = 64  # pictures by which layers are judged
EVALUATED = 64  # pictures that tell how long an evaluation takes


def probe(recipe: Recipe, course: Course, steps: int = 3) -> float:
    """Return how many seconds an epoch of finetune or scratch will take, from a few steps of a network that is thrown
    away and the pictures that decide when to stop."""
    from lensmith.training.fit import evaluate, train_one_step
    from lensmith.training.optimizers import build_optimizer

    few = replace(course, stopping=course.stopping[:EVALUATED])
    lessons, settings = _ready(recipe, few)
    optimizer = build_optimizer(recipe.optimizer, lessons.network, recipe.learning_rate, recipe.weight_decay)
    taken = []
    for number in range(steps + 1):
        chosen = np.take(course.train, np.arange(recipe.batch_size) + number * recipe.batch_size, mode="wrap")
        begun = time.perf_counter()
        train_one_step(lessons, optimizer, settings, chosen, lessons.views(1, chosen), (0, 0, number))
        taken.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    evaluate(lessons, settings)
    evaluation = (time.perf_counter() - begun) / len(few.stopping) * len(course.stopping)
    # The first step is slower: it finds memory and chooses kernels.
    return float(np.median(taken[1:])) / recipe.batch_size * len(course.train) + evaluation


def probe_views(recipe: Recipe, course: Course) -> float:
    """Return how many seconds an epoch of frozen will take, from a few pictures augmented and run by the engine."""
    few = replace(course, train=course.train[:VIEWS_AT_ONCE])
    views = views_of(recipe, few)
    views(1)  # the engine compiles at its first run
    begun = time.perf_counter()
    views(2)
    return (time.perf_counter() - begun) / len(few.train) * len(course.train)


def tested_rates(recipe: Recipe, course: Course) -> RateTest:
    """Return the range test of finetune or scratch: some steps at ever higher rates, of a network thrown away."""
    from lensmith.training.fit import train_one_step
    from lensmith.training.optimizers import build_optimizer
    from lensmith.training.rates import find_rate

    lessons, settings = _ready(recipe, course)
    optimizer = build_optimizer(recipe.optimizer, lessons.network, recipe.learning_rate, recipe.weight_decay)
    order = generator(recipe.seed, "rates").permutation(course.train)
    begins = iter(range(0, 10**9, recipe.batch_size))

    def step(rate: float) -> float:
        for group in optimizer.param_groups:
            group["lr"] = rate
        begin = next(begins)
        chosen = np.take(order, range(begin, begin + recipe.batch_size), mode="wrap")
        return train_one_step(lessons, optimizer, settings, chosen, lessons.views(0, chosen), (0, 0, begin))[0]

    return find_rate(step)


def _ready(recipe: Recipe, course: Course) -> tuple[Lessons, FitSettings]:
    """Return what a few steps are taken with, where and how `fit` would take them."""
    from lensmith.training.fit import layout
    from lensmith.training.memory import keep_memory

    keep_memory()
    lessons, settings = lessons_of(recipe, course), settings_of(recipe, course, unit_of(course), recipe.recipe)
    lessons.network.to(settings.device, memory_format=layout(lessons.network))  # type: ignore[call-overload]
    lessons.prepare.to(settings.device)
    return lessons, settings


def layers(recipe: Recipe, course: Course, kept: Epoch) -> tuple[dict[str, float], dict[str, float]]:
    """Return what a few training pictures show of the layers of `kept`, by name: shares of dead units, gradients."""
    import torch

    from lensmith.training.criteria import criterion
    from lensmith.training.dead import dead_units, layer_gradients

    lessons, few, unit = lessons_of(recipe, course), course.train[:LOOKED_AT], unit_of(course)
    network = lessons.network
    state = {**kept.state, **standardised({n: t for n, t in kept.state.items() if n.startswith("head.")}, unit)}
    network.load_state_dict({name: torch.from_numpy(np.array(tensor)) for name, tensor in state.items()})
    images = lessons.prepare(torch.from_numpy(lessons.views(0, few)))
    targets = (course.targets[few] - unit[0]) / unit[1] if unit != (0.0, 1.0) else course.targets[few]
    network.eval()
    loss = criterion(course.task.loss)(network(images), torch.from_numpy(targets), None, 0.0)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = layer_gradients(network)
    with torch.no_grad():
        return dead_units(network, images), gradients


def sheet(recipe: Recipe, course: Course) -> Image | None:
    """Return a contact sheet of what this training shows in its first epochs; None without augmentation."""
    if recipe.augment == "none":
        return None
    from lensmith.training.colour import colour_components
    from lensmith.training.sheet import contact_sheet

    train = course.train
    rows = train[np.linspace(0, len(train) - 1, min(SHEET_ROWS, len(train))).round().astype(int)]
    augmentation = parse(recipe.augment)
    components = colour_components(augmentation, course.pixels(), train)
    return contact_sheet(course.pixels(), augmentation, recipe.seed, SHEET_COLUMNS, rows.tolist(), components)
