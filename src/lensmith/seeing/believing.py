"""Grading explanations as they come, and choosing the method by the grades."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

import numpy as np
from PIL import Image

from lensmith.errors import UsageError
from lensmith.seeing.explanation import Explanation
from lensmith.seeing.grading import ROUGHLY, SAME, Examined, Trial, examined, likeness, trial
from lensmith.seeing.methods import METHODS, Settings, checked, explained
from lensmith.seeing.subject import Subject, Target

TRIED = ("grad-cam", "occlusion", "integrated")
"""What `auto` tries, the cheapest first, until one passes."""
BATCH = 8
# Where a map is made only to be compared: of integrated, of smoothgrad, and windows along a side of occlusion.
STEPS, SAMPLES, WINDOWS = 8, 6, 5
SHORTENED = ("integrated", "smoothgrad", "occlusion")


@dataclass
class Grader:
    """Grades the explanations of one network. Its redrawn likes are made once, when they are first needed."""

    subject: Subject
    settings: Settings = field(default_factory=Settings)

    @cached_property
    def redrawn(self) -> dict[str, Subject]:
        """The network with weights drawn anew, by what was redrawn."""
        from lensmith.seeing.randomised import STAGES, redrawn

        return {name: redrawn(self.subject, share, self.settings.seed) for name, share in STAGES.items()}

    def trial(self, square: np.ndarray, target: Target) -> Trial:
        """Return what the network says of parts of a picture; the maps of all methods are compared with it."""
        return trial(self.subject, square, target, self.settings.seed)

    def grades(
        self, explanations: Sequence[Explanation], targets: Sequence[Target], trials: Sequence[Trial]
    ) -> list[Explanation]:
        """Return explanations made by one method with their grades."""
        if not explanations:
            return []
        again, alike = self._likenesses(explanations, targets)
        least = SAME if explanations[0].method not in SHORTENED else ROUGHLY
        return [
            replace(one, grade=examined(begun, one, once, {name: found[place] for name, found in alike.items()}, least))
            for place, (one, begun, once) in enumerate(zip(explanations, trials, again, strict=True))
        ]

    def _likenesses(
        self, explanations: Sequence[Explanation], targets: Sequence[Target]
    ) -> tuple[list[float], dict[str, list[float]]]:
        """Return how alike each map is to that of the network once more, and to those of its redrawn likes."""
        if all(one.empty for one in explanations):
            return [math.nan] * len(explanations), {}
        method, cheap = explanations[0].method, _cheap(self.settings, explanations[0])
        squares, paths = [one.picture for one in explanations], [one.path for one in explanations]

        def made(subject: Subject) -> list[np.ndarray]:
            return [one.map for one in explained(subject, squares, paths, targets, method, cheap)]

        once = made(self.subject)
        again = [
            likeness(_fitted(one.map, each), each, signed=True) for one, each in zip(explanations, once, strict=True)
        ]
        return again, {
            name: [likeness(one, other) for one, other in zip(once, made(like), strict=True)]
            for name, like in self.redrawn.items()
        }


def believed(
    grader: Grader,
    squares: Iterable[np.ndarray],
    paths: Iterable[str],
    targets: Iterable[Target],
    method: str,
    *,
    grade: bool = True,
) -> Iterator[Explanation]:
    """Yield explanations of pictures in their order, graded unless `grade` is off; `method` may be "auto".

    Raises UsageError for a method or setting that is not there, or that the network does not allow.
    """
    subject, settings = grader.subject, grader.settings
    if method != "auto":
        checked(method, settings)
    coming = zip(squares, paths, targets, strict=True)
    while batch := list(islice(coming, BATCH)):
        asked = Asked([one for one, _, _ in batch], [path for _, path, _ in batch], [target for _, _, target in batch])
        if method == "auto":
            yield from _chosen(grader, asked, grade)
        else:
            made = asked.made(subject, method, settings)
            yield from grader.grades(made, asked.targets, asked.trials(grader)) if grade else made


@dataclass(frozen=True)
class Asked:
    """A few pictures, where they came from, and what is to be explained of each."""

    squares: list[np.ndarray]
    paths: list[str]
    targets: list[Target]

    def only(self, places: Sequence[int]) -> Asked:
        """Return some of them."""
        squares, paths, targets = self.squares, self.paths, self.targets
        return Asked([squares[at] for at in places], [paths[at] for at in places], [targets[at] for at in places])

    def made(self, subject: Subject, method: str, settings: Settings) -> list[Explanation]:
        """Return the explanations by one method, not graded."""
        return list(explained(subject, self.squares, self.paths, self.targets, method, settings))

    def trials(self, grader: Grader) -> list[Trial]:
        """Return what the network says of parts of each picture."""
        return [grader.trial(square, target) for square, target in zip(self.squares, self.targets, strict=True)]


def _chosen(grader: Grader, asked: Asked, grade: bool) -> list[Explanation]:
    """Return for each picture the first explanation that passes, or the one that came nearest."""
    possible = candidates(grader.subject, grader.settings)
    if not possible:
        given = "layer" if grader.settings.layer is not None else "rule"
        raise UsageError(f"{given} is given, but no method that auto tries takes one for this network. Leave it out.")
    if not grade:
        return [
            replace(one, how=f"{one.how} (auto, not graded: the first that this network allows)")
            for one in asked.made(grader.subject, possible[0], _allowed(grader.settings, possible[0]))
        ]
    trials = asked.trials(grader)
    found: dict[int, Explanation] = {}
    tried: list[str] = []
    for method in possible:
        left = [place for place in range(len(trials)) if place not in found or _goes_on(found[place])]
        if not left:
            break
        tried.append(method)
        part = asked.only(left)
        made = part.made(grader.subject, method, _allowed(grader.settings, method))
        for place, one in zip(left, grader.grades(made, part.targets, [trials[at] for at in left]), strict=True):
            if place not in found or _worth(one) > _worth(found[place]):
                found[place] = replace(one, how=f"{one.how} ({_why(one, tried)})")
    return [found[place] for place in range(len(trials))]


def candidates(subject: Subject, settings: Settings) -> list[str]:
    """Return the methods that `auto` may take for a network, the cheapest first; a layer or rule given narrows them."""
    from lensmith.seeing.layers import layers_of

    side = subject.geometry.image_size
    has_map = any(layer.is_map for layer in layers_of(subject.eye, side))
    return [
        name
        for name in TRIED
        if (has_map or not METHODS[name].needs_map)
        and (settings.layer is None or METHODS[name].needs_map)
        and (settings.rule == "plain" or METHODS[name].ruled)
    ]


def _why(one: Explanation, tried: Sequence[str]) -> str:
    """Return why auto came to this method, as far as was known when it was made."""
    before = f" where {' and '.join(tried[:-1])} did not" if len(tried) > 1 else ", the first tried"
    return f"auto: it passed{before}" if _passed(one) else "auto: none that was tried passed; this one came nearest"


def _worth(one: Explanation) -> tuple[bool, float, float]:
    """Return by what explanations of one picture are put in order."""
    grade = one.grade
    if not isinstance(grade, Examined) or one.empty:
        return False, -1.0, 0.0
    return grade.passed, grade.beaten, grade.insertion - grade.deletion


def _goes_on(one: Explanation) -> bool:
    """Return whether another method might do better: not where this one passed, nor where none can."""
    return not _passed(one) and (not isinstance(one.grade, Examined) or one.grade.hangs)


def _passed(one: Explanation) -> bool:
    return one.grade is not None and one.grade.passed


def _cheap(settings: Settings, one: Explanation) -> Settings:
    """Return settings for maps that are only compared: fewer steps, and windows side by side."""
    if METHODS[one.method].engine:
        from lensmith.seeing.occlusion import sizes

        side = len(one.picture)
        window = max(sizes(side, settings.window, settings.stride)[0], -(-side // WINDOWS))
        return replace(settings, window=window, stride=window, rule="plain", layer=None)
    return replace(
        _allowed(settings, one.method), steps=min(settings.steps, STEPS), samples=min(settings.samples, SAMPLES)
    )


def _allowed(settings: Settings, method: str) -> Settings:
    """Return the settings without what a method does not take."""
    known = METHODS[method]
    return replace(
        settings,
        rule=settings.rule if known.ruled else "plain",
        layer=settings.layer if known.needs_map else None,
    )


def _fitted(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return a map in the shape of another."""
    if values.shape == like.shape:
        return values
    size = (like.shape[1], like.shape[0])
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
