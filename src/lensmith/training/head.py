"""Training a dense head on stored features, in numpy: an epoch takes milliseconds.

A linear map (or a dense stack) by Adam on mini-batches with an L2 penalty on the weights, inputs standardised by the
training split, and targets too where they are numbers; both standardisations, and batch normalisation where there is
some, are folded into the layers afterwards, so the head that is kept takes raw features and answers in the target's
own unit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from lensmith.engines.head import Head
from lensmith.errors import RunError
from lensmith.reproduce import generator
from lensmith.training.dense import Stack, drawn, forward
from lensmith.training.epoch import Epoch
from lensmith.training.losses import LOSSES, NUMBERS
from lensmith.training.rows import SMALL, Matrix

# Adam: D. Kingma and J. Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
SMALLEST_STD, TINY = 1e-6, 1e-30
# A feature that hardly ever fires in training is not blown up to the size of the others: its weight would be huge, and
# one new picture, or a base that is fine-tuned, would make it shout.
LEAST_OF_MEDIAN = 0.1
BLOCK = 16 * 2**20  # bytes of features in memory together where there are many
PIECE = 16  # neighbours that stay in one window of an epoch
Metric = Callable[[np.ndarray, np.ndarray], float]
Moments = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class HeadSettings:
    """How a head is trained: `dense` are the widths of its hidden layers, `dropout` the share of them set to zero.

    loss: a name of losses.LOSSES. norm: where batch normalisation is, a name of dense.NORMS. scaled: the features come
    on one scale and are not standardised again. stage: what the epochs are called in the history.
    """

    dense: tuple[int, ...]
    dropout: float
    learning_rate: float
    batch_size: int
    epochs: int
    seed: int
    loss: str = "cross_entropy"
    norm: str = "none"
    scaled: bool = False
    stage: str = "features"


@dataclass(frozen=True)
class Examples:
    """Features (n, F) float32, targets as the loss wants them, and how much each counts: None, (n,) or (n, k).

    rows: which rows of the features belong to the n targets, where there are more; so nothing has to be copied.
    """

    features: Matrix
    targets: np.ndarray
    weights: np.ndarray | None = None
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.features) if self.rows is None else len(self.rows)

    def at(self, places: np.ndarray | slice) -> np.ndarray:
        """Return the features of the examples at these places, (k, F)."""
        return self.features[places if self.rows is None else self.rows[places]]

    @property
    def small(self) -> bool:
        """Whether all features may be held in memory once more."""
        return 4 * len(self) * self.features.shape[1] <= SMALL

    def blocks(self) -> Iterator[slice]:
        """Yield places that are looked at together: all of them, or of many a few at a time."""
        size = max(1, len(self) if self.small else self.rows_in(BLOCK))
        return (slice(begin, begin + size) for begin in range(0, len(self), size))

    def rows_in(self, size: int) -> int:
        """Return how many rows fit into so many bytes, at least one."""
        return max(1, size // (4 * self.features.shape[1]))


def accuracy(targets: np.ndarray, logits: np.ndarray) -> float:
    """Return the share of rows whose largest logit is that of the target class; logits (n, k), targets (n,)."""
    return float((logits.argmax(1) == targets).mean())


def fit_head(
    train: Examples,
    stopping: Examples,
    outputs: int,
    l2: float,
    settings: HeadSettings,
    *,
    metric: Metric = accuracy,
    start: Head | None = None,
    views: Callable[[int], Matrix] | None = None,
    resume: Mapping[str, np.ndarray] | None = None,
) -> Generator[Epoch, None, None]:
    """Yield an Epoch after every pass over `train`, at most `settings.epochs`; to stop earlier is the caller's.

    The loss is the mean over the pictures plus l2 / 2 times the squared weights (biases are free). metric: of targets
    and logits, numbers in their own unit; called twice an epoch. start: a head on raw features to begin from, with the
    layers of settings. views: returns the (n, F) training features of the augmented pictures of an epoch; the rate then
    falls along half a cosine to zero. resume: the snapshot of an earlier epoch of the same training, to go on from.
    """
    loss, scale = LOSSES[settings.loss], _scaling(train, settings)
    x, x_stopping = _Inputs(train, scale), _Inputs(stopping, scale)
    targets, targets_stopping = scale.targets(train.targets), scale.targets(stopping.targets)
    widths = (train.features.shape[1], *settings.dense, outputs)
    dense = drawn(widths, settings.seed) if start is None else scale.unfolded(start, widths)
    stack = Stack(dense, settings.norm, settings.dropout)
    parameters = stack.trained
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
    done = 0 if resume is None else _restore(resume, stack, moments)
    steps = math.ceil(len(train) / settings.batch_size)
    for number in range(done + 1, settings.epochs + 1):
        begun = time.perf_counter()
        if views is not None:
            x = _Inputs(Examples(views(number), targets), scale)
        before = [p.copy() for p in parameters]
        logits = np.empty((len(train), outputs), np.float32)
        losses, learned, rate = 0.0, 0, settings.learning_rate
        batches = x.batches(settings.batch_size, generator(settings.seed, "order", number))
        for step, (chosen, features) in enumerate(batches, (number - 1) * steps + 1):
            if views is not None:
                rate = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - 1) / (settings.epochs * steps)))
            noise = generator(settings.seed, "dropout", step) if settings.dense and settings.dropout else None
            counted = None if train.weights is None else train.weights[chosen]
            if stack.norms and len(chosen) == 1 and steps > 1:  # normalisation cannot learn from one row
                logits[chosen] = forward(stack.folded(), features)
                continue
            gradients, sum_of_losses, logits[chosen] = stack.gradients(
                features, targets[chosen], counted, loss, l2, noise
            )
            losses += sum_of_losses
            learned += len(chosen)
            _adam(parameters, gradients, moments, rate, step)
        dense = stack.folded()
        answers = x_stopping.answers(dense)
        stopping_losses, _ = loss(answers, targets_stopping, stopping.weights)
        yield Epoch(
            stage=settings.stage,
            number=number,
            l2=l2,
            train_loss=losses / learned,
            validation_loss=float(stopping_losses.sum()) / max(len(stopping), 1),
            train_metric=metric(train.targets, scale.outputs(logits)),
            validation_metric=metric(stopping.targets, scale.outputs(answers)),
            learning_rate=rate,
            gradient=None,
            change=_length([p - b for p, b in zip(parameters, before, strict=True)]) / max(_length(parameters), TINY),
            seconds=time.perf_counter() - begun,
            state=scale.folded(dense).tensors(),
            logits=scale.outputs(answers),
            snapshot=partial(_snapshot, number, stack, moments),
        )


@dataclass(frozen=True)
class _Scaling:
    """What makes features (n, F) and targets of one scale: x' = (x - mean) scale, y' = (y - centre) / spread."""

    mean: np.ndarray
    scale: np.ndarray
    centre: float
    spread: float
    numbers: bool

    def inputs(self, features: np.ndarray, *, own: bool = False) -> np.ndarray:
        """Return standardised features (k, F): in place where they are the caller's own."""
        scaled: np.ndarray = np.subtract(features, self.mean, out=features if own else None)
        scaled *= self.scale
        return scaled

    def targets(self, targets: np.ndarray) -> np.ndarray:
        return ((targets - self.centre) / self.spread).astype(np.float32) if self.numbers else targets

    def outputs(self, logits: np.ndarray) -> np.ndarray:
        return (logits * self.spread + self.centre).astype(np.float32) if self.numbers else logits

    def folded(self, parameters: Sequence[np.ndarray]) -> Head:
        """Return the head for raw features: W' = scale W, b' = b - mean . W'; last W' = spread W, b' likewise."""
        first = parameters[0] * self.scale[:, None]
        weights = [first, *(p.copy() for p in parameters[2::2])]
        biases = [(parameters[1] - self.mean @ first).astype(np.float32), *(p.copy() for p in parameters[3::2])]
        if self.numbers:
            weights[-1], biases[-1] = weights[-1] * self.spread, biases[-1] * self.spread + self.centre
        return Head(tuple(weights), tuple(biases))

    def unfolded(self, head: Head, widths: Sequence[int]) -> list[np.ndarray]:
        """Return the parameters that fold into `head`. Raises ValueError if its layers are not of these widths."""
        if tuple(weight.shape for weight in head.weights) != tuple(pairwise(widths)):
            raise ValueError(f"start has layers {[w.shape for w in head.weights]}; must be widths {tuple(widths)}.")
        weights, biases = [w.copy() for w in head.weights], [b.copy() for b in head.biases]
        if self.numbers:
            weights[-1], biases[-1] = weights[-1] / self.spread, (biases[-1] - self.centre) / self.spread
        biases[0] = biases[0] + self.mean @ weights[0]
        weights[0] = weights[0] / self.scale[:, None]
        return [p.astype(np.float32) for pair in zip(weights, biases, strict=True) for p in pair]


