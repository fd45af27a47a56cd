"""What epochs show, the part of a base that is trained, and normalisation folded into convolutions."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from conftest import draw_shape
from lensmith.engines.folding import fold_batch_norm
from lensmith.engines.interface import Output
from lensmith.engines.pytorch import Normalise, TorchEngine, WithNormalisation
from lensmith.training import views
from lensmith.training.augmentation import PRESETS
from lensmith.training.views import Activations, Augmented, FromMaps
from lensmith.zoo import cut as cutting
from lensmith.zoo.build import build
from lensmith.zoo.convnet import Convnet
from lensmith.zoo.names import canonical

COUNT = 12


@dataclass
class Counting:
    """An engine that remembers how many pictures it was given."""

    engine: TorchEngine
    name: str = "torch"
    precision: str = "float32"
    device: str = "cpu"
    seen: list[int] = field(default_factory=list)

    def run(self, pictures: Iterable[np.ndarray], *, maps: bool = False) -> Iterator[Output]:
        there = list(pictures)
        self.seen.append(len(there))
        return self.engine.run(there, maps=maps)


@pytest.fixture
def shown() -> Augmented:
    pictures = np.stack([np.asarray(draw_shape("disc", number, 16)) for number in range(COUNT)])
    return Augmented(pictures, PRESETS["shift"], 3, np.arange(COUNT))


@pytest.fixture
def engine() -> Counting:
    torch.manual_seed(0)
    module = WithNormalisation(Convnet((8,), 3), Normalise((0.4,) * 3, (0.2,) * 3, {}), "mean")
    return Counting(TorchEngine(module, "cpu"))


def test_epoch_zero_shows_the_pictures_themselves(shown: Augmented) -> None:
    some = np.array([5, 2, 9])
    assert np.array_equal(shown(0, some), np.asarray(shown.pictures[some]))
    assert not np.array_equal(shown(1, some), shown(0, some))
    assert not np.array_equal(shown(1, some), shown(2, some))
    # A picture's view follows from epoch and position, not from the batch it is shown in.
    assert np.array_equal(shown(1, some)[1], shown(1, np.array([2]))[0])


def test_activations_are_the_engines_maps_of_the_views(shown: Augmented, engine: Counting, tmp_path: Path) -> None:
    activations, some = Activations(shown, engine, tmp_path, 2), np.array([4, 1, 4, 7])
    for epoch in (0, 1, 2):
        found = activations(epoch, some)
        expected = np.concatenate([output.maps for output in engine.engine.run(shown(epoch, some), maps=True)])
        assert found.dtype == np.float16
        np.testing.assert_allclose(found.transpose(0, 3, 1, 2), expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(FromMaps()(torch.from_numpy(found)).numpy(), found.transpose(0, 3, 1, 2))


def test_activations_are_made_once_while_they_are_kept(shown: Augmented, engine: Counting, tmp_path: Path) -> None:
    activations, half, all_of_them = Activations(shown, engine, tmp_path, 2), np.arange(6), np.arange(COUNT)
    first = activations(1, half)
    assert engine.seen == [6]
    assert np.array_equal(activations(1, all_of_them)[:6], first) and engine.seen == [6, 6]  # only what was missing
    activations(2, all_of_them)
    assert np.array_equal(activations(1, half), first)  # as a fold would ask again
    assert engine.seen == [6, 6, COUNT] and not list(tmp_path.iterdir())
    later = activations(3, half)  # not among the two that are kept: made each time
    assert np.array_equal(activations(3, half), later) and not np.array_equal(later, first)
    assert engine.seen == [6, 6, COUNT, 6, 6]


@dataclass
class Loud:
    """An engine with maps beyond what float16 holds."""

    name: str = "torch"
    precision: str = "float32"
    device: str = "cpu"

    def run(self, pictures: Iterable[np.ndarray], *, maps: bool = False) -> Iterator[Output]:
        for _ in pictures:
            loud = np.array([1e6, -3e38, 65505, 1.5], np.float32).reshape(1, 1, 2, 2)
            yield Output(loud.mean((2, 3)), loud)


def test_activations_beyond_float16_stay_numbers(shown: Augmented, tmp_path: Path) -> None:
    activations = Activations(shown, Loud(), tmp_path, 1)
    for _ in range(2):  # as made, and as kept
        assert activations(0, np.array([2])).ravel().tolist() == [65504, -65504, 65504, 1.5]


class Disk(NamedTuple):
    total: int
    used: int
    free: int


def test_a_full_disk_costs_time_and_nothing_else(
    shown: Augmented, engine: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = np.array([3, 3, 8])
    kept = Activations(shown, engine, tmp_path, 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Disk(10**9, 10**9, views.FREE_LEFT))
    made_anew = Activations(shown, engine, tmp_path, 2)
    for epoch in (0, 1, 2, 3, 3):
        assert np.array_equal(made_anew(epoch, some), kept(epoch, some))


NETWORKS = {
    "torchvision/mobilenet_v2": ("features.6", 52),
    "torchvision/googlenet": ("maxpool2", 57),
    "timm/efficientnet_b0": ("blocks.3.0", 49),  # normalisation and activation in one layer
    "timm/densenet121": ("features.transition2.norm", 59),  # many normalisations stand before their convolution
    "timm/convnext_atto": ("stages.2.downsample", 0),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_parts_and_folding_are_the_network_itself(name: str) -> None:
    """Lower and upper part one after the other, and the folded base, give the same answers and gradients."""
    start, pairs = NETWORKS[name]
    torch.manual_seed(0)
    network = build(canonical(name), image_size=64)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.normal_(0, 0.1), norm.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5), nn.init.normal_(norm.bias, 0, 0.2)
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    base, end = cutting.base(network, None, 64)
    lower, _ = cutting.base(network, start, 64)
    upper = cutting.top(network, start, end.name, 64)
    assert upper is not None and set(upper.state_dict()) < set(base.state_dict())
    assert not set(upper.state_dict()) & set(lower.state_dict())
    for part in (base, lower, upper):
        part.eval().double()
    with torch.no_grad():
        assert torch.equal(upper(lower(images)), base(images))

    answer, gradients = _learned(base, images)
    assert fold_batch_norm(base) == pairs
    folded, after = _learned(base, images)
    torch.testing.assert_close(folded, answer, rtol=1e-9, atol=1e-9)
    for layer, gradient in gradients.items():
        error = float((after[layer] - gradient).norm())
        assert error <= 1e-6 * float(gradient.norm()) + 1e-12, layer


def _learned(base: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    base.zero_grad()
    answer = base(images)
    answer.square().mean().backward()
    return answer.detach(), {n: p.grad.clone() for n, p in base.named_parameters() if p.grad is not None}


def test_an_upper_part_that_looks_back_cannot_be_had_alone() -> None:
    """Where the code cannot be recorded, or the cut is no map, the whole base is trained as it is."""

    class Moody(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 2)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            maps = self.one(pictures)
            maps = self.two(maps) if float(maps.detach().sum()) > -1e9 else maps  # asks for a value: not recorded
            answer: torch.Tensor = self.last(maps.mean((2, 3)))
            return answer

    assert cutting.top(Moody(), "one", "two", 32) is None
