"""A network as everything in this room sees it: pixels in, scores out, ready to be differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lensmith.engines.interface import batches
from lensmith.zoo.chain import device_of

ENDS = ("softmax", "log_softmax", "sigmoid", "sigmoid_", "logsigmoid")
BATCH = 32


class Eye(nn.Module):
    """Pixels (N, 3, s, s) float32 from 0 to 255 -> what the network gives, before a softmax or sigmoid at its end; of
    several tensors, in a tuple or a dictionary, the scores.

    Gradients with respect to the pixels are per grey level, the scale a user sees. The network is held in evaluation
    mode and its parameters are not differentiated. `normalise` takes (N, s, s, 3). `end`: the softmax or sigmoid that
    was met at its end when it first ran, "" where there was none.
    """

    def __init__(self, network: nn.Module, normalise: nn.Module) -> None:
        super().__init__()
        self.network, self.normalise = network.eval().requires_grad_(False), normalise
        self.end: str | None = None

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the scores: (N, classes) for a classifier."""
        images: Tensor = self.normalise(pixels.permute(0, 2, 3, 1))
        if self.end == "":
            return first_of(self.network(images))  # to look for an end costs time at every operation
        scores, self.end = scores_of(self.network, images)
        return scores

    def pixels(self, squares: np.ndarray) -> Tensor:
        """Return pictures (n, s, s, 3) uint8 as it takes them, where it runs."""
        return pixels_of(squares).to(device_of(self))

    def says(self, squares: Iterable[np.ndarray]) -> np.ndarray:
        """Return the scores (n, outputs) float32 of squares (s, s, 3) uint8, in torch itself."""
        return asking(self)(squares)


def pixels_of(squares: np.ndarray) -> Tensor:
    """Return pictures (n, s, s, 3) uint8 as pixels: (n, 3, s, s) float32, channels-last in memory."""
    return torch.from_numpy(np.ascontiguousarray(squares)).float().permute(0, 3, 1, 2)


def asking(
    network: nn.Module, score: Callable[[Tensor], Tensor] = lambda outputs: outputs
) -> Callable[[Iterable[np.ndarray]], np.ndarray]:
    """Return what occlusion asks, made of any module that takes pixels: squares (s, s, 3) uint8 -> (n, K) float32.

    score: of the outputs, one number a picture or several. Batches are taken one at a time.
    """

    @torch.inference_mode()
    def said(batch: np.ndarray) -> np.ndarray:
        scores = score(network(pixels_of(batch).to(device_of(network))))
        found: np.ndarray = scores.reshape(len(batch), -1).float().cpu().numpy()
        return found

    return lambda squares: np.concatenate([said(batch) for batch in batches(squares, BATCH)])


def scores_of(network: Callable[[Tensor], Any], images: Tensor) -> tuple[Tensor, str]:
    """Return what a network gives and ""; where that has just come out of a softmax or sigmoid, what went in, and its
    name.

    After a softmax all classes compete: its gradient for one class also speaks of the others, and vanishes where the
    network is sure. The operation is met when it is called, be it a module, a function or a method.
    """
    ends = _Ends()
    with ends:
        found = first_of(network(images))
    return ends.entered(found)


def first_of(found: Any) -> Tensor:
    """Return the scores among what a network gives, be it a tensor, a tuple or a dictionary: what is called logits or
    out, or the first that has numbers for each picture."""
    while isinstance(found, tuple | list | Mapping) and len(found):
        if isinstance(found, Mapping):
            found = next((found[name] for name in ("logits", "out") if name in found), list(found.values()))
        else:
            rows = (one for one in found if isinstance(one, Tensor) and one.ndim == 2 and one.shape[1] > 1)
            found = next(rows, found[0])
    tensor: Tensor = found
    return tensor


class _Ends(TorchFunctionMode):
    """Remembers what the last softmax or sigmoid took and gave."""

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[Tensor, Tensor, str] | None = None

    def entered(self, given: Tensor) -> tuple[Tensor, str]:
        """Return what went into the remembered operation, and its name, if `given` is what came out of it."""
        if self._last is None or self._last[1] is not given:
            return given, ""
        return self._last[0], self._last[2].rstrip("_")

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
        self._last = (kept, found, operation.__name__)
        return found