class _Inputs:
    """The standardised features of examples: made once where they are small, else each time they are asked for."""

    def __init__(self, examples: Examples, scale: _Scaling) -> None:
        self._examples, self._scale = examples, scale
        copied = examples.rows is not None
        self._all = scale.inputs(examples.at(slice(None)), own=copied) if examples.small else None

    def batches(self, size: int, random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the places (k,) and features (k, F) of batches that hold every example once, in random order.

        Many examples are mixed as packs are: pieces of neighbours are drawn into windows, and each window is shuffled.
        """
        for window in self._windows(size, random):
            features = self._all if self._all is not None else self._scale.inputs(self._examples.at(window), own=True)
            order = random.permutation(len(window))
            for begin in range(0, len(order), size):
                chosen = order[begin : begin + size]
                yield window[chosen], features[chosen]

    def _windows(self, size: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield the places that are in memory together, in order, a whole number of batches each."""
        count = len(self._examples)
        if self._all is not None:
            yield np.arange(count)
            return
        pieces = random.permutation(math.ceil(count / PIECE))
        places = (pieces[:, None] * PIECE + np.arange(PIECE)).ravel()
        places = places[places < count]
        rows = max(1, self._examples.rows_in(BLOCK) // size) * size
        for begin in range(0, count, rows):
            yield np.sort(places[begin : begin + rows])

    def answers(self, parameters: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logits (n, k) of all examples."""
        if self._all is not None:
            return forward(parameters, self._all)
        parts = (self._examples.at(places) for places in self._examples.blocks())
        return np.concatenate([forward(parameters, self._scale.inputs(part)) for part in parts])


def _spread(train: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each feature, (F,) float32."""
    mean = sum(train.at(places).sum(0) for places in train.blocks()) / np.float32(len(train))

    def squares(places: slice) -> np.ndarray:
        away = train.at(places) - mean
        away *= away
        return np.asarray(away.sum(0))

    return mean, np.sqrt(sum(squares(places) for places in train.blocks()) / np.float32(len(train)))


def _scaling(train: Examples, settings: HeadSettings) -> _Scaling:
    if settings.scaled:
        mean, std = (make(train.features.shape[1], np.float32) for make in (np.zeros, np.ones))
    else:
        mean, std = _spread(train)
        std = np.maximum(std, max(SMALLEST_STD, LEAST_OF_MEDIAN * float(np.median(std))))
    # 1 / sqrt(F) keeps the logits of a fresh step at the same size whatever the number of features.
    scale = (1 / (std * np.sqrt(len(mean)))).astype(np.float32)
    if settings.loss not in NUMBERS:
        return _Scaling(mean, scale, 0.0, 1.0, numbers=False)
    numbers = train.targets.astype(np.float64)
    spread = float(numbers.std())
    return _Scaling(mean, scale, float(numbers.mean()), spread if spread > 0 else 1.0, numbers=True)


def _adam(
    parameters: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray],
    moments: Moments,
    learning_rate: float,
    step: int,
) -> None:
    """Move the parameters in place by one step of Adam."""
    rate = learning_rate * math.sqrt(1 - BETA_2**step) / (1 - BETA_1**step)
    for parameter, gradient, (first, second) in zip(parameters, gradients, moments, strict=True):
        first += (1 - BETA_1) * (gradient - first)
        second += (1 - BETA_2) * (gradient * gradient - second)
        parameter -= rate * first / (np.sqrt(second) + EPSILON)


def _length(arrays: Sequence[np.ndarray]) -> float:
    """Return the Euclidean length of all numbers together."""
    return math.sqrt(sum(float(np.vdot(array, array)) for array in arrays))


def _snapshot(number: int, stack: Stack, moments: Moments) -> dict[str, np.ndarray]:
    """Return copies of all that the next epoch begins with; everything else follows from the settings."""
    found = {"epoch": np.array([number])}
    for index, (parameter, (first, second)) in enumerate(zip(stack.trained, moments, strict=True)):
        found |= {f"parameter.{index}": parameter.copy(), f"first.{index}": first.copy()}
        found[f"second.{index}"] = second.copy()
    return found | {f"running.{index}": array.copy() for index, array in enumerate(stack.running)}


def _restore(snapshot: Mapping[str, np.ndarray], stack: Stack, moments: Moments) -> int:
    """Fill stack and moments from a snapshot, in place; return the number of its epoch."""
    try:
        for index, (parameter, (first, second)) in enumerate(zip(stack.trained, moments, strict=True)):
            parameter[:] = snapshot[f"parameter.{index}"]
            first[:], second[:] = snapshot[f"first.{index}"], snapshot[f"second.{index}"]
        for index, array in enumerate(stack.running):
            array[:] = snapshot[f"running.{index}"]
        return int(snapshot["epoch"][0])
    except (KeyError, ValueError, IndexError) as error:
        raise RunError(f"the checkpoint does not fit this training ({error}). Train again.") from error
