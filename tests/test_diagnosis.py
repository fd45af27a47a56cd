"""What is said of a training: each fault named from its numbers, and nothing said of runs that learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lensmith.training.dead import dead_units, layer_gradients
from lensmith.training.diagnosis import Point, diagnose
from lensmith.training.initial import draw_weights
from lensmith.training.optimizers import build_optimizer


def point(number: int, losses: tuple[float, float], metrics: tuple[float, float]) -> Point:
    return Point(number, *losses, *metrics)


@pytest.mark.parametrize(
    ("series", "kept", "epochs", "word"),
    [
        (
            [point(1, (1.0, 1.0), (0.5, 0.5)), point(2, (0.9, 0.9), (0.5, 0.52))],
            2,
            30,
            "Under-fitting: it gets only 50%",
        ),
        ([point(1, (0.1, 0.9), (1.0, 0.7)), point(2, (0.0, 0.95), (1.0, 0.7))], 1, 30, "Over-fitting: 100% right"),
        ([point(1, (0.3, 0.3), (0.9, 0.9)), point(2, (0.1, 0.5), (0.97, 0.9))], 1, 30, "Loss and accuracy part ways"),
        ([point(1, (0.3, 0.3), (0.9, 0.9)), point(2, (0.1, 0.5), (0.97, 0.8))], 1, 30, "by heart"),
        ([point(1, (0.3, 0.3), (0.9, 0.9)), point(2, (0.2, 0.2), (0.95, 0.94))], 2, 2, "--epochs"),
        ([point(1, (0.3, 0.3), (0.9, 0.9)), point(2, (0.2, 0.29), (0.95, 0.9))], 1, 30, "went well"),
    ],
)
def test_shares(series: list[Point], kept: int, epochs: int, word: str) -> None:
    assert any(word in sentence for sentence in diagnose(series, kept, epochs, baseline=0.4))


@pytest.mark.parametrize(
    ("metrics", "after", "word"),
    [
        ((8.0, 8.5), (0.5, 8.5), "only a mean error of 8 (always answering the median: 10)"),
        ((1.0, 5.0), (0.5, 5.0), "Over-fitting: a mean error of 1 on pictures it learned from, a mean error of 5"),
        ((2.0, 2.5), (0.9, 2.4), "Loss and error part ways"),
        ((2.0, 2.5), (0.9, 2.6), "by heart"),
        ((2.0, 2.5), (0.5, 2.5), "went well"),
    ],
)
def test_numbers_where_smaller_is_better(metrics: tuple[float, float], after: tuple[float, float], word: str) -> None:
    """after: validation loss and error of the epoch after the kept one."""
    series = [point(1, (0.5, 0.5), metrics), point(2, (0.4, after[0]), (metrics[0], after[1]))]
    found = diagnose(series, 1, 30, baseline=10.0, metric="mae")
    assert any(word in sentence for sentence in found)
    assert ("went well" in word) == (len(found) == 1 and "went well" in found[0])


def test_f1_is_no_share_of_pictures() -> None:
    found = diagnose([point(1, (0.3, 0.4), (0.5, 0.48))], 1, 30, baseline=0.2, metric="f1")
    assert found[0].startswith("Under-fitting: on the pictures it learned from it reaches only an F1 of 0.50.")


def steady(losses: Sequence[float], *, change: float = 0.05, rate: float = 0.01, right: float = 0.95) -> list[Point]:
    return [Point(n, loss, loss, right, right, 1.0, change, rate) for n, loss in enumerate(losses, 1)]


def test_a_rate_too_low_needs_small_steps_and_a_steady_fall() -> None:
    slow = [2.30, 2.29, 2.28, 2.27, 2.26]
    assert "ten times the rate" in diagnose(steady(slow, change=0.002, right=0.2), 5, 30, 0.1)[0]
    for healthy in (
        steady(slow, change=0.05, right=0.2),  # it moves: hard pictures, not a low rate
        steady(slow, change=0.002, right=0.95),  # a finished network is adjusted
        steady([2.30, 1.9, 1.4, 1.0], change=0.002, right=0.2),  # it is on its way
    ):
        assert not any("too low" in sentence for sentence in diagnose(healthy, 1, 30, 0.1))


def test_weights_at_rest_at_a_high_rate() -> None:
    series = steady([1.0, 0.9, 0.9], change=0.05)
    assert "went well" in diagnose(series, 1, 30, 0.1)[0]
    resting = [*series, Point(4, 0.9, 0.9, 0.95, 0.95, 1.0, 5e-5, 0.01)]
    assert "epoch 4 moved them by 5e-05 of their length" in diagnose(resting, 1, 30, 0.1)[0]
    cooled = [*series, Point(4, 0.9, 0.9, 0.95, 0.95, 1.0, 5e-5, 0.0001)]  # the cosine's end: nothing to say
    assert "went well" in diagnose(cooled, 1, 30, 0.1)[0]


def test_weights_that_never_moved_are_not_at_rest() -> None:
    assert not any("rest" in sentence for sentence in diagnose(steady([1.0, 0.9], change=5e-5), 1, 30, 0.1))


def test_a_climb_by_chance_is_left_alone() -> None:
    """Few pictures and dropout: the training loss goes up and down, the validation loss keeps falling."""
    training, validation = [2.3, 1.5, 1.8, 1.9], [2.2, 1.9, 1.7, 1.6]

    def told(validation: list[float]) -> bool:
        pairs = enumerate(zip(training, validation, strict=True), 1)
        series = [point(number, losses, (0.9, 0.9)) for number, losses in pairs]
        return any("too high" in sentence for sentence in diagnose(series, 4, 30, 0.1))

    assert not told(validation)
    assert told([2.2, 1.9, 2.1, 2.2])


def test_exploding_gradients() -> None:
    series = [Point(1, 2.0, 2.0, 0.2, 0.2, 0.5, 0.1, 0.1), Point(2, 900.0, 900.0, 0.1, 0.1, 80.0, 0.9, 0.1)]
    rate, exploding, *_ = diagnose(series, 1, 30, 0.1)
    assert "grew from 2 to 900 in epoch 2. Try a tenth" in rate
    assert "grew from 0.5 to 80 (epochs 1 and 2)" in exploding and "--clip 1" in exploding


def test_no_gradient_anywhere_is_not_called_vanishing() -> None:
    """A network that fits its pictures perfectly has none either."""
    series = steady([1.0, 0.5])
    assert "went well" in diagnose(series, 2, 30, 0.1, gradients={"one": 0.0, "two": 0.0})[0]
    assert "went well" in diagnose(series, 2, 30, 0.1, gradients={"one": 0.1, "two": 1.0})[0]
    assert "layer one gets 1e-05" in diagnose(series, 2, 30, 0.1, gradients={"one": 1e-5, "two": 1.0})[0]


def data() -> tuple[Tensor, Tensor]:
    """Three kinds of noisy 8 x 8 pictures."""
    random = torch.Generator().manual_seed(0)
    kinds = torch.randn(3, 1, 8, 8, generator=random)
    targets = torch.arange(192) % 3
    return kinds[targets] + 0.7 * torch.randn(192, 1, 8, 8, generator=random), targets


def plain() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 32),
        nn.ReLU(),
        nn.Linear(32, 3),
    )


def normalised() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 3)
    )


def deep(activation: Callable[[], nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(64, 32), activation()]
    for _ in range(8):
        layers += [nn.Linear(32, 32), activation()]
    return nn.Sequential(*layers, nn.Linear(32, 3))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Steps this small take longer with two threads than with one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained(network: nn.Module, optimizer: str, rate: float, epochs: int = 8) -> list[str]:
    """Train as the loop does, with warm-up and cosine, and return what is said of it."""
    images, targets = data()
    steps, descent = epochs * 8, build_optimizer(optimizer, network, rate, 0.0)
    order = torch.Generator().manual_seed(1)
    series: list[Point] = []
    for number in range(1, epochs + 1):
        network.train()
        before = [tensor.detach().clone() for tensor in network.parameters()]
        losses, right, norms = 0.0, 0, []
        for step, chosen in enumerate(torch.randperm(128, generator=order).split(16)):
            place = (number - 1) * 8 + step
            now = rate * min((place + 1) / (0.1 * steps), 0.5 * (1 + math.cos(math.pi * place / steps)))
            for group in descent.param_groups:
                group["lr"] = now
            logits = network(images[chosen])
            loss = functional.cross_entropy(logits, targets[chosen])
            descent.zero_grad()
            loss.backward()
            norms.append(float(nn.utils.get_total_norm([tensor.grad for tensor in network.parameters()])))
            descent.step()
            losses, right = losses + loss.item() / 8, right + int((logits.argmax(1) == targets[chosen]).sum())
        network.eval()
        with torch.no_grad():
            logits = network(images[128:])
        after = list(network.parameters())
        moved = math.sqrt(sum(float((a - b).detach().square().sum()) for a, b in zip(after, before, strict=True)))
        change = moved / math.sqrt(sum(float(a.detach().square().sum()) for a in after))
        validation = functional.cross_entropy(logits, targets[128:]).item()
        answered = float((logits.argmax(1) == targets[128:]).float().mean())
        norm = float(torch.tensor(norms).median())
        series.append(Point(number, losses, validation, right / 128, answered, norm, change, now))
        if not math.isfinite(losses):
            break
    kept = min((p for p in series if math.isfinite(p.validation_loss)), key=lambda p: p.validation_loss).number
    gradients, dead = layer_gradients(network), dead_units(network, images[:64])
    return diagnose(series, kept, epochs + 1, 1 / 3, dead=dead, gradients=gradients)


@pytest.mark.parametrize(
    ("make", "optimizer", "rate"),
    [
        (plain, "adamw", 0.003),
        (plain, "adamw", 0.01),
        (plain, "momentum", 0.02),
        (plain, "sgd", 0.1),
        (normalised, "adamw", 0.01),
        (normalised, "sgd", 0.1),
        (normalised, "rmsprop", 0.003),
        (lambda: deep(nn.ReLU), "adamw", 0.003),
    ],
)
def test_runs_that_learn_are_left_in_peace(make: Callable[[], nn.Module], optimizer: str, rate: float) -> None:
    torch.manual_seed(0)
    network = make()
    draw_weights(network, "he")
    said = trained(network, optimizer, rate)
    assert not any(word in sentence for sentence in said for word in ("rate", "Exploding", "Vanishing", "Dead", "rest"))
    assert not any("Under-fitting" in sentence for sentence in said), "it did learn"


@pytest.mark.parametrize(
    ("make", "optimizer", "rate", "word"),
    [
        (plain, "sgd", 20.0, "rate is too high"),
        (plain, "momentum", 2.0, "rate is too high"),
        (plain, "sgd", 1e-4, "rate may be too low"),
        (normalised, "sgd", 3e-4, "rate may be too low"),
        (lambda: deep(nn.Sigmoid), "adamw", 0.003, "Vanishing gradients"),
        (lambda: deep(nn.Sigmoid), "momentum", 0.02, "Vanishing gradients"),
        (plain, "adamw", 3.0, "Dead units"),
    ],
)
def test_faults_are_named(make: Callable[[], nn.Module], optimizer: str, rate: float, word: str) -> None:
    torch.manual_seed(0)
    said = trained(make(), optimizer, rate)
    assert any(word in sentence for sentence in said), said


class Mixed(nn.Module):
    """ReLU as a module used twice, as functions, as a method, in place, and activations that are none."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.relu, self.six = nn.Conv2d(1, 4, 1), nn.ReLU(inplace=True), nn.ReLU6()
        self.tanh, self.dense = nn.Hardtanh(), nn.Linear(4, 4)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.relu(self.convolution(images))
        maps = self.relu(maps - 1e9 * torch.tensor([1.0, 1, 1, 0])[:, None, None])
        maps = self.six(functional.relu(maps))
        values: Tensor = self.tanh(maps.mean((2, 3)) - 0.5)
        return functional.gelu(torch.relu(self.dense(values))).relu()


