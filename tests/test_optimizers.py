"""Each optimiser by name against its rule written out by hand (ANCHORS: momentum, AdaGrad, RMSProp, Adam)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from lensmith.errors import UsageError
from lensmith.training.optimizers import OPTIMIZERS, build_optimizer, kind

RATE, DECAY = 0.1, 0.01
GRADIENTS = [0.5, -1.0, 2.0, 0.25]
Rule = Callable[[float, dict[str, float], float, int], float]


def sgd(w: float, s: dict[str, float], g: float, t: int) -> float:
    return w - RATE * (g + DECAY * w)


def momentum(w: float, s: dict[str, float], g: float, t: int) -> float:
    s["v"] = 0.9 * s.get("v", 0.0) + g + DECAY * w
    return w - RATE * s["v"]


def adagrad(w: float, s: dict[str, float], g: float, t: int) -> float:
    g += DECAY * w
    s["c"] = s.get("c", 0.0) + g * g
    return w - RATE * g / (s["c"] ** 0.5 + 1e-10)


def rmsprop(w: float, s: dict[str, float], g: float, t: int) -> float:
    g += DECAY * w
    s["c"] = 0.9 * s.get("c", 0.0) + 0.1 * g * g
    return w - RATE * g / (s["c"] ** 0.5 + 1e-8)


def adam(w: float, s: dict[str, float], g: float, t: int) -> float:
    return moments(w, s, g + DECAY * w, t)


def adamw(w: float, s: dict[str, float], g: float, t: int) -> float:
    return moments(w - RATE * DECAY * w, s, g, t)


def moments(w: float, s: dict[str, float], g: float, t: int) -> float:
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["c"] = 0.999 * s.get("c", 0.0) + 0.001 * g * g
    return w - RATE * (s["m"] / (1 - 0.9**t)) / ((s["c"] / (1 - 0.999**t)) ** 0.5 + 1e-8)


RULES: dict[str, Rule] = {
    "sgd": sgd,
    "momentum": momentum,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_four_steps_by_hand(name: str) -> None:
    layer = nn.Linear(1, 1, bias=True)
    nn.init.constant_(layer.weight, 2.0)
    nn.init.constant_(layer.bias, 3.0)
    optimizer = build_optimizer(name, layer, RATE, DECAY)
    wanted, state = 2.0, dict[str, float]()
    for step, gradient in enumerate(GRADIENTS, start=1):
        wanted = RULES[name](wanted, state, gradient, step)
        layer.weight.grad = torch.full((1, 1), gradient)
        layer.bias.grad = torch.zeros(1)
        optimizer.step()
    assert layer.weight.item() == pytest.approx(wanted, rel=1e-5)
    assert layer.bias.item() == pytest.approx(3.0), "biases do not decay"


def test_momentum_of_one_never_decays() -> None:
    """ANCHORS: with momentum 1 a single push moves the weight for ever by the same step."""
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0, momentum=1.0)
    places = []
    for gradient in (1.0, 0.0, 0.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        places.append(weight.item())
    assert np.diff([0.0, *places]).tolist() == [-1.0, -1.0, -1.0]


def test_unknown_name() -> None:
    with pytest.raises(UsageError, match=r"allowed are sgd, .* Nearest: .*rmsprop"):
        kind("rmsprp")
