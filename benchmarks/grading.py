"""Whether the verdicts on maps are right: trained networks, networks with random weights, and maps known to be wrong.

`benchmarks/grading.py [--count N] [--network NAME] [--methods a,b] [--random N]` prints the share of maps called "the
model", for a network of a thousand classes on photos/ and for a run of two, ants-bees, on its held-out pictures:
- of the trained network by method, of all pictures and of those it is sure of (probability 0.5 and more); `auto` takes
  the first of grad-cam, occlusion and integrated that passes (of those among the methods measured);
- of networks with random weights: as built, as trained with all weights dealt out anew, and for the run also with those
  of the upper third;
- of wrong maps given out as Grad-CAM of the trained network: edges, a spot in the middle, a random blob, the map of
  another picture, and Grad-CAM of the redrawn network. `carries` is the share of those that deletion and insertion
  alone would have let pass.
The pictures had no part in choosing the limits that are in odds: every second photograph had, and every fifth of the
held-out pictures.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import lensmith
import measure
from lensmith.data import decode
from lensmith.data.preprocess import read_square
from lensmith.seeing.believing import TRIED, Grader
from lensmith.seeing.explanation import Explanation
from lensmith.seeing.grading import BEATEN, Examined, Trial, random_map
from lensmith.seeing.methods import Settings, explained, targets_of
from lensmith.seeing.subject import Subject, Target
from lensmith.verbs.subject import open_subject

SURE = 0.5
METHODS = ("grad-cam", "occlusion", "saliency", "integrated", "smoothgrad", "guided-grad-cam", "deconvnet")


@dataclass(frozen=True)
class Shown:
    """Pictures by name, as a network sees them."""

    names: list[str]
    squares: list[np.ndarray]

    def few(self, count: int) -> Shown:
        """Return so many of them, evenly spread."""
        step = max(1, len(self.names) // count)
        return Shown(self.names[::step][:count], self.squares[::step][:count])


def photographs(subject: Subject, count: int) -> Shown:
    """Return `count` photographs that the limits were not chosen on, evenly spread over the classes."""
    files = [
        file for place, file in enumerate(sorted((measure.data() / "photos").glob("*.jpg"))) if place % 4 and place % 5
    ]
    return _read(subject, [file for file in files if file not in files[1::2]], count)


def held_out(subject: Subject, count: int) -> Shown:
    """Return `count` of the pictures of ants and bees that the run did not see and the limits were not chosen on."""
    files = sorted((measure.data() / "ants-bees" / "validation").rglob("*.jpg"))
    return _read(subject, [file for place, file in enumerate(files) if place % 5], count)


def _read(subject: Subject, files: list[Path], count: int) -> Shown:
    files = files[:: max(1, len(files) // count)][:count]
    squares = [read_square(decode.picture_bytes(file), subject.geometry)[0] for file in files]
    return Shown([f"{file.parent.name}/{file.name}" for file in files], squares)


def passed(graded: Sequence[Explanation]) -> float:
    """Return the share of maps called "the model"; NaN for none."""
    verdicts = [one.grade is not None and one.grade.passed for one in graded]
    return round(float(np.mean(verdicts)), 3) if verdicts else float("nan")


def carries(graded: Sequence[Explanation]) -> float:
    """Return the share of maps that beat the random ones, whatever else was found."""
    return round(float(np.mean([_examined(one).beaten >= BEATEN for one in graded])), 3)


def _examined(one: Explanation) -> Examined:
    assert isinstance(one.grade, Examined)
    return one.grade


def of_network(subject: Subject, shown: Shown, methods: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return for each method the shares that pass and the seconds a picture."""
    names, squares = shown.names, shown.squares
    targets, grader, start = targets_of(subject, squares), Grader(subject), time.perf_counter()
    trials = [grader.trial(square, target) for square, target in zip(squares, targets, strict=True)]
    shared = (time.perf_counter() - start) / len(squares)
    _ = grader.redrawn
    found = {}
    any_passed = np.zeros(len(squares), bool)
    for method in methods:
        made = list(explained(subject, squares, names, targets, method))
        start = time.perf_counter()
        graded = grader.grades(made, targets, trials)
        grading = shared + (time.perf_counter() - start) / len(squares)
        if method in TRIED:
            any_passed |= [_examined(one).passed for one in graded]
        sure = [one for one in graded if _examined(one).whole >= SURE]
        found[method] = {
            "passed": passed(graded),
            "passed_sure": passed(sure),
            "sure": len(sure),
            "carries": carries(graded),
            "likeness": round(float(np.mean([_examined(one).likeness for one in graded])), 3),
            "seconds": round(grading, 2),
        }
        print(f"  {subject.name:<34} {method:<16} {found[method]}", flush=True)
    certain = np.array([trial.ends[0] >= SURE for trial in trials])
    found["auto"] = {
        "passed": round(float(any_passed.mean()), 3),
        "passed_sure": round(float(any_passed[certain].mean()), 3) if certain.any() else float("nan"),
        "sure": int(certain.sum()),
    }
    print(f"  {subject.name:<34} {'auto':<16} {found['auto']}", flush=True)
    return found


