"""Auxiliary heads: small ones that read maps half-way and have losses of their own while a network is trained.

They bring a gradient to the early layers of a deep network (Szegedy et al. 2014, section 5), or, as the same authors
came to think, keep it from learning its pictures by heart (Szegedy et al. 2016, section 4). A trained network is used
without them, so they are no part of a base: they are put beside it for training and nothing of them is saved.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from lensmith.zoo import cut as cutting
from lensmith.zoo import googlenet
from lensmith.zoo.build import begin_as_published, build
from lensmith.zoo.heads import Classifier
from lensmith.zoo.inception_v2 import convolution
from lensmith.zoo.names import canonical


@dataclass(frozen=True)
class Sides:
    """The auxiliary heads of a network: the places they read, how much the sum of their losses counts beside that of
    the main head, and what makes one, (maps, outputs) -> a module from (N, maps, h, w) to (N, outputs)."""

    places: tuple[str, ...]
    weight: float
    build: Callable[[int, int], nn.Module]


def inception_v3_side(maps: int, outputs: int) -> nn.Sequential:
    """Return the auxiliary head of Inception v3: pool to 5 x 5, 1 x 1 to 128, 5 x 5 to 768, dense (figure 8).

    Pooling adapts: the paper's 5 x 5 windows at steps of 3 make 5 x 5 of 17 x 17, which only large pictures have there.
    """
    wide = nn.Sequential(nn.Conv2d(128, 768, kernel_size=5, bias=False), nn.BatchNorm2d(768), nn.ReLU())
    return nn.Sequential(
        OrderedDict(
            pool=nn.AdaptiveAvgPool2d(5),
            narrow=convolution(maps, 128, 1),
            wide=wide,
            flatten=nn.Flatten(),
            classes=nn.Linear(768, outputs),
        )
    )


_GOOGLENET = Sides(googlenet.SIDE_PLACES, googlenet.SIDE_WEIGHT, googlenet.side_head)
# The weight for Inception v3 is not in its paper; 0.4 is what its authors' code and torchvision's have.
SIDES: dict[str, Sides] = {
    "lensmith/googlenet/2014": _GOOGLENET,
    "torchvision/googlenet": _GOOGLENET,
    "torchvision/inception_v3": Sides(("Mixed_6e",), 0.4, inception_v3_side),
}


def new_classifier(
    network: str,
    cut: str | None,
    image_size: int,
    features: int,
    outputs: int,
    *,
    pool: str,
    dense: Sequence[int],
    dropout: float,
    softmax: bool,
) -> Classifier:
    """Return a network to be trained from nothing: its base up to a cut, a head, and its auxiliary heads, if any.

    Those behind the cut are left out. Raises UsageError for an unknown cut or an impossible size. See
    `Classifier` and `begin_as_published` for the rest.
    """
    name = canonical(network)
    sides = SIDES.get(network)
    whole = build(name, image_size=image_size)
    base, _, places = cutting.base_with_sides(whole, cut, sides.places if sides else (), image_size)
    made = Classifier(
        base,
        features,
        outputs,
        pool,
        dense,
        dropout,
        sides=[sides.build(place.shape[0], outputs) for place in places] if sides else (),
        side_weight=sides.weight if sides else 0.0,
    )
    return begin_as_published(name, made, softmax=softmax)
