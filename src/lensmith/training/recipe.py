"""A recipe is data: every choice made, none left open, and the reason for each that was made for the user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from lensmith.data import decode
from lensmith.data.dataset import Dataset
from lensmith.data.preprocess import Preprocessing, Resize
from lensmith.data.store import Store
from lensmith.errors import UsageError
from lensmith.training.augmentation import parse, spelled
from lensmith.training.optimizers import kind
from lensmith.training.plan import Plan, plan_pretrained, plan_random

RecipeName = Literal["auto", "features", "scratch"]

DEFAULT_PRETRAINED = "torchvision/mobilenet_v2"
DEFAULT_SCRATCH = "lensmith/convnet/32-64-128/128"
L2 = (1e-5, 1e-4, 1e-3)
DEFAULT_AUGMENTATION = {"features": "none", "scratch": "shift"}
SCRATCH_SIZES = (16, 128)  # smallest and largest side chosen for a network without weights
SIZES_READ = 200


@dataclass(frozen=True)
class Request:
    """What the user asked of `train`; None and "auto" leave the choice to `resolve`."""

    data: str
    network: str | None = None
    weights: str = "auto"
    recipe: str = "auto"
    cut: str | None = None
    pool: str | None = None
    dense: tuple[int, ...] | None = None
    dropout: float = 0.5
    augment: str = "auto"
    image_size: int | None = None
    resize: str = "crop"
    crop: float | None = None
    interpolation: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    optimizer: str | None = None
    weight_decay: float | None = None
    clip: float | None = None
    label_smoothing: float = 0.0
    min_delta: float = 0.001
    patience: int = 10
    seed: int = 0
    device: str = "auto"
    engine: str = "auto"

    def __post_init__(self) -> None:
        """Refuse values that no recipe can use."""
        _require(self.recipe in get_args(RecipeName), "recipe", self.recipe, ", ".join(get_args(RecipeName)))
        _require(self.pool in (None, "mean", "flatten"), "pool", self.pool, "mean, flatten")
        _require(self.resize in get_args(Resize), "resize", self.resize, ", ".join(get_args(Resize)))
        _require(0 <= self.dropout < 1, "dropout", self.dropout, "0 to below 1. Try 0.5")
        _require(self.epochs is None or self.epochs >= 1, "epochs", self.epochs, "1 or more. Try 20")
        _require(
            self.batch_size is None or self.batch_size >= 2,
            "batch_size",
            self.batch_size,
            "2 or more. Try 32",
        )
        rate = self.learning_rate
        _require(rate is None or 0 < rate <= 10, "learning_rate", rate, "above 0, up to 10. Try 0.001")
        crop = self.crop
        _require(crop is None or 0.1 <= crop <= 1, "crop", crop, "0.1 to 1, the part of the short side kept. Try 1")
        decay, clip = self.weight_decay, self.clip
        _require(decay is None or 0 <= decay <= 10, "weight_decay", decay, "0 to 10. Try 0.05")
        _require(clip is None or clip > 0, "clip", clip, "above 0. Try 1")
        smoothing = self.label_smoothing
        _require(0 <= smoothing < 1, "label_smoothing", smoothing, "0 to below 1. Try 0.1")
        size = self.image_size
        _require(size is None or 1 <= size <= 4096, "image_size", size, "1 to 4096. Try 224")
        _require(self.patience >= 1, "patience", self.patience, "1 or more. Try 10")
        _require(self.min_delta >= 0, "min_delta", self.min_delta, "0 or more. Try 0.001")
        _require(all(width >= 1 for width in self.dense or ()), "dense", self.dense, "widths of 1 or more. Try 256")
        _require(-(2**63) <= self.seed < 2**63, "seed", self.seed, "a 64-bit number. Try 0")


@dataclass(frozen=True)
class Recipe:
    """Every choice of one training. `l2` are the penalties tried (features); the four after it steer recipe scratch."""

    recipe: str
    network: str
    weights: str | None
    weights_licence: str | None
    cut: str
    pool: str
    dense: tuple[int, ...]
    dropout: float
    augment: str
    image_size: int
    resize: str
    interpolation: str
    crop: float
    epochs: int
    batch_size: int
    learning_rate: float
    l2: tuple[float, ...]
    optimizer: str
    weight_decay: float
    clip: float | None
    label_smoothing: float
    min_delta: float
    patience: int
    seed: int
    device: str
    engine: str


@dataclass(frozen=True)
class Resolved:
    """A recipe, the plan of its base, the reasons by field, and the geometry (mean and std open for scratch)."""

    recipe: Recipe
    plan: Plan
    reasons: dict[str, str]
    preprocessing: Preprocessing


def resolve(request: Request, dataset: Dataset, store: Store, say: Callable[[str], None]) -> Resolved:
    """Return the recipe for a data set with no "auto" left. Reads at most the headers of a few pictures.

    Raises UsageError for what cannot be had (an unknown network, a size it cannot take, features without weights)
    and WeightsError for weights that do not fit.
    """
    reasons: dict[str, str] = {}
    plan = None
    if request.recipe in ("auto", "features"):
        plan = _pretrained(request, store, say, reasons)
    if plan is None:
        plan = _random(request, dataset, store, reasons)
    recipe = "scratch" if plan.weights is None else "features"
    fitted = _scratch(request, dataset, reasons) if recipe == "scratch" else _features(request, dataset, reasons)
    pool = request.pool or _default_pool(plan, recipe)
    dense = request.dense if request.dense is not None else plan.contract.dense if recipe == "scratch" else ()
    interpolation = request.interpolation or plan.contract.interpolation
    crop = _crop(request, plan, recipe)
    preprocessing = Preprocessing(
        image_size=plan.image_size,
        mean=plan.contract.mean or (0.0, 0.0, 0.0),
        std=plan.contract.std or (1.0, 1.0, 1.0),
        crop=crop,
        resize=request.resize,  # type: ignore[arg-type]
        interpolation=interpolation,  # type: ignore[arg-type]
    )
    chosen = Recipe(
        recipe=recipe,
        network=plan.network,
        weights=str(plan.weights) if plan.weights else None,
        weights_licence=plan.licence,
        cut=plan.cut,
        pool=pool,
        dense=dense,
        dropout=request.dropout,
        augment=_augmentation(request, recipe, reasons),
        image_size=plan.image_size,
        resize=request.resize,
        interpolation=interpolation,
        crop=crop,
        min_delta=request.min_delta,
        patience=request.patience,
        seed=request.seed,
        device=request.device,
        engine=request.engine,
        **fitted,
    )
    return Resolved(chosen, plan, reasons, preprocessing)


def _pretrained(request: Request, store: Store, say: Callable[[str], None], reasons: dict[str, str]) -> Plan | None:
    """Return the plan of a pretrained base, or None where there are no weights and the user did not insist."""
    if request.weights == "none":
        if request.recipe == "features":
            raise UsageError("recipe features needs pretrained weights, but weights is none. Try --recipe scratch.")
        reasons["recipe"] = "Trained from scratch, since --weights none was asked for."
        return None
    network = DEFAULT_PRETRAINED if request.network is None else request.network
    found = plan_pretrained(network, request.weights, request.cut, request.image_size, store, say)
    if isinstance(found, str):
        if request.recipe == "features":
            raise UsageError(f"recipe features needs pretrained weights. {found}")
        reasons["recipe"] = f"Trained from scratch, for want of pretrained weights. {found}"
        say(found)
        return None
    if request.recipe == "auto":
        reasons["recipe"] = (
            "Pretrained weights are at hand, so the network's base stays as it is, runs once over every picture, and "
            "only a small head is trained: the fastest way, and the safest with few pictures."
        )
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


def _features(request: Request, dataset: Dataset, reasons: dict[str, str]) -> dict[str, Any]:
    asked = {"optimizer": request.optimizer, "weight_decay": request.weight_decay, "clip": request.clip}
    asked["label_smoothing"] = request.label_smoothing or None
    for name, value in asked.items():
        if value is not None:
            raise UsageError(f"{name} is {value}, but recipe features trains its head by Adam. Try --recipe scratch.")
    batch = request.batch_size or int(np.clip(len(dataset.paths) // 40, 16, 1024))
    reasons["l2"] = "Tried one after another; the one with the lowest validation loss is kept."
    return {
        "epochs": request.epochs or 200,
        "batch_size": batch,
        "learning_rate": request.learning_rate or 0.01,
        "l2": L2,
        "optimizer": "adam",
        "weight_decay": 0.0,
        "clip": None,
        "label_smoothing": 0.0,
    }


def _scratch(request: Request, dataset: Dataset, reasons: dict[str, str]) -> dict[str, Any]:
    batch = request.batch_size or int(np.clip(len(dataset.paths) // 20, 8, 64))
    if request.batch_size is None:
        reasons["batch_size"] = f"{batch} pictures a step gives this data set enough steps an epoch."
    name = "adamw" if request.optimizer is None else request.optimizer
    start = kind(name)
    return {
        "epochs": request.epochs or 30,
        "batch_size": batch,
        "learning_rate": request.learning_rate or start.learning_rate,
        "l2": (),
        "optimizer": name,
        "weight_decay": start.weight_decay if request.weight_decay is None else request.weight_decay,
        "clip": request.clip,
        "label_smoothing": request.label_smoothing,
    }


def _crop(request: Request, plan: Plan, recipe: str) -> float:
    """Return the part of the short side that is kept: what the weights were made for, or all of it."""
    if request.resize != "crop":
        return 1.0
    if request.crop is not None:
        return request.crop
    return plan.contract.crop if recipe == "features" else 1.0


def _augmentation(request: Request, recipe: str, reasons: dict[str, str]) -> str:
    """Return the augmentation spelled out. Raises UsageError where the recipe sees every picture only once."""
    asked = DEFAULT_AUGMENTATION[recipe] if request.augment == "auto" else request.augment
    spelling = spelled(parse(asked))
    if recipe == "features" and spelling != "none":
        raise UsageError(
            f"augment is {request.augment!r}, but recipe features sees every picture once. Allowed is none. "
            f"Try --recipe scratch --augment {request.augment}."
        )
    if request.augment == "auto" and recipe == "scratch":
        reasons["augment"] = "Small shifts are safe for any kind of picture; mirrored digits or letters would not be."
    return spelling


def _default_pool(plan: Plan, recipe: str) -> str:
    return plan.contract.pool if recipe == "scratch" else "mean"


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


def _require(good: bool, name: str, seen: object, allowed: str) -> None:
    if not good:
        raise UsageError(f"{name} is {seen!r}; allowed is {allowed}.")


def weights_name(path: str | None) -> str | None:
    """Return the file name of the weights, for people."""
    return Path(path).name if path else None
