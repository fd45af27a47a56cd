"""LeNet-5, the network that read cheques (LeCun, Bottou, Bengio and Haffner 1998), in its modern form.

The original: tanh, pooling by a trainable mean, a third layer wired sparsely to spare connections, and outputs
compared with drawn templates. The modern form keeps the plan and replaces those parts by what has been learned since:
ReLU, max-pooling, every map wired to every map, and plain class scores. With one channel and ten classes it has
61,706 parameters, with three channels 62,006; nearly all of them in the dense layers, which are the head.
"""

from __future__ import annotations

from torch import Tensor, nn


class LeNet5(nn.Module):
    """The convolutions of LeNet-5: (N, channels, 32, 32) -> (N, 16, 5, 5).

    32 -> 28 (C1, 5 x 5 without padding) -> 14 (S2) -> 10 (C3) -> 5 (S4). A 28 x 28 digit is padded to 32 first, so
    that its strokes can fall into the middle of a receptive field. The head is flatten, 120 (C5), 84 (F6), classes.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(channels, 6, kernel_size=5)
        self.relu1 = nn.ReLU()
        self.s2 = nn.MaxPool2d(2)
        self.c3 = nn.Conv2d(6, 16, kernel_size=5)
        self.relu3 = nn.ReLU()
        self.s4 = nn.MaxPool2d(2)
        for convolution in (self.c1, self.c3):
            # Variance 2 / inputs keeps the scale of the signal through ReLU (He et al. 2015).
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Return the sixteen maps of S4."""
        maps: Tensor = self.s2(self.relu1(self.c1(images)))
        maps = self.s4(self.relu3(self.c3(maps)))
        return maps
