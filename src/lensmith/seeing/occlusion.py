"""Explanations by hiding: what the network says while a window stands before a part of the picture.

The network is asked and nothing else, so that any engine will do, and torch is not needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from lensmith.errors import UsageError
from lensmith.seeing.explanation import Explanation
from lensmith.seeing.fills import FILLS, filled
from lensmith.seeing.methods import Settings, probabilities_of
from lensmith.seeing.subject import Subject, Target

PART = 7  # of the picture's side that a window is wide: 32 of 224 pixels

Says = Callable[[Iterable[np.ndarray]], np.ndarray]
"""Squares (s, s, 3) uint8 -> outputs (n, K)."""


def occluded(subject: Subject, square: np.ndarray, path: str, target: Target, settings: Settings) -> Explanation:
    """Return how much of the target's score each place of a picture holds. Raises UsageError for a bad window."""
    start = time.perf_counter()
    side = len(square)
    window, stride = sizes(side, settings.window, settings.stride)
    whole, hidden = hide(subject.says, square, window, stride, settings.fill)
    lost = (whole[target.output] - hidden[..., target.output]) * target.sign
    decoded = subject.task.decode(subject.task.answers(hidden.reshape(-1, len(whole))))
    wins = decoded.reshape(lost.shape) if subject.task.classes and decoded.ndim == 1 else None
    return Explanation(
        picture=square,
        path=path,
        target=target.name,
        output=target.output,
        score=float(whole[target.output]) * target.sign,
        probability=probabilities_of(subject, whole[None], [target])[0],
        method="occlusion",
        rule="plain",
        layer=None,
        map=spread(lost, side, window, stride),
        unit="score lost",
        how=f"score lost while a window of {window} x {window} pixels, every {stride}, shows {FILLS[settings.fill]}",
        seconds=time.perf_counter() - start,
        answers=wins,
    )


def sizes(side: int, window: int | None, stride: int | None) -> tuple[int, int]:
    """Return window and stride in pixels, a seventh of the side and half a window where they are None.

    Raises UsageError for a window larger than the picture, and for a stride that leaves pixels out.
    """
    window = max(1, round(side / PART)) if window is None else window
    if not 1 <= window <= side or window != int(window):
        raise UsageError(f"window is {window}; must be 1 to {side}, the side of the picture. Try {round(side / PART)}.")
    stride = max(1, window // 2) if stride is None else stride
    if not 1 <= stride <= window or stride != int(stride):
        raise UsageError(
            f"stride is {stride}; must be 1 to {window}, the window, or pixels are left out. Try {max(1, window // 2)}."
        )
    return window, stride


def hide(says: Says, square: np.ndarray, window: int, stride: int, fill: str = "mean") -> tuple[np.ndarray, np.ndarray]:
    """Return what is said of a picture (K,), and with the window at each place (rows, columns, K).

    The window begins at 0, stride, 2 stride, ... until it meets the far side, where it may be cut off. Pictures are
    made as they are asked for; where the window would change nothing, nothing is asked.
    """
    starts = starts_of(len(square), window, stride)
    instead = filled(square, fill)
    windows = [[(slice(top, top + window), slice(left, left + window)) for left in starts] for top in starts]
    changes = np.array([[not np.array_equal(square[place], instead[place]) for place in row] for row in windows])

    def shown() -> Iterator[np.ndarray]:
        yield square
        for row, column in np.argwhere(changes):
            place = windows[row][column]
            hidden = square.copy()
            hidden[place] = instead[place]
            yield hidden

    outputs = says(shown())
    found = np.tile(outputs[0], (*changes.shape, 1))
    found[changes] = outputs[1:]
    return outputs[0], found


def starts_of(side: int, window: int, stride: int) -> range:
    """Return where windows begin along a side; the last one reaches its end or is cut off there."""
    count = -(-(side - window) // stride) + 1
    return range(0, count * stride, stride)


def spread(values: np.ndarray, side: int, window: int, stride: int) -> np.ndarray:
    """Return (side, side) float32: at each pixel the mean of `values` (rows, columns) over the windows upon it."""
    starts = np.array(starts_of(side, window, stride))[:, None]
    upon = ((starts <= np.arange(side)) & (np.arange(side) < starts + window)).astype(np.float64)
    counts = upon.sum(0)
    return np.asarray(upon.T @ values @ upon / np.outer(counts, counts), np.float32)
