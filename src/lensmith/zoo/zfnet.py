"""ZFNet: Zeiler and Fergus 2013, "Visualizing and understanding convolutional networks", section 4.1 and figure 3.

The idea: look at what the filters of AlexNet have become before changing it. Deconvolution showed first filters of
very high and very low frequencies with little between, and in the second layer false patterns that come from the stride
of four. So the first filters are smaller and the stride is two, nothing else of the plan is new, and the error falls.

| layer | what it does                                              | gives         |
|-------|-----------------------------------------------------------|---------------|
| input |                                                           | 3 x 224 x 224 |
| conv1 | 7 x 7, stride 2 (110 x 110); pool 3 x 3 by 2, normalise   | 96 x 55 x 55  |
| conv2 | 5 x 5, stride 2 (26 x 26); pool 3 x 3 by 2, normalise     | 256 x 13 x 13 |
| conv3 | 3 x 3                                                     | 384 x 13 x 13 |
| conv4 | 3 x 3                                                     | 384 x 13 x 13 |
| conv5 | 3 x 3; pool 3 x 3 by 2                                    | 256 x 6 x 6   |
| head  | flatten, dense 4096, dense 4096, dense 1000               | 1000          |

62,357,608 parameters. ReLU follows every layer but the last; dropout of one half the two hidden dense layers.

Kept: all of the above, one tower without groups, first weights N(0, 0.01) with biases of zero. Changed: filters of the
first layer whose root mean square exceeds 0.1 are scaled back in the paper (section 3.1), and left alone here. Its
pixels go from 0 to 255 less their mean; here they have a deviation of one, and the first weights of conv1 are larger by
as much (`alexnet.PIXELS`). For the normalisation across maps it refers to AlexNet, whose constants are taken.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from lensmith.zoo.alexnet import PIXELS, WIDTH, begin, response_norm


def zfnet(channels: int = 3) -> nn.Sequential:
    """Return the convolutions: (N, channels, 224, 224) -> (N, 256, 6, 6)."""
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 96, kernel_size=7, stride=2, padding=1),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),
            norm1=response_norm(),
            conv2=nn.Conv2d(96, 256, kernel_size=5, stride=2),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(3, stride=2, ceil_mode=True),
            norm2=response_norm(),
            conv3=nn.Conv2d(256, 384, kernel_size=3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(384, 384, kernel_size=3, padding=1),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(384, 256, kernel_size=3, padding=1),
            relu5=nn.ReLU(),
            pool5=nn.MaxPool2d(3, stride=2, ceil_mode=True),
        )
    )
    for name, layer in network.named_children():
        if isinstance(layer, nn.Conv2d):
            begin(layer, 0.0, WIDTH * PIXELS if name == "conv1" else WIDTH)
    return network


def start_head(head: nn.ModuleList) -> None:
    """Draw the first weights of the dense layers anew, from N(0, 0.01), with biases of zero."""
    for layer in head:
        assert isinstance(layer, nn.Linear)
        begin(layer, 0.0)
