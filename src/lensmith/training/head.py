"""Training a dense head on stored features, in numpy: an epoch takes milliseconds.

Softmax regression (or a small dense stack) by Adam on mini-batches with an L2 penalty on the weights, inputs
standardised by the training split; the standardisation is folded into the first layer afterwards, so the head
that is kept takes raw features.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lensmith.engines.head import Head
from lensmith.reproduce import generator
from lensmith.training.epoch import Epoch

# Adam: D. Kingma and J. Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
SMALLEST_STD = 1e-6


@dataclass(frozen=True)
class HeadSettings:
    """How a head is trained: `dense` are the widths of its hidden layers, `dropout` the share of them set to zero."""

    dense: tuple[int, ...]
    dropout: float
    learning_rate: float
    batch_size: int
    epochs: int
    seed: int


@dataclass(frozen=True)
class Examples:
    """Features (n, F) float32 and their targets (n,) int64."""

    features: np.ndarray
    targets: np.ndarray


def fit_head(train: Examples, stopping: Examples, classes: int, l2: float, settings: HeadSettings) -> Iterator[Epoch]:
    """Yield an Epoch after every pass over `train`, at most `settings.epochs`; endless training is the caller's to end.

    The loss is the mean cross-entropy plus l2 / 2 times the squared weights (biases are free).
    """
    mean = train.features.mean(0)
    std = np.maximum(train.features.std(0), SMALLEST_STD)
    # 1 / sqrt(F) keeps the logits of a fresh step at the same size whatever the number of features.
    scale = (1 / (std * np.sqrt(len(mean)))).astype(np.float32)
    x, x_stopping = (train.features - mean) * scale, (stopping.features - mean) * scale
    parameters = _initial(x.shape[1], settings.dense, classes, settings.seed)
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
    step = 0
    for number in range(1, settings.epochs + 1):
        start = time.perf_counter()
        order = generator(settings.seed, "order", number).permutation(len(x))
        losses, right = 0.0, 0
        for begin in range(0, len(x), settings.batch_size):
            chosen = order[begin : begin + settings.batch_size]
            step += 1
            noise = generator(settings.seed, "dropout", step) if settings.dense and settings.dropout else None
            gradients, loss, hits = _gradients(
                parameters, x[chosen], train.targets[chosen], l2, settings.dropout, noise
            )
            losses, right = losses + loss, right + hits
            _adam(parameters, gradients, moments, settings.learning_rate, step)
        logits = _forward(parameters, x_stopping)[-1]
        loss, hits = _loss(logits, stopping.targets)
        yield Epoch(
            number=number,
            l2=l2,
            train_loss=losses / len(x),
            validation_loss=loss / max(len(x_stopping), 1),
            train_accuracy=right / len(x),
            validation_accuracy=hits / max(len(x_stopping), 1),
            learning_rate=settings.learning_rate,
            seconds=time.perf_counter() - start,
            state=_folded(parameters, mean, scale).tensors(),
        )


def _initial(inputs: int, dense: Sequence[int], classes: int, seed: int) -> list[np.ndarray]:
    """Weights and biases in turn: He's normal for hidden layers (He et al. 2015, eq. 10), zero for the last one."""
    parameters: list[np.ndarray] = []
    random, width = generator(seed, "head"), inputs
    for hidden in dense:
        # The inputs are scaled to a squared length of about one, so fan-in counts for the later layers only.
        spread = np.sqrt(2.0) if width == inputs and not parameters else np.sqrt(2.0 / width)
        parameters.append(random.normal(0, spread, (width, hidden)).astype(np.float32))
        parameters.append(np.zeros(hidden, np.float32))
        width = hidden
    return [*parameters, np.zeros((width, classes), np.float32), np.zeros(classes, np.float32)]


def _forward(parameters: Sequence[np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    values = [x]
    for index in range(0, len(parameters) - 2, 2):
        values.append(np.maximum(values[-1] @ parameters[index] + parameters[index + 1], 0))
    return [*values, values[-1] @ parameters[-2] + parameters[-1]]


def _loss(logits: np.ndarray, targets: np.ndarray) -> tuple[float, int]:
    """Return the sum of cross-entropies and the number of right answers."""
    shifted = logits - logits.max(1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(1))
    picked = shifted[np.arange(len(targets)), targets]
    return float((log_sum - picked).sum()), int((logits.argmax(1) == targets).sum())


def _gradients(
    parameters: Sequence[np.ndarray],
    x: np.ndarray,
    targets: np.ndarray,
    l2: float,
    dropout: float,
    noise: np.random.Generator | None,
) -> tuple[list[np.ndarray], float, int]:
    """Return the gradients of one batch, the sum of its losses and its right answers."""
    values, masks = [x], []
    for index in range(0, len(parameters) - 2, 2):
        hidden = np.maximum(values[-1] @ parameters[index] + parameters[index + 1], 0)
        if noise is not None:  # inverted dropout: what is left is made larger, so that prediction needs no change
            masks.append((noise.random(hidden.shape, np.float32) >= dropout).astype(np.float32) / (1 - dropout))
            hidden *= masks[-1]
        values.append(hidden)
    logits = values[-1] @ parameters[-2] + parameters[-1]
    loss, hits = _loss(logits, targets)
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    error = shifted / shifted.sum(1, keepdims=True)
    error[np.arange(len(targets)), targets] -= 1
    error /= len(targets)
    gradients: list[np.ndarray] = []
    for layer in range(len(parameters) // 2 - 1, -1, -1):
        weight = parameters[2 * layer]
        gradients = [values[layer].T @ error + l2 * weight, error.sum(0), *gradients]
        if layer:
            error = (error @ weight.T) * (values[layer] > 0)
            if masks:
                error *= masks[layer - 1]
    return gradients, loss, hits


def _adam(
    parameters: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray],
    moments: Sequence[tuple[np.ndarray, np.ndarray]],
    learning_rate: float,
    step: int,
) -> None:
    """Move the parameters in place by one step of Adam."""
    rate = learning_rate * np.sqrt(1 - BETA_2**step) / (1 - BETA_1**step)
    for parameter, gradient, (first, second) in zip(parameters, gradients, moments, strict=True):
        first += (1 - BETA_1) * (gradient - first)
        second += (1 - BETA_2) * (gradient * gradient - second)
        parameter -= (rate * first / (np.sqrt(second) + EPSILON)).astype(np.float32)


def _folded(parameters: Sequence[np.ndarray], mean: np.ndarray, scale: np.ndarray) -> Head:
    """Return the head for raw features: W' = scale * W, b' = b - mean . W'."""
    first = parameters[0] * scale[:, None]
    weights = (first, *(p.copy() for p in parameters[2::2]))
    biases = ((parameters[1] - mean @ first).astype(np.float32), *(p.copy() for p in parameters[3::2]))
    return Head(weights, biases)
