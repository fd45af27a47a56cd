"""A recipe is data: every choice made, none left open, and the reason for each that was made for the user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from lensmith.data import decode
from lensmith.data.clips import Moving
from lensmith.data.dataset import Dataset
from lensmith.data.encoding import Encoding
from lensmith.data.preprocess import Preprocessing
from lensmith.data.store import Store
from lensmith.data.vocabulary import Vocabulary
from lensmith.engines.choose import resolve_device
from lensmith.errors import UsageError
from lensmith.training.augmentation import parse, spelled
from lensmith.training.optimizers import kind
from lensmith.training.plan import Plan, plan_pretrained, plan_random
from lensmith.training.request import DEFAULT_BUDGET, RecipeName, Request, seconds

DEFAULT_PRETRAINED = "torchvision/mobilenet_v2"
DEFAULT_SCRATCH = "lensmith/convnet/32-64-128/128"
DROPOUT = 0.5
L2 = (1e-5, 1e-4, 1e-3)
DEFAULT_AUGMENTATION = {"features": "none", "frozen": "small-data", "finetune": "small-data", "scratch": "shift"}
SCRATCH_SIZES = (16, 128)  # smallest and largest side chosen for a network without weights
SIZES_READ = 200

# What a recipe has no use for; anything else than the option's default is refused there.
HEAD_ONLY = ("optimizer", "weight_decay", "clip", "label_smoothing", "mixup", "cutmix", "ema", "find_rate", "precision")
UNUSED = {
    "features": (*HEAD_ONLY, "augment", "unfreeze", "init", "preprocess"),
    "frozen": (*HEAD_ONLY, "unfreeze", "init", "preprocess", "norm"),
    "finetune": ("init", "preprocess", "norm"),
    "auto": ("init", "preprocess", "norm"),
    "scratch": ("unfreeze", "norm"),
}
# How a base is fine-tuned by the number of training pictures: below how many, depth (the share of the base's places
# that is trained), epochs, pictures a step, rate. LOG.md has the runs behind it.
DEPTHS = (
    (500, 0.5, 8, 16, 1e-4),
    (2_000, 1.0, 8, 32, 2e-4),
    (10_000, 1.0, 6, 32, 3e-4),
    (10**12, 1.0, 3, 64, 3e-4),
)


@dataclass(frozen=True)
class Recipe:
    """Every choice of one training. `l2` are the penalties tried for a head on cached features."""

    recipe: str
    network: str
    weights: str | None
    weights_licence: str | None
    cut: str
    unfreeze: str
    pool: str
    dense: tuple[int, ...]
    dropout: float
    norm: str
    init: str
    augment: str
    mixup: float
    cutmix: float
    preprocess: str
    image_size: int
    resize: str
    interpolation: str
    crop: float
    epochs: int
    batch_size: int
    learning_rate: float
    find_rate: bool
    l2: tuple[float, ...]
    optimizer: str
    weight_decay: float
    clip: float | None
    label_smoothing: float
    class_weights: str
    ema: float
    precision: str
    budget: float | None
    min_delta: float
    patience: int
    stop_right: float | None
    stop_rest: float | None
    seed: int
    device: str
    engine: str


@dataclass(frozen=True)
class Resolved:
    """A recipe, the plan of its base, the reasons by field, and the geometry (mean and std open for scratch)."""

    request: Request
    recipe: Recipe
    plan: Plan
    reasons: dict[str, str]
    preprocessing: Preprocessing | Encoding | Vocabulary | Moving


def resolve(request: Request, dataset: Dataset, store: Store, say: Callable[[str], None]) -> Resolved:
    """Return the recipe for a data set with no "auto" left; where a ladder is to be climbed, its lowest step.

    Reads at most the headers of a few pictures. Raises UsageError for what cannot be had (an unknown network or cut, a
    size it cannot take, features without weights) and WeightsError for weights that do not fit.
    """
    reasons: dict[str, str] = {}
    plan = None
    if request.recipe != "scratch":
        plan = _pretrained(request, store, say, reasons)
    if plan is None:
        plan = _random(request, dataset, store, reasons)
    name = request.recipe if request.recipe != "auto" else "scratch" if plan.weights is None else "features"
    _require_used(request, "auto" if request.recipe == "auto" and plan.weights else name)
    preprocessing = Preprocessing(
        image_size=plan.image_size,
        mean=plan.contract.mean or (0.0, 0.0, 0.0),
        std=plan.contract.std or (1.0, 1.0, 1.0),
        crop=_crop(request, plan),
        resize=request.resize,  # type: ignore[arg-type]
        interpolation=request.interpolation or plan.contract.interpolation,  # type: ignore[arg-type]
        kind=request.preprocess or "standardise",
    )
    resolved = Resolved(request, _open(request, plan, preprocessing), plan, reasons, preprocessing)
    return step(resolved, name, len(dataset))


def step(resolved: Resolved, name: str, pictures: int, unfreeze: str = "") -> Resolved:
    """Return what `resolve` returned with its recipe settled as `name`, one of features, frozen, finetune, scratch.

    `pictures` is the number of pictures that there are; `unfreeze` overrules the depth chosen for finetune.
    """
    request, reasons = resolved.request, dict(resolved.reasons)
    asked = replace(request, unfreeze=unfreeze) if unfreeze else request
    settled = {"features": _features, "frozen": _frozen, "finetune": _finetune, "scratch": _scratch}[name]
    choices = settled(asked, resolved.plan, pictures, reasons)
    augment = _augmentation(request, name, reasons)
    recipe = replace(resolved.recipe, recipe=name, augment=augment, **choices)
    return replace(resolved, recipe=recipe, reasons=reasons)


def first_stage(recipe: Recipe, pictures: int) -> Recipe:
    """Return the recipe of the head on cached features that frozen and finetune begin with."""
    return replace(recipe, recipe="features", augment="none", **_head(pictures))


def _open(request: Request, plan: Plan, preprocessing: Preprocessing) -> Recipe:
    """Return what is the same in every step of the ladder; `step` settles the rest."""
    same = {field.name for field in fields(Recipe)} & {field.name for field in fields(Request)}
    asked: dict[str, Any] = {name: getattr(request, name) for name in same}
    scratch = plan.weights is None
    return Recipe(
        **{
            **asked,
            "network": plan.network,
            "weights": str(plan.weights) if plan.weights else None,
            "weights_licence": plan.licence,
            "cut": plan.cut,
            "unfreeze": "none",
            "pool": request.pool or (plan.contract.pool if scratch else "mean"),
            "dense": request.dense if request.dense is not None else plan.contract.dense if scratch else (),
            "dropout": DROPOUT if request.dropout is None else request.dropout,
            "preprocess": preprocessing.kind,
            "image_size": plan.image_size,
            "interpolation": preprocessing.interpolation,
            "crop": preprocessing.crop,
            "l2": (),
            "budget": seconds(request.budget) if request.budget else DEFAULT_BUDGET,
        }
    )


def _require_used(request: Request, name: str) -> None:
    """Raise UsageError for an option that a recipe has no use for, naming those that have one."""
    defaults = {field.name: field.default for field in fields(Request)}
    for option in UNUSED[name]:
        value = getattr(request, option)
        if value != defaults[option]:
            others = [other for other in get_args(RecipeName) if other != "auto" and option not in UNUSED[other]]
            named = "the recipes that recipe auto tries with these weights have" if name == "auto" else "it has"
            raise UsageError(
                f"{option} is {value!r}, but recipe {name}: {named} no use for it. Recipes with one: "
                f"{', '.join(others)}. Try --recipe {others[-1]}, or leave --{option.replace('_', '-')} out."
            )


def _pretrained(request: Request, store: Store, say: Callable[[str], None], reasons: dict[str, str]) -> Plan | None:
    """Return the plan of a pretrained base, or None where there are no weights and the user did not insist."""
    if request.weights == "none":
        if request.recipe != "auto":
            raise UsageError(
                f"recipe {request.recipe} needs pretrained weights, but weights is none. Try --recipe scratch."
            )
        reasons["recipe"] = "Trained from scratch, since --weights none was asked for."
        return None
    network = DEFAULT_PRETRAINED if request.network is None else request.network
    found = plan_pretrained(network, request.weights, request.cut, request.image_size, store, say)
    if isinstance(found, str):
        if request.recipe != "auto":
            raise UsageError(f"recipe {request.recipe} needs pretrained weights. {found}")
        reasons["recipe"] = f"Trained from scratch, for want of pretrained weights. {found}"
        say(found)
        return None
    if request.network is None:
        reasons["network"] = "mobilenet_v2 is small and fast, and good enough to start with."
    if found.contract.mean is None:
        reasons["preprocessing"] = (
            "Nothing says how this network's pictures are normalised: it gets pixels from 0 to 1."
        )
    if request.image_size is None:
        reasons["image_size"] = f"{found.image_size} pixels is what the pretrained weights expect."
    if request.cut is None:
        reasons["cut"] = (
            "The last place before the published classifier where the network still holds a picture-like map."
        )
    return found


def _random(request: Request, dataset: Dataset, store: Store, reasons: dict[str, str]) -> Plan:
    network = DEFAULT_SCRATCH if request.network is None else request.network
    if request.network is None:
        reasons["network"] = "A small convolutional network, since nothing pretrained is used."
    size = request.image_size
    if size is None:
        side = _median_side(dataset)
        size = int(np.clip(-(-side // 8) * 8, *SCRATCH_SIZES))
        reasons["image_size"] = (
            f"The pictures' short side is {side} pixels (median); {size} is the nearest size that fits."
        )
    return plan_random(network, request.cut, size, store, exact=request.image_size is not None)


def _head(pictures: int) -> dict[str, Any]:
    """Return how a head on cached features is trained."""
    return {
        "epochs": 200,
        "batch_size": int(np.clip(pictures // 40, 16, 1024)),
        "learning_rate": 0.01,
        "find_rate": False,
        "l2": L2,
        "optimizer": "adam",
        "weight_decay": 0.0,
        "clip": None,
        "label_smoothing": 0.0,
        "mixup": 0.0,
        "cutmix": 0.0,
        "ema": 0.0,
        "precision": "float32",
        "unfreeze": "none",
    }


def _features(request: Request, plan: Plan, pictures: int, reasons: dict[str, str]) -> dict[str, Any]:
    reasons["l2"] = "Tried one after another; the one with the lowest validation loss is kept."
    return {**_head(pictures), **_asked(request, "epochs", "batch_size", "learning_rate")}


def _frozen(request: Request, plan: Plan, pictures: int, reasons: dict[str, str]) -> dict[str, Any]:
    reasons["unfreeze"] = "Recipe frozen leaves the whole base as it is; only the head learns."
    views = {"epochs": 10, "learning_rate": 0.003}
    return {**_head(pictures), **views, **_asked(request, "epochs", "batch_size", "learning_rate")}


def _finetune(request: Request, plan: Plan, pictures: int, reasons: dict[str, str]) -> dict[str, Any]:
    _, share, epochs, batch, rate = next(row for row in DEPTHS if pictures < row[0])
    unfreeze, why = _depth(request, plan, pictures, share)
    reasons["unfreeze"] = why
    if request.learning_rate is None and not request.find_rate:
        reasons["learning_rate"] = "Small, so that what the base knows is adjusted and not overwritten."
    name = request.optimizer or "adamw"
    return {
        "epochs": request.epochs or epochs,
        "batch_size": request.batch_size or batch,
        "learning_rate": request.learning_rate or (rate if name in ("adam", "adamw") else kind(name).learning_rate / 5),
        "l2": L2,
        "optimizer": name,
        "weight_decay": kind(name).weight_decay if request.weight_decay is None else request.weight_decay,
        "unfreeze": unfreeze,
        "precision": _precision(request),
    }


def _depth(request: Request, plan: Plan, pictures: int, share: float) -> tuple[str, str]:
    """Return the place after which a base is trained, or "all", and why."""
    if request.unfreeze != "auto":
        return plan.place(request.unfreeze), "Asked for by --unfreeze."
    at = plan.place_below(share)
    if share >= 1 or not at:
        return "all", f"{pictures:,} pictures are enough to adjust every layer of the base."
    return at, (
        f"With {pictures:,} pictures only the top {share:.0%} of the base is adjusted: what comes after {at}. The "
        f"lower layers see edges and textures, which are the same everywhere, and few pictures would spoil them."
    )


def _scratch(request: Request, plan: Plan, pictures: int, reasons: dict[str, str]) -> dict[str, Any]:
    batch = request.batch_size or int(np.clip(pictures // 20, 8, 64))
    if request.batch_size is None:
        reasons["batch_size"] = f"{batch} pictures a step gives this data set enough steps an epoch."
    name = "adamw" if request.optimizer is None else request.optimizer
    start, slower = kind(name), plan.contract.slower
    if slower != 1 and request.learning_rate is None and not request.find_rate:
        reasons["learning_rate"] = (
            f"The usual one divided by {slower}: wide layers without normalisation need it small."
        )
    return {
        "epochs": request.epochs or 30,
        "batch_size": batch,
        "learning_rate": request.learning_rate or start.learning_rate / slower,
        "optimizer": name,
        "weight_decay": start.weight_decay if request.weight_decay is None else request.weight_decay,
        "unfreeze": "all",
        "precision": _precision(request),
    }


def _precision(request: Request) -> str:
    """Return what is multiplied with: on processors bfloat16 was no faster than float32 in training (LOG.md)."""
    if request.precision != "auto":
        return request.precision
    return "bfloat16" if resolve_device(request.device) == "cuda" else "float32"


def _asked(request: Request, *names: str) -> dict[str, Any]:
    """Return the fields that the user gave a value for."""
    return {name: getattr(request, name) for name in names if getattr(request, name) is not None}


def _crop(request: Request, plan: Plan) -> float:
    """Return the part of the short side that is kept: what the weights were made for, or all of it."""
    if request.resize != "crop":
        return 1.0
    if request.crop is not None:
        return request.crop
    return plan.contract.crop if plan.weights else 1.0


def _augmentation(request: Request, name: str, reasons: dict[str, str]) -> str:
    """Return the augmentation spelled out; a head on cached features sees every picture only once."""
    if name == "features":
        return "none"
    asked = DEFAULT_AUGMENTATION[name] if request.augment == "auto" else request.augment
    if request.augment == "auto" and name == "scratch":
        reasons["augment"] = "Small shifts are safe for any kind of picture; mirrored digits or letters would not be."
    if request.augment == "auto" and name != "scratch":
        reasons["augment"] = (
            "Photographs may be turned, moved, zoomed and mirrored a little and stay what they are. Where that is "
            "wrong (letters, left hands), use --augment shift."
        )
    return spelled(parse(asked))


def _median_side(dataset: Dataset) -> int:
    """Return the median short side of a spread of pictures, from their headers; 64 where none can be read."""
    step = max(1, len(dataset.paths) // SIZES_READ)
    sides = []
    for path in dataset.paths[::step]:
        try:
            sides.append(min(decode.picture_size(dataset.root / path)))
        except decode.Unreadable:
            continue
    return int(np.median(sides)) if sides else 64


def weights_name(path: str | None) -> str | None:
    """Return the file name of the weights, for people."""
    return Path(path).name if path else None
