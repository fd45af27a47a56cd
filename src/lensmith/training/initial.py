"""First weights by name, drawn from torch's own generator: the caller seeds it."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

from lensmith.errors import UsageError, nearest


def _uniform(weight: Tensor, fan_in: int, fan_out: int) -> None:
    """U(-1, 1) / sqrt(fan in), the habit before 2010 (Glorot and Bengio 2010, eq. 1; LeCun et al. 1998)."""
    edge = 1 / math.sqrt(fan_in)
    nn.init.uniform_(weight, -edge, edge)


def _xavier(weight: Tensor, fan_in: int, fan_out: int) -> None:
    """U(-1, 1) sqrt(6 / (fan in + fan out)), for tanh and its like (Glorot and Bengio 2010, eq. 16)."""
    edge = math.sqrt(6 / (fan_in + fan_out))
    nn.init.uniform_(weight, -edge, edge)


def _he(weight: Tensor, fan_in: int, fan_out: int) -> None:
    """N(0, 2 / fan in), which keeps the variance through ReLU (He et al. 2015, eq. 10)."""
    nn.init.normal_(weight, 0, math.sqrt(2 / fan_in))


KINDS: dict[str, Callable[[Tensor, int, int], None] | None] = {
    "default": None,  # as the network was built
    "uniform": _uniform,
    "xavier": _xavier,
    "he": _he,
}


def draw_weights(module: nn.Module, kind: str) -> None:
    """Draw the weights of every convolution and dense layer anew, in place; their biases become zero.

    Everything else (normalisation, embeddings, tokens) stays as it was built. Raises UsageError for an unknown kind.
    """
    if kind not in KINDS:
        raise UsageError(f"init is {kind!r}; allowed are {', '.join(KINDS)}.{nearest(kind, KINDS)}")
    draw = KINDS[kind]
    if draw is None:
        return
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd):
            draw(layer.weight, *_fans(layer))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _fans(layer: nn.Linear | nn.modules.conv._ConvNd) -> tuple[int, int]:
    """Return how many numbers make up one output, and how many outputs one number goes into (stride left aside)."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    field = math.prod(layer.kernel_size)
    return layer.in_channels // layer.groups * field, layer.out_channels // layer.groups * field
