"""What a checkpoint of the training loop holds: tensors by name, enough to go on bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from lensmith.errors import RunError
from lensmith.training.average import Average

NETWORK, OPTIMIZER, AVERAGE, EPOCH = "network.", "optimizer.", "average.", "epoch"


def snapshot(
    epoch: int, network: nn.Module, optimizer: torch.optim.Optimizer, average: Average | None
) -> dict[str, np.ndarray]:
    """Return weights, the optimiser's moments, the averaged weights and the number of the epoch just ended."""
    found = {f"{NETWORK}{name}": tensor for name, tensor in network.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:  # plain descent keeps an empty place for its momentum
                found[f"{OPTIMIZER}{index}.{name}"] = torch.as_tensor(value)
    if average is not None:
        found |= {f"{AVERAGE}{name}": tensor for name, tensor in average.state().items()}
    tensors = {name: tensor.detach().cpu().numpy().copy() for name, tensor in found.items()}
    return {**tensors, EPOCH: np.array([epoch], np.int64)}


def restore(
    tensors: Mapping[str, np.ndarray],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average | None,
) -> int:
    """Put a snapshot back and return the number of its epoch. Raises RunError if it is not one of this training."""
    try:
        network.load_state_dict(_part(tensors, NETWORK))
        groups = optimizer.state_dict()["param_groups"]
        moments = _moments(_part(tensors, OPTIMIZER), optimizer)
        optimizer.load_state_dict({"state": moments, "param_groups": groups})
        if average is not None:
            average.load(_part(tensors, AVERAGE))
        return int(tensors[EPOCH][0])
    except (KeyError, ValueError, RuntimeError, IndexError) as error:
        said = str(error).partition("\n")[0]
        raise RunError(f"the checkpoint does not fit this training ({said}). Train again.") from error


def _moments(found: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> dict[int, dict[str, torch.Tensor]]:
    """Return the moments by the number of their parameter. torch takes them in any shape and layout; here they must
    have the parameter's shape, and get its layout in memory, or the next step might round differently."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for place, tensor in found.items():
        index, _, name = place.partition(".")
        parameter = parameters[int(index)].detach()
        if tensor.ndim:  # the number of steps has none
            if tensor.shape != parameter.shape:
                raise ValueError(f"{place} is {tuple(tensor.shape)}; must be {tuple(parameter.shape)}")
            tensor = torch.empty_like(parameter).copy_(tensor)
        moments.setdefault(int(index), {})[name] = tensor
    return moments


def _part(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, torch.Tensor]:
    start = len(prefix)
    return {name[start:]: torch.from_numpy(np.array(t)) for name, t in tensors.items() if name.startswith(prefix)}
