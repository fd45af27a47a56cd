"""Recipe scratch: a network and its dense head, trained together from random weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from lensmith.engines.choose import resolve_device
from lensmith.reproduce import counter
from lensmith.training.epoch import Epoch
from lensmith.training.fit import FitSettings, Pixels, fit
from lensmith.training.recipe import Resolved
from lensmith.zoo.base import assemble
from lensmith.zoo.heads import Classifier


def start(
    resolved: Resolved,
    pictures: np.ndarray,
    targets: np.ndarray,
    classes: int,
    train: np.ndarray,
    stopping: np.ndarray,
) -> Iterator[Epoch]:
    """Return the epochs of a new network on `pictures` (n, s, s, 3) uint8; `train` and `stopping` are positions."""
    recipe, plan = resolved.recipe, resolved.plan
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(counter(recipe.seed, "weights"))
        base, _ = assemble(recipe.network, recipe.cut, recipe.image_size)
        network = Classifier(base, plan.features(recipe.pool), classes, recipe.pool, recipe.dense, recipe.dropout)
    settings = FitSettings(
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        mean=resolved.preprocessing.mean,
        std=resolved.preprocessing.std,
        device=resolve_device(recipe.device),
        seed=recipe.seed,
    )
    return fit(network, Pixels(pictures, targets, train), Pixels(pictures, targets, stopping), settings)
