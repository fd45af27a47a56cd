"""The ladder's arithmetic: who is better by how much, which pictures form a fold, what fits into the time left."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from lensmith.errors import UsageError
from lensmith.training.ladder import affordable, folds, probability
from lensmith.training.request import Request, seconds


def test_a_tie_is_no_win() -> None:
    same = np.array([1.0, 0.0, 1.0, 1.0])
    assert probability(same, same, 0, "same") == 0.0


def test_one_picture_more_is_better_in_as_many_samples_as_draw_it() -> None:
    """With one picture won of n, a sample is better when it holds that picture: 1 - (1 - 1/n)^n."""
    one, other = np.zeros(50), np.zeros(50)
    other[7] = 1.0
    assert probability(one, other, 0, "one") == pytest.approx(1 - (1 - 1 / 50) ** 50, abs=0.03)


def test_probability_is_that_of_the_paired_difference() -> None:
    """Against the normal distribution: 60 won and 40 lost of 400 differ by 20 with a deviation of sqrt(99)."""
    one, other = np.zeros(400), np.zeros(400)
    other[:60], one[60:100] = 1.0, 1.0
    expected = NormalDist().cdf((20 - 0.5) / np.sqrt(100 - 20**2 / 400))
    assert probability(one, other, 3, "normal") == pytest.approx(expected, abs=0.02)


def test_probability_sees_pairs_not_means() -> None:
    """The same gain counts for more where the two agree on the other pictures."""
    random = np.random.default_rng(0)
    one = random.random(200)
    paired = one + 0.01
    shuffled = random.permutation(one) + 0.01
    assert probability(one, paired, 0, "paired") == 1.0
    assert probability(one, shuffled, 0, "shuffled") < 0.95


def test_folds_share_every_class_and_leave_no_picture_out() -> None:
    strata = np.repeat([0, 1, 2], [40, 21, 5])
    sha256 = [f"{number:03}" for number in range(66)]
    positions = np.arange(66)
    parts = list(folds(positions, strata, sha256, seed=0))
    assert np.array_equal(np.sort(np.concatenate([fold for _, fold in parts])), positions)
    for rest, fold in parts:
        assert not set(rest) & set(fold) and len(rest) + len(fold) == 66
        counts = np.bincount(strata[fold], minlength=3)
        assert counts[0] == 10 and 5 <= counts[1] <= 6 and 1 <= counts[2] <= 2


def test_copies_stay_in_one_fold_even_across_strata() -> None:
    strata = np.arange(40) % 2
    sha256 = [f"{number // 2:02}" for number in range(40)]
    for rest, fold in folds(np.arange(40), strata, sha256, seed=1):
        assert not {sha256[index] for index in rest} & {sha256[index] for index in fold}


def test_folds_of_a_part_name_positions_of_the_whole() -> None:
    positions = np.array([3, 5, 8, 11, 20, 21, 22, 23])
    for rest, fold in folds(positions, np.zeros(30, int), [str(n) for n in range(30)], seed=0):
        assert set(rest) | set(fold) == set(positions)


@pytest.mark.parametrize(
    ("epochs", "each", "left", "overhead", "fits", "takes"),
    [
        (10, 5.0, 100.0, 6.0, 10, 56.0),  # all
        (10, 5.0, 36.0, 6.0, 6, 36.0),  # six of them
        (10, 5.0, 15.0, 6.0, 0, 56.0),  # one would say nothing
        (1, 5.0, 11.5, 6.0, 1, 11.0),  # one was asked for
        (10, 5.0, -3.0, 6.0, 0, 56.0),  # the time is over
    ],
)
def test_what_fits(epochs: int, each: float, left: float, overhead: float, fits: int, takes: float) -> None:
    assert affordable(epochs, each, left, overhead) == (fits, pytest.approx(takes))


@pytest.mark.parametrize(("text", "found"), [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("2h", 7200)])
def test_budgets_as_people_write_them(text: str, found: float) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["", "0", "0m", "ten", "-5m", "5 weeks", "m"])
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="Try 10m"):
        seconds(text)


def test_a_budget_belongs_to_recipe_auto() -> None:
    with pytest.raises(UsageError, match="belongs to recipe auto"):
        Request("photos", recipe="finetune", budget="5m")
