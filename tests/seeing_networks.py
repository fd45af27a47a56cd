"""Small networks that say the same in different ways, and a Subject around any of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lensmith.data.preprocess import Preprocessing
from lensmith.engines.pytorch import Normalise
from lensmith.reproduce import generator
from lensmith.seeing.eye import Eye
from lensmith.seeing.subject import Subject
from lensmith.tasks.classification import Classification
from lensmith.tasks.interface import Task

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Small(nn.Module):
    """Two convolutions with batch normalisation, two dense layers; each ReLU a module of its own."""

    def __init__(self, outputs: int = 5) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.dense, self.out = nn.Linear(8 * 16, 10), nn.Linear(10, outputs)
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(3))

    def rectified(self, values: Tensor, place: int) -> Tensor:
        """The only thing in which the others differ."""
        return self.relus[place](values)

    def forward(self, images: Tensor) -> Tensor:
        values = self.pool(self.rectified(self.norm(self.first(images)), 0))
        values = self.pool(self.rectified(self.second(values), 1))
        return self.out(self.rectified(self.dense(values.flatten(1)), 2))


class Functional(Small):
    def rectified(self, values: Tensor, place: int) -> Tensor:
        return functional.relu(values)


class InPlace(Small):
    def rectified(self, values: Tensor, place: int) -> Tensor:
        return values.relu_()


class Shared(Small):
    def rectified(self, values: Tensor, place: int) -> Tensor:
        return self.relus[0](values)


class SharedInPlace(Small):
    def __init__(self, outputs: int = 5) -> None:
        super().__init__(outputs)
        self.relus = nn.ModuleList([nn.ReLU(inplace=True)])

    def rectified(self, values: Tensor, place: int) -> Tensor:
        return self.relus[0](values)


WAYS = (Functional, InPlace, Shared, SharedInPlace)


class Pooled(nn.Module):
    """Convolutions, the mean of their map, one dense layer: a network that CAM holds for."""

    def __init__(self, outputs: int = 5) -> None:
        super().__init__()
        self.base = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU())
        self.out = nn.Linear(8, outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.base(images).mean((2, 3)))


def drawn(make: Callable[[], nn.Module]) -> nn.Module:
    """Return a network with weights that are always the same, normalisation with statistics of its own."""
    network = make().eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                values = generator(0, "drawn", name).normal(0, 1, tuple(tensor.shape))
                scale = 1 / max(1, tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 0.3
                tensor.copy_(torch.from_numpy(np.abs(values) + 0.5 if "var" in name else values * scale))
    return network


def eye_of(network: nn.Module) -> Eye:
    return Eye(network, Normalise(MEAN, STD, {}))


def squares_of(count: int, side: int = 16, place: str = "squares") -> np.ndarray:
    return generator(0, place).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def subject_of(network: nn.Module, task: Task | None = None, side: int = 16) -> Subject:
    """Return a Subject that asks torch."""
    eye = eye_of(network)
    seen = Preprocessing(side, MEAN, STD)
    return Subject("small", task or Classification(tuple("abcde")), seen, eye.says, lambda: eye)
