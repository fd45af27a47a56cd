"""The training loop: a generator that yields an Epoch after every pass and touches no disk."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lensmith.reproduce import counter, generator
from lensmith.training.augment import augmented
from lensmith.training.augmentation import Augmentation
from lensmith.training.colour import principal_components
from lensmith.training.draws import draws
from lensmith.training.epoch import Epoch
from lensmith.training.optimizers import build_optimizer

WARM_UP = 0.1  # share of all steps in which the learning rate rises
Components = tuple[np.ndarray, np.ndarray]
EVALUATION_BATCH = 256


@dataclass(frozen=True)
class FitSettings:
    """How a network is trained; mean and std normalise the pixels, on the 0..1 scale.

    clip: the largest norm of a step's gradient, None for no limit. label_smoothing: the share of a target given to all
    classes alike (Szegedy et al. 2016, section 7).
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str
    weight_decay: float
    clip: float | None
    label_smoothing: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    device: str
    seed: int
    augmentation: Augmentation


@dataclass(frozen=True)
class Pixels:
    """Pictures (n, s, s, 3) uint8 (in memory or mapped from disk), their targets (n,), and which of them to use."""

    pictures: np.ndarray
    targets: np.ndarray
    chosen: np.ndarray


def fit(network: nn.Module, train: Pixels, stopping: Pixels, settings: FitSettings) -> Iterator[Epoch]:
    """Train `network` (normalised pictures in, logits out) with warm-up and cosine decay.

    Order, augmentation and dropout follow from (seed, epoch, picture), so the weights after an epoch depend on nothing
    else but the hardware. The training loss includes label smoothing, the validation loss does not.
    """
    network.to(settings.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(settings.optimizer, network, settings.learning_rate, settings.weight_decay)
    steps = math.ceil(len(train.chosen) / settings.batch_size)
    components = colour_components(settings.augmentation, train)
    for number in range(1, settings.epochs + 1):
        start = time.perf_counter()
        losses, right, rate = _train_one_epoch(network, optimizer, train, settings, number, steps, components)
        validation_loss, validation_right = evaluate(network, stopping, settings)
        yield Epoch(
            number=number,
            l2=None,
            train_loss=losses / len(train.chosen),
            validation_loss=validation_loss / max(len(stopping.chosen), 1),
            train_accuracy=right / len(train.chosen),
            validation_accuracy=validation_right / max(len(stopping.chosen), 1),
            learning_rate=rate,
            seconds=time.perf_counter() - start,
            state={name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()},
        )


def colour_components(augmentation: Augmentation, train: Pixels) -> Components | None:
    """Return what pca_colour needs, from the training pictures alone; None where it is off."""
    return principal_components(train.pictures, train.chosen) if augmentation.pca_colour else None


def evaluate(network: nn.Module, data: Pixels, settings: FitSettings) -> tuple[float, int]:
    """Return the sum of cross-entropies and the number of right answers, in evaluation mode."""
    network.eval()
    losses, right = 0.0, 0
    with torch.inference_mode():
        for begin in range(0, len(data.chosen), EVALUATION_BATCH):
            chosen = data.chosen[begin : begin + EVALUATION_BATCH]
            logits = network(_normalised(data.pictures[chosen], settings))
            targets = torch.from_numpy(data.targets[chosen]).to(settings.device)
            losses += float(functional.cross_entropy(logits, targets, reduction="sum"))
            right += int((logits.argmax(1) == targets).sum())
    return losses, right


def _train_one_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Pixels,
    settings: FitSettings,
    number: int,
    steps: int,
    components: Components | None,
) -> tuple[float, int, float]:
    """Return the sum of losses, the right answers, and the last learning rate of one pass."""
    network.train()
    losses, right, rate = 0.0, 0, 0.0
    changes = draws(settings.augmentation, settings.seed, number, len(train.pictures), components)
    order = train.chosen[generator(settings.seed, "order", number).permutation(len(train.chosen))]
    with torch.random.fork_rng(devices=[]):
        for step in range(steps):
            chosen = order[step * settings.batch_size : (step + 1) * settings.batch_size]
            if len(chosen) == 1 and steps > 1:
                continue  # batch normalisation cannot learn from one picture
            torch.manual_seed(counter(settings.seed, "dropout", number, step))
            rate = learning_rate((number - 1) * steps + step, settings.epochs * steps, settings.learning_rate)
            for group in optimizer.param_groups:
                group["lr"] = rate
            pictures = augmented(train.pictures[chosen], settings.augmentation, changes[chosen])
            logits = network(_normalised(pictures, settings))
            targets = torch.from_numpy(train.targets[chosen]).to(settings.device)
            loss = functional.cross_entropy(logits, targets, label_smoothing=settings.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if settings.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
            optimizer.step()
            losses += float(loss.detach()) * len(chosen)
            right += int((logits.detach().argmax(1) == targets).sum())
    return losses, right, rate


def learning_rate(step: int, steps: int, highest: float) -> float:
    """Rise linearly over the first tenth of all steps, then fall along half a cosine to zero."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return highest * (step + 1) / warm
    return highest * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _normalised(pictures: np.ndarray, settings: FitSettings) -> Tensor:
    """Return (n, 3, s, s) float32 of (n, s, s, 3) uint8; the permuted view is already channels-last in memory."""
    mean = torch.tensor(settings.mean, device=settings.device).view(1, 3, 1, 1)
    std = torch.tensor(settings.std, device=settings.device).view(1, 3, 1, 1)
    values = torch.from_numpy(np.ascontiguousarray(pictures)).to(settings.device).permute(0, 3, 1, 2)
    return (values.float() / 255 - mean) / std
