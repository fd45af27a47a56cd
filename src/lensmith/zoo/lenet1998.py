"""LeNet-5 as published: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document
recognition", section II.B and figure 2. `lenet` has the modern form.

The idea: nobody designs what to look for. Small filters see a small part of the picture each, share their weights over
all places, are subsampled so that exact positions stop mattering, and all of it, from pixels to classes, is learned by
one gradient.

| layer  | what it does                                     | gives        | parameters | connections |
|--------|--------------------------------------------------|--------------|------------|-------------|
| input  | a 28 x 28 digit, padded                          | 1 x 32 x 32  |            |             |
| C1     | 5 x 5 convolution                                | 6 x 28 x 28  | 156        | 122,304     |
| S2     | sum of 2 x 2, times a coefficient, plus a bias   | 6 x 14 x 14  | 12         | 5,880       |
| C3     | 5 x 5 convolution of 3, 4 or 6 maps (table I)    | 16 x 10 x 10 | 1,516      | 151,600     |
| S4     | as S2                                            | 16 x 5 x 5   | 32         | 2,000       |
| C5     | 5 x 5 convolution of all maps                    | 120 x 1 x 1  | 48,120     | 48,120      |
| F6     | dense                                            | 84           | 10,164     | 10,164      |
| output | squared distance to the drawing of a character   | 10           | none       | 840         |

60,000 parameters and 340,908 connections in all, as section II.B says. What every layer up to F6 computes goes through
f(a) = 1.7159 tanh(2 a / 3).

Kept: all of the above; the first weights (appendix A). Changed: the drawings of the characters are our own; other
numbers of classes than ten get random codes in their place. A colour picture is averaged over its channels first. In a
picture larger than 32 x 32, C5 gives more than one place: their mean goes on. The loss is the cross-entropy of the
negative distances, which is equation 9 without the class for rubbish.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lensmith.reproduce import generator
from lensmith.zoo.heads import Fixed

AMPLITUDE, SLOPE = 1.7159, 2 / 3
F6 = 84

# Table I: which maps of S2 (rows) each map of C3 (columns) reads. With part of the maps each, the sixteen have to
# look for different things: six read three maps, nine read four, one reads all.
TABLE_I = """
X . . . X X X . . X X X X . X X
X X . . . X X X . . X X X X . X
X X X . . . X X X . . X . X X X
. X X X . . X X X X . . X . X X
. . X X X . . X X X X . X X . X
. . . X X X . . X X X X . X X X
"""
READ = tuple(
    tuple(number for number, mark in enumerate(column) if mark == "X")
    for column in zip(*(row.split() for row in TABLE_I.split("\n") if row), strict=True)
)
THREES, FOURS = ([number for read in some for number in read] for some in (READ[:6], READ[6:15]))

# The paper compares F6 with drawings of the printed characters, 7 x 12, so that characters that look alike have codes
# that are alike. These are our own drawings.
DIGITS = """
..###.. ...##.. .#####. .#####. ....##. ####### ...###. ####### .#####. ..###..
.##.##. ..###.. ##...## ##...## ...###. ##..... ..##... ####### ##...## .##.##.
##...## .####.. ##...## .....## ...###. ##..... .##.... .....## ##...## ##...##
##...## ##.##.. .....## .....## ..####. ##..... ##..... ....##. ##...## ##...##
##...## ...##.. .....## ....##. .##.##. ######. ##.###. ....##. .##.##. ##...##
##...## ...##.. ....##. ..###.. .##.##. ....### ###..## ...##.. ..###.. ##...##
##...## ...##.. ...##.. ....##. ##..##. .....## ##...## ...##.. .##.##. ##..###
##...## ...##.. ..##... .....## ####### .....## ##...## ..##... ##...## .###.##
##...## ...##.. .##.... .....## ....##. .....## ##...## ..##... ##...## .....##
##...## ...##.. ##..... .....## ....##. ##...## ##...## .##.... ##...## ....##.
.##.##. ...##.. ##..... ##...## ....##. ##..##. .##.##. .##.... ##...## ...##..
..###.. .###### ####### .#####. ....##. .####.. ..###.. .##.... .#####. .###...
"""


class LeNet1998(nn.Module):
    """The network up to F6: (N, any channels, 32, 32) -> (N, 84)."""

    base_ends = "f6"  # not the last map: its dense layers are not those of a head with ReLU

    def __init__(self) -> None:
        super().__init__()
        self.c1 = nn.Sequential(nn.Conv2d(1, 6, kernel_size=5), Squash())
        self.s2 = nn.Sequential(Subsampling(6), Squash())
        self.c3 = nn.Sequential(SparseConvolution(), Squash())
        self.s4 = nn.Sequential(Subsampling(16), Squash())
        self.c5 = nn.Sequential(nn.Conv2d(16, 120, kernel_size=5), Squash())
        self.f6 = nn.Sequential(nn.Linear(120, F6), Squash())
        for layer in self.modules():
            _begin(layer)

    def forward(self, images: Tensor) -> Tensor:
        """Return what F6 says, each number between -1.7159 and 1.7159."""
        grey = images.mean(1, keepdim=True)
        maps: Tensor = self.c5(self.s4(self.c3(self.s2(self.c1(grey)))))
        drawn: Tensor = self.f6(maps.mean((2, 3)))
        return drawn


class Squash(nn.Module):
    """f(a) = A tanh(S a), A = 1.7159, S = 2/3 (equation 6): f(1) = 1, f(-1) = -1, and steepest curvature there."""

    def forward(self, values: Tensor) -> Tensor:
        """Return f of every number."""
        return AMPLITUDE * torch.tanh(SLOPE * values)


class Subsampling(nn.Module):
    """(N, maps, h, w) -> (N, maps, h // 2, w // 2): the sum of each 2 x 2, times a coefficient a map, plus a bias."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(maps)), nn.Parameter(torch.zeros(maps))

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps at half their size."""
        sums = 4 * nn.functional.avg_pool2d(maps, 2)
        return sums * self.weight[:, None, None] + self.bias[:, None, None]


class SparseConvolution(nn.Module):
    """C3: (N, 6, h, w) -> (N, 16, h - 4, w - 4), each map a 5 x 5 convolution of the maps that table I gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.three = nn.Conv2d(len(THREES), 6, kernel_size=5, groups=6)
        self.four = nn.Conv2d(len(FOURS), 9, kernel_size=5, groups=9)
        self.all = nn.Conv2d(6, 1, kernel_size=5)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the sixteen maps."""
        each = maps.chunk(6, dim=1)
        three, four = (torch.cat([each[number] for number in read], 1) for read in (THREES, FOURS))
        return torch.cat([self.three(three), self.four(four), self.all(maps)], 1)


def output_layer(inputs: int, outputs: int) -> Fixed | None:
    """Return the output layer for class scores; None where something else than F6 comes before it.

    Equation 7 is the squared distance |x - w|^2 to the code w of a class. Its negative is 2 w.x - |w|^2 - |x|^2, and
    the last two terms are the same for all classes, since codes are made of +1 and -1: a dense layer that stays as it
    is, with weights 2 w and no bias, gives the same probabilities.
    """
    return Fixed(2 * codes(outputs), torch.zeros(outputs)) if inputs == F6 else None


def codes(classes: int) -> Tensor:
    """Return (classes, 84) of +1 (ink) and -1: the drawn digits for ten classes, else fixed random codes."""
    if classes == 10:
        rows = [line.split() for line in DIGITS.strip().split("\n")]
        ink = [[mark == "#" for row in rows for mark in row[digit]] for digit in range(10)]
    else:
        ink = [(generator(0, "lenet5/1998", number).random(F6) < 0.5).tolist() for number in range(classes)]
    return torch.tensor(ink).float() * 2 - 1


def _begin(layer: nn.Module) -> None:
    """Draw first weights between -2.4 / F and 2.4 / F, F the number of inputs of a unit (appendix A)."""
    if isinstance(layer, nn.Conv2d | nn.Linear | Subsampling):
        inputs = 4 if isinstance(layer, Subsampling) else math.prod(layer.weight.shape[1:])
        for tensor in layer.parameters():
            nn.init.uniform_(tensor, -2.4 / inputs, 2.4 / inputs)
