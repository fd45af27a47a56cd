"""The recipes for what is no picture: rows, whose columns are features for a dense stack; sentences; clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from lensmith.data.clips import FRAMES, Moving
from lensmith.data.dataset import Dataset
from lensmith.data.encoding import SCALINGS, Encoding
from lensmith.data.preprocess import Preprocessing
from lensmith.data.store import Store
from lensmith.data.vocabulary import Vocabulary
from lensmith.errors import UsageError, nearest
from lensmith.training.augmentation import parse, spelled
from lensmith.training.optimizers import kind
from lensmith.training.plan import Plan
from lensmith.training.recipe import Recipe, Resolved
from lensmith.training.request import Request
from lensmith.zoo import names, pretrained
from lensmith.zoo.catalogue import CLIPS
from lensmith.zoo.contract import Contract
from lensmith.zoo.measured import CUTS, DENSE, TEXT

WIDTHS = (256, 256)  # and a fifth dropped: the best of those tried on two tables (LOG.md)
DROPOUT = 0.2
CLIP_NETWORK, CLIP_SIDE = "r3d_18", 112
FILTER_WIDTHS = (3, 4, 5)  # words that a filter of the text CNN sees
# What rows have a use for; anything else than an option's default is refused.
USED = (
    "data",
    "task",
    "target",
    "recipe",
    "dense",
    "dropout",
    "norm",
    "output",
    "loss",
    "preprocess",
    "epochs",
    "batch_size",
    "learning_rate",
    "class_weights",
    "min_delta",
    "patience",
    "stop_right",
    "stop_rest",
    "seed",
    "device",
    "engine",
)
USED_BY_CLIPS = (
    *(name for name in USED if name not in ("norm", "preprocess", "class_weights")),
    *("network", "weights", "frames", "image_size", "resize", "crop", "interpolation", "augment", "optimizer"),
    *("weight_decay", "clip", "label_smoothing", "ema", "find_rate", "precision"),
)
USED_BY_SENTENCES = (
    *(name for name in USED if name not in ("norm", "preprocess", "class_weights")),
    "optimizer",
    "weight_decay",
    "clip",
    "label_smoothing",
    "ema",
    "find_rate",
)


def resolve_rows(request: Request, dataset: Dataset) -> Resolved:
    """Return the recipe for rows with no "auto" left. Raises UsageError for what belongs to pictures."""
    _require_used(request, dataset, USED, ("auto", "features"), "the rows of a table are features already")
    kind = request.preprocess or "standardise"
    if kind not in SCALINGS:
        raise UsageError(
            f"preprocess is {kind!r}; for the columns of a table allowed are {', '.join(SCALINGS)}."
            f"{nearest(kind, SCALINGS)}"
        )
    dense = WIDTHS if request.dense is None else request.dense
    reasons = {"recipe": "The columns of the table are the features, so only dense layers learn."}
    if request.dense is None:
        reasons["dense"] = "Two layers of 256 suit most tables; --dense none is a linear model."
    recipe = Recipe(
        **{
            **_same(request, DENSE),
            "recipe": "features",
            "dense": dense,
            "dropout": DROPOUT if request.dropout is None else request.dropout,
            "preprocess": kind,
            "epochs": request.epochs or 300,
            "batch_size": request.batch_size or int(np.clip(len(dataset) // 40, 16, 1024)),
            "learning_rate": request.learning_rate or (0.001 if dense else 0.01),
            "l2": (1e-4,) if dense else (1e-5, 1e-4, 1e-3),
            "optimizer": "adam",
            "weight_decay": 0.0,
        }
    )
    return Resolved(request, recipe, _plan(DENSE, dataset), reasons, Encoding((), kind))


def resolve_sentences(request: Request, dataset: Dataset) -> Resolved:
    """Return the recipe of a text CNN with no "auto" left. Raises UsageError for what belongs to pictures."""
    _require_used(request, dataset, USED_BY_SENTENCES, ("auto", "scratch"), "nothing here reads sentences already")
    name = request.optimizer or "adam"
    reasons = {
        "recipe": "A small network reads the words from scratch: filters of three, four and five words.",
    }
    recipe = Recipe(
        **{
            **_same(request, TEXT),
            "recipe": "scratch",
            "dense": request.dense or (),
            "dropout": 0.5 if request.dropout is None else request.dropout,
            "preprocess": "words",
            "epochs": request.epochs or 10,
            "batch_size": request.batch_size or 50,
            "learning_rate": request.learning_rate or 0.001,
            "l2": (),
            "optimizer": name,
            "weight_decay": request.weight_decay or 0.0,
        }
    )
    return Resolved(request, recipe, _plan(TEXT, dataset), reasons, Vocabulary((), max(FILTER_WIDTHS)))


def resolve_clips(request: Request, dataset: Dataset, store: Store, say: Callable[[str], None]) -> Resolved:
    """Return the recipe of a network for clips with no "auto" left.

    With weights all of it is trained at a small rate (finetune), without them from scratch. Raises UsageError for what
    belongs to pictures, and for a network that sees no time.
    """
    _require_used(request, dataset, USED_BY_CLIPS, ("auto", "scratch", "finetune"), "only these are there for clips")
    name = names.resolve(request.network or CLIP_NETWORK, store.folder)
    if str(name) not in CUTS:
        raise UsageError(f"network is {str(name)!r}, which sees no time; for clips there are {', '.join(CLIPS)}.")
    weights = "none" if request.recipe == "scratch" else request.weights
    found = pretrained.find_weights(name, weights, store.folder, say)
    recipe = "scratch" if found.file is None else "finetune"
    if request.recipe == "finetune" and found.file is None:
        raise UsageError(f"recipe finetune needs pretrained weights. {found.sentence}")
    side = request.image_size or CLIP_SIDE
    tuned = recipe == "finetune"
    optimizer = request.optimizer or "adamw"
    start = kind(optimizer)
    contract = found.contract
    picture = Preprocessing(
        image_size=side,
        mean=(contract.mean if tuned else None) or (0.0, 0.0, 0.0),
        std=(contract.std if tuned else None) or (1.0, 1.0, 1.0),
        crop=request.crop or 1.0,
        resize=request.resize,  # type: ignore[arg-type]
        interpolation=request.interpolation or "bilinear",  # type: ignore[arg-type]
    )
    reasons = {"recipe": f"All of {name.name} is trained. {found.sentence[0].upper()}{found.sentence[1:]}"}
    asked = "shift" if request.augment == "auto" else request.augment
    settled = Recipe(
        **{
            **_same(request, str(name)),
            "recipe": recipe,
            "weights": str(found.file) if found.file else None,
            "weights_licence": found.licence,
            "unfreeze": "all",
            "dense": request.dense or (),
            "dropout": 0.5 if request.dropout is None else request.dropout,
            "augment": spelled(parse(asked)),
            "preprocess": "frames",
            "image_size": side,
            "interpolation": picture.interpolation,
            "crop": picture.crop,
            "epochs": request.epochs or (8 if tuned else 20),
            "batch_size": request.batch_size or 8,
            "learning_rate": request.learning_rate or (1e-4 if tuned else start.learning_rate / 2),
            "l2": (),
            "optimizer": optimizer,
            "weight_decay": start.weight_decay if request.weight_decay is None else request.weight_decay,
            "precision": "float32" if request.precision == "auto" else request.precision,
        }
    )
    moving = Moving(request.frames or FRAMES, picture)
    return Resolved(request, settled, _plan(str(name), dataset), reasons, moving)


def _plan(network: str, dataset: Dataset) -> Plan:
    return Plan(network, Contract(image_size=1), None, None, CUTS[network], (len(dataset.columns),), 1, ())


def _same(request: Request, network: str) -> dict[str, Any]:
    """Return what the user said, and what says nothing here."""
    asked = {field.name: getattr(request, field.name) for field in fields(Request)}
    return {field.name: asked[field.name] for field in fields(Recipe) if field.name in asked} | {
        "network": network,
        "weights": None,
        "weights_licence": None,
        "cut": CUTS[network],
        "unfreeze": "none",
        "pool": "flatten",
        "augment": "none",
        "image_size": 0,
        "interpolation": "none",
        "crop": 1.0,
        "precision": "float32",
        "budget": None,
    }


def _require_used(request: Request, dataset: Dataset, used: Sequence[str], recipes: Sequence[str], why: str) -> None:
    """Raise UsageError for a recipe or an option that has no use for what the data set holds."""
    if request.recipe not in recipes:
        raise UsageError(f"recipe is {request.recipe!r}, but {why}. Leave --recipe out.")
    for field in fields(Request):
        value = getattr(request, field.name)
        if field.name not in used and value != field.default:
            raise UsageError(
                f"{field.name} is {value!r}, which has no use here: {request.data} holds {dataset.example}s. Leave "
                f"--{field.name.replace('_', '-')} out."
            )
