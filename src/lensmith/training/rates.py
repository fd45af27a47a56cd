"""The learning-rate range test: train a little at ever higher rates, and see where the loss falls and where it breaks.

L. Smith, "Cyclical learning rates for training neural networks" (2017), section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LOWEST, HIGHEST, STEPS = 1e-6, 1.0, 60
SMOOTHING = 0.7  # of the running mean of the losses
BROKEN = 4.0  # the test ends where the running mean is this many times its lowest
WINDOW = 15  # losses through which a line is laid, one and a half decades: single batches are too uneven to judge by
SURE = 4.0  # how many standard errors a line must fall by: chance alone does so in one test of a hundred


@dataclass(frozen=True)
class RateTest:
    """The rates tried (m,), the loss met at each (m,), its running mean (m,), and the rate suggested, if there is one.

    The suggestion is the middle of the steepest fall: of all straight lines through WINDOW neighbouring losses against
    the logarithm of the rate, up to the lowest running mean, the one that falls most.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggested: float | None

    @property
    def words(self) -> str:
        """What was seen, and what to do with it."""
        if not len(self.rates):
            return "The loss was no number before any step was taken: look at the pictures and the first weights."
        tried = f"Learning rates from {LOWEST:g} to {self.rates[-1]:.2g} were tried, one a step"
        if self.suggested is None:
            return (
                f"{tried}: the loss clearly fell at none of them, so no rate can be suggested. Try larger batches, "
                f"other first weights (--init he), or a network with normalisation."
            )
        lowest = self.rates[int(np.argmin(self.smoothed))]
        return (
            f"{tried}: the loss fell fastest around {self.suggested:.1g} and no more above {lowest:.1g}. "
            f"Use --learning-rate {self.suggested:.1g}."
        )


def find_rate(step: Callable[[float], float]) -> RateTest:
    """Call step(rate) -> loss of one training step with rates rising evenly on the logarithmic scale.

    Ends early where the loss breaks: it is no number, or its running mean is BROKEN times its lowest. Such a loss that
    is no number is left out of the curve.
    """
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    for rate in np.geomspace(LOWEST, HIGHEST, STEPS).tolist():
        loss = step(rate)
        if not math.isfinite(loss):
            break
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        rates.append(rate)
        losses.append(loss)
        smoothed.append(mean / (1 - SMOOTHING ** len(rates)))  # as if all had begun at the first loss, not at zero
        if smoothed[-1] > BROKEN * min(smoothed):
            break
    return RateTest(np.array(rates), np.array(losses), np.array(smoothed), _steepest(rates, losses, smoothed))


def _steepest(rates: list[float], losses: list[float], smoothed: list[float]) -> float | None:
    """Return the rate in the middle of the line that falls most; None where none surely falls."""
    lowest = int(np.argmin(smoothed)) + 1 if smoothed else 0
    if lowest < WINDOW:
        return None
    windows = np.lib.stride_tricks.sliding_window_view(np.array(losses[:lowest]), WINDOW)
    x = np.log(HIGHEST / LOWEST) / (STEPS - 1) * (np.arange(WINDOW) - WINDOW // 2)
    slopes = windows @ x / (x @ x)
    left = windows - windows.mean(1, keepdims=True) - slopes[:, None] * x
    errors = np.sqrt((left * left).sum(1) / (WINDOW - 2) / (x @ x))
    slopes[slopes > -SURE * errors] = 0
    best = int(np.argmin(slopes))
    return rates[best + WINDOW // 2] if slopes[best] < 0 else None
