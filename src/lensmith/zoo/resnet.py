"""Residual networks for 32 x 32 pictures, and their plain twins: He, Zhang, Ren and Sun 2015, section 4.2.

The idea: a deeper network could always do what a shallower one does, if its further layers did nothing; yet plain
networks of 56 layers end with a higher training error than those of 20. Doing nothing is hard to learn for layers that
make their output from scratch, and easy for layers that add to their input: weights of zero do it. So every two
layers are led around by a shortcut.

| layer  | what it does                           | gives        |
|--------|----------------------------------------|--------------|
| input  |                                        | 3 x 32 x 32  |
| conv1  | 3 x 3                                  | 16 x 32 x 32 |
| layer1 | n blocks of two 3 x 3                  | 16 x 32 x 32 |
| layer2 | n blocks of two 3 x 3, the first by 2  | 32 x 16 x 16 |
| layer3 | n blocks of two 3 x 3, the first by 2  | 64 x 8 x 8   |
| head   | mean over all positions, dense 10      | 10           |

With n = 3, 5, 7, 9, 18 these are 20, 32, 44, 56 and 110 layers: 269,722, 464,154, 658,586, 853,018 and 1,727,962
parameters. Batch normalisation follows every convolution, then ReLU, in the last layer of a block after the addition.

Kept: all of the above; shortcuts without parameters (option A: where maps get smaller and more, every second pixel is
taken and the new maps are zero), so that a residual network and its plain twin have the same parameters; first weights
after He et al. (2015). The zeros stand half before and half behind the maps, and tensors have the names, that published
weights of these networks have.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (16, 32, 64)


class ResNet(nn.Module):
    """The convolutions of a network of `depth` = 6 n + 2 layers: (N, channels, 32, 32) -> (N, 64, 8, 8)."""

    def __init__(self, depth: int, channels: int = 3, *, shortcuts: bool = True) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1, self.bn1 = convolution(channels, WIDTHS[0]), nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = stage(blocks, WIDTHS[0], WIDTHS[0], 1, shortcuts)
        self.layer2 = stage(blocks, WIDTHS[0], WIDTHS[1], 2, shortcuts)
        self.layer3 = stage(blocks, WIDTHS[1], WIDTHS[2], 2, shortcuts)

    def forward(self, images: Tensor) -> Tensor:
        """Return the maps of the last block."""
        maps: Tensor = functional.relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        return maps


class Block(nn.Module):
    """Two convolutions, and a shortcut around them: (N, before, h, w) -> (N, after, h / stride, w / stride)."""

    def __init__(self, before: int, after: int, stride: int, shortcut: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(before, after, stride), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = convolution(after, after), nn.BatchNorm2d(after)
        self.shortcut, self.stride, self.added = shortcut, stride, (after - before) // 2

    def forward(self, maps: Tensor) -> Tensor:
        """Return relu(F(maps) + maps), equation 1; without a shortcut relu(F(maps))."""
        found: Tensor = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(maps)))))
        if self.shortcut:
            found = found + self.led_around(maps)
        return functional.relu(found)

    def led_around(self, maps: Tensor) -> Tensor:
        """Return the maps as they are, or every second pixel of them between maps of zeros (option A)."""
        if self.stride == 1:
            return maps
        return functional.pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.added, self.added))


def stage(blocks: int, before: int, after: int, stride: int, shortcuts: bool) -> nn.Sequential:
    """Return blocks of one width, the first of which changes width and size."""
    first = Block(before, after, stride, shortcuts)
    return nn.Sequential(first, *(Block(after, after, 1, shortcuts) for _ in range(blocks - 1)))


def convolution(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3 x 3 convolution; normalisation follows, so it needs no bias."""
    layer = nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer
