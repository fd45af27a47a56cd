"""A network as everything in this room sees it: pixels in, scores out, ready to be differentiated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

ENDS = ("softmax", "log_softmax", "sigmoid", "sigmoid_", "logsigmoid")


class Eye(nn.Module):
    """Pixels (N, 3, s, s) float32 from 0 to 255 -> what the network gives, before a softmax or sigmoid at its end.

    Gradients with respect to the pixels are per grey level, the scale a user sees. The network is held in evaluation
    mode and its parameters are not differentiated. `normalise` takes (N, s, s, 3).
    """

    def __init__(self, network: nn.Module, normalise: nn.Module) -> None:
        super().__init__()
        self.network, self.normalise = network.eval().requires_grad_(False), normalise

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the scores: (N, classes) for a classifier."""
        images: Tensor = self.normalise(pixels.permute(0, 2, 3, 1))
        return scores_of(self.network, images)


def scores_of(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return what a network gives; where that has just come out of a softmax or sigmoid, what went in.

    After a softmax all classes compete: its gradient for one class also speaks of the others, and vanishes where the
    network is sure. The operation is met when it is called, be it a module, a function or a method.
    """
    ends = _Ends()
    with ends:
        found: Tensor = network(images)
    return ends.entered(found)


class _Ends(TorchFunctionMode):
    """Remembers what the last softmax or sigmoid took and gave."""

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[Tensor, Tensor] | None = None

    def entered(self, given: Tensor) -> Tensor:
        """Return what went into the remembered operation, if `given` is what came out of it."""
        return self._last[0] if self._last is not None and self._last[1] is given else given

    def __torch_function__(
        self,
        operation: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if getattr(operation, "__name__", "") not in ENDS:
            return operation(*args, **named)
        entering = args[0] if args else named["input"]
        kept = entering.clone() if operation.__name__.endswith("_") else entering
        found = operation(*args, **named)
        self._last = (kept, found)
        return found
