"""What the tests of lensmith.ops share: drawn numbers, and torch's autograd to compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

from lensmith.reproduce import generator

Array = np.ndarray


def draw(name: str, *shape: int) -> Array:
    """Return float64 numbers of mean 0 and deviation 1 that depend on name and shape alone."""
    return generator(0, name, *shape).normal(0, 1, shape)


def of_rank(name: str, axes: int) -> Callable[..., torch.Tensor]:
    """Return torch's function for planes of so many axes, `conv2d` for ("conv", 2)."""
    return getattr(functional, f"{name}{axes}d")


def oracle(function: Callable[..., torch.Tensor], *inputs: Array) -> tuple[Array, Array, list[Array]]:
    """Return torch's answer, a drawn gradient of the answer, and the gradients of the inputs that follow from it."""
    leaves = [torch.from_numpy(array.copy()).requires_grad_() for array in inputs]
    answer = function(*leaves)
    gradient = draw("gradient", *answer.shape)
    found = torch.autograd.grad(answer, leaves, torch.from_numpy(np.asarray(gradient)))
    return answer.detach().numpy(), gradient, [each.numpy() for each in found]


def assert_close(ours: Array | Sequence[Array], theirs: Array | Sequence[Array]) -> None:
    """Assert that arrays, or rows of arrays, have the same shapes and agree to float64's precision."""
    if isinstance(ours, np.ndarray) or np.isscalar(ours):
        assert np.shape(ours) == np.shape(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
        return
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert_close(one, other)
