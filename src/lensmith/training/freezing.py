"""Which weights of a base stay as they are: everything up to a place, and all statistics of batch normalisation.

A frozen layer whose statistics go on moving is not frozen: its answers change with every batch. So a base that is not
trained from scratch is held in evaluation mode, and what must not change is checked by its hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lensmith.data.store import tensors_digest
from lensmith.zoo.base import assemble

if TYPE_CHECKING:
    from torch import nn

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def frozen_names(network: str, unfreeze: str, image_size: int, tensors: Iterable[str]) -> tuple[str, ...]:
    """Return those of the base's `tensors` that training must leave alone.

    unfreeze: the place after which the base is trained, "all" for the whole of it, "none" for nothing.
    """
    names = tuple(tensors)
    if unfreeze == "none":
        return names
    below: set[str] = set()
    if unfreeze != "all":
        below = set(assemble(network, unfreeze, image_size)[0].state_dict())
    return tuple(name for name in names if name in below or name.rpartition(".")[2] in STATISTICS)


def freeze(base: nn.Module, names: Sequence[str]) -> None:
    """Take the named weights out of training, for good."""
    frozen = set(names)
    for name, tensor in base.named_parameters():
        tensor.requires_grad_(name not in frozen)


def frozen_digest(tensors: Mapping[str, np.ndarray], names: Sequence[str]) -> str:
    """Return the SHA-256 of the frozen part, in the float32 in which it is used; counters of steps are no weights."""
    kept = [name for name in names if name in tensors and not name.endswith("num_batches_tracked")]
    return tensors_digest({name: np.asarray(tensors[name], np.float32) for name in kept})


def parameter_counts(tensors: Mapping[str, np.ndarray], names: Sequence[str]) -> tuple[int, int]:
    """Return how many parameters of a base are trained and how many are frozen; statistics are none."""
    frozen, trained = set(names), 0
    total = 0
    for name, tensor in tensors.items():
        if name.rpartition(".")[2] not in STATISTICS:
            total += tensor.size
            trained += tensor.size * (name not in frozen)
    return trained, total - trained
