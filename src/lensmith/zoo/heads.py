"""A base with a dense head on it, as one trainable network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional


class Fixed(nn.Module):
    """A dense layer (N, in) -> (N, out) that is no part of training: its weights are kept with the network as buffers.

    weight: (out, in). bias: (out,).
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, values: Tensor) -> Tensor:
        """Return values @ weight.T + bias."""
        return functional.linear(values, self.weight, self.bias)


class Classifier(nn.Module):
    """`base` (N, 3, s, s) -> map (N, C, h, w), tokens (N, T, F) or features (N, F); then dense layers to `outputs`.

    `pool` is "mean" (over positions, Lin et al. 2013, section 3.2) or "flatten". Hidden layers have ReLU and
    dropout. The state's names are `base.*` and `head.0.weight`, `head.0.bias`, ..., as the model file keeps them.

    `sides` are auxiliary heads, for training alone: then the base gives a tuple of what the head gets and what each of
    them gets, and `side_weight` is how much the sum of their losses counts beside that of the head. Their tensors are
    `sides.*`, which no model file keeps.
    """

    def __init__(
        self,
        base: nn.Module,
        features: int,
        outputs: int,
        pool: str,
        dense: Sequence[int],
        dropout: float,
        *,
        sides: Sequence[nn.Module] = (),
        side_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.outputs, self.side_weight = outputs, side_weight
        self.base, self.pool = base, pool
        self.head = nn.ModuleList(nn.Linear(one, other) for one, other in pairwise([features, *dense, outputs]))
        self.dropout = nn.Dropout(dropout)
        self.sides = nn.ModuleList(sides)
        for layer in self.head:
            assert isinstance(layer, nn.Linear)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (N, outputs) logits of normalised pictures (N, 3, s, s)."""
        return self._logits(self._values(pictures)[0])

    def every_answer(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Return the logits, and those of each auxiliary head: what a step of training compares with the targets."""
        values, *maps = self._values(pictures)
        return self._logits(values), *(side(some) for side, some in zip(self.sides, maps, strict=True))

    def _values(self, pictures: Tensor) -> tuple[Tensor, ...]:
        found: Tensor | tuple[Tensor, ...] = self.base(pictures)
        return (found,) if isinstance(found, Tensor) else found

    def _logits(self, values: Tensor) -> Tensor:
        if values.ndim == 3:
            values = values.mean(1)
        if values.ndim == 4:
            values = values.mean((2, 3)) if self.pool == "mean" else values.flatten(1)
        for layer in self.head[:-1]:
            values = self.dropout(layer(values).relu())
        logits: Tensor = self.head[-1](values)
        return logits
