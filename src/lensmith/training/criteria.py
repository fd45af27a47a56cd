"""The losses of `losses` for torch, on any device: one value a picture, computed in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from lensmith.errors import UsageError
from lensmith.training.losses import HUBER_DELTA


class Criterion(Protocol):
    """(logits (n, k), targets, weights, label_smoothing) -> losses (n,), or their mean as a scalar.

    weights: None, (n,) for a weight a picture, or (n, k) for one a label (not for cross_entropy).
    """

    def __call__(
        self, logits: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Return the losses."""


def cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """-log softmax at the target. targets: (n,) int64 classes, or (n, k) shares that add up to one.

    label_smoothing gives that share of every target to all classes alike (Szegedy et al. 2016, section 7).
    """
    if targets.ndim == 2:
        targets = targets.float()
    losses = functional.cross_entropy(logits.float(), targets, reduction="none", label_smoothing=label_smoothing)
    return losses if weights is None else losses * weights


def binary_cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """-y log s - (1 - y) log(1 - s) with s = sigmoid(logit), mean over the k labels. targets: (n, k), or (n,).

    label_smoothing moves every target by that share towards one half.
    """
    targets = targets.reshape(logits.shape).float()
    targets = targets * (1 - label_smoothing) + label_smoothing / 2
    losses = functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    return _mean(losses, weights)


def mae(logits: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0) -> Tensor:
    """|x - y|. targets: (n, k), or (n,) for one output."""
    return _distance(functional.l1_loss, logits, targets, weights, label_smoothing)


def mse(logits: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0) -> Tensor:
    """(x - y)^2. targets: (n, k), or (n,) for one output."""
    return _distance(functional.mse_loss, logits, targets, weights, label_smoothing)


def huber(logits: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0) -> Tensor:
    """(x - y)^2 / 2 within HUBER_DELTA of the target, a line beyond (Huber 1964). targets: (n, k), or (n,)."""
    return _distance(_huber, logits, targets, weights, label_smoothing)


def _huber(logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
    return functional.huber_loss(logits, targets, reduction=reduction, delta=HUBER_DELTA)


def _distance(
    distance: Callable[..., Tensor], logits: Tensor, targets: Tensor, weights: Tensor | None, label_smoothing: float
) -> Tensor:
    """Return the mean distance over the outputs of each picture. Raises UsageError if numbers are to be smoothed."""
    if label_smoothing:
        raise UsageError(f"label_smoothing is {label_smoothing:g}, but the targets are numbers; must be 0 for them.")
    return _mean(distance(logits.float(), targets.reshape(logits.shape).float(), reduction="none"), weights)


def _mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    if weights is not None:
        losses = losses * (weights[:, None] if weights.ndim == 1 else weights)
    return torch.mean(losses, dim=1)


LOSSES: dict[str, Criterion] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mae": mae,
    "mse": mse,
    "huber": huber,
}


def criterion(name: str) -> Criterion:
    """Return the loss of a name as one number: the sum of the weighted losses over the number of pictures."""
    losses = LOSSES[name]

    def mean(logits: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0) -> Tensor:
        return losses(logits, targets, weights, label_smoothing).mean()

    return mean


def soft_targets(targets: Tensor, loss: str, outputs: int) -> Tensor:
    """Return targets that can be mixed: classes (n,) as shares (n, outputs) float32, all others as float32."""
    if loss == "cross_entropy" and targets.ndim == 1:
        return functional.one_hot(targets, outputs).float()
    return targets.float()
