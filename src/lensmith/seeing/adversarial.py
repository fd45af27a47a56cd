"""How little noise fools a network: changes made along the gradient, in whole grey levels of the picture itself.

Goodfellow et al. (2015, section 4) change every number of a picture by epsilon in the direction that makes the loss
larger: x + epsilon sign(gradient). Kurakin et al. (2017, section 2.2 and 2.3) and Madry et al. (2018) take several
smaller steps and stay within epsilon. Both are `descend`. The steps are whole grey levels, so that every picture on the
way can be saved as a PNG and is the same when it is read again.

The loss is the cross-entropy. It is written as the odds of a class, the score minus the log of the summed exponentials
of the others, which has the gradient of the cross-entropy but for a factor above zero, the same for all pixels: the
signs are the same, and remain right where the probability is so close to 1 that the factor is lost in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lensmith.errors import UsageError
from lensmith.reproduce import generator

if TYPE_CHECKING:
    from torch import Tensor

    from lensmith.seeing.eye import Eye
    from lensmith.seeing.goal import Goal
    from lensmith.seeing.gradients import Score

FULL = 255
REACH = 2.5  # how many times epsilon all steps together could go (Madry et al. 2018 take 2.5 epsilon / steps)


def descend(
    eye: Callable[[Tensor], Tensor],
    pixels: Tensor,
    score: Score,
    epsilon: float | Tensor,
    step: float | Tensor,
    steps: int,
) -> Tensor:
    """Return pixels (N, 3, s, s) from 0 to 255 changed by at most `epsilon`, so that `score` of the outputs is smaller.

    Each step adds -step x sign(gradient), and brings back what went beyond epsilon, 0 or 255. With one step of epsilon
    this is FGSM (Goodfellow et al. 2015, section 4). epsilon, step: in grey levels, one for all or (N,). `eye` may be
    any module; for another loss give its negative, one number a picture, as the score. Raises UsageError where there is
    no gradient.
    """
    now = pixels.detach()
    for _ in range(steps):
        signs, _ = slope(eye, now, score)
        now = _within(now - _each(step, pixels) * signs, pixels, epsilon)
    return now


def descend_early(
    eye: Callable[[Tensor], Tensor],
    pixels: Tensor,
    goal: Goal,
    rows: np.ndarray,
    epsilon: Tensor,
    step: Tensor,
    steps: int,
) -> Tensor:
    """Return what `descend` does, each picture as it was when its answer first became what is wanted."""
    now, left = pixels.detach().clone(), np.arange(len(pixels))
    for _ in range(steps):
        signs, outputs = slope(eye, now[left], goal.score(rows[left]))
        more = ~goal.reached(rows[left], outputs.float().cpu().numpy())
        left, signs = left[more], signs[np.flatnonzero(more)]
        if not len(left):
            break
        now[left] = _within(now[left] - _each(step[left], signs) * signs, pixels[left], epsilon[left])
    return now


def slope(eye: Callable[[Tensor], Tensor], pixels: Tensor, score: Score) -> tuple[Tensor, Tensor]:
    """Return the signs (N, 3, s, s) of the gradient of a score at the pixels, and the outputs. Raises UsageError."""
    import torch

    with torch.enable_grad():
        at = pixels.detach().requires_grad_()
        outputs = eye(at)
        wanted = score(outputs).sum()
        if not wanted.requires_grad:
            raise UsageError("the answers have no gradient at the pixels: torch cannot follow them back.")
        (found,) = torch.autograd.grad(wanted, at)
    return found.sign(), outputs.detach()


def fgsm_at(eye: Eye, squares: np.ndarray, goal: Goal, amounts: Sequence[int]) -> np.ndarray:
    """Return squares (n, s, s, 3) uint8 by FGSM at several epsilons, (amounts, n, s, s, 3): one gradient serves all."""
    pixels = eye.pixels(squares)
    signs, _ = slope(eye, pixels, goal.score(np.arange(len(squares))))
    return np.stack([_squares((pixels - amount * signs).clamp(0, FULL)) for amount in amounts])


def step_of(epsilon: np.ndarray, steps: int) -> np.ndarray:
    """Return whole grey levels a step, so that all steps together could go REACH times epsilon; at least one."""
    found: np.ndarray = np.maximum(1, np.rint(REACH * epsilon / steps)).astype(np.float32)
    smaller: np.ndarray = np.minimum(found, epsilon).astype(np.float32)
    return smaller


def attacked(
    eye: Eye,
    squares: np.ndarray,
    goal: Goal,
    rows: np.ndarray,
    epsilon: np.ndarray,
    steps: int,
    early: bool = False,
) -> np.ndarray:
    """Return squares (k, s, s, 3) uint8 attacked within epsilon (k,) whole grey levels; `rows` of the goal are theirs.

    early: stop as soon as the network, in torch, answers as wanted.
    """
    import torch

    pixels = eye.pixels(squares)
    sizes, step = (torch.from_numpy(each).to(pixels) for each in (epsilon, step_of(epsilon, steps)))
    if early:
        return _squares(descend_early(eye, pixels, goal, rows, sizes, step, steps))
    return _squares(descend(eye, pixels, goal.score(rows), sizes, step, steps))


def smallest(flips: Callable[[np.ndarray, np.ndarray], np.ndarray], count: int, most: int = FULL) -> np.ndarray:
    """Return for each of `count` pictures a whole epsilon that flips it where one less does not; 0 where none does.

    flips: rows (k,) and epsilon (k,) int64 to (k,) bool. Epsilon is doubled until it flips, and the last doubling
    halved: so this is the smallest of all where every larger epsilon flips too.
    """
    low, high = np.zeros(count, np.int64), np.zeros(count, np.int64)  # the largest known not to, the smallest known to
    while True:
        unknown = np.flatnonzero(np.where(high > 0, high - low > 1, low < most))
        if not len(unknown):
            return high
        above, below = high[unknown], low[unknown]
        trial = np.where(above > 0, (below + above) // 2, np.minimum(np.maximum(1, 2 * below), most))
        done = flips(unknown, trial)
        high[unknown[done]], low[unknown[~done]] = trial[done], trial[~done]


def coin_noise(square: np.ndarray, epsilon: int, seed: int, *place: int | str) -> np.ndarray:
    """Return a picture (s, s, 3) uint8 with plus or minus epsilon at every number, by the toss of a coin.

    It is as large as the noise of FGSM, in the largest change and in the sum of squares, and knows nothing of the
    network.
    """
    tossed = generator(seed, "coin", *place).integers(0, 2, square.shape, np.int16)
    noisy: np.ndarray = np.clip(square.astype(np.int16) + epsilon * (2 * tossed - 1), 0, FULL).astype(np.uint8)
    return noisy


def _squares(pixels: Tensor) -> np.ndarray:
    found: np.ndarray = pixels.round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return found


def _within(moved: Tensor, pixels: Tensor, epsilon: float | Tensor) -> Tensor:
    """Return pixels brought back to at most epsilon from where they were, and to 0 to 255."""
    reach = _each(epsilon, pixels)
    return moved.maximum(pixels - reach).minimum(pixels + reach).clamp(0, FULL)


def _each(amount: float | Tensor, pixels: Tensor) -> Any:
    """Return an amount for each picture in a shape that goes with pixels."""
    return amount if isinstance(amount, int | float) else amount.to(pixels).reshape(-1, 1, 1, 1)
