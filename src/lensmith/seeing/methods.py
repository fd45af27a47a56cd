"""The ways to explain an answer, by name, and the one function that runs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lensmith.errors import UsageError, nearest
from lensmith.seeing.explanation import Explanation
from lensmith.seeing.fills import require_fill
from lensmith.seeing.subject import Subject, Target


@dataclass(frozen=True)
class Settings:
    """What a method can be asked for; each takes what it knows.

    rule: what a ReLU does to the gradient, "plain", "guided" or "rectified" (grad-cam, saliency, smoothgrad). layer:
    whose map is drawn, None the last (cam, grad-cam, guided-grad-cam). window, stride: in pixels, None a seventh of the
    picture and half a window (occlusion). fill: what takes the place of pixels, one of `fills.FILLS` (occlusion,
    integrated). steps: between the filled picture and the picture (integrated). samples, noise: how many, and the
    standard deviation as a share of the picture's range (smoothgrad). seed: of the noise.
    """

    rule: str = "plain"
    layer: str | None = None
    window: int | None = None
    stride: int | None = None
    fill: str = "mean"
    steps: int = 32
    samples: int = 25
    noise: float = 0.15
    seed: int = 0


@dataclass(frozen=True)
class Method:
    """A way to explain: `sentence` says what its map shows, and its paper.

    signed: below zero the map speaks against the target. needs_map: it draws the map of a layer. engine: it asks the
    network alone, so that the fastest engine will do; the others need its gradients. ruled: it takes a rule for ReLUs.
    """

    name: str
    sentence: str
    signed: bool = False
    needs_map: bool = False
    engine: bool = False
    ruled: bool = False


_METHODS = (
    Method(
        "grad-cam",
        "The last layer's maps, each weighted by how much the score would gain from more of it, where they speak for "
        "the target (Selvaraju et al. 2017, eq. 1 and 2).",
        needs_map=True,
        ruled=True,
    ),
    Method(
        "cam",
        "The share of each place in the score, where the score is a weighted mean of the last maps (Zhou et al. 2016, "
        "eq. 1 and 2).",
        signed=True,
        needs_map=True,
    ),
    Method(
        "guided-grad-cam",
        "Guided saliency multiplied by Grad-CAM: fine detail, where the class was found (Selvaraju et al. 2017, "
        "section 3.2).",
        needs_map=True,
    ),
    Method(
        "occlusion",
        "How much of the score is lost while a window hides the place (Zeiler and Fergus 2014, section 4.2).",
        signed=True,
        engine=True,
    ),
    Method(
        "saliency",
        "How much the score would change with each pixel: the gradient, the largest of the three colours (Simonyan et "
        "al. 2014, section 3.1).",
        ruled=True,
    ),
    Method(
        "integrated",
        "The share of each pixel in the change of the score from an empty picture to this one; all shares add up to it "
        "(integrated gradients, Sundararajan et al. 2017, eq. 1).",
        signed=True,
    ),
    Method(
        "smoothgrad",
        "Saliency averaged over copies of the picture with noise, which steadies it (Smilkov et al. 2017, section 3).",
        ruled=True,
    ),
    Method(
        "deconvnet",
        "The pattern that the network read for the score, sent back through it with negative signals stopped at every "
        "ReLU (Zeiler and Fergus 2014, section 2.1).",
    ),
)
METHODS = {method.name: method for method in _METHODS}
"""Every method, in the order in which they are offered."""


def targets_of(subject: Subject, squares: Iterable[np.ndarray], wanted: str | int | None = None) -> list[Target]:
    """Return what to explain of each picture: the class `wanted`, or what the network answered.

    Raises UsageError for a class that is not there, with the near ones.
    """
    if wanted is not None:
        target = subject.target(wanted)
        return [target for _ in squares]
    outputs, signs = subject.task.explained(subject.answers(squares))
    return [subject.speaking(output, sign) for output, sign in zip(outputs.tolist(), signs.tolist(), strict=True)]


def explained(
    subject: Subject,
    squares: Iterable[np.ndarray],
    paths: Iterable[str],
    targets: Iterable[Target],
    method: str,
    settings: Settings = Settings(),
) -> Iterator[Explanation]:
    """Return explanations of pictures (s, s, 3) uint8 in their order, made batch by batch, not yet graded.

    Raises UsageError for a method or setting that is not there, or that the network does not allow.
    """
    chosen = checked(method, settings)
    asked = zip(squares, paths, targets, strict=True)
    if chosen.engine:
        from lensmith.seeing.occlusion import occluded

        return (occluded(subject, square, path, target, settings) for square, path, target in asked)
    from lensmith.seeing.makers import differentiated

    return differentiated(subject, asked, chosen, settings)


def checked(method: str, settings: Settings) -> Method:
    """Return the method of a name. Raises UsageError for an unknown one, and for settings that it does not know."""
    if method not in METHODS:
        raise UsageError(f"method is {method!r}; allowed are {', '.join(METHODS)}.{nearest(method, METHODS)}")
    found = METHODS[method]
    ruled, mapped = ([name for name, one in METHODS.items() if getattr(one, what)] for what in ("ruled", "needs_map"))
    if settings.rule != "plain" and not found.ruled:
        raise UsageError(f"rule is {settings.rule!r}, but {method} takes none; {', '.join(ruled)} do. Leave it out.")
    if settings.layer is not None and not found.needs_map:
        raise UsageError(f"layer is {settings.layer!r}, but {method} draws none; {', '.join(mapped)} do. Leave it out.")
    require_values(settings)
    return found


def require_values(settings: Settings) -> None:
    """Raise UsageError for a fill that is not there, and for numbers out of their range, whatever the method."""
    require_fill(settings.fill)
    for name in ("steps", "samples"):
        if getattr(settings, name) < 1:
            raise UsageError(f"{name} is {getattr(settings, name)}; must be 1 or more.")
    if not 0 <= settings.noise <= 1:
        raise UsageError(f"noise is {settings.noise}; must be between 0 and 1, a share of the picture's range.")


def probabilities_of(subject: Subject, outputs: np.ndarray, targets: Sequence[Target]) -> list[float | None]:
    """Return the probability of each picture's target from the network's outputs (n, K); None for numbers."""
    answers = subject.task.answers(outputs)
    if answers.ndim == 1:
        return [None] * len(targets)
    columns = [subject.task.classes.index(target.name) for target in targets]
    return [float(row[column]) for row, column in zip(answers, columns, strict=True)]
