"""Inception v2: Ioffe and Szegedy 2015, "Batch normalization", section 4.2 and figure 5 (the appendix).

The idea: while a network learns, what every layer is given keeps changing, since the layers before it learn too. Bring
each map to mean 0 and deviation 1 over the batch, then let it learn its own scale and shift: rates can be thirty times
as high, and the first weights matter little. It is shown on a GoogLeNet with two 3 x 3 in place of each 5 x 5, which
see as far with 18 weights instead of 25.

| layer  | what it does                                                             | gives          |
|--------|--------------------------------------------------------------------------|----------------|
| input  |                                                                          | 3 x 224 x 224  |
| stem   | separable 7 x 7 by 2; pool 3 x 3 by 2; 1 x 1 to 64; 3 x 3 to 192; pool   | 192 x 28 x 28  |
| 3a, 3b | Inception, mean pooling                                                  | 320 x 28 x 28  |
| 3c     | Inception by 2, without 1 x 1, maps passed on by max-pooling             | 576 x 14 x 14  |
| 4a..4d | Inception, mean pooling                                                  | 576 x 14 x 14  |
| 4e     | as 3c                                                                    | 1024 x 7 x 7   |
| 5a, 5b | Inception, mean pooling in 5a and max-pooling in 5b                      | 1024 x 7 x 7   |
| head   | mean over all positions, dense 1000                                      | 1000           |

Every convolution is followed by batch normalisation and ReLU, and has no bias.

Kept: all of the above; the first convolution in two steps, eight filters a colour and then 1 x 1 over all of them.
Changed: two rows of figure 5 do not add up, 4c and 4d, whose filters give 608 maps where the table says 576. The
widths of the output are kept, with 96 maps behind the pooling instead of 128, as the authors' later code has it. First
weights follow He et al. (2015).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from lensmith.zoo.googlenet import Branches

Two = tuple[int, int]

# Figure 5: 1x1; before and after the 3x3; before and after the two 3x3; pooled how, and 1x1 behind it. A module without
# 1x1 halves the size, and passes on what it pools.
FIGURE_5: dict[str, tuple[int, Two, Two, str, int]] = {
    "3a": (64, (64, 64), (64, 96), "mean", 32),
    "3b": (64, (64, 96), (64, 96), "mean", 64),
    "3c": (0, (128, 160), (64, 96), "max", 0),
    "4a": (224, (64, 96), (96, 128), "mean", 128),
    "4b": (192, (96, 128), (96, 128), "mean", 128),
    "4c": (160, (128, 160), (128, 160), "mean", 96),
    "4d": (96, (128, 192), (160, 192), "mean", 96),
    "4e": (0, (128, 192), (192, 256), "max", 0),
    "5a": (352, (192, 320), (160, 224), "mean", 128),
    "5b": (352, (192, 320), (192, 224), "max", 128),
}


def inception_v2(channels: int = 3) -> nn.Sequential:
    """Return the convolutions: (N, channels, 224, 224) -> (N, 1024, 7, 7)."""
    filters = 8 * channels
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Sequential(
            nn.Conv2d(channels, filters, 7, stride=2, padding=3, groups=channels, bias=False),
            convolution(filters, 64, 1),
        ),
        pool1=nn.MaxPool2d(3, stride=2, padding=1),
        conv2=convolution(64, 64, 1),
        conv3=convolution(64, 192, 3),
        pool2=nn.MaxPool2d(3, stride=2, padding=1),
    )
    maps = 192
    for name, (one, three, double, kind, pooled) in FIGURE_5.items():
        layers[f"inception{name}"] = inception(maps, one, three, double, kind, pooled)
        maps = one + three[1] + double[1] + (pooled or maps)
    return nn.Sequential(layers)


def inception(maps: int, one: int, three: Two, double: Two, kind: str, pooled: int) -> Branches:
    """Return the module of one row of figure 5."""
    stride = 1 if one else 2
    pooling = nn.AvgPool2d if kind == "mean" else nn.MaxPool2d
    branches = [
        nn.Sequential(convolution(maps, three[0], 1), convolution(*three, 3, stride)),
        nn.Sequential(
            convolution(maps, double[0], 1), convolution(*double, 3), convolution(double[1], double[1], 3, stride)
        ),
        nn.Sequential(pooling(3, stride=stride, padding=1), *([convolution(maps, pooled, 1)] if pooled else [])),
    ]
    return Branches(*([convolution(maps, one, 1)] if one else []), *branches)


def convolution(before: int, after: int, size: int, stride: int = 1) -> nn.Sequential:
    """Return convolution, batch normalisation and ReLU; the size is kept, or halved with stride 2."""
    layer = nn.Conv2d(before, after, kernel_size=size, stride=stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(layer, nn.BatchNorm2d(after), nn.ReLU())
