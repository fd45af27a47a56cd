"""Losses in numpy, for heads on stored features: one value a picture, and its gradient at the logits.

`criteria` holds the same losses for torch. The mean over a batch is the sum of the weighted losses divided by the
number of pictures, so that weights of mean one leave the learning rate and the penalty what they were.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Loss = Callable[[np.ndarray, np.ndarray, np.ndarray | None], tuple[np.ndarray, np.ndarray]]
"""(logits (n, k), targets, weights) -> losses (n,), gradient (n, k) of each picture's own loss.

weights: None, (n,) for a weight a picture, or (n, k) for one a label (not for cross_entropy).
"""
HUBER_DELTA = 1.0  # where Huber's parabola becomes a line, in standard deviations of the training targets


def cross_entropy(
    logits: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """-log softmax at the target, in nats. targets: (n,) int64 classes, or (n, k) shares that add up to one."""
    shifted = logits - logits.max(1, keepdims=True)
    powers = np.exp(shifted)
    sums = powers.sum(1)
    gradient = powers / sums[:, None]
    if targets.ndim == 1:
        rows = np.arange(len(targets))
        losses = np.log(sums) - shifted[rows, targets]
        gradient[rows, targets] -= 1
    else:
        losses = (targets * (np.log(sums)[:, None] - shifted)).sum(1)
        gradient -= targets
    if weights is not None:
        losses, gradient = losses * weights, gradient * weights[:, None]
    return losses, gradient


def binary_cross_entropy(
    logits: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """-y log s - (1 - y) log(1 - s) with s = sigmoid(logit), in nats, mean over the k labels.

    targets: (n, k) in 0..1, or (n,) for one output. Chance is ln 2 whatever k is.
    """
    targets = targets.reshape(logits.shape)
    small = np.exp(-np.abs(logits))  # never overflows
    losses = np.maximum(logits, 0) - logits * targets + np.log1p(small)
    sigmoid = np.where(logits >= 0, 1, small) / (1 + small)
    return _mean(losses, sigmoid - targets, weights)


def mae(logits: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """|x - y|. targets: (n, k), or (n,) for one output."""
    away = logits - targets.reshape(logits.shape)
    return _mean(np.abs(away), np.sign(away), weights)


def mse(logits: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(x - y)^2. targets: (n, k), or (n,) for one output."""
    away = logits - targets.reshape(logits.shape)
    return _mean(away * away, 2 * away, weights)


def huber(logits: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(x - y)^2 / 2 within HUBER_DELTA of the target, a line beyond (Huber 1964). targets: (n, k), or (n,)."""
    away = logits - targets.reshape(logits.shape)
    near = np.clip(away, -HUBER_DELTA, HUBER_DELTA)
    return _mean(near * (away - near / 2), near, weights)


def _mean(losses: np.ndarray, gradient: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean over the outputs of each picture, (n,), and its gradient."""
    if weights is not None:
        across = weights[:, None] if weights.ndim == 1 else weights
        losses, gradient = losses * across, gradient * across
    return losses.mean(1), gradient / losses.shape[1]


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mae": mae,
    "mse": mse,
    "huber": huber,
}
NUMBERS = ("mae", "mse", "huber")  # losses of targets that are numbers, taken in standardised units
