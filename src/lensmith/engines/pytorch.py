"""The torch engine, and the module both engines are made from: uint8 in, normalisation inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lensmith.engines.interface import Output, batches

BATCH = 32


class WithNormalisation(nn.Module):
    """A base that takes (n, s, s, 3) uint8 pictures and gives (features, maps), or features alone.

    `mean` and `std` are on the 0..1 scale. `pool` says how a map becomes features: "mean" over positions or
    "flatten"; a base that ends in (n, F) is passed on as it is, one that ends in tokens (n, T, F) is averaged.
    """

    def __init__(self, base: nn.Module, mean: Sequence[float], std: Sequence[float], pool: str) -> None:
        super().__init__()
        self.base, self.pool = base, pool
        # One multiplication and one addition: (x / 255 - mean) / std = x * scale + shift.
        self.register_buffer("scale", torch.tensor([1 / (255 * s) for s in std]).view(1, 3, 1, 1))
        self.register_buffer("shift", torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).view(1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return (n, F) features, and the (n, C, h, w) map if the base ends in one."""
        scale, shift = self.get_buffer("scale"), self.get_buffer("shift")
        found: Tensor = self.base(pictures.permute(0, 3, 1, 2).float() * scale + shift)
        if found.ndim == 4:
            return pool(found, self.pool), found
        return found.mean(1) if found.ndim == 3 else found


def pool(maps: Tensor, kind: str) -> Tensor:
    """Return (n, F) of (n, C, h, w): the mean over positions, or everything in C, h, w order."""
    return maps.mean((2, 3)) if kind == "mean" else maps.flatten(1)


class TorchEngine:
    """Runs a WithNormalisation module in float32; the reference, and the engine for GPUs."""

    name = "torch"
    precision = "float32"

    def __init__(self, module: WithNormalisation, device: str) -> None:
        self.device = device
        self._module = module.eval().to(device)

    def run(self, pictures: Iterable[np.ndarray], *, maps: bool = False) -> Iterator[Output]:
        """Yield outputs in order; see Engine."""
        for batch in batches(pictures, BATCH):
            yield self._forward(batch, maps)

    def _forward(self, batch: np.ndarray, maps: bool) -> Output:
        with torch.inference_mode():
            found = self._module(torch.from_numpy(batch).to(self.device))
        features, feature_maps = found if isinstance(found, tuple) else (found, None)
        kept = feature_maps.float().cpu().numpy() if maps and feature_maps is not None else None
        return Output(features.float().cpu().numpy(), kept)
