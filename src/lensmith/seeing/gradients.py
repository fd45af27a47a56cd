"""Gradients of a score, plain or changed at every ReLU.

The change is made in the graph that autograd recorded, not in the network: there a ReLU is a node of its own, whether
it was a module, a function or a method, in place or not, and each call of a shared one has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from lensmith.errors import UsageError, nearest

Rule = Literal["plain", "guided", "rectified"]
"""What a ReLU hands back of the gradient r for its input x. plain: r where x > 0. rectified: r where r > 0, as in a
deconvnet (Zeiler and Fergus 2014, section 2.1). guided: r where both are (Springenberg et al. 2015, section 3.4)."""

# Nodes of autograd's graph. The others let through what is large and hold back what is small, as a ReLU does.
RELU, LIMITED = "ReluBackward0", "HardtanhBackward0"
ALIKE = {
    "HardtanhBackward0": "ReLU6 or hard tanh",
    "ThresholdBackward0": "threshold",
    "ClampBackward0": "clamp",
    "ClampMinBackward0": "clamp",
    "LeakyReluBackward0": "leaky ReLU",
    "PreluKernelBackward0": "PReLU",
    "EluBackward0": "ELU",
    "SiluBackward0": "SiLU",
    "GeluBackward0": "GELU",
    "HardswishBackward0": "hard swish",
    "MishBackward0": "Mish",
    "SoftplusBackward0": "softplus",
}


def gradient(scores: Tensor, at: Tensor, rule: str = "plain") -> Tensor:
    """Return the gradient of the sum of `scores` (N,) at a tensor, in its shape; zeros where no way leads from there to
    the scores.

    Pictures do not touch each other in a network held in evaluation mode, so each gets the gradient of its own score.
    Raises UsageError for an unknown rule, or where a rule finds no ReLU (or anything alike) to change.
    """
    if rule not in get_args(Rule):
        raise UsageError(f"rule is {rule!r}; must be {', '.join(get_args(Rule))}.{nearest(rule, get_args(Rule))}")
    if rule != "plain" and not _changed(scores, rule):
        raise UsageError(f"rule is {rule!r}, but the network has no ReLU whose gradient it could change. Try plain.")
    if not scores.requires_grad:
        return torch.zeros_like(at)
    (found,) = torch.autograd.grad(scores.sum(), at, allow_unused=True, materialize_grads=True)
    return found


def activations(scores: Tensor) -> dict[str, int]:
    """Return the ReLUs, and activations alike, that the scores went through, by name with their number."""
    found: dict[str, int] = {}
    for node in _nodes(scores):
        name = "ReLU" if node.name() == RELU else ALIKE.get(node.name(), "")
        if name:
            found[name] = found.get(name, 0) + 1
    return found


def switched(scores: Tensor) -> bool:
    """Return whether max pooling lies behind the scores: its switches are what a deconvnet knows a picture by."""
    return any("MaxPool" in node.name() for node in _nodes(scores))


def _changed(scores: Tensor, rule: str) -> int:
    """Make every ReLU of the graph follow the rule; return how many there are."""
    nodes = [node for node in _nodes(scores) if node.name() == RELU or node.name() in ALIKE]
    for node in nodes:
        if rule == "guided":
            node.register_prehook(_positive)
            if node.name() == LIMITED:
                node.register_hook(_where(node._saved_self > node._saved_min_val))
        else:
            node.register_hook(_as_if_open)
    return len(nodes)


def _positive(gradients: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Return what reaches a node without its negative part; the node itself then asks x > 0."""
    return tuple(None if one is None else one.clamp_min(0) for one in gradients)


def _where(active: Tensor) -> Callable[..., tuple[Tensor | None, ...]]:
    """Return a hook that hands back what reached a node with an upper limit, above that too: x > 0 is all that the rule
    asks, and a unit at its limit is the strongest there is."""

    def handing(handed_back: Sequence[Tensor | None], reached: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
        (first,) = reached
        return (None if first is None else first.clamp_min(0) * active, *handed_back[1:])

    return handing


def _as_if_open(handed_back: Sequence[Tensor | None], reached: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Return the positive part of what reached a node, whatever its input was; slopes that are learned get none."""
    (first,) = reached
    return (None if first is None else first.clamp_min(0), *handed_back[1:])


def _nodes(scores: Tensor) -> Iterator[Any]:
    """Yield every node of the graph behind a tensor once."""
    waiting, seen = [scores.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting += [before for before, _ in node.next_functions]


Score = Callable[[Tensor], Tensor]
"""What is explained: from the outputs of a network, (N, ...), to one number a picture, (N,). The score of a class, of
the pixels of a region, of a box that was found."""


def of_output(place: int | Sequence[int] | Tensor, sign: float | Sequence[float] | Tensor = 1.0) -> Score:
    """Return the score that is one output of (N, K): the same for all pictures, or one for each.

    Where a smaller output speaks for the answer, `sign` is -1.
    """

    def score(outputs: Tensor) -> Tensor:
        places = torch.as_tensor(place, device=outputs.device).expand(len(outputs))
        signs = torch.as_tensor(sign, device=outputs.device, dtype=outputs.dtype)
        return outputs[torch.arange(len(outputs), device=outputs.device), places] * signs

    return score


def of_region(channel: int, region: Tensor) -> Score:
    """Return the score that is the mean of one channel of outputs (N, K, h, w) over a region (h, w) or (N, h, w)."""

    def score(outputs: Tensor) -> Tensor:
        weights = region.to(outputs)
        return (outputs[:, channel] * weights).sum((1, 2)) / weights.expand(len(outputs), -1, -1).sum((1, 2))

    return score
