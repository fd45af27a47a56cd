"""A plain convolutional network by numbers: the smallest thing that deserves the name.

Each block looks at 3 x 3 neighbourhoods, brings its answers to a common scale, keeps what is positive, and halves
the picture by keeping the strongest answer of every 2 x 2. After a few blocks a position sees a large part of
the picture and says in numbers what is there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn


class Convnet(nn.Module):
    """One block a width: (N, channels, h, w) -> (N, widths[-1], h', w'), each block halving h and w, rounded up."""

    def __init__(self, widths: Sequence[int], channels: int = 3) -> None:
        super().__init__()
        inputs = [channels, *widths[:-1]]
        blocks = [block(before, after) for before, after in zip(inputs, widths, strict=True)]
        self.blocks = nn.Sequential(OrderedDict((str(n), each) for n, each in enumerate(blocks, start=1)))

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature map of the last block."""
        maps: Tensor = self.blocks(images)
        return maps


def block(before: int, after: int) -> nn.Sequential:
    """Return convolution, batch normalisation, ReLU, max-pooling for `before` -> `after` channels.

    The convolution needs no bias: normalisation subtracts it again (Ioffe and Szegedy 2015, section 3.2). Its
    weights start with variance 2 / (9 * before), which keeps the scale of the signal through ReLU (He et al. 2015).
    Pooling rounds up: an odd last row or column is pooled by itself instead of thrown away, and a map that
    has shrunk to one position stays one, so that small pictures can have as many blocks as large ones.
    """
    convolution = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return nn.Sequential(
        OrderedDict(
            conv=convolution,
            norm=nn.BatchNorm2d(after),
            relu=nn.ReLU(),
            pool=nn.MaxPool2d(2, ceil_mode=True),
        )
    )
