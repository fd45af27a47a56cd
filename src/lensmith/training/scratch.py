"""Recipe scratch: a network and its dense head, trained together from random weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from PIL.Image import Image

from lensmith.engines.choose import resolve_device
from lensmith.reproduce import counter
from lensmith.training.augmentation import parse
from lensmith.training.epoch import Epoch
from lensmith.training.fit import FitSettings, Pixels, colour_components, fit
from lensmith.training.recipe import Resolved
from lensmith.training.sheet import contact_sheet
from lensmith.zoo.base import assemble
from lensmith.zoo.heads import Classifier

SHEET_ROWS, SHEET_COLUMNS = 4, 6


def shown(resolved: Resolved, pictures: np.ndarray, train: np.ndarray) -> Image | None:
    """Return a contact sheet of what this training shows in its first epochs; None without augmentation."""
    recipe = resolved.recipe
    if recipe.augment == "none":
        return None
    augmentation = parse(recipe.augment)
    rows = train[np.linspace(0, len(train) - 1, min(SHEET_ROWS, len(train))).round().astype(int)]
    components = colour_components(augmentation, Pixels(pictures, train, train))
    return contact_sheet(pictures, augmentation, recipe.seed, SHEET_COLUMNS, rows.tolist(), components)


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
        optimizer=recipe.optimizer,
        weight_decay=recipe.weight_decay,
        clip=recipe.clip,
        label_smoothing=recipe.label_smoothing,
        mean=resolved.preprocessing.mean,
        std=resolved.preprocessing.std,
        device=resolve_device(recipe.device),
        seed=recipe.seed,
        augmentation=parse(recipe.augment),
    )
    return fit(network, Pixels(pictures, targets, train), Pixels(pictures, targets, stopping), settings)
