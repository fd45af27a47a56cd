"""What the user asked of `train`, checked one value at a time; nothing is looked up and nothing is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from lensmith.data.dataset import TASKS
from lensmith.data.preprocess import Resize
from lensmith.engines.choose import DeviceName, EngineName
from lensmith.errors import UsageError, nearest
from lensmith.tasks.choose import OUTPUTS
from lensmith.training.dense import NORMS

RecipeName = Literal["auto", "features", "frozen", "finetune", "scratch"]
InitName = Literal["default", "uniform", "xavier", "he"]
PrecisionName = Literal["auto", "float32", "bfloat16"]

DEFAULT_BUDGET = 600.0  # seconds
TIME = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s?)?")


@dataclass(frozen=True)
class Request:
    """What the user asked of `train`; None and "auto" leave the choice to `resolve`."""

    data: str
    task: str = "auto"
    target: str | None = None
    network: str | None = None
    weights: str = "auto"
    recipe: str = "auto"
    budget: str | None = None
    cut: str | None = None
    unfreeze: str = "auto"
    pool: str | None = None
    dense: tuple[int, ...] | None = None
    dropout: float | None = None
    norm: str = "none"
    init: str = "default"
    output: str = "softmax"
    loss: str | None = None
    augment: str = "auto"
    mixup: float = 0.0
    cutmix: float = 0.0
    preprocess: str | None = None
    image_size: int | None = None
    frames: int | None = None
    resize: str = "crop"
    crop: float | None = None
    interpolation: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    find_rate: bool = False
    optimizer: str | None = None
    weight_decay: float | None = None
    clip: float | None = None
    label_smoothing: float = 0.0
    class_weights: str = "none"
    ema: float = 0.0
    precision: str = "auto"
    min_delta: float = 0.001
    patience: int = 10
    stop_right: float | None = None
    stop_rest: float | None = None
    seed: int = 0
    device: str = "auto"
    engine: str = "auto"

    def __post_init__(self) -> None:
        """Refuse values that no recipe can use."""
        _one_of("recipe", self.recipe, get_args(RecipeName))
        _one_of("engine", self.engine, get_args(EngineName))
        _one_of("device", self.device, get_args(DeviceName))
        _one_of("resize", self.resize, get_args(Resize))
        _one_of("init", self.init, get_args(InitName))
        _one_of("norm", self.norm, NORMS)
        _one_of("precision", self.precision, get_args(PrecisionName))
        _one_of("output", self.output, OUTPUTS)
        _one_of("task", self.task, ("auto", *TASKS))
        if self.pool is not None:
            _one_of("pool", self.pool, ("mean", "flatten"))
        for name, value, allowed, good in self._ranges():
            if value is not None and not good:
                raise UsageError(f"{name} is {value!r}; allowed is {allowed}.")
        if self.budget is not None:
            seconds(self.budget)
            if self.recipe != "auto":
                raise UsageError(
                    f"budget is {self.budget}, but recipe {self.recipe} runs its epochs whatever they take. A budget "
                    f"belongs to recipe auto. Try --epochs, or leave --recipe out."
                )
        if self.find_rate and self.learning_rate is not None:
            raise UsageError("learning_rate is given, and find_rate asks for it to be found. Leave one of them out.")

    def _ranges(self) -> list[tuple[str, float | tuple[int, ...] | None, str, bool]]:
        """Return name, value, what is allowed, and whether the value is, of every number."""
        size, crop, rate, clip = self.image_size, self.crop, self.learning_rate, self.clip
        decay, right, rest = self.weight_decay, self.stop_right, self.stop_rest
        return [
            ("dropout", self.dropout, "0 to below 1. Try 0.5", 0 <= (self.dropout or 0) < 1),
            ("epochs", self.epochs, "1 or more. Try 20", (self.epochs or 0) >= 1),
            ("batch_size", self.batch_size, "2 or more. Try 32", (self.batch_size or 0) >= 2),
            ("learning_rate", rate, "above 0, up to 10. Try 0.001", 0 < (rate or 0) <= 10),
            ("crop", crop, "0.1 to 1, the part of the short side kept. Try 1", 0.1 <= (crop or 0) <= 1),
            ("weight_decay", decay, "0 to 10. Try 0.05", decay is None or 0 <= decay <= 10),
            ("clip", clip, "above 0. Try 1", (clip or 0) > 0),
            ("label_smoothing", self.label_smoothing, "0 to below 1. Try 0.1", 0 <= self.label_smoothing < 1),
            ("mixup", self.mixup, "0 (off) to 10, the alpha of Beta(alpha, alpha). Try 0.2", 0 <= self.mixup <= 10),
            ("cutmix", self.cutmix, "0 (off) to 10, the alpha of Beta(alpha, alpha). Try 1", 0 <= self.cutmix <= 10),
            ("ema", self.ema, "0 (off) to below 1. Try 0.99", 0 <= self.ema < 1),
            ("frames", self.frames, "2 to 256. Try 16", 2 <= (self.frames or 0) <= 256),
            ("image_size", size, "1 to 4096. Try 224", 1 <= (size or 0) <= 4096),
            ("patience", self.patience, "1 or more. Try 10", self.patience >= 1),
            ("min_delta", self.min_delta, "0 or more. Try 0.001", self.min_delta >= 0),
            ("stop_right", right, "above 0, up to 1. Try 0.99", 0 < (right or 0) <= 1),
            ("stop_rest", rest, "above 0. Try 0.001", (rest or 0) > 0),
            ("dense", self.dense, "widths of 1 or more. Try 256", all(width >= 1 for width in self.dense or ())),
            ("seed", self.seed, "a 64-bit number. Try 0", -(2**63) <= self.seed < 2**63),
        ]


def seconds(budget: str) -> float:
    """Return the seconds of `90`, `90s`, `10m`, `1h30m`. Raises UsageError for anything else, and for nothing."""
    found = TIME.fullmatch(budget.strip().lower())
    parts = [float(part or 0) for part in found.groups()] if found else []
    total = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=True)) if parts else 0.0
    if total <= 0:
        raise UsageError(f"budget is {budget!r}; must be a time above zero, such as 90s, 10m or 1h30m. Try 10m.")
    return total


def _one_of(name: str, seen: str, allowed: tuple[str, ...]) -> None:
    if seen not in allowed:
        raise UsageError(f"{name} is {seen!r}; allowed are {', '.join(allowed)}.{nearest(seen, allowed)}")
