"""Averaged weights: what a network was over its last steps, which is steadier than what it is now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

STEPS = "steps"


class Average:
    """The exponential moving average of a module's trained parameters (Polyak and Juditsky 1992).

    a_t = sum of (1 - decay) decay^(t - i) w_i over i = 1..t, divided by 1 - decay^t: the first weights are as good as
    forgotten and a short run is a plain mean, as in Adam's bias correction (Kingma and Ba 2015, section 3). Buffers,
    such as the statistics of batch normalisation, are running averages already and stay the module's own.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self._own = {name: tensor for name, tensor in module.named_parameters() if tensor.requires_grad}
        self._averaged = {name: tensor.detach().clone() for name, tensor in self._own.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the module's weights after a step."""
        self.steps += 1
        # The sum above, rewritten: a += (w - a) (1 - decay) / (1 - decay^t).
        share = (1 - self.decay) / (1 - self.decay**self.steps)
        for name, tensor in self._own.items():
            self._averaged[name].lerp_(tensor, share)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Give the module the averaged weights for a while; nothing is copied, so its own come back bit for bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, tensor in self._own.items():
            tensor.data, self._averaged[name] = self._averaged[name], tensor.data

    def state(self) -> dict[str, Tensor]:
        """Return the averaged weights by name and the number of steps, for a checkpoint; not copies."""
        return {**self._averaged, STEPS: torch.tensor([self.steps])}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave. Raises KeyError or RuntimeError if it is another module's."""
        for name, tensor in self._averaged.items():
            tensor.copy_(state[name])
        self.steps = int(state[STEPS])
