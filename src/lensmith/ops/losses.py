"""Losses: each returns its value, a mean over the batch, and the gradient of that value at the answers.

Answers of classifiers are scores before any softmax or sigmoid (logits), so that nothing overflows and the gradient is
`p - t`. Batches come first: (N, K), or (N, K, *space) where each pixel has an answer.
"""

from __future__ import annotations

import numpy as np

from lensmith.ops.activations import sigmoid, softmax
from lensmith.ops.windows import Array, along_channels, numbers, one_of, same_shape

Loss = tuple[float, Array]
"""The value, and the gradient of the shape of the answers."""


def mae(answers: Array, targets: Array) -> Loss:
    """Return the mean of `|a - t|` over all numbers; its gradient is the sign, and 0 where there is no error."""
    off = answers - _alike(targets, answers)
    return float(np.abs(off).mean()), np.asarray(np.sign(off) / off.size)


def mse(answers: Array, targets: Array) -> Loss:
    """Return the mean of `(a - t)^2` over all numbers."""
    off = answers - _alike(targets, answers)
    return float((off**2).mean()), np.asarray(2 * off / off.size)


def huber(answers: Array, targets: Array, delta: float = 1.0) -> Loss:
    """Return Huber's loss (1964), the mean of `e^2 / 2` up to delta and of `delta (|e| - delta / 2)` beyond."""
    off = answers - _alike(targets, answers)
    far = np.abs(off)
    losses = np.where(far <= delta, off**2 / 2, delta * (far - delta / 2))
    return float(losses.mean()), np.asarray(np.clip(off, -delta, delta) / off.size)


def binary_hinge(scores: Array, targets: Array, margin: float = 1.0) -> Loss:
    """Return the mean of `max(0, margin - t s)` over all numbers; targets are -1 or 1."""
    signs = _alike(targets, scores)
    if not np.isin(targets, (-1, 1)).all():
        raise ValueError(f"targets hold {np.unique(targets)[:5].tolist()}; must be -1 or 1. From 0 and 1: 2 t - 1.")
    short = margin - signs * scores
    return float(np.maximum(short, 0).mean()), np.asarray(np.where(short > 0, -signs, 0) / scores.size)


def hinge(scores: Array, targets: Array, margin: float = 1.0, rivals: str = "all") -> Loss:
    """Return the mean over the batch of `sum_j max(0, s_j - s_t + margin)`, j the classes other than the true one, t.

    scores: (N, K). targets: (N,) class numbers. rivals: `all` is the sum of Weston and Watkins (1999), the form of
    lectures on image classification; `worst` takes the largest term alone, the form of Crammer and Singer (2001).
    """
    one_of(rivals, ("all", "worst"), "rivals")
    scores, true = numbers(scores, "scores"), one_hot(targets, scores.shape)
    short = np.where(true, 0, scores - scores[true][:, None] + margin)
    felt = short > 0
    if rivals == "worst":
        felt &= np.arange(scores.shape[1]) == short.argmax(1)[:, None]
    counts = felt.astype(scores.dtype)
    gradient = counts - true * counts.sum(1, keepdims=True)
    return float((short * felt).sum() / len(scores)), gradient / len(scores)


def binary_cross_entropy(logits: Array, targets: Array) -> Loss:
    """Return the mean of `-t log p - (1 - t) log(1 - p)` over all numbers, p = sigmoid(logit), t from 0 to 1."""
    shares = _alike(targets, logits)
    if targets.size and not 0 <= targets.min() <= targets.max() <= 1:
        raise ValueError(f"targets reach from {targets.min()} to {targets.max()}; must lie between 0 and 1.")
    # log(1 + exp(x)) - t x, with the larger part of exp taken out.
    losses = np.maximum(logits, 0) - shares * logits + np.log1p(np.exp(-np.abs(logits)))
    return float(losses.mean()), np.asarray((sigmoid(logits) - shares) / logits.size)


def cross_entropy(logits: Array, targets: Array) -> Loss:
    """Return the mean over the batch of `-sum_k t_k log p_k`, p = softmax(logits); for one class t, `-log p_t`.

    logits: (N, K). targets: (N,) class numbers, or (N, K) shares that sum to 1.
    """
    shares = _shares(logits, targets)
    return float(-(shares * log_softmax(logits)).sum() / len(logits)), (softmax(logits) - shares) / len(logits)


