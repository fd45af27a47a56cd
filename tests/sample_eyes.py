"""Small networks seen through an Eye, and pictures for them."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from lensmith.engines.pytorch import Normalise
from lensmith.seeing.eye import Eye

SIDE = 24


def eye_of(network: nn.Module, mean: float = 0.5, std: float = 0.25) -> Eye:
    return Eye(network, Normalise((mean,) * 3, (std,) * 3, {}))


def squares(count: int, side: int = SIDE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


class Mixed(nn.Module):
    """ReLUs as a function, in place, as a method, and one module used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = (nn.Conv2d(c, 4, 3, padding=1) for c in (3, 4, 4))
        self.act, self.out = nn.ReLU(inplace=True), nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        found = functional.relu(self.one(images))
        found = self.act(self.two(found)).clone()
        found = self.act(self.three(found) - 0.1)
        found = functional.relu_(found - 0.2).relu()
        outputs: Tensor = self.out(found.mean((2, 3)))
        return outputs


class Gated(nn.Module):
    """Squeeze and excitation, by convolutions or dense, between two ReLU6 and a dense layer with a ReLU."""

    def __init__(self, dense: bool) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.gate = nn.Linear(4, 4) if dense else nn.Conv2d(4, 4, 1)
        self.six, self.hard, self.wide = nn.ReLU6(inplace=True), nn.Hardsigmoid(), nn.Hardtanh()
        self.last, self.out, self.dense = nn.Linear(4, 6), nn.Linear(6, 2), dense

    def forward(self, images: Tensor) -> Tensor:
        found = self.six(self.one(images))
        mean = found.mean((2, 3), keepdim=not self.dense)
        gate = self.hard(self.gate(mean))
        found = functional.relu6(self.two(found * (gate[:, :, None, None] if self.dense else gate)))
        found = functional.hardtanh(self.wide(found), 0, 2)
        outputs: Tensor = self.out(functional.relu(self.last(found.mean((2, 3)))))
        return outputs
