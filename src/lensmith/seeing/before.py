"""What a network knows of a picture just before it decides: what its last layer with weights is given."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor, nn

from lensmith.seeing.eye import Eye

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def before_scores(eye: Eye, squares: np.ndarray) -> np.ndarray:
    """Return (n, F) float32 of pictures (n, s, s, 3) uint8: what the last convolution or dense layer to run is given,
    averaged over its places; the scores themselves where no such layer runs."""
    given: list[Tensor] = []

    def keep(part: nn.Module, taken: tuple[Tensor, ...]) -> None:
        if taken and taken[0].ndim > 1 and len(taken[0]) == len(squares):
            given[:] = [taken[0].movedim(1, -1) if isinstance(part, CONVOLUTIONS) else taken[0]]  # features last

    with torch.no_grad(), ExitStack() as hooks:
        for part in eye.network.modules():
            if isinstance(part, (nn.Linear, *CONVOLUTIONS)):
                hooks.callback(part.register_forward_pre_hook(keep).remove)
        scores = eye(eye.pixels(squares))
    (features,) = given or [scores]
    found: np.ndarray = features[:, None].flatten(1, -2).mean(1).float().cpu().numpy()
    return found
