"""Network in network: Lin, Chen and Yan 2013, sections 3 and 4, in the form for pictures of 32 x 32 (CIFAR-10).

The idea, twice. A filter is a linear guess at what is in its patch; put a small network of dense layers there instead.
Slid over all positions, its layers are 1 x 1 convolutions. And let the last maps be one a class, so that their means
are the scores: no dense layers that could learn the pictures by heart, and maps that show where each class is.

| layer    | what it does                                              | gives        |
|----------|-----------------------------------------------------------|--------------|
| input    |                                                           | 3 x 32 x 32  |
| mlpconv1 | 5 x 5 to 192, 1 x 1 to 160, 1 x 1 to 96; pool 3 x 3 by 2  | 96 x 16 x 16 |
| mlpconv2 | 5 x 5 to 192, 1 x 1 to 192, 1 x 1 to 192; pool 3 x 3 by 2 | 192 x 8 x 8  |
| mlpconv3 | 3 x 3 to 192, 1 x 1 to 192                                | 192 x 8 x 8  |
| head     | 1 x 1 to 10, mean over all positions                      | 10           |

966,986 parameters. ReLU follows every convolution; dropout of one half the first two mlpconv layers (section 4.1).

Kept: the plan; the widths, which the paper does not print, are those of the code its authors published. Changed: the
last 1 x 1 convolution stands behind the mean instead of before it. Both are linear, so the scores are the same, and
what is left is lensmith's usual head of one dense layer; the class maps of the paper (figure 4) are the class
activation maps of the report. The ReLU that the paper has on the class maps is left out, so that scores may be below
zero. First weights follow He et al. (2015).
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import nn


def nin(channels: int = 3) -> nn.Sequential:
    """Return the three mlpconv layers: (N, channels, 32, 32) -> (N, 192, 8, 8)."""
    return nn.Sequential(
        OrderedDict(
            mlpconv1=mlpconv(5, channels, 192, 160, 96),
            pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),
            dropout1=nn.Dropout(0.5),
            mlpconv2=mlpconv(5, 96, 192, 192, 192),
            pool2=nn.MaxPool2d(3, stride=2, ceil_mode=True),
            dropout2=nn.Dropout(0.5),
            mlpconv3=mlpconv(3, 192, 192, 192),
        )
    )


def mlpconv(size: int, channels: int, *widths: int) -> nn.Sequential:
    """Return a network of dense layers of `widths` that slides over patches of size x size (equation 2)."""
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise((channels, *widths))):
        side = size if number == 0 else 1
        convolution = nn.Conv2d(before, after, kernel_size=side, padding=side // 2)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        assert convolution.bias is not None
        nn.init.zeros_(convolution.bias)
        layers += [convolution, nn.ReLU()]
    return nn.Sequential(*layers)
