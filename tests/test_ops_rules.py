"""Rules of descent, step by step against torch.optim, and what ANCHORS says of their ends."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from lensmith.ops import RULES, momentum, rmsprop
from lensmith.ops.rules import Rule, State
from ops_oracle import Array, assert_close, draw

RATE = 0.05
TORCH: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
}


def places(rule: Rule, gradients: list[Array], rate: float = RATE) -> list[Array]:
    """Return where weights that begin at 0 are after each step."""
    state: State = ()
    weights, seen = np.zeros_like(gradients[0]), []
    for gradient in gradients:
        state, step = rule(state, gradient, rate)
        weights = weights + step
        seen.append(weights)
    return seen


@pytest.mark.parametrize("name", RULES)
def test_twenty_steps_equal_torch(name: str) -> None:
    gradients = list(draw("gradients", 20, 3, 4) * np.logspace(-3, 3, 4))
    gradients[3][0] = 0
    weights = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    optimizer = TORCH[name]([weights], lr=RATE)
    for ours, gradient in zip(places(RULES[name], gradients), gradients, strict=True):
        weights.grad = torch.from_numpy(gradient)
        optimizer.step()
        assert_close(ours, weights.detach().numpy())


def test_the_table_is_that_of_torch() -> None:
    assert list(RULES) == list(TORCH)


def test_momentum_of_one_never_decays() -> None:
    push = [np.array([1.0]), *[np.array([0.0])] * 50]
    assert np.ptp(np.diff(np.ravel(places(partial(momentum, decay=1.0), push)))) == pytest.approx(0, abs=1e-12)
    assert places(partial(momentum, decay=1.0), push)[-1] == pytest.approx(-51 * RATE)
    # With 0.9 a push is worth ten in the end: 1 + 0.9 + 0.81 + ...
    assert places(momentum, push * 4)[50] == pytest.approx(-RATE * 10 * (1 - 0.9**51))


def test_rmsprop_with_decay_zero_knows_the_present_alone() -> None:
    rule = partial(rmsprop, decay=0.0)
    state, _ = rule((), np.array([1e6, -1e-3]), RATE)
    for gradient in ([0.5, -2.0], [-3.0, 1e-4]):
        state, step = rule(state, np.array(gradient), RATE)
        np.testing.assert_allclose(step, -RATE * np.sign(gradient), rtol=1e-3)
        assert_close(step, rule((), np.array(gradient), RATE)[1])  # as if nothing had been before


def test_nothing_is_changed_in_place() -> None:
    gradient = np.array([1.0, 2.0])
    for rule in RULES.values():
        state, _ = rule((), gradient, RATE)
        kept = [np.copy(each) for each in state]
        first, second = rule(state, gradient, RATE), rule(state, gradient, RATE)
        assert_close(first[1], second[1])
        assert_close([np.asarray(each) for each in state], kept)
    assert gradient.tolist() == [1, 2]


def test_single_precision_stays() -> None:
    gradient = np.ones(2, np.float32)
    for rule in RULES.values():
        state, _ = rule((), gradient, RATE)
        assert rule(state, gradient, RATE)[1].dtype == np.float32
