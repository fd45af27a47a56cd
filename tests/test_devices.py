"""Every tensor is made where the network runs: on torch's "meta" device, which has shapes and no numbers, a tensor of
the processor among the others is an error, as it would be on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lensmith.seeing import cams
from lensmith.seeing.adversarial import descend, slope
from lensmith.seeing.attribution import integrated, reconstruct, saliency, smoothgrad
from lensmith.seeing.eye import Eye
from lensmith.seeing.goal import Goal
from lensmith.seeing.gradients import of_output, of_region
from lensmith.seeing.layers import layers, named
from seeing_networks import Small, drawn, eye_of, squares_of

SCORE = of_output([1, 2, 0], [1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def eye() -> Eye:
    return eye_of(drawn(Small)).to("meta")


@pytest.fixture(scope="module")
def pixels(eye: Eye) -> Tensor:
    return eye.pixels(squares_of(3))


def there(found: Tensor, shape: tuple[int, ...]) -> bool:
    return found.device.type == "meta" and tuple(found.shape) == shape


@pytest.mark.parametrize("rule", ["plain", "guided", "rectified"])
def test_gradients(eye: Eye, pixels: Tensor, rule: str) -> None:
    assert there(saliency(eye, pixels, SCORE, rule), (3, 3, 16, 16))
    assert there(smoothgrad(eye, pixels, SCORE, samples=2, rule=rule), (3, 3, 16, 16))
    layer = named(layers(eye, pixels), "relus.1")
    assert there(cams.grad_cam(eye, pixels, SCORE, layer, rule), (3, 8, 8))


def test_ways_from_a_baseline(eye: Eye, pixels: Tensor) -> None:
    assert there(integrated(eye, pixels, SCORE, eye.pixels(squares_of(3, place="other")), 2), (3, 3, 16, 16))


def test_maps(eye: Eye, pixels: Tensor) -> None:
    layer = named(layers(eye, pixels), "relus.1")
    for found in cams._upper(eye, pixels, SCORE, layer, change=cams._something_else):
        assert there(found, (3, 8, 8, 8))
    assert there(cams.guided_grad_cam(eye, pixels, SCORE, layer), (3, 3, 16, 16))
    assert there(reconstruct(eye, pixels, layer, 2), (3, 3, 16, 16))
    assert there(of_region(1, torch.ones(8, 8))(torch.empty(3, 2, 8, 8, device="meta")), (3,))


@pytest.mark.parametrize("competing", [True, False])
def test_attacks(eye: Eye, pixels: Tensor, competing: bool) -> None:
    def reached(rows: np.ndarray, said: np.ndarray) -> np.ndarray:
        return rows > 0

    goal = Goal(np.array([0, 1, 2]), np.array([1, -1, 1], np.float32), competing, reached)
    score, sizes = goal.score(np.array([2, 0, 1])), torch.tensor([1.0, 2.0, 8.0])
    assert there(slope(eye, pixels, score)[0], (3, 3, 16, 16))
    assert there(descend(eye, pixels, score, sizes, sizes / 2, 3), (3, 3, 16, 16))
