"""Verdicts on maps: what is known to be right passes, what is known to be wrong does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lensmith.data import decode
from lensmith.data.preprocess import Preprocessing, read_square
from lensmith.errors import UsageError
from lensmith.seeing import grading
from lensmith.seeing.believing import Grader, believed, candidates
from lensmith.seeing.explanation import Explanation
from lensmith.seeing.grading import EMPTY, MODEL, NOT_MODEL, Examined, curves, examined, likeness, random_map, trial
from lensmith.seeing.methods import Settings, explained, targets_of
from lensmith.seeing.randomised import redrawn, weighted
from lensmith.seeing.subject import Subject, Target
from lensmith.tasks.classification import Classification
from lensmith.tasks.regression import Regression
from lensmith.verbs.subject import open_subject

SIDE = 56
CLASSES = tuple(f"class {number}" for number in range(12))
TARGET = Target(CLASSES[3], 3)
GEOMETRY = Preprocessing(SIDE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
Score = Callable[[np.ndarray], float]


def asked(score: Score, task: object = None) -> Subject:
    """A network of twelve classes that gives the fourth what `score` says of a picture, and the others nothing."""

    def says(squares: Iterable[np.ndarray]) -> np.ndarray:
        found = [score(square.astype(np.float64)) for square in squares]
        if task is not None:
            return np.array(found, np.float32)[:, None]
        return np.stack([np.eye(12)[3] * value for value in found]).astype(np.float32)

    def make() -> nn.Module:
        raise AssertionError("torch is not needed to ask")

    return Subject("asked", task or Classification(CLASSES), GEOMETRY, says, make)  # type: ignore[arg-type]


BARS = np.where(np.indices((16, 16)).sum(0) // 4 % 2 == 0, 1, -1)


def checks() -> np.ndarray:
    """A grey picture with slanted black and white bars in one corner, rows and columns 8 to 24."""
    square = np.full((SIDE, SIDE, 3), 120, np.uint8)
    square[8:24, 8:24] = np.where(BARS > 0, 255, 0)[..., None]
    return square


def in_the_corner(square: np.ndarray) -> float:
    """A score that rises with how much of those bars there is: 7 for all of them, 0 without any."""
    return float((square[8:24, 8:24].mean(2) * BARS).mean() / 127.5 * 7)


def spot(top: int, left: int, side: int = 16) -> np.ndarray:
    found = np.zeros((SIDE, SIDE), np.float32)
    found[top : top + side, left : left + side] = 1
    return found


def given(values: np.ndarray, square: np.ndarray) -> Explanation:
    return Explanation(square, "a.png", TARGET.name, 3, 1.0, 0.9, "grad-cam", "plain", "x", values, "score", "how", 0.0)


def graded(subject: Subject, values: np.ndarray, *, again: float = 1.0, alike: float = 0.1) -> Examined:
    square = checks()
    return examined(trial(subject, square, TARGET), given(values, square), again, {"all layers": alike})


# The parts.


def test_likeness_is_spearmans_rank_correlation() -> None:
    from scipy.stats import spearmanr

    random = np.random.default_rng(0)
    one, other = random.normal(size=(9, 9)), random.normal(size=(9, 9)).round(1)
    other[:4] = 0  # ties
    assert likeness(one, other) == pytest.approx(spearmanr(np.abs(one).ravel(), np.abs(other).ravel()).statistic)
    assert likeness(one, other, signed=True) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert likeness(one, -3 * one) == pytest.approx(1)
    assert likeness(one, -3 * one, signed=True) == pytest.approx(-1)
    assert likeness(one, np.ones((9, 9))) == 0


def test_curves_take_the_highest_places_first() -> None:
    square = checks()
    begun = trial(asked(in_the_corner), square, TARGET)
    right, wrong = curves(begun, [spot(8, 8), spot(32, 32)])
    whole, bare, _ = begun.ends
    assert right.shape == (2, grading.STEPS + 1)
    assert right[0, 0] == right[1, -1] == whole > 0.98
    assert right[0, -1] == bare == pytest.approx(1 / 12)
    # The spot is 16 of 196 cells: two steps of sixteen, and a border that the smoothing of the map adds.
    assert right[0, 3] < 0.2 < 0.9 < wrong[0, 3]
    assert right[1, 3] > 0.9 > wrong[1, 3]


def test_random_maps_are_the_same_each_time_and_smooth() -> None:
    one = random_map(0, 4)
    np.testing.assert_array_equal(one, random_map(0, 4))
    assert likeness(one, random_map(0, 5), signed=True) < 0.9
    assert np.corrcoef(one[:, 1:].ravel(), one[:, :-1].ravel())[0, 1] > 0.8


# Verdicts.


def test_a_map_of_what_counts_passes_and_of_what_does_not_fails() -> None:
    subject = asked(in_the_corner)
    right, wrong = graded(subject, spot(8, 8)), graded(subject, spot(32, 32))
    assert right.verdict == MODEL and right.passed and "20 of 20" in right.sentence
    assert right.deletion < right.deletion_by_chance and right.insertion > right.insertion_by_chance
    assert wrong.verdict == NOT_MODEL and "do not carry the answer" in wrong.sentence


def test_random_maps_pass_no_more_often_than_chance() -> None:
    square = checks()
    begun = trial(asked(in_the_corner), square, TARGET)
    found = [examined(begun, given(random_map(7, number), square), 1.0, {"all layers": 0.0}) for number in range(40)]
    # One in ten is what nineteen of twenty and a tie allow.
    assert sum(one.passed for one in found) <= 9


@pytest.mark.parametrize("values", [np.zeros((7, 7)), np.full((7, 7), 3.0), np.array([[0.0, math.nan], [1.0, 2.0]])])
def test_a_map_that_says_nothing_is_empty(values: np.ndarray) -> None:
    assert graded(asked(in_the_corner), values.astype(np.float32)).verdict == EMPTY


def test_an_answer_that_does_not_hang_on_the_picture_has_no_map() -> None:
    found = graded(asked(lambda square: 5 + square.mean() / 1000), spot(8, 8))
    assert found.verdict == NOT_MODEL and "hardly hangs on this picture" in found.sentence


def test_an_answer_that_survives_another_order_of_the_pieces_has_no_map() -> None:
    found = graded(asked(lambda square: square.std() / 6), spot(8, 8))
    assert found.mixed == pytest.approx(found.whole, abs=0.02)
    assert found.verdict == NOT_MODEL and "another order" in found.sentence


def test_a_map_that_outlives_the_weights_shows_the_picture() -> None:
    found = graded(asked(in_the_corner), spot(8, 8), alike=0.93)
    assert found.verdict == NOT_MODEL and "all layers" in found.sentence and found.likeness == 0.93


def test_a_map_that_was_made_otherwise_is_found_out() -> None:
    found = graded(asked(in_the_corner), spot(8, 8), again=0.05)
    assert found.verdict == NOT_MODEL and "Made once more" in found.sentence


def of_two(score: Score) -> Subject:
    """A network of two classes that gives the first one `score`, and the other nothing."""

    def says(squares: Iterable[np.ndarray]) -> np.ndarray:
        return np.array([[score(square.astype(np.float64)), 0.0] for square in squares], np.float32)

    return replace(asked(score, Classification(("ant", "bee"))), says=says)


def of_the_first(subject: Subject, values: np.ndarray) -> Examined:
    square, target = checks(), Target("ant", 0)
    return examined(trial(subject, square, target), given(values, square), 1.0, {"all layers": 0.1})


def test_of_two_classes_a_sure_answer_still_tells_places_apart() -> None:
    subject = of_two(lambda square: 3 * in_the_corner(square) - 5)
    assert of_the_first(subject, spot(8, 8)).verdict == MODEL
    assert of_the_first(subject, spot(32, 32)).verdict == NOT_MODEL


def test_of_two_classes_an_answer_that_is_never_overturned_has_no_map() -> None:
    found = of_the_first(of_two(lambda square: 0.9 * in_the_corner(square) + 1), spot(8, 8))
    assert found.whole > 0.99 and 0.5 < found.lowest < 0.8
    assert found.verdict == NOT_MODEL and "hardly hangs on this picture" in found.sentence


def test_an_answer_that_is_not_given_has_nothing_to_lose() -> None:
    found = of_the_first(of_two(lambda square: in_the_corner(square) - 13), spot(8, 8))
    assert found.verdict == NOT_MODEL and "The network gives this answer 0.2% here" in found.sentence


def test_a_map_and_random_maps_are_measured_alike() -> None:
    square = checks()
    begun = trial(asked(in_the_corner), square, TARGET)
    found = examined(replace(begun, chance=begun.chance[:1]), given(random_map(0, 0), square), 1.0, {})
    assert found.deletion == pytest.approx(found.deletion_by_chance)
    assert found.insertion == pytest.approx(found.insertion_by_chance)


def test_numbers_are_graded_in_their_own_range() -> None:
    task = Regression("depth")
    square, target = checks(), Target("depth", 0)
    subject = asked(lambda square: 1000 + 300 * in_the_corner(square), task)
    found = examined(trial(subject, square, target), given(spot(8, 8), square), 1.0, {"all layers": 0.0})
    assert found.verdict == MODEL and min(found.gone) >= 0 and max(found.back) <= 1
    still = asked(lambda square: 1000 + in_the_corner(square) / 100, task)
    found = examined(trial(still, square, target), given(spot(8, 8), square), 1.0, {"all layers": 0.0})
    assert found.verdict == NOT_MODEL and "whatever part" in found.sentence


# Networks with weights drawn anew.


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 16, 3, padding=1, stride=2)
        self.head = nn.Linear(16, 12)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen = torch.relu(self.norm(self.first(images)))
        return self.head(torch.relu(self.second(seen)).mean((2, 3)))


def test_redrawing_deals_the_weights_out_anew_from_the_top() -> None:
    network = Small()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    subject = open_subject(network, image_size=32)
    last, everything = (redrawn(subject, share).eye.network.state_dict() for share in (0.0, 1.0))
    for name, values in before.items():
        torch.testing.assert_close(network.state_dict()[name], values, msg=f"{name} of the network itself")
        if name.startswith("head"):
            assert not torch.equal(last[name], values)
        else:
            torch.testing.assert_close(last[name], values)
    weight = before["first.weight"]
    assert not torch.equal(everything["first.weight"], weight)
    torch.testing.assert_close(everything["first.weight"].flatten().sort().values, weight.flatten().sort().values)
    again = redrawn(subject, 1.0).eye.network.state_dict()
    assert all(torch.equal(again[name], everything[name]) for name in before)
    assert not torch.equal(redrawn(subject, 1.0, seed=1).eye.network.state_dict()["first.weight"], weight)


def test_redrawing_measures_batch_normalisation_again() -> None:
    subject = open_subject(Small(), image_size=32)
    like = redrawn(subject, 1.0)
    assert not torch.equal(like.eye.network.norm.running_var, torch.ones(8))  # type: ignore[union-attr, arg-type]
    assert not any(module.training for module in like.eye.network.modules())
    square = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    outputs = like.says([square, square[::-1]])
    assert outputs.shape == (2, 12) and np.isfinite(outputs).all()
    alone = like.says([square])
    np.testing.assert_allclose(alone[0], outputs[0], rtol=1e-3, atol=1e-4)


def test_layers_are_taken_in_the_order_in_which_they_run() -> None:
    names = [name for name, _ in weighted(open_subject(Small(), image_size=32).eye, torch.zeros(1, 3, 32, 32))]
    assert names == ["first", "norm", "second", "head"]


# Choosing by grades.


def test_auto_says_why_and_narrows_by_what_is_asked_for() -> None:
    subject = open_subject(Small(), image_size=32)
    assert candidates(subject, Settings()) == ["grad-cam", "occlusion", "integrated"]
    assert candidates(subject, Settings(layer="second")) == ["grad-cam"]
    square = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    target = targets_of(subject, [square])
    (found,) = believed(Grader(subject), [square], ["a.png"], target, "auto")
    assert "auto: none that was tried passed" in found.how and found.grade is not None and not found.grade.passed
    (found,) = believed(Grader(subject), [square], ["a.png"], target, "auto", grade=False)
    assert found.method == "grad-cam" and found.grade is None and "not graded" in found.how


def test_a_network_without_a_map_is_explained_without_one() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))
    assert candidates(open_subject(flat, image_size=16), Settings()) == ["occlusion", "integrated"]


# Real photographs.


def seen(subject: Subject, data: Path, *names: str) -> list[np.ndarray]:
    return [read_square(decode.picture_bytes(data / "photos" / f"{name}.jpg"), subject.geometry)[0] for name in names]


def pass_(found: Iterable[Explanation]) -> list[bool]:
    return [one.grade is not None and one.grade.passed for one in found]


def test_trained_maps_pass_and_others_do_not(data: Path, mobilenet: Path) -> None:
    subject = open_subject("mobilenet_v2", weights=str(mobilenet))
    names = ("0120_fiddler_crab", "0000_tench")
    squares = seen(subject, data, *names)
    targets, grader = targets_of(subject, squares), Grader(subject)
    trials = [grader.trial(square, target) for square, target in zip(squares, targets, strict=True)]
    cams = list(explained(subject, squares, names, targets, "grad-cam"))
    assert pass_(grader.grades(cams, targets, trials)) == [True, True]
    swapped = [replace(one, map=other.map) for one, other in zip(cams, cams[::-1], strict=True)]
    assert pass_(grader.grades(swapped, targets, trials)) == [False, False]
    patterns = list(explained(subject, squares, names, targets, "deconvnet"))
    assert pass_(grader.grades(patterns, targets, trials)) == [False, False]


def test_random_weights_do_not_pass(data: Path) -> None:
    subject = open_subject("squeezenet1_0", weights="none", image_size=96)
    names = ("0120_fiddler_crab", "0000_tench")
    squares = seen(subject, data, *names)
    for method in ("grad-cam", "saliency"):
        assert pass_(believed(Grader(subject), squares, names, targets_of(subject, squares), method)) == [False, False]


def test_auto_refuses_what_none_of_its_methods_takes() -> None:
    flat = open_subject(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4)), image_size=16)
    square = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(UsageError, match="no method that auto tries"):
        list(believed(Grader(flat, Settings(layer="0")), [square], ["a.png"], targets_of(flat, [square]), "auto"))
