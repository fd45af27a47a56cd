"""Draws of torch that follow from a seed and leave no trace: torch has no dropout and no first weights without them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Let torch draw from `seed`, on the processor and on `device` (cpu, cuda, mps); afterwards all is as it was.

    `torch.manual_seed` would reach every GPU there is, and what it does to those is not undone by
    `fork_rng(devices=[])`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if device == "cpu":
            yield
            return
        module = torch.get_device_module(device)
        before = module.get_rng_state()
        module.manual_seed(seed)
        try:
            yield
        finally:
            module.set_rng_state(before)
