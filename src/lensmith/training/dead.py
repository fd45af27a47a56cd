"""What goes on inside a network, layer by layer: units that never fire, and how much of the gradient arrives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

RELUS: frozenset[Callable[..., Any]] = frozenset(
    {
        torch.relu,
        torch.relu_,
        Tensor.relu,
        Tensor.relu_,
        functional.relu,
        functional.relu6,
        functional.hardtanh,  # what nn.ReLU6 calls, from 0 to 6
    }
)
"""Activations with a flat side on which no gradient passes; others (GELU, SiLU, leaky ReLU) let some through."""
PICTURES_AT_ONCE = 64


def dead_units(network: nn.Module, images: Tensor) -> dict[str, float]:
    """Return the share of units of each ReLU layer that no picture makes fire, in the order the layers run.

    images: (n, 3, s, s), normalised; a few dozen at least, since a unit may wait for what few pictures show. A unit is
    a channel of a map (n, C, h, w), or a place on the last axis of anything else. A layer is named after the innermost
    module in which its ReLU runs, with #2, #3 for its later calls. The network's modes and gradients stay as they were.
    """
    alive: dict[str, Tensor] = {}
    with _watched(network) as path, torch.no_grad():
        for some in torch.split(images, PICTURES_AT_ONCE):
            firing = _Firing(path)
            with firing:
                network(some)
            for name, fired in firing.found.items():
                alive[name] = alive[name] | fired if name in alive else fired
    return {name: 1 - float(fired.float().mean()) for name, fired in alive.items()}


def layer_gradients(network: nn.Module) -> dict[str, float]:
    """Return the length of each layer's gradient over the length of its weights, in the order the layers were made.

    Reads what the last step left behind; of layers with a weight of two or more dimensions, and a gradient.
    """
    found = {}
    for name, module in network.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim > 1 and weight.grad is not None:
            found[name] = float(weight.grad.norm()) / max(float(weight.detach().norm()), 1e-12)
    return found


class _Firing(TorchFunctionMode):
    """Notes, for every ReLU called, which of its units were above zero; `path` holds the modules now running."""

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__()
        self.path, self.calls = path, Counter[str]()
        self.found: dict[str, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run `func`, unwatched, and look at what came out of it."""
        result = func(*args, **(kwargs or {}))
        if func in RELUS and float(result.min()) >= 0:  # a hardtanh that is no ReLU goes below
            name = self.path[-1] if self.path else "network"
            self.calls[name] += 1
            again = f"#{self.calls[name]}" if self.calls[name] > 1 else ""
            self.found[name + again] = _fired(result)
        return result


def _fired(values: Tensor) -> Tensor:
    """Return (units,) bool: whether each was above zero anywhere."""
    axis = 1 if values.ndim == 4 else values.ndim - 1
    return (values > 0).transpose(0, axis).flatten(1).any(1)


@contextmanager
def _watched(network: nn.Module) -> Iterator[list[str]]:
    """Put the network into evaluation mode and yield the names of the modules now running, outermost first."""
    path: list[str] = []
    modes = [(module, module.training) for module in network.modules()]
    hooks = []
    for name, module in network.named_modules():
        if name:
            hooks.append(module.register_forward_pre_hook(_entering(path, name)))
            hooks.append(module.register_forward_hook(_leaving(path)))
    network.eval()
    try:
        yield path
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training


def _entering(path: list[str], name: str) -> Callable[[nn.Module, Any], None]:
    def entering(module: nn.Module, inputs: Any) -> None:
        path.append(name)

    return entering


def _leaving(path: list[str]) -> Callable[[nn.Module, Any, Any], None]:
    def leaving(module: nn.Module, inputs: Any, outputs: Any) -> None:
        path.pop()

    return leaving
