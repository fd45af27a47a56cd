"""GoogLeNet as published: Szegedy and others 2014, "Going deeper with convolutions", section 5, table 1 and figure 3.
torchvision's `googlenet` has batch normalisation, and 3 x 3 where the paper has 5 x 5.

The idea: what matters in a picture comes in several sizes, so look with filters of several sizes at once and put their
maps one behind the other. 1 x 1 convolutions before the larger filters make that affordable: 5 x 5 from 192 maps to 32
costs 120 million multiplications on 28 x 28 places, behind a bottleneck of 16 maps 12 million. No dense layers but one.
And since a gradient has 22 layers to go through, two small heads on the way get losses of their own while it learns.

| layer  | what it does                                                            | gives          |
|--------|-------------------------------------------------------------------------|----------------|
| input  |                                                                         | 3 x 224 x 224  |
| stem   | 7 x 7 by 2; pool 3 x 3 by 2; normalise; 1 x 1; 3 x 3; normalise; pool   | 192 x 28 x 28  |
| 3a, 3b | Inception; then pool                                                    | 480 x 14 x 14  |
| 4a..4e | Inception; an auxiliary head behind 4a and 4d; then pool                | 832 x 7 x 7    |
| 5a, 5b | Inception                                                               | 1024 x 7 x 7   |
| head   | mean over all positions, dense 1000                                     | 1000           |

6,998,552 parameters; 6,379,728 more in the two auxiliary heads. ReLU follows every convolution.

Kept: all of the above; the auxiliary heads, each counted with a weight of 0.3, gone when the network is used.
Changed: no dropout of 40 % before the dense layer, as the head has none without hidden layers; first weights after He
et al. (2015), as the paper names none; the normalisation across maps has AlexNet's constants, for the same reason.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from lensmith.zoo.alexnet import response_norm

SIDE_PLACES = ("inception4a", "inception4d")
SIDE_WEIGHT = 0.3  # section 5
Two = tuple[int, int]

# Table 1: 1x1; before and after the 3x3; before and after the 5x5; 1x1 behind the pooling.
TABLE_1: dict[str, tuple[int, Two, Two, int]] = {
    "3a": (64, (96, 128), (16, 32), 32),
    "3b": (128, (128, 192), (32, 96), 64),
    "4a": (192, (96, 208), (16, 48), 64),
    "4b": (160, (112, 224), (24, 64), 64),
    "4c": (128, (128, 256), (24, 64), 64),
    "4d": (112, (144, 288), (32, 64), 64),
    "4e": (256, (160, 320), (32, 128), 128),
    "5a": (256, (160, 320), (32, 128), 128),
    "5b": (384, (192, 384), (48, 128), 128),
}
POOLED_AFTER = ("3b", "4e")


def googlenet2014(channels: int = 3) -> nn.Sequential:
    """Return the convolutions: (N, channels, 224, 224) -> (N, 1024, 7, 7)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=convolution(channels, 64, 7, stride=2),
        pool1=pooling(),
        norm1=response_norm(),
        conv2=convolution(64, 64, 1),
        conv3=convolution(64, 192, 3),
        norm2=response_norm(),
        pool2=pooling(),
    )
    maps = 192
    for name, (one, three, five, pooled) in TABLE_1.items():
        layers[f"inception{name}"] = inception(maps, one, three, five, pooled)
        maps = one + three[1] + five[1] + pooled
        if name in POOLED_AFTER:
            layers[f"pool{name[0]}"] = pooling()
    return nn.Sequential(layers)


class Branches(nn.Module):
    """Parts that get the same maps and whose results stand one behind the other: an Inception module (figure 2b)."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps of all branches."""
        return torch.cat([branch(maps) for branch in self.branches], 1)


def inception(maps: int, one: int, three: Two, five: Two, pooled: int) -> Branches:
    """Return the module of one row of table 1."""
    return Branches(
        convolution(maps, one, 1),
        nn.Sequential(convolution(maps, three[0], 1), convolution(*three, 3)),
        nn.Sequential(convolution(maps, five[0], 1), convolution(*five, 5)),
        nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), convolution(maps, pooled, 1)),
    )


def convolution(before: int, after: int, size: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the size (halves it with stride 2) and its ReLU."""
    layer = nn.Conv2d(before, after, kernel_size=size, stride=stride, padding=size // 2)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer, nn.ReLU())


def pooling() -> nn.MaxPool2d:
    """Return max-pooling of 3 x 3 by 2 that gives 56 of 112, 28 of 56, and so on: rounded up."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def side_head(maps: int, outputs: int) -> nn.Sequential:
    """Return an auxiliary head, (N, maps, h, w) -> (N, outputs): pool to 4 x 4, 1 x 1 to 128, dense 1024 (section 5).

    The paper pools 14 x 14 by windows of 5 x 5 at steps of 3, which gives 4 x 4; windows that adapt give it from any
    size.
    """
    return nn.Sequential(
        OrderedDict(
            pool=nn.AdaptiveAvgPool2d(4),
            conv=convolution(maps, 128, 1),
            flatten=nn.Flatten(),
            dense=nn.Linear(128 * 4 * 4, 1024),
            relu=nn.ReLU(),
            dropout=nn.Dropout(0.7),
            classes=nn.Linear(1024, outputs),
        )
    )