def test_dead_units_of_every_kind_of_relu() -> None:
    torch.manual_seed(0)
    network = Mixed()
    nn.init.ones_(network.convolution.weight)
    with torch.no_grad():
        network.convolution.bias.copy_(torch.tensor([0.0, 0, -5, 0]))
        network.dense.weight.copy_(torch.eye(4))
        network.dense.bias.copy_(torch.tensor([1.0, 1, 1, -5]))
    network.train()
    network.six.eval()
    found = dead_units(network, torch.rand(100, 1, 3, 3))
    assert found == {
        "relu": 0.25,  # the bias of -5
        "relu#2": 0.75,  # three channels pushed below zero
        "network": 0.75,  # functional.relu
        "six": 0.75,
        "network#2": 0.25,  # torch.relu of the dense layer
        "network#3": 0.25,  # the method
    }
    assert network.training and not network.six.training, "modes stay as they were"
    assert not network.convolution._forward_hooks and not network.convolution._forward_pre_hooks


def test_a_unit_lives_if_one_picture_makes_it_fire() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False), nn.ReLU())
    nn.init.eye_(network[1].weight)
    images = -torch.ones(130, 2, 1, 1)
    assert dead_units(network, images) == {"2": 1.0}
    images[129, 0] = 1.0  # in the last of several batches
    assert dead_units(network, images) == {"2": 0.5}


def test_layer_gradients_by_hand() -> None:
    network = nn.Sequential(nn.Linear(2, 1, bias=False), nn.BatchNorm1d(1), nn.Linear(1, 1))
    nn.init.constant_(network[0].weight, 3.0)
    network[0].weight.grad = torch.tensor([[3.0, 4.0]])
    assert layer_gradients(network) == {"0": pytest.approx(5 / math.sqrt(18))}, "layers without a gradient are left out"