def kl_divergence(logits: Array, targets: Array) -> Loss:
    """Return the mean over the batch of `sum_k t_k log(t_k / p_k)`, p = softmax(logits).

    It is the cross-entropy less the entropy of the targets, which no answer changes: the gradient is the same, and for
    one class so is the value. Arguments are those of `cross_entropy`.
    """
    shares = _shares(logits, targets)
    value, gradient = cross_entropy(logits, shares)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)  # 0 log 0 = 0
    return value + float((shares * logs).sum() / len(shares)), gradient


def pixel_cross_entropy(
    logits: Array, targets: Array, weights: Array | None = None, ignored: int | None = None
) -> Loss:
    """Return the mean of `-w_t log p_t` over all pixels, divided by the sum of their weights, as in torch.

    logits: (N, K, *space). targets: (N, *space) class numbers. weights: (K,) how much a pixel of each class counts
    (SegNet's are median frequency / frequency), or None. ignored: a number in the targets whose pixels do not count.
    Where none counts the loss is 0.
    """
    same_shape(targets, (len(logits), *logits.shape[2:]), "targets")
    counted = np.ones(targets.shape, bool) if ignored is None else targets != ignored
    true = one_hot(np.where(counted, targets, 0), logits.shape)
    each = np.ones(logits.shape[1], logits.dtype) if weights is None else weights
    same_shape(each, logits.shape[1:2], "weights")
    weight = (true * along_channels(each, logits.ndim)).sum(1, keepdims=True) * counted[:, None]
    weight = weight / (weight.sum() or 1)
    return float(-(true * log_softmax(logits) * weight).sum()), np.asarray((softmax(logits) - true) * weight)


def dice(probabilities: Array, targets: Array) -> Loss:
    """Return 1 less the mean Dice coefficient `2 sum p g / (sum p^2 + sum g^2)` of each picture and channel.

    Milletari et al. 2016 (V-Net), section 3, for the one channel that is the foreground there. The gradient of the
    coefficient is `2 (g / d - 2 p sum(p g) / d^2)`, where d is the sum of squares below.

    probabilities: (N, C, *space), after sigmoid or softmax. targets: the same shape, 0 or 1. Nothing to be found and
    nothing found (d = 0) is a coefficient of 1.
    """
    mask = _alike(targets, probabilities)
    space = tuple(range(2, probabilities.ndim))
    squares = (probabilities**2).sum(space, keepdims=True) + (mask**2).sum(space, keepdims=True)
    common = (probabilities * mask).sum(space, keepdims=True)
    empty = squares == 0
    below = np.where(empty, 1, squares)
    coefficient = np.where(empty, 1, 2 * common / below)
    gradient = 2 * (mask / below - 2 * probabilities * common / below**2)
    return float(1 - coefficient.mean()), np.asarray(-gradient / coefficient.size)


def log_softmax(logits: Array) -> Array:
    """Return `x_i - log sum_j exp(x_j)` along axis 1, without overflow and without log 0."""
    logits = numbers(logits, "logits")
    below = logits - logits.max(1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(1, keepdims=True)))


def one_hot(targets: Array, shape: tuple[int, ...]) -> Array:
    """Return class numbers (N, *space) as a mask (N, K, *space), true at the class. Raises ValueError."""
    same_shape(targets, (shape[0], *shape[2:]), "targets")
    classes = shape[1]
    if targets.dtype.kind not in "iu" or not targets.size or not 0 <= targets.min() <= targets.max() < classes:
        seen = f"{targets.dtype} from {targets.min()} to {targets.max()}" if targets.size else "none"
        raise ValueError(f"targets are {seen}; must be whole numbers from 0 to {classes - 1}, at least one.")
    return np.asarray(np.expand_dims(targets, 1) == along_channels(np.arange(classes), len(shape)))


def _shares(logits: Array, targets: Array) -> Array:
    """Return targets as shares (N, K) that sum to 1. Raises ValueError."""
    if logits.ndim != 2:
        raise ValueError(f"logits are {logits.shape}; must be (N, K). For pixels there is `pixel_cross_entropy`.")
    if targets.ndim == 1:
        return _alike(one_hot(targets, logits.shape), logits)
    shares = _alike(targets, logits)
    if shares.min() < 0 or not np.allclose(shares.sum(1), 1, atol=1e-4):
        raise ValueError("targets are no shares; each row must sum to 1 and nothing lie below 0.")
    return shares


def _alike(targets: Array, answers: Array) -> Array:
    """Return targets as floats of the answers' precision. Raises ValueError where they are not of one shape."""
    return same_shape(targets, answers.shape, "targets").astype(np.result_type(answers, np.float32))
