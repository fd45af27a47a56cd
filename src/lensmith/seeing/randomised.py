"""The same network with weights drawn anew, from the top down: what a map still shows then, it did not learn."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lensmith.data.synthetic import check_pictures
from lensmith.reproduce import counter
from lensmith.seeing.eye import Eye
from lensmith.seeing.subject import Subject

STAGES = {"the last layer": 0.0, "the upper third": 1 / 3, "all layers": 1.0}
"""How much is drawn anew, as a share of the layers that have weights (Adebayo et al. 2018, section 3.1: cascading)."""

CALIBRATION = 8  # drawn pictures that batch normalisation is measured on again


def redrawn(subject: Subject, share: float, seed: int = 0) -> Subject:
    """Return a network like `subject`, the upper `share` of its layers with weights drawn anew, at least the last.

    The numbers of each weight are dealt out anew among its places: so a layer keeps its scale and how its weights are
    spread, whatever kind it is, and loses all that was learned. What batch normalisation measured no longer fits then,
    signals would die or burst, and a map that is dead says nothing: it is measured again, on drawn pictures.
    """
    eye = copy.deepcopy(subject.eye)
    side = subject.geometry.image_size
    pixels = eye.pixels(np.stack(check_pictures(CALIBRATION, side)))
    layers = weighted(eye, pixels[:1])
    chosen = layers[-max(1, round(len(layers) * share)) :]
    for name, layer in chosen:
        for kind, values in layer.named_parameters(recurse=False):
            _deal(values, counter(seed, "redrawn", name, kind))
    _measure(eye, [layer for _, layer in chosen if isinstance(layer, _BatchNorm)], pixels)
    return replace(subject, name=f"{subject.name}, redrawn", says=eye.says, make=lambda: eye)


def weighted(eye: Eye, pixels: Tensor) -> list[tuple[str, nn.Module]]:
    """Return the modules that hold weights of their own with their names, in the order in which they first run."""
    found: dict[str, nn.Module] = {}
    hooks = []
    for name, module in eye.network.named_modules():
        if next(module.parameters(recurse=False), None) is not None:
            hook = module.register_forward_pre_hook(lambda module, _, name=name: _note(found, name, module))
            hooks.append(hook)
    try:
        with torch.no_grad():
            eye(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return list(found.items())


def _note(found: dict[str, nn.Module], name: str, module: nn.Module) -> None:
    found.setdefault(name, module)


@torch.no_grad()
def _deal(values: Tensor, seed: int) -> None:
    """Deal the numbers of a tensor out anew among its places."""
    order = torch.randperm(values.numel(), generator=torch.Generator().manual_seed(seed % 2**63))
    values.copy_(values.reshape(-1)[order.to(values.device)].reshape(values.shape))


@torch.no_grad()
def _measure(eye: Eye, layers: list[_BatchNorm], pixels: Tensor) -> None:
    """Let batch normalisation take mean and variance from these pictures."""
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over all calls
        layer.train()
    if layers:
        eye(pixels)
    for layer in layers:
        layer.eval()
