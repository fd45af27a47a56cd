"""Optimisers by name, with a learning rate and a weight decay to start from.

Fused ones go over all weights in one call: AdamW over mobilenet_v2's in 2.5 ms instead of 28 (LOG.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lensmith.errors import UsageError, nearest

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

Groups = Iterable[dict[str, Any]]


@dataclass(frozen=True)
class Kind:
    """How an optimiser is made of parameter groups and a rate, and what it is given where the user says nothing."""

    build: Callable[[Groups, float], Optimizer]
    learning_rate: float
    weight_decay: float


def _sgd(groups: Groups, rate: float) -> Optimizer:
    """Plain descent, w -= lr g (Robbins and Monro 1951)."""
    from torch import optim

    return optim.SGD(groups, lr=rate, fused=True)


def _momentum(groups: Groups, rate: float) -> Optimizer:
    """Descent with momentum: v = 0.9 v + g, w -= lr v (Polyak 1964)."""
    from torch import optim

    return optim.SGD(groups, lr=rate, momentum=0.9, fused=True)


def _adagrad(groups: Groups, rate: float) -> Optimizer:
    """AdaGrad: c += g^2, w -= lr g / sqrt(c) (Duchi et al. 2011)."""
    from torch import optim

    return optim.Adagrad(groups, lr=rate, fused=True)


def _rmsprop(groups: Groups, rate: float) -> Optimizer:
    """RMSProp: c = 0.9 c + 0.1 g^2, w -= lr g / sqrt(c) (Hinton's lecture 6e, 2012)."""
    from torch import optim

    return optim.RMSprop(groups, lr=rate, alpha=0.9)


def _adam(groups: Groups, rate: float) -> Optimizer:
    """Bias-corrected moments 0.9 and 0.999 (Kingma and Ba 2015, algorithm 1)."""
    from torch import optim

    return optim.Adam(groups, lr=rate, fused=True)


def _adamw(groups: Groups, rate: float) -> Optimizer:
    """Adam with the decay taken from the weights themselves (Loshchilov and Hutter 2019, algorithm 2)."""
    from torch import optim

    return optim.AdamW(groups, lr=rate, fused=True)


# The weight decay of all but adamw is part of the gradient, where a hundredth of adamw's does as much. The rates are
# those of benchmarks/optimizers.py.
OPTIMIZERS = {
    "sgd": Kind(_sgd, 0.05, 5e-4),
    "momentum": Kind(_momentum, 0.02, 5e-4),
    "adagrad": Kind(_adagrad, 0.01, 5e-4),
    "rmsprop": Kind(_rmsprop, 0.001, 5e-4),
    "adam": Kind(_adam, 0.002, 5e-4),
    "adamw": Kind(_adamw, 0.002, 0.05),
}


def kind(name: str) -> Kind:
    """Return the optimiser of a name. Raises UsageError with the nearest names."""
    if name not in OPTIMIZERS:
        allowed = ", ".join(OPTIMIZERS)
        raise UsageError(f"optimizer is {name!r}; allowed are {allowed}.{nearest(name, OPTIMIZERS)}")
    return OPTIMIZERS[name]


def build_optimizer(name: str, network: nn.Module, learning_rate: float, weight_decay: float) -> Optimizer:
    """Return the optimiser for a network: weights decay, biases and the scales of normalisation layers do not."""
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    free = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return kind(name).build(groups, learning_rate)
