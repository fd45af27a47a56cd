"""How training went, in words: from its history, and from what the layers say of their units and gradients.

Every sentence has the number that was seen and what to do about it. The thresholds of the warnings lie between what
runs that learned and runs that did not were seen to do (LOG.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lensmith.training.epoch import DIVERGED, LEAST_FIRST

LEARNED = 0.80  # share of its own training pictures a network should get right
GAP = 0.10  # how far training and validation may lie apart before it is said
LEARNED_NUMBERS, GAP_NUMBERS = 0.30, 0.20  # the same as the share of the median's error that is gone
RISE, LEAST_RISE = 1.15, 0.05  # how much the validation loss rises, as a factor and in nats, before it is said
CLIMB, LEAST_CLIMB = 1.10, 0.10  # the same of the training loss, over two epochs,
BACK = 0.5  # and to this share of where it began
GROWN = 10.0  # by this factor gradients grow, while the loss climbs, before they are called exploding
ARRIVES = 1e-3  # the first layer's share of the strongest relative gradient: above 0.1 where it learns
DEAD = 0.80  # share of a layer's units that never fire: up to 0.6 in networks that learned
SLOW, FELL = 0.01, 1 / 3  # a rate is too low where no epoch moves the weights so far, nor the loss falls by this share
REST, STILLER = 1e-4, 0.01  # weights are at rest where they move less than this, and than this share of their best,
STILL_ON = 0.1  # at this share of the highest rate or more


@dataclass(frozen=True)
class Point:
    """One epoch of the kept series; see Epoch for the units."""

    number: int
    train_loss: float
    validation_loss: float
    train_metric: float
    validation_metric: float
    gradient: float | None = None
    change: float | None = None
    learning_rate: float | None = None


def diagnose(
    series: Sequence[Point],
    kept: int,
    epochs: int,
    baseline: float,
    *,
    metric: str = "accuracy",
    dead: Mapping[str, float] | None = None,
    gradients: Mapping[str, float] | None = None,
    pictures: bool = True,
) -> list[str]:
    """Return sentences on how training went.

    kept: the number of the epoch kept. baseline: the metric of the best constant answer on the validation pictures: the
    share of the commonest class, or the mean error of the median. metric: "accuracy", "f1" or "mae" (smaller is
    better). dead: the share of units of a layer that never fire, by its name (dead.dead_units). gradients: the relative
    gradient of every layer from the first on (dead.layer_gradients). pictures: whether that is what was learned from;
    then larger ones, or another base, may help.
    """
    view = _View(metric, baseline, pictures)
    best = next(point for point in series if point.number == kept)
    causes = [
        *_too_high(series),
        *_too_low(series, best, view),
        *_vanishing(gradients or {}),
        *_silent(dead or {}),
        *_at_rest(series),
    ]
    stopped = series[-1].number < epochs
    said = [*causes, *_fitting(series, best, view, explained=bool(causes), stopped=stopped)]
    if kept == epochs:
        said.append("The last epoch was the best one: it was still getting better. Give it more by --epochs.")
    return said or ["Training went well: training and validation stay close together, and it stopped in time."]


@dataclass(frozen=True)
class _View:
    """A metric as a share in which larger is better: an error becomes the share of the baseline's that is gone."""

    metric: str
    baseline: float
    pictures: bool = True

    @property
    def numbers(self) -> bool:
        return self.metric == "mae"

    def share(self, value: float) -> float:
        return 1 - value / max(self.baseline, 1e-30) if self.numbers else value

    @property
    def gap(self) -> float:
        return GAP_NUMBERS if self.numbers else GAP

    def learned(self, value: float) -> bool:
        needed = LEARNED_NUMBERS if self.numbers else max(LEARNED, self.baseline + GAP)
        return self.share(value) >= needed

    def words(self, value: float) -> str:
        """Return the metric's value with what it is."""
        if self.numbers:
            return f"a mean error of {value:.3g}"
        return f"{value:.0%} right" if self.metric == "accuracy" else f"an F1 of {value:.2f}"


def _fitting(series: Sequence[Point], best: Point, view: _View, *, explained: bool, stopped: bool) -> list[str]:
    """Under-fitting, over-fitting, and the loss parting from the metric; explained: the cause has been said; stopped:
    it ended before its time, since it had stopped getting better."""
    said, last = [], series[-1]
    gap = view.share(best.train_metric) - view.share(best.validation_metric)
    if not view.learned(best.train_metric) and gap < view.gap:
        beside = f" (always answering the median: {view.baseline:.3g})" if view.numbers else ""
        seen = (
            f"it gets only {best.train_metric:.0%} of the pictures it learned from right"
            if view.metric == "accuracy"
            else f"on the pictures it learned from it reaches only {view.words(best.train_metric)}{beside}"
        )
        others = ", larger pictures or another base" if view.pictures else ""
        longer = f"Let it train longer{',' if others else ', or'}"
        if stopped:
            longer = "It had stopped getting better, so that longer training alone will not help:"
        advice = f"{longer} use a larger network{others}."
        said.append(f"Under-fitting: {seen}. {'First mend what is said above.' if explained else advice}")
    if gap >= view.gap:
        said.append(
            f"Over-fitting: {view.words(best.train_metric)} on pictures it learned from, "
            f"{_after(view.words(best.validation_metric))} on the validation pictures. More pictures help most; after "
            f"that dropout, a stronger penalty, or a smaller network."
        )
    if last.validation_loss > max(RISE * best.validation_loss, best.validation_loss + LEAST_RISE):
        if view.share(last.validation_metric) >= view.share(best.validation_metric):
            what = {"accuracy": "the accuracy does not fall", "f1": "the F1 does not fall"}
            said.append(
                f"Loss and {'error' if view.numbers else view.metric.replace('f1', 'F1')} part ways: after the kept "
                f"epoch the validation loss rises while {what.get(view.metric, 'the mean error does not')}. It grows "
                f"too sure of its mistakes; its probabilities are worth less than its answers."
            )
        else:
            said.append("After the kept epoch it began to learn its training pictures by heart; that part was dropped.")
    return said


