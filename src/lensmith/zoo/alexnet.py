"""AlexNet as published: Krizhevsky, Sutskever and Hinton 2012, "ImageNet classification with deep convolutional neural
networks", section 3 and figure 2. torchvision's `alexnet` is the one-tower form of 2014.

The idea: what read digits in 1998 reads photographs, if it is large enough, sees a million of them, and is kept from
learning them by heart. ReLU makes it learn several times as fast as tanh; dropout and shifted, mirrored, recoloured
pictures stand in for more data; two GPUs hold it, each with half of the maps, and meet in the third layer alone.

| layer | what it does                                          | gives         |
|-------|-------------------------------------------------------|---------------|
| input |                                                       | 3 x 227 x 227 |
| conv1 | 11 x 11, stride 4; then normalise, pool 3 x 3 by 2    | 96 x 27 x 27  |
| conv2 | 5 x 5 in two groups; then normalise, pool 3 x 3 by 2  | 256 x 13 x 13 |
| conv3 | 3 x 3 of all maps                                     | 384 x 13 x 13 |
| conv4 | 3 x 3 in two groups                                   | 384 x 13 x 13 |
| conv5 | 3 x 3 in two groups; then pool 3 x 3 by 2             | 256 x 6 x 6   |
| head  | flatten, dense 4096, dense 4096, dense 1000           | 1000          |

60,965,224 parameters, 58.6 million of them in the head. ReLU follows every layer but the last; dropout of one half the
two hidden dense layers.

Kept: all of the above, the constants of the normalisation (section 3.3), the first weights (section 5). Changed: the
paper says 224 x 224, from which 11 x 11 at stride 4 does not give its 55 x 55; 227 does. The normalisation looks at
neighbours across the two halves, as its formula says, whatever the GPUs did. The paper's pixels go from 0 to 255 less
their mean; here they have a deviation of one, so the first weights of conv1 are larger by as much, and all that follows
is the paper's. With 0.01 there as well, pictures are drowned by the biases of one, and nothing is learned.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

WITH_ONES = ("conv2", "conv4", "conv5")
WIDTH = 0.01  # standard deviation of the first weights
PIXELS = 57.0  # standard deviation of photographs on the scale of 0 to 255 (ImageNet's is 57 to 58)


def alexnet2012(channels: int = 3) -> nn.Sequential:
    """Return the convolutions: (N, channels, 227, 227) -> (N, 256, 6, 6)."""
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 96, kernel_size=11, stride=4),
            relu1=nn.ReLU(),
            norm1=response_norm(),
            pool1=nn.MaxPool2d(3, stride=2),
            conv2=nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2),
            relu2=nn.ReLU(),
            norm2=response_norm(),
            pool2=nn.MaxPool2d(3, stride=2),
            conv3=nn.Conv2d(256, 384, kernel_size=3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2),
            relu5=nn.ReLU(),
            pool5=nn.MaxPool2d(3, stride=2),
        )
    )
    for name, layer in network.named_children():
        if isinstance(layer, nn.Conv2d):
            begin(layer, 1.0 if name in WITH_ONES else 0.0, WIDTH * PIXELS if name == "conv1" else WIDTH)
    return network


def response_norm() -> nn.LocalResponseNorm:
    """Return b = a / (2 + 0.0001 sum of a^2 over five neighbouring maps)^0.75 (section 3.3).

    torch's formula has the mean of the squares where the paper has their sum, hence five times the paper's alpha.
    """
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def start_head(head: nn.ModuleList) -> None:
    """Draw the first weights of the dense layers anew: biases of the hidden ones are one, of the last one zero."""
    for number, layer in enumerate(head, start=1):
        assert isinstance(layer, nn.Linear)
        begin(layer, 1.0 if number < len(head) else 0.0)


def begin(layer: nn.Conv2d | nn.Linear, bias: float, width: float = WIDTH) -> None:
    """Draw weights from N(0, 0.01), or with another deviation, and set all biases to one value (section 5).

    Ones give the ReLUs behind them something to let through from the first step on.
    """
    nn.init.normal_(layer.weight, 0, width)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, bias)
