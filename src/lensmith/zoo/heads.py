"""A base with a dense head on it, as one trainable network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class Classifier(nn.Module):
    """`base` (N, 3, s, s) -> map (N, C, h, w), tokens (N, T, F) or features (N, F); then dense layers to `outputs`.

    `pool` is "mean" (over positions, Lin et al. 2013, section 3.2) or "flatten". Hidden layers have ReLU and
    dropout. The state's names are `base.*` and `head.0.weight`, `head.0.bias`, ..., as the model file keeps them.
    """

    def __init__(
        self, base: nn.Module, features: int, outputs: int, pool: str, dense: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        widths = [features, *dense, outputs]
        self.outputs = outputs
        self.base, self.pool = base, pool
        self.head = nn.ModuleList(nn.Linear(one, other) for one, other in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        for layer in self.head:
            assert isinstance(layer, nn.Linear)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (N, outputs) logits of normalised pictures (N, 3, s, s)."""
        values: Tensor = self.base(pictures)
        if values.ndim == 3:
            values = values.mean(1)
        if values.ndim == 4:
            values = values.mean((2, 3)) if self.pool == "mean" else values.flatten(1)
        for layer in self.head[:-1]:
            values = self.dropout(layer(values).relu())
        logits: Tensor = self.head[-1](values)
        return logits
