"""First weights, averaged weights, and the learning-rate range test."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from lensmith.errors import UsageError
from lensmith.reproduce import generator
from lensmith.training.average import Average
from lensmith.training.initial import draw_weights
from lensmith.training.rates import HIGHEST, LOWEST, STEPS, find_rate


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(8, 64, 3), nn.BatchNorm2d(64), nn.Conv2d(64, 64, 3, groups=4), nn.Flatten(), nn.Linear(200, 300)
    )


FANS = {0: (72, 576), 2: (144, 144), 4: (200, 300)}  # in: channels / groups x 3 x 3; out likewise


@pytest.mark.parametrize("kind", ["uniform", "xavier", "he"])
def test_statistics(kind: str) -> None:
    net = network()
    nn.init.constant_(net[1].weight, 3.0)
    draw_weights(net, kind)
    for place, (inputs, outputs) in FANS.items():
        weight = net[place].weight.detach()
        edge = {"uniform": 1 / math.sqrt(inputs), "xavier": math.sqrt(6 / (inputs + outputs))}.get(kind)
        deviation = math.sqrt(2 / inputs) if edge is None else edge / math.sqrt(3)
        assert weight.std().item() == pytest.approx(deviation, rel=0.03)
        assert abs(weight.mean().item()) < 0.05 * deviation
        if edge is not None:
            assert 0.98 * edge < weight.abs().max() <= edge
        else:
            assert weight.abs().max() > 3 * deviation
        assert not net[place].bias.any()
    assert (net[1].weight == 3).all(), "normalisation stays as it was built"


def test_xavier_is_that_of_torch() -> None:
    """The same numbers come from the same state of the generator; torch overlooks groups in what goes out."""
    for layer in (nn.Linear(20, 30), nn.Conv2d(4, 6, (3, 5)), nn.Conv1d(4, 6, 3)):
        torch.manual_seed(1)
        draw_weights(layer, "xavier")
        found = layer.weight.detach().clone()
        torch.manual_seed(1)
        nn.init.xavier_uniform_(layer.weight)
        assert torch.allclose(found, layer.weight, rtol=1e-6)


def test_he_keeps_the_scale_through_many_layers() -> None:
    torch.manual_seed(0)
    deep = nn.Sequential(*itertools.chain.from_iterable((nn.Linear(256, 256), nn.ReLU()) for _ in range(20)))
    draw_weights(deep, "he")
    x = torch.randn(64, 256)
    assert 0.3 < (deep(x).square().mean() / x.square().mean()).item() < 3
    draw_weights(deep, "uniform")
    assert deep(x).square().mean() < 1e-6, "which the old habit does not"


def test_default_changes_nothing_and_unknown_is_named() -> None:
    net = network()
    before = [tensor.clone() for tensor in net.parameters()]
    draw_weights(net, "default")
    assert all(torch.equal(one, other) for one, other in zip(before, net.parameters(), strict=True))
    with pytest.raises(UsageError, match=r"allowed are default, uniform, xavier, he\. Nearest: xavier"):
        draw_weights(net, "xaver")


def walk(decay: float, steps: int) -> tuple[nn.Module, Average, list[np.ndarray]]:
    layer = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    layer[0].bias.requires_grad_(False)
    average, seen = Average(layer, decay), []
    for step in range(steps):
        nn.init.constant_(layer[0].weight, float(generator(step, "w").normal()))
        average.update()
        seen.append(layer[0].weight.detach().numpy().copy())
    return layer, average, seen


@pytest.mark.parametrize(("decay", "steps"), [(0.9, 1), (0.9, 7), (0.999, 5)])
def test_average_by_hand(decay: float, steps: int) -> None:
    layer, average, seen = walk(decay, steps)
    shares = np.array([(1 - decay) * decay ** (steps - 1 - i) for i in range(steps)])
    wanted = sum(share * weight for share, weight in zip(shares / shares.sum(), seen, strict=True))
    own = layer[0].weight.detach().clone()
    optimizer = torch.optim.SGD(layer[:1].parameters(), lr=1.0)
    with average.swapped():
        np.testing.assert_allclose(layer[0].weight.detach(), wanted, rtol=1e-4)
    assert torch.equal(layer[0].weight, own)
    layer[0].weight.grad = torch.ones(2, 3)
    optimizer.step()  # the optimiser still has hold of the right tensor
    assert torch.equal(layer[0].weight, own - 1)


def test_average_comes_back_even_after_an_error() -> None:
    layer, average, seen = walk(0.5, 3)
    with pytest.raises(KeyError), average.swapped():
        raise KeyError
    assert np.array_equal(layer[0].weight.detach(), seen[-1])


def test_average_goes_on_from_a_checkpoint() -> None:
    layer, average, _ = walk(0.9, 4)
    kept = {name: tensor.clone() for name, tensor in average.state().items()}
    other = Average(layer, 0.9)
    other.load(kept)
    for each in (average, other):
        nn.init.constant_(layer[0].weight, 5.0)
        each.update()
    assert all(torch.equal(tensor, other.state()[name]) for name, tensor in average.state().items())
    assert "0.weight" in kept and "0.bias" not in kept, "what is frozen is not averaged"


def test_range_test_on_a_made_curve() -> None:
    """The loss falls around 0.003 (middle of the logistic fall) and breaks above 0.1."""
    noise = generator(0, "noise")

    def step(rate: float) -> float:
        x = math.log10(rate)
        return 0.3 + 2 / (1 + math.exp(4 * (x + 2.5))) + math.exp(8 * (x + 0.8)) + noise.normal(0, 0.05)

    found = find_rate(step)
    assert found.suggested is not None and 0.001 < found.suggested < 0.01
    assert len(found.rates) < STEPS, "it stops where the loss breaks"
    assert found.rates[0] == pytest.approx(LOWEST) and found.smoothed[0] == pytest.approx(found.losses[0])
    assert f"--learning-rate {found.suggested:.1g}" in found.words


def test_range_test_on_real_descent() -> None:
    """Descent on a parabola of curvature c diverges above 2 / c; what is suggested must be well below it."""
    weight = np.full(1, 10.0)

    def step(rate: float) -> float:
        loss = float(weight @ weight) * 100 / 2
        weight[:] -= rate * 100 * weight
        return loss

    found = find_rate(step)
    assert found.suggested is not None and 1e-4 < found.suggested < 2 / 100


def test_range_test_suggests_nothing_without_a_fall() -> None:
    random = generator(1, "noise")
    tests = [find_rate(lambda rate: 2.3 + random.normal(0, 0.1)) for _ in range(100)]
    assert sum(test.suggested is not None for test in tests) <= 3, "by chance in one of a hundred"
    flat = next(test for test in tests if test.suggested is None)
    assert len(flat.rates) == STEPS and flat.rates[-1] == pytest.approx(HIGHEST)
    assert "no rate can be suggested" in flat.words
    broken = find_rate(lambda rate: math.nan)
    assert broken.suggested is None and len(broken.rates) == 0 and "no number" in broken.words