def _after(words: str) -> str:
    return words.removesuffix(" right")


def _too_high(series: Sequence[Point]) -> list[str]:
    """A loss that breaks or climbs, and gradients that grow meanwhile."""
    start, broken = series[0], _diverged(series)
    if broken is not None:
        loss = f"grew from {start.train_loss:.3g} to {broken.train_loss:.3g}"
        loss = loss if math.isfinite(broken.train_loss) else "was no longer a number"
        rate = f"The learning rate is too high: the training loss {loss} in epoch {broken.number}. Try a tenth of it"
        return [f"{rate}, or --clip 1; --find-rate shows where it breaks.", *_exploding(start, broken)]
    lowest = start
    for one, other in pairwise(series[1:]):
        mean, low = (one.train_loss + other.train_loss) / 2, lowest.train_loss
        # With dropout and few pictures the training loss goes up and down by chance, the validation loss does not.
        both = one.validation_loss + other.validation_loss > 2 * lowest.validation_loss
        if both and mean > max(CLIMB * low, low + LEAST_CLIMB, BACK * start.train_loss):
            return [
                f"The learning rate is too high: the training loss rose from {low:.3g} in epoch "
                f"{lowest.number} to {other.train_loss:.3g} in epoch {other.number}. Try a third of it.",
                *_exploding(lowest, other),
            ]
        lowest = min(lowest, one, key=lambda point: point.train_loss)
    return []


def _diverged(series: Sequence[Point]) -> Point | None:
    """Return the epoch whose loss is no number or has grown too far, by the rule that ends training."""
    most = DIVERGED * max(series[0].train_loss, LEAST_FIRST)
    for point in series:
        if not math.isfinite(point.train_loss + point.validation_loss) or point.train_loss >= most:
            return point
    return None


def _exploding(before: Point, after: Point) -> list[str]:
    one, other = before.gradient, after.gradient
    if one is None or other is None or other < GROWN * one:  # no number is not below anything
        return []
    grew = f"grew from {one:.2g} to {other:.2g}" if math.isfinite(other) else f"was {one:.2g}, then no number"
    return [
        f"Exploding gradients: the median length of a step's gradient {grew} (epochs {before.number} and "
        f"{after.number}). Limit it by --clip 1, begin with --init he, or use a network with normalisation."
    ]


def _too_low(series: Sequence[Point], best: Point, view: _View) -> list[str]:
    """A loss that falls and falls and gets nowhere, because the weights hardly move."""
    changes = [point.change for point in series if point.change is not None]
    if len(series) < 3 or len(changes) < len(series) or view.learned(best.train_metric):
        return []
    first, last = series[0].train_loss, series[-1].train_loss
    steady = sum(other.train_loss < one.train_loss for one, other in pairwise(series)) >= 0.8 * (len(series) - 1)
    if not steady or max(changes) >= SLOW or first - last >= FELL * first:
        return []
    return [
        f"The learning rate may be too low: the training loss fell steadily, but only from {first:.4g} to {last:.4g}, "
        f"and no epoch moved the weights by more than {max(changes):.1%} of their length. Try ten times the rate, or "
        f"let --find-rate look for one."
    ]


def _vanishing(gradients: Mapping[str, float]) -> list[str]:
    """A first layer that hears next to nothing of what goes wrong at the end."""
    if len(gradients) < 2:
        return []
    first, strongest = next(iter(gradients)), max(gradients, key=lambda name: gradients[name])
    if not 0 < gradients[strongest] < math.inf or gradients[first] >= ARRIVES * gradients[strongest]:
        return []
    share = f"{gradients[first] / gradients[strongest]:.0e}" if gradients[first] else "nothing"
    return [
        f"Vanishing gradients: measured by its weights, layer {first} gets {share} of the gradient of layer "
        f"{strongest}, so it hardly learns. Use ReLU instead of sigmoid, --init he, a network with normalisation or "
        f"short cuts, or fewer layers."
    ]


def _silent(dead: Mapping[str, float]) -> list[str]:
    """Layers most of whose units answer zero to every picture."""
    layers = {name: share for name, share in dead.items() if share >= DEAD}
    if not layers:
        return []
    worst = max(layers, key=lambda name: layers[name])
    more = f" (and much the same in {len(layers) - 1} more)" if len(layers) > 1 else ""
    return [
        f"Dead units: {layers[worst]:.0%} of the units of layer {worst} answer zero to every picture looked at{more}; "
        f"no gradient passes them. Try a third of the learning rate, --init he, or a network with normalisation."
    ]


def _at_rest(series: Sequence[Point]) -> list[str]:
    """Weights that no longer move although the learning rate would let them."""
    highest = max(point.learning_rate or 0.0 for point in series)
    furthest = max(point.change or 0.0 for point in series)
    for point in series:
        if point.change is None or point.learning_rate is None or point.learning_rate < STILL_ON * highest:
            continue
        if point.change < min(REST, STILLER * furthest):
            return [
                f"The weights came to rest: epoch {point.number} moved them by {point.change:.0e} of their length, "
                f"with the learning rate still at {point.learning_rate:.1g}. What follows changes nothing: use fewer "
                f"--epochs or --stop-rest {REST:g}, and if it learned too little, a higher rate."
            ]
    return []