def wrong_maps(subject: Subject, shown: Shown) -> dict[str, dict[str, float]]:
    """Return the shares that pass of maps that do not follow from the network, given out as its Grad-CAM."""
    names, squares = shown.names, shown.squares
    targets, grader = targets_of(subject, squares), Grader(subject)
    trials = [grader.trial(square, target) for square, target in zip(squares, targets, strict=True)]
    made = list(explained(subject, squares, names, targets, "grad-cam"))
    foreign = list(explained(grader.redrawn["all layers"], squares, names, targets, "grad-cam"))
    maps = {
        "edges": [_edges(square) for square in squares],
        "middle": [_middle(len(square)) for square in squares],
        "random blob": [random_map(1, number) for number in range(len(squares))],
        "another picture's": [one.map for one in [*made[1:], made[0]]],
        "redrawn network's": [one.map for one in foreign],
    }
    found = {}
    for name, values in maps.items():
        given = [replace(one, map=value) for one, value in zip(made, values, strict=True)]
        graded = _graded(grader, given, targets, trials)
        found[name] = {"passed": passed(graded), "carries": carries(graded)}
        print(f"  {name:<34} {found[name]}", flush=True)
    return found


def _graded(grader: Grader, given: list[Explanation], targets: list[Target], trials: list[Trial]) -> list[Explanation]:
    return [
        one for one in grader.grades(given, targets, trials) if one.grade is not None and one.grade.verdict != "empty"
    ]


def _edges(square: np.ndarray) -> np.ndarray:
    """Return how steep the brightness is at each pixel, (s, s)."""
    down, right = np.gradient(square.astype(np.float32).mean(2))
    return np.asarray(np.hypot(down, right), np.float32)


def _middle(side: int) -> np.ndarray:
    """Return a spot in the middle, (s, s)."""
    away = (np.arange(side) - (side - 1) / 2) / (side / 4)
    return np.exp(-(away[:, None] ** 2 + away**2) / 2).astype(np.float32)


def main() -> None:
    """Measure, and write results/grading.json."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=30)
    options.add_argument("--random", type=int, default=10, help="pictures for networks with random weights")
    options.add_argument("--network", default="mobilenet_v2")
    options.add_argument("--methods", default=",".join(METHODS))
    options.add_argument("--name", default="grading", help="of the file in results/")
    given = options.parse_args()
    methods = given.methods.split(",")
    weights = str(measure.data() / "weights" / f"{given.network}.safetensors")
    trained = open_subject(given.network, weights=weights)
    values: dict[str, object] = {"network": given.network, "pictures": given.count, "random": given.random}
    shown = photographs(trained, given.count)
    values["trained"] = of_network(trained, shown, methods)
    values["wrong maps"] = wrong_maps(trained, shown)
    fast = [method for method in methods if method not in ("integrated", "smoothgrad")]
    as_built = open_subject(given.network, weights="none")
    values["random weights, as built"] = of_network(as_built, shown.few(given.random), fast)
    redrawn = Grader(trained, Settings(seed=1)).redrawn["all layers"]
    values["random weights, redrawn"] = of_network(redrawn, shown.few(given.random), fast[:3])
    with tempfile.TemporaryDirectory() as folder:
        run = lensmith.train(measure.data() / "ants-bees", recipe="features", weights=weights, out=folder, quiet=True)
        of_two = open_subject(run.folder)
        shown = held_out(of_two, given.count)
        values["two classes, trained"] = of_network(of_two, shown, methods)
        values["two classes, wrong maps"] = wrong_maps(of_two, shown)
        for stage in ("all layers", "the upper third"):
            redrawn = Grader(of_two, Settings(seed=2)).redrawn[stage]
            values[f"two classes, {stage} redrawn"] = of_network(redrawn, shown.few(given.random), fast[:3])
    measure.write(given.name, values)


if __name__ == "__main__":
    main()
