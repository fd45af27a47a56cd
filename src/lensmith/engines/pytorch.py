"""The torch engine, and the module both engines are made from: uint8 in, normalisation inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lensmith.engines.folding import fold_batch_norm
from lensmith.engines.interface import Output, batches

BATCH = 32


class Normalise(nn.Module):
    """Pictures (n, s, s, 3) or clips (n, t, s, s, 3), uint8, to what a network takes: float32, the colours second,
    (n, 3, s, s) or (n, 3, t, s, s), and channels-last in memory.

    `mean` and `std` are on the 0..1 scale, one a channel; `inputs` are the arrays of `Preprocessing` kinds that need
    them: "mean" (3,) or (s, s, 3), subtracted, and "matrix" (3, 3) for colours or (3 s s, 3 s s) for whole pictures,
    multiplied from the right. Nothing here is trained or saved; call it outside autocast, which would round it.
    """

    scale: Tensor
    shift: Tensor
    matrix: Tensor | None

    def __init__(self, mean: Sequence[float], std: Sequence[float], inputs: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        # One multiplication and one addition: (x / 255 - mean) / std = x * scale + shift.
        scale = torch.tensor([1 / (255 * s) for s in std])
        shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)])
        if "mean" in inputs:
            shift = shift - torch.from_numpy(np.array(inputs["mean"])) / torch.tensor(std)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        matrix = torch.from_numpy(np.array(inputs["matrix"])) if "matrix" in inputs else None
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (n, 3, s, s) float32, of clips (n, 3, t, s, s)."""
        values = pictures.float() * self.scale + self.shift
        if self.matrix is not None:
            # The last axis holds colours: rows are pixels for a matrix of three, whole pictures for a large one.
            values = (values.reshape(-1, self.matrix.shape[0]) @ self.matrix).reshape(pictures.shape)
        return values.movedim(-1, 1)


class WithNormalisation(nn.Module):
    """A base that takes (n, s, s, 3) uint8 pictures and gives (features, maps), or features alone.

    `pool` says how a map becomes features: "mean" over positions or "flatten"; a base that ends in (n, F) is passed on
    as it is, one that ends in tokens (n, T, F) is averaged.
    """

    def __init__(self, base: nn.Module, normalise: nn.Module, pool: str) -> None:
        super().__init__()
        self.base, self.normalise, self.pool = base, normalise, pool

    def forward(self, pictures: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return (n, F) features, and the (n, C, h, w) map if the base ends in one."""
        found: Tensor = self.base(self.normalise(pictures))
        if found.ndim == 4:
            return pool(found, self.pool), found
        return found.mean(1) if found.ndim == 3 else found


def pool(maps: Tensor, kind: str) -> Tensor:
    """Return (n, F) of (n, C, h, w): the mean over positions, or everything in C, h, w order."""
    return maps.mean((2, 3)) if kind == "mean" else maps.flatten(1)


class TorchEngine:
    """Runs a WithNormalisation module in float32; the reference, and the engine for GPUs.

    How pictures fall into batches changes no more than the last digits: torch sums small batches in another order.
    """

    name = "torch"
    precision = "float32"

    def __init__(self, module: WithNormalisation, device: str) -> None:
        self.device = device
        self._module = module.eval().to(device)
        fold_batch_norm(module.base)

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
