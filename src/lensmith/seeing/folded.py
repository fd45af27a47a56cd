"""The same network with less to compute, for the hundreds of steps of an ascent."""

from __future__ import annotations

import copy

import torch
from torch import fx, nn

from lensmith.engines.folding import fold_batch_norm
from lensmith.seeing.ascent import value_of
from lensmith.seeing.eye import Eye
from lensmith.seeing.layers import Layer
from lensmith.zoo.chain import device_of
from lensmith.zoo.record import record

SAME = 1e-3  # of the largest number: what a layer may differ by


def folded(eye: Eye) -> Eye:
    """Return a copy of an eye whose convolutions do the batch normalisation behind them, laid out channels-last; the
    eye itself where there is nothing to fold, or its code cannot be recorded."""
    if not any(isinstance(part, nn.BatchNorm2d) for part in eye.network.modules()):
        return eye
    try:
        network = copy.deepcopy(eye.network)
        graph = fx.GraphModule(network, record(network).graph)
    except Exception:  # whatever the code of a user's module does when it is recorded
        return eye
    if not fold_batch_norm(graph):
        return eye
    return Eye(graph.to(memory_format=torch.channels_last), eye.normalise)


@torch.no_grad()
def gives_the_same(eye: Eye, other: Eye, side: int, layer: Layer | None) -> bool:
    """Return whether a layer, or the outputs, are the same in both; a convolution that was folded is not, and of what
    is recorded no block is left."""
    random = torch.Generator().manual_seed(0)
    pixels = (255 * torch.rand((1, 3, side, side), generator=random)).to(device_of(eye))
    try:
        one, two = ((each(pixels) if layer is None else value_of(each, pixels, layer)[0]) for each in (eye, other))
    except Exception:
        return False
    return one.shape == two.shape and bool((one - two).abs().max() <= SAME * one.abs().max())
