"""Lensmith's own networks: what they are called, and what each expects of its pictures and its head. No torch.

A further one is a row in `CONTRACTS` (a name by itself) or in `FAMILIES` (a name with numbers in it) here, and its
builder under the same key in `build`; where it comes from a paper, an entry in `papers` too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lensmith.errors import UsageError, nearest
from lensmith.zoo.contract import Contract

DEPTHS = (20, 32, 44, 56, 110)
CONVNET_BLOCKS, CONVNET_DENSE = (32, 64, 128), (128,)
CONVNET_GRAMMAR = (
    "Write convnet/WIDTHS or convnet/WIDTHS/DENSE, the widths of the convolution blocks and of the dense layers "
    "joined by -, for example convnet/32-64-128/128 or convnet/16-32."
)

# What the published weights of the residual networks for small pictures, trained on CIFAR-10, want of them.
RESIDUAL = Contract(image_size=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
# A step of Adam moves every weight by about the learning rate, and so the sum of 9,216 inputs by as many times that.
# Where no normalisation takes it back, the usual rate kept AlexNet's loss above chance for half of a training.
SLOW = 10
CONTRACTS: dict[str, Contract] = {
    "lenet5": Contract(image_size=32, smallest=16, pool="flatten", dense=(120, 84)),
    "lenet5/1998": Contract(image_size=32, smallest=32),
    "alexnet/2012": Contract(image_size=227, smallest=67, pool="flatten", dense=(4096, 4096), slower=SLOW),
    "zfnet": Contract(image_size=224, smallest=47, pool="flatten", dense=(4096, 4096), slower=SLOW),
    "nin": Contract(image_size=32, smallest=4),
    "googlenet/2014": Contract(image_size=224, smallest=31),
    "inception_v2": Contract(image_size=224),
    **{f"resnet{depth}": RESIDUAL for depth in DEPTHS},
    **{f"plain{depth}": Contract(image_size=32) for depth in DEPTHS},
}


@dataclass(frozen=True)
class Family:
    """Networks named by numbers, KIND/PART/PART.

    complete(asked, parts) returns the parts with what was left out filled in, or raises a UsageError that says how
    they are written; contract(parts) is that of complete parts.
    """

    complete: Callable[[str, list[str]], list[str]]
    contract: Callable[[list[str]], Contract]


def _convnet_parts(asked: str, parts: list[str]) -> list[str]:
    if not parts:
        return ["-".join(map(str, CONVNET_BLOCKS)), "-".join(map(str, CONVNET_DENSE))]
    if len(parts) > 2 or not all(re.fullmatch(r"[1-9]\d{0,3}(-[1-9]\d{0,3}){0,11}", part) for part in parts):
        raise UsageError(
            f"network is {asked!r}; widths are numbers from 1 to 9999, at most 12 of each. {CONVNET_GRAMMAR}"
        )
    return parts


def _convnet_contract(parts: list[str]) -> Contract:
    blocks, dense = convnet_widths("/".join(["convnet", *parts]))
    return Contract(image_size=64, smallest=2 ** len(blocks), pool="flatten", dense=dense)


FAMILIES: dict[str, Family] = {"convnet": Family(_convnet_parts, _convnet_contract)}
OWN = (*FAMILIES, *CONTRACTS)
KINDS = frozenset(name.partition("/")[0] for name in OWN)


def is_own(asked: str) -> bool:
    """Return whether a name is meant for one of lensmith's own: one of `OWN`, or KIND/... with a kind of theirs.

    `alexnet` alone is torchvision's; `alexnet/2012`, and any other alexnet/..., is looked for here.
    """
    kind, slash, _ = asked.partition("/")
    return asked in OWN or (bool(slash) and kind in KINDS)


def full_name(asked: str) -> str:
    """Return the full name, `convnet` as `convnet/32-64-128/128`. Raises UsageError with the names there are."""
    kind, *parts = asked.split("/")
    if kind in FAMILIES:
        return "/".join([kind, *FAMILIES[kind].complete(asked, parts)])
    if asked not in CONTRACTS:
        raise UsageError(f"network is {asked!r}; lensmith's own are {', '.join(OWN)}.{nearest(asked, OWN)}")
    return asked


def contract(name: str) -> Contract:
    """Return what a network with a full name expects: no weights, its usual image size, and its published head."""
    kind, *parts = name.split("/")
    return FAMILIES[kind].contract(parts) if kind in FAMILIES else CONTRACTS[name]


def published_classes(name: str) -> int:
    """Return how many classes a network was published with: ten for small pictures (digits, CIFAR-10), else 1000."""
    return 10 if contract(name).image_size <= 64 else 1000


def convnet_widths(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the widths of the blocks and of the dense layers that `convnet/32-64-128/128` names."""
    _, blocks, *dense = name.split("/")
    return _widths(blocks), _widths(dense[0]) if dense else ()


def _widths(text: str) -> tuple[int, ...]:
    return tuple(int(width) for width in text.split("-"))
