"""What the layers of a network do: how much stays silent, their maps, what comes before the scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from lensmith.seeing.activity import maps_of, over_depth, sparsity
from lensmith.seeing.before import before_scores
from lensmith.seeing.evenly import evenly
from lensmith.seeing.eye import pixels_of
from lensmith.seeing.layers import Layer, as_map, layers_of, named
from sample_eyes import SIDE, Gated, Mixed, eye_of, squares


@pytest.fixture(autouse=True)
def weights() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


# Silence.


def test_zeros_are_counted_after_every_activation_whatever_its_kind() -> None:
    network, pictures = Mixed(), squares(5)
    found = sparsity(eye_of(network), [pictures[:3], pictures[3:]])
    with torch.no_grad():
        images = (pixels_of(pictures) / 255 - 0.5) / 0.25
        one = network.one(images).clamp_min(0)
        two = network.two(one).clamp_min(0)
        three = (network.three(two) - 0.1).clamp_min(0)
        four = (three - 0.2).clamp_min(0)
    by_hand = [one, two, three, four, four]
    assert [activity.name for activity in found] == ["#1", "act#1", "act#2", "#2", "#3"]
    for activity, value in zip(found, by_hand, strict=True):
        shares = (value == 0).float().mean((1, 2, 3))
        largest = value.amax((1, 2, 3), keepdim=True)
        assert activity.kind == "ReLU"
        assert activity.numbers == value[0].numel()
        assert activity.zeros == pytest.approx(shares.mean().item(), abs=1e-6)
        assert activity.nearly == pytest.approx((value <= 0.01 * largest).float().mean().item(), abs=1e-6)


@pytest.mark.parametrize("dense", [False, True])
def test_a_relu_with_a_limit_is_called_so_and_gates_are_left_out(dense: bool) -> None:
    found = sparsity(eye_of(Gated(dense)), [squares(2)])
    assert [activity.kind for activity in found] == ["ReLU6", "ReLU6", "hard tanh", "ReLU2", "ReLU"]
    assert found[-1].numbers == 6


def test_a_few_of_many_are_evenly_spread() -> None:
    assert evenly(10, 4) == [0, 3, 6, 9]
    assert evenly(3, 9) == [0, 1, 2]
    assert (evenly(5, 1), evenly(0, 4)) == ([0], [])
    assert all(len(set(evenly(count, most))) == min(count, most) for count in range(1, 40) for most in range(1, 40))


@pytest.mark.parametrize(
    ("shape", "channels"), [((8, 5, 5), 8), ((5, 5, 8), 8), ((8, 1, 1), 8), ((17, 6), 6), ((9,), 9)]
)
def test_channels_of_a_layer_and_its_maps(shape: tuple[int, ...], channels: int) -> None:
    assert Layer("a", "Kind", shape).channels == channels
    assert as_map(torch.zeros(2, *shape)).shape[:2] == (2, channels)


def test_layers_are_spread_over_the_depth() -> None:
    there = layers_of(
        eye_of(nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 3, 2, 1), nn.ReLU()) for _ in range(4)))), 64
    )
    assert [layer.name for layer in over_depth(there, 3)] == ["0.1", "2.1", "3.1"]
    assert [layer.name for layer in over_depth(there, 9)] == ["0.1", "1.1", "2.1", "3.1"]
    assert over_depth(layers_of(eye_of(nn.Sequential(nn.Flatten(), nn.Linear(12, 2))), 2), 3) == []


def test_maps_are_those_of_the_layer_the_most_varied_first() -> None:
    network, picture = Mixed(), squares(1)[0]
    eye = eye_of(network)
    layer = named(layers_of(eye, SIDE), "two")
    (found,) = maps_of(eye, picture, [layer], 3)
    with torch.no_grad():
        images = (pixels_of(picture[None]) / 255 - 0.5) / 0.25
        value = network.two(network.one(images).relu())[0].numpy()
    assert found.of == 4
    assert np.allclose(found.maps, value[found.channels], atol=1e-5)
    deviations = value.std((1, 2))
    assert found.channels.tolist() == np.argsort(-deviations)[:3].tolist()
    assert maps_of(eye, picture, [layer], 3, [2])[0].channels.tolist() == [2]


# Before the scores.


def test_before_the_scores_is_what_the_last_layer_with_weights_is_given() -> None:
    network, pictures = Mixed(), squares(3)
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        images = (pixels_of(pictures) / 255 - 0.5) / 0.25
        taken: list[Tensor] = []
        hook = network.out.register_forward_pre_hook(lambda _, given: taken.append(given[0]))
        network.eval()(images)
        hook.remove()
        expected = pooled[0](images).mean((2, 3))
    assert np.allclose(before_scores(eye_of(network), pictures), taken[0].numpy(), atol=1e-5)
    assert np.allclose(before_scores(eye_of(pooled), pictures), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "side", "features"),
    [
        # Seven classes, and maps of seven pixels a side; as many classes as channels before them.
        (lambda: torchvision.models.densenet121(weights=None, num_classes=1), 32, 1024),
        (lambda: torchvision.models.resnet18(weights=None, num_classes=512), 64, 512),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)), 8, 3 * 8 * 8),
        (lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 8, 3),
    ],
)
def test_before_the_scores_there_are_features_whatever_the_number_of_classes(
    make: Callable[[], nn.Module], side: int, features: int
) -> None:
    eye, pictures = eye_of(make()), squares(2, side)
    found = before_scores(eye, pictures)
    assert found.shape == (2, features)
    if hasattr(eye.network, "layer4"):
        pooled: list[Tensor] = []
        eye.network.avgpool.register_forward_hook(lambda *given: pooled.append(given[2].flatten(1)))
        eye.says(pictures)
        assert np.allclose(found, pooled[0].numpy(), atol=1e-5)


def test_tokens_and_channels_last_are_averaged_over_their_places() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch, self.out = nn.Conv2d(3, 5, 8, 8), nn.Linear(5, 2)

        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = self.out(self.patch(images).movedim(1, -1)).mean((1, 2))
            return found

    eye, pictures = eye_of(Tokens()), squares(2)
    with torch.no_grad():
        expected = eye.network.patch((pixels_of(pictures) / 255 - 0.5) / 0.25).mean((2, 3))
    assert np.allclose(before_scores(eye, pictures), expected.numpy(), atol=1e-5)
