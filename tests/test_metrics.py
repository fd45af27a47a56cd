"""Metrics and their intervals, each against scikit-learn, scipy, a hand number or a simulation."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats
from sklearn import metrics as oracle

from lensmith.metrics import classification as m
from lensmith.metrics import multilabel as ml
from lensmith.metrics import regression as rg
from lensmith.metrics.intervals import (
    Interval,
    bootstrap_mean,
    delong,
    median_interval,
    newcombe,
    placements,
    resampled,
    wilson,
    wilson_share,
    z_score,
)
from lensmith.reproduce import generator


def drawn(n: int, k: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return targets and probabilities of a network that is better than chance, (n,) and (n, k)."""
    random = np.random.default_rng(seed)
    targets = random.integers(k, size=n)
    scores = random.normal(size=(n, k))
    scores[np.arange(n), targets] += 1.5
    powers = np.exp(scores)
    return targets, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def confusion_of(targets: NDArray[np.int64], probabilities: NDArray[np.float32]) -> m.Counts:
    """Return the confusion matrix of the likeliest class."""
    return m.confusion_matrix(targets, probabilities.argmax(axis=1), probabilities.shape[1])


# Against scikit-learn.


@pytest.mark.parametrize(("n", "k"), [(1, 2), (7, 3), (153, 2), (400, 10)])
def test_values_agree_with_scikit_learn(n: int, k: int) -> None:
    targets, p = drawn(n, k, seed=n)
    predicted, confusion = p.argmax(axis=1), confusion_of(targets, p)
    occurring = np.unique(targets)
    np.testing.assert_array_equal(confusion, oracle.confusion_matrix(targets, predicted, labels=range(k)))
    assert m.accuracy(confusion).value == pytest.approx(oracle.accuracy_score(targets, predicted))
    recall = oracle.recall_score(targets, predicted, labels=occurring, average="macro", zero_division=0)
    assert m.balanced_accuracy(confusion).value == pytest.approx(recall)
    f1 = oracle.f1_score(targets, predicted, labels=occurring, average="macro", zero_division=0)
    assert m.macro_f1(confusion).value == pytest.approx(f1)
    exact = p / p.sum(axis=1, keepdims=True, dtype=np.float64)  # scikit-learn warns of float32's last digit
    loss = oracle.log_loss(targets, exact, labels=range(k))
    assert m.log_loss(targets, p).value == pytest.approx(loss, rel=1e-5)


def test_balanced_accuracy_and_macro_f1_agree_with_scikit_learn_as_they_come() -> None:
    targets, p = drawn(300, 5)
    confusion, predicted = confusion_of(targets, p), p.argmax(axis=1)
    assert m.balanced_accuracy(confusion).value == pytest.approx(oracle.balanced_accuracy_score(targets, predicted))
    assert m.macro_f1(confusion).value == pytest.approx(oracle.f1_score(targets, predicted, average="macro"))


def test_per_class_agrees_with_scikit_learn() -> None:
    targets, p = drawn(200, 4)
    names = ["a", "b", "c", "d"]
    table = m.per_class(confusion_of(targets, p), names)
    columns = oracle.precision_recall_fscore_support(targets, p.argmax(axis=1))
    for index, name in enumerate(names):
        for key, column in zip(("precision", "recall", "f1"), columns, strict=False):
            assert table[name][key]["value"] == pytest.approx(column[index])
        assert table[name]["n"] == columns[3][index] == table[name]["recall"]["n"]
        assert table[name]["predicted"] == (p.argmax(axis=1) == index).sum() == table[name]["precision"]["n"]


def test_top5_agrees_with_scikit_learn() -> None:
    targets, p = drawn(500, 12)
    expected = oracle.top_k_accuracy_score(targets, p, k=5, labels=range(12))
    assert m.top5(targets, p).value == pytest.approx(expected)


def test_top5_gives_ties_to_the_class_listed_first() -> None:
    even = np.full((1, 8), 1 / 8, np.float32)
    assert [m.top5(np.array([target]), even).value for target in range(8)] == [1, 1, 1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("levels", [1000, 4, 1])
def test_auc_agrees_with_scikit_learn_with_and_without_ties(levels: int) -> None:
    targets, p = drawn(200, 2)
    tied = (np.round(p[:, 1] * levels) / levels).astype(np.float32)
    assert m.auc(targets, tied).value == pytest.approx(oracle.roc_auc_score(targets, tied))


# By hand.


def test_with_a_one_hot_target_divergence_and_cross_entropy_are_minus_log_p() -> None:
    targets, p = drawn(20, 3)
    divergence = [stats.entropy(np.eye(3)[target], row) for target, row in zip(targets, p, strict=True)]
    losses = m.cross_entropy(targets, p)
    np.testing.assert_allclose(losses, divergence, rtol=1e-6)
    np.testing.assert_allclose(losses, [-math.log(row[t]) for t, row in zip(targets, p, strict=True)])


def test_log_loss_of_a_sure_mistake_is_bounded_and_of_a_blind_guess_is_log_k() -> None:
    sure = np.array([[0.0, 1.0]], np.float32)
    assert m.log_loss(np.array([0]), sure).value == pytest.approx(23 * math.log(2))
    assert m.log_loss(np.arange(4), np.full((4, 4), 0.25, np.float32)).value == pytest.approx(math.log(4))


def test_f1_by_hand() -> None:
    # 70 ants of which 66 are found, 69 called ants: 132 / 139.
    found = m.f1_score(66, 70, 69)
    assert (found.value, found.n) == (pytest.approx(132 / 139), 73)
    share = wilson(66, 73)
    assert (found.low, found.high) == (
        pytest.approx(2 * share.low / (1 + share.low)),
        pytest.approx(2 * share.high / (1 + share.high)),
    )


def test_calibration_error_by_hand() -> None:
    # Two pictures at 0.9, one right: a gap of 0.4. Two at 0.6, both right: also 0.4. One at 0.7, wrong: 0.7.
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.3, 0.7]], np.float32)
    targets = np.array([0, 1, 0, 0, 0])
    assert m.calibration_error(targets, p).value == pytest.approx((2 * 0.4 + 2 * 0.4 + 0.7) / 5)
    bins = m.calibration_bins(targets, p)
    assert [row["n"] for row in bins] == [0, 0, 0, 0, 0, 2, 1, 0, 2, 0]
    assert bins[8] == {
        "low": 0.8,
        "high": 0.9,
        "n": 2,
        "confidence": pytest.approx(0.9),
        "accuracy": pytest.approx(0.5),
    }
    assert bins[0]["confidence"] is None and bins[0]["accuracy"] is None


def test_a_bin_owns_its_upper_edge() -> None:
    edges = np.arange(1, 11, dtype=np.float32) / np.float32(10)
    np.testing.assert_array_equal(m.bin_of(edges.astype(np.float64)), np.arange(10))
    just_above = np.nextafter(edges[:-1], np.float32(1))
    np.testing.assert_array_equal(m.bin_of(just_above.astype(np.float64)), np.arange(1, 10))


def test_baseline_is_the_share_of_the_commonest_class() -> None:
    assert m.baseline_accuracy(np.array([[66, 4], [3, 80]])) == 83 / 153


# Wilson.


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (146, 153), (49_999, 50_000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_agrees_with_scipy(successes: int, n: int, confidence: float) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    interval = wilson(successes, n, confidence)
    assert (interval.low, interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert interval.value == successes / n and interval.n == n


def test_wilson_is_exact_at_its_edges_and_undefined_without_a_trial() -> None:
    assert wilson(0, 7).low == 0.0 and wilson(7, 7).high == 1.0
    assert wilson(0, 0).as_dict() == {"value": None, "low": None, "high": None, "n": 0}
    with pytest.raises(ValueError, match="between 0 and n = 3"):
        wilson(4, 3)


def test_z_is_the_normal_deviate() -> None:
    assert z_score(0.95) == pytest.approx(stats.norm.ppf(0.975), rel=1e-14)
    with pytest.raises(ValueError, match="between 0 and 1"):
        z_score(95)


# The bootstrap.


def test_bootstrap_follows_from_seed_and_name_alone() -> None:
    losses = np.random.default_rng(0).exponential(size=40)
    assert bootstrap_mean(losses, 0, "a") == bootstrap_mean(losses, 0, "a")
    assert bootstrap_mean(losses, 0, "a") != bootstrap_mean(losses, 1, "a")
    assert bootstrap_mean(losses, 0, "a") != bootstrap_mean(losses, 0, "b")


def test_bootstrap_of_a_mean_agrees_with_scipy() -> None:
    losses = np.random.default_rng(0).exponential(size=60)
    expected = stats.bootstrap(
        (losses,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    found = bootstrap_mean(losses, 0, "losses", resamples=4000)
    assert found.low == pytest.approx(expected.low, abs=0.02)
    assert found.high == pytest.approx(expected.high, abs=0.02)


def test_bootstrap_draws_in_blocks_without_losing_one() -> None:
    sizes: list[int] = []

    def count(picks: NDArray[np.int32]) -> NDArray[np.float64]:
        sizes.append(len(picks))
        return picks.mean(axis=1)

    n = 300_000
    means = resampled(count, n, seed=0, name="blocks", resamples=10)
    assert sizes == [3, 3, 3, 1]
    np.testing.assert_allclose(means, n / 2, rtol=0.01)
    assert len(np.unique(means)) == 10


def test_a_mean_of_nothing_and_of_one_picture() -> None:
    assert bootstrap_mean(np.empty(0), 0, "x").as_dict() == {"value": None, "low": None, "high": None, "n": 0}
    assert bootstrap_mean(np.array([2.0]), 0, "x").as_dict() == {
        "value": 2.0,
        "low": None,
        "high": None,
        "n": 1,
    }


# The area under the ROC curve.


def test_delong_variance_agrees_with_its_definition_over_all_pairs() -> None:
    random = np.random.default_rng(3)
    positives, negatives = np.round(random.normal(1, 1, 40), 1), np.round(random.normal(0, 1, 30), 1)
    wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    variance = wins.mean(axis=1).var(ddof=1) / 40 + wins.mean(axis=0).var(ddof=1) / 30
    area = wins.mean()
    reach = stats.norm.ppf(0.975) * math.sqrt(variance) / (area * (1 - area))
    found = delong(positives, negatives)
    assert found.value == pytest.approx(area)
    assert found.low == pytest.approx(1 / (1 + math.exp(reach - math.log(area / (1 - area)))))
    assert found.high == pytest.approx(1 / (1 + math.exp(-reach - math.log(area / (1 - area)))))
    np.testing.assert_allclose(placements(positives, negatives), wins.mean(axis=1))


def test_delong_agrees_with_a_bootstrap() -> None:
    random = np.random.default_rng(5)
    positives, negatives = random.normal(1.2, 1, 150), random.normal(0, 1, 200)
    areas = [placements(random.choice(positives, 150), random.choice(negatives, 200)).mean() for _ in range(1500)]
    found = delong(positives, negatives)
    assert (found.low, found.high) == (
        pytest.approx(np.quantile(areas, 0.025), abs=0.008),
        pytest.approx(np.quantile(areas, 0.975), abs=0.008),
    )


@pytest.mark.parametrize(("positives", "negatives"), [(1, 1), (1, 30), (70, 83)])
def test_a_perfect_ranking_keeps_a_width(positives: int, negatives: int) -> None:
    best = delong(np.ones(positives), np.zeros(negatives))
    worst = delong(np.zeros(positives), np.ones(negatives))
    assert best.value == best.high == 1 and 0 < best.low < 1
    assert worst.value == worst.low == 0 and 0 < worst.high < 1
    assert worst.high == pytest.approx(1 - best.low)


def test_newcombe_of_one_pair_is_wilson_of_one_trial() -> None:
    assert newcombe(1.0, 1, 1).low == pytest.approx(wilson(1, 1).low)


def test_auc_of_a_constant_answer_is_half_and_far_from_sure() -> None:
    constant = m.auc(np.repeat([0, 1], 20), np.full(40, 0.3, np.float32))
    assert constant.value == 0.5 and constant.low < 0.4 and constant.high > 0.6


def test_auc_without_one_class_is_undefined() -> None:
    alone = m.auc(np.ones(5, np.int64), np.full(5, 0.7, np.float32))
    assert alone.as_dict() == {"value": None, "low": None, "high": None, "n": 5}


# How often the intervals hold the truth, in small simulations with fixed seeds.


def coverage(truth: float, draw: Callable[[np.random.Generator], Interval], times: int) -> float:
    """Return the share of intervals that hold the truth."""
    held = 0
    for index in range(times):
        interval = draw(generator(0, "coverage", index))
        held += interval.low <= truth <= interval.high
    return held / times


def truths(table: NDArray[np.float64]) -> tuple[float, float]:
    """Return balanced accuracy and macro F1 of cell probabilities (k, k)."""
    right, true, answered = np.diagonal(table), table.sum(axis=1), table.sum(axis=0)
    return float((right / true).mean()), float((2 * right / (true + answered)).mean())


def cells(prior: list[float], recall: list[float]) -> NDArray[np.float64]:
    """Return cell probabilities of classes with these shares and recalls; mistakes go to the next class."""
    k = len(prior)
    table = np.diag(recall) + np.roll(np.eye(k), 1, axis=1) * (1 - np.array(recall))[:, None]
    return table * np.array(prior)[:, None]


CASES = {
    "two even classes": (cells([0.46, 0.54], [0.96, 0.93]), 153),
    "two classes, nearly perfect": (cells([0.46, 0.54], [0.995, 0.995]), 153),
    "thirty pictures": (cells([0.5, 0.5], [0.9, 0.9]), 30),
    "five uneven classes": (cells([0.54, 0.27, 0.11, 0.05, 0.03], [0.95, 0.9, 0.85, 0.8, 0.7]), 185),
    "ten classes of eight": (cells([0.1] * 10, [0.97] * 10), 80),
    "fifty classes of twenty": (cells([0.02] * 50, list(np.linspace(0.6, 0.999, 50))), 1000),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("which", [0, 1], ids=["balanced_accuracy", "macro_f1"])
def test_means_over_classes_are_covered(case: str, which: int) -> None:
    table, n = CASES[case]
    metric = (m.balanced_accuracy, m.macro_f1)[which]

    def draw(random: np.random.Generator) -> Interval:
        return metric(random.multinomial(n, table.ravel()).reshape(table.shape))

    assert coverage(truths(table)[which], draw, 1000) >= 0.92


@pytest.mark.parametrize("which", [0, 1], ids=["balanced_accuracy", "macro_f1"])
def test_means_over_classes_are_as_wide_as_their_spread(which: int) -> None:
    """On many pictures the interval is the normal one: 2 x 1.96 standard deviations over repeated splits."""
    table, metric = cells([0.5, 0.3, 0.2], [0.9, 0.7, 0.8]), (m.balanced_accuracy, m.macro_f1)[which]
    random = np.random.default_rng(0)
    found = [metric(random.multinomial(5000, table.ravel()).reshape(3, 3)) for _ in range(2000)]
    spread = np.std([interval.value for interval in found])
    assert found[0].high - found[0].low == pytest.approx(2 * 1.96 * spread, rel=0.06)


def test_why_means_over_classes_are_not_bootstrapped() -> None:
    """Resampled cells hold no mistake where the split has none: it misses the truth every other time."""
    table, n = CASES["two classes, nearly perfect"]

    def draw(random: np.random.Generator) -> Interval:
        counts = random.multinomial(n, table.ravel())
        again = random.multinomial(n, counts / n, size=200).reshape(-1, 2, 2)
        recalls = np.diagonal(again, axis1=1, axis2=2) / again.sum(axis=2)
        low, high = np.quantile(recalls.mean(axis=1), [0.025, 0.975])
        return Interval(0.0, float(low), float(high), n)

    assert coverage(truths(table)[0], draw, 300) < 0.65


@pytest.mark.parametrize(("right", "n"), [(0.98, 40), (0.7, 40)])
def test_f1_of_one_class_is_covered(right: float, n: int) -> None:
    table = cells([0.5, 0.5], [right, right])
    truth = 2 * table[0, 0] / (table[0].sum() + table[:, 0].sum())

    def draw(random: np.random.Generator) -> Interval:
        found = random.multinomial(n, table.ravel()).reshape(2, 2)
        return m.f1_score(int(found[0, 0]), int(found[0].sum()), int(found[:, 0].sum()))

    assert coverage(float(truth), draw, 500) >= 0.92


@pytest.mark.parametrize(
    ("positives", "negatives", "area"), [(70, 83, 0.9), (70, 83, 0.99), (5, 145, 0.9), (15, 145, 0.97)]
)
def test_the_area_is_covered(positives: int, negatives: int, area: float) -> None:
    apart = stats.norm.ppf(area) * math.sqrt(2)

    def draw(random: np.random.Generator) -> Interval:
        return delong(random.normal(apart, 1, positives), random.normal(0, 1, negatives))

    assert coverage(area, draw, 2000) >= 0.92


@pytest.mark.parametrize("over", [0.0, 0.08], ids=["calibrated", "overconfident"])
def test_calibration_error_is_covered(over: float) -> None:
    """The truth is `over` in every bin; a percentile interval never reaches down to 0."""

    def draw(random: np.random.Generator) -> Interval:
        confidence = (0.5 + 0.5 * random.random(150)).astype(np.float32)
        wrong = (random.random(150) > confidence - over).astype(np.int64)
        return m.calibration_error(wrong, np.stack([confidence, 1 - confidence], axis=1))

    assert coverage(over, draw, 200) >= 0.92


def test_log_loss_is_covered() -> None:
    """Gamma-distributed losses, whose mean is known."""

    def draw(random: np.random.Generator) -> Interval:
        return bootstrap_mean(random.gamma(2.0, 0.25, 153), 0, "log_loss", resamples=300)

    assert coverage(0.5, draw, 300) >= 0.91


# Edges.


def test_perfect_and_hopeless_means_over_classes() -> None:
    best, worst = np.diag([70, 83]), np.fliplr(np.diag([70, 83]))
    for metric in (m.accuracy, m.balanced_accuracy, m.macro_f1):
        high, low = metric(best), metric(worst)
        assert high.value == high.high == 1 and 0.96 < high.low < 0.98
        assert low.value == low.low == 0 and 0.02 < low.high < 0.04


def test_perfect_is_exactly_one_at_every_size() -> None:
    for n in range(1, 200):
        for metric in (m.balanced_accuracy, m.macro_f1):
            assert metric(np.diag([n, 2 * n + 1, 7])).value == 1.0


def test_a_rare_perfect_class_leaves_the_mean_unsure() -> None:
    assert m.balanced_accuracy(np.diag([150, 3])).low < 0.7 < m.accuracy(np.diag([150, 3])).low


def test_a_class_that_does_not_occur_is_left_out() -> None:
    confusion = np.array([[8, 2, 0], [1, 8, 1], [0, 0, 0]])
    assert m.balanced_accuracy(confusion).value == pytest.approx(0.8)
    assert m.macro_f1(confusion).value == pytest.approx((16 / 19 + 16 / 20) / 2)
    absent = m.per_class(confusion, ["a", "b", "c"])["c"]
    assert (absent["n"], absent["predicted"]) == (0, 1)
    assert absent["precision"]["value"] == 0.0
    assert absent["recall"]["value"] is None and absent["f1"]["value"] is None


def test_a_class_never_answered_has_no_precision() -> None:
    quiet = m.per_class(np.array([[5, 0], [5, 0]]), ["a", "b"])["b"]
    assert quiet["precision"]["value"] is None
    assert quiet["recall"]["value"] == quiet["f1"]["value"] == 0.0


def test_an_only_class_is_a_plain_share() -> None:
    only = m.balanced_accuracy(np.array([[18, 2], [0, 0]]))
    assert only == wilson(18, 20)


def test_an_empty_split_is_undefined_throughout() -> None:
    nothing, no_rows = np.zeros((2, 2), np.int64), np.zeros((0, 2), np.float32)
    for metric in (m.accuracy, m.balanced_accuracy, m.macro_f1):
        assert metric(nothing).as_dict() == {"value": None, "low": None, "high": None, "n": 0}
    for metric in (m.log_loss, m.calibration_error):
        assert metric(np.zeros(0, np.int64), no_rows).as_dict()["value"] is None
    assert math.isnan(m.baseline_accuracy(nothing))


def test_targets_and_predictions_must_be_equally_many() -> None:
    with pytest.raises(ValueError, match="3 targets and 2 predictions"):
        m.confusion_matrix(np.zeros(3, np.int64), np.zeros(2, np.int64), 2)


def test_calibration_of_sure_and_right_answers_stays_unsure() -> None:
    sure = np.tile(np.array([[0.999, 0.001]], np.float32), (30, 1))
    found = m.calibration_error(np.zeros(30, np.int64), sure)
    assert found.value == pytest.approx(0.001, abs=1e-6)
    assert found.low == 0 and found.high > 0.1


def test_calibration_of_modest_and_right_answers_stays_unsure() -> None:
    # All 153 right at 0.9: the share right may be as low as 0.9755, the gap as small as 0.0755.
    modest = np.tile(np.array([[0.9, 0.1]], np.float32), (153, 1))
    assert m.calibration_error(np.zeros(153, np.int64), modest).low == pytest.approx(0.0755, abs=1e-4)


def test_an_interval_is_plain_json() -> None:
    interval = wilson_share(np.float64(0.5), 10.0, 10)
    assert json.loads(json.dumps(interval.as_dict(), allow_nan=False)) == interval.as_dict()


def test_fifty_thousand_pictures_of_a_thousand_classes_fit_in_memory() -> None:
    random = np.random.default_rng(0)
    p = random.random((50_000, 1000), dtype=np.float32)
    p /= p.sum(axis=1, keepdims=True)
    targets = random.integers(1000, size=50_000)
    tracemalloc.start()
    confusion = confusion_of(targets, p)
    found = [m.balanced_accuracy(confusion), m.macro_f1(confusion), m.top5(targets, p)]
    found += [m.log_loss(targets, p), m.calibration_error(targets, p)]
    m.per_class(confusion, [str(index) for index in range(1000)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert all(interval.low <= interval.value <= interval.high for interval in found)
    assert found[2].low < 0.005 < found[2].high


# Labels: any number of them for a picture.


def labelled(
    n: int, shares: list[float], apart: float = 1.5, seed: int = 0, levels: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return targets and probabilities (n, k) of a network that knows labels of these shares; `levels` makes ties."""
    random = np.random.default_rng(seed)
    targets = (random.random((n, len(shares))) < shares).astype(np.uint8)
    p = 1 / (1 + np.exp(-random.normal(apart * (targets - 0.5), 1)))
    return targets, (np.round(p * levels) / levels if levels else p).astype(np.float32)


@pytest.mark.parametrize(("n", "levels"), [(7, 0), (200, 0), (200, 5), (200, 1)])
def test_average_precision_agrees_with_scikit_learn_with_and_without_ties(n: int, levels: int) -> None:
    targets, p = labelled(n, [0.5, 0.3, 0.1], seed=n, levels=levels)
    targets[0] = 1
    expected = [oracle.average_precision_score(targets[:, j], p[:, j]) for j in range(3)]
    assert [ml.average_precision(targets[:, j], p[:, j])[0] for j in range(3)] == pytest.approx(expected)
    mean, each = ml.mean_average_precision(targets, p)
    assert mean.value == pytest.approx(oracle.average_precision_score(targets, p, average="macro"))
    assert [one.value for one in each] == pytest.approx(expected)


def test_average_precision_by_hand() -> None:
    # Ranked 1 0 1: precisions 1 and 2/3 at the two positives.
    value, pulls = ml.average_precision(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7]))
    assert value == pytest.approx((1 + 2 / 3) / 2)
    assert pulls.sum() == pytest.approx(0)


@pytest.mark.parametrize("levels", [0, 4])
def test_a_pull_is_the_derivative_by_the_weight_of_a_picture(levels: int) -> None:
    targets, p = labelled(12, [0.4], seed=3, levels=levels)
    true, step = targets[:, 0], 1e-5
    _, pulls = ml.average_precision(true, p[:, 0])
    for picture in range(12):
        ends = [
            oracle.average_precision_score(true, p[:, 0], sample_weight=1 + move * (np.arange(12) == picture))
            for move in (-step, step)
        ]
        assert pulls[picture] == pytest.approx((ends[1] - ends[0]) / (2 * step), abs=1e-7)


def test_f1_and_exact_match_agree_with_scikit_learn() -> None:
    targets, p = labelled(300, [0.5, 0.3, 0.1, 0.05])
    answered = (p >= 0.5).astype(np.uint8)
    for metric, average in ((ml.macro_f1, "macro"), (ml.micro_f1, "micro")):
        assert metric(targets, answered).value == pytest.approx(oracle.f1_score(targets, answered, average=average))
    assert ml.exact_match(targets, answered).value == oracle.accuracy_score(targets, answered)
    names = list("abcd")
    table = ml.per_label(targets, answered, ml.mean_average_precision(targets, p)[1], [0.5] * 4, names)
    columns = oracle.precision_recall_fscore_support(targets, answered)
    for index, name in enumerate(names):
        for key, column in zip(("precision", "recall", "f1"), columns, strict=False):
            assert table[name][key]["value"] == pytest.approx(column[index])
        assert (table[name]["n"], table[name]["predicted"]) == (targets[:, index].sum(), answered[:, index].sum())


def test_log_loss_of_labels_agrees_with_scikit_learn() -> None:
    targets, p = labelled(50, [0.5, 0.2, 0.1])
    expected = oracle.log_loss(targets.ravel(), p.ravel().astype(np.float64))
    assert ml.cross_entropy(targets, p).mean() == pytest.approx(expected)
    assert ml.cross_entropy(np.array([[1, 0]]), np.array([[0.0, 0.0]]))[0] == pytest.approx(23 * math.log(2) / 2)


@pytest.mark.parametrize("which", ["map", "macro_f1", "micro_f1"])
def test_intervals_over_labels_agree_with_a_bootstrap_on_many_pictures(which: str) -> None:
    targets, p = labelled(1200, [0.5, 0.3, 0.2])

    def metric(rows: NDArray[np.int64]) -> Interval:
        true, said = targets[rows], (p[rows] >= 0.5).astype(np.uint8)
        if which == "map":
            return ml.mean_average_precision(true, p[rows])[0]
        return (ml.macro_f1 if which == "macro_f1" else ml.micro_f1)(true, said)

    random = np.random.default_rng(0)
    values = [metric(random.integers(1200, size=1200)).value for _ in range(500)]
    found = metric(np.arange(1200))
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.std(values), rel=0.1)


@pytest.mark.parametrize(
    ("n", "shares", "apart", "least"),
    [
        (60, [0.5, 0.3, 0.2, 0.1, 0.1], 1.5, 0.92),
        (150, [0.03], 2.0, 0.92),
        (150, [0.3] * 5, 5.0, 0.92),
        (100, [0.2] * 5, 0.0, 0.82),
    ],
    ids=["five labels", "a rare label", "nearly perfect", "guessing"],
)
def test_mean_average_precision_is_covered(n: int, shares: list[float], apart: float, least: float) -> None:
    truth = ml.mean_average_precision(*labelled(100_000, shares, apart))[0].value
    times = {"held": 0, "all": 0}
    for seed in range(1, 301):
        targets, p = labelled(n, shares, apart, seed)
        if targets.any():
            found = ml.mean_average_precision(targets, p)[0]
            times["held"] += found.low <= truth <= found.high
            times["all"] += 1
    assert times["held"] / times["all"] >= least


def test_a_label_that_does_not_occur_is_left_out() -> None:
    targets = np.array([[1, 0], [0, 0], [1, 0]], np.uint8)
    p = np.array([[0.9, 0.8], [0.2, 0.7], [0.6, 0.1]], np.float32)
    answered = (p >= 0.5).astype(np.uint8)
    mean, each = ml.mean_average_precision(targets, p)
    assert mean.value == 1.0 and each[1].as_dict() == {"value": None, "low": None, "high": None, "n": 3}
    assert ml.macro_f1(targets, answered).value == 1.0
    assert ml.micro_f1(targets, answered).value == 2 / 3  # two answers of a label that nothing has
    assert ml.baseline_map(targets) == 2 / 3
    row = ml.per_label(targets, answered, each, [0.5, 0.5], ["a", "b"])["b"]
    assert row["precision"]["value"] == 0.0 and row["recall"]["value"] is None and row["f1"]["value"] is None


def test_no_label_at_all_is_undefined() -> None:
    nothing, p = np.zeros((4, 2), np.uint8), np.full((4, 2), 0.2, np.float32)
    assert ml.mean_average_precision(nothing, p)[0].as_dict()["value"] is None
    for metric in (ml.macro_f1, ml.micro_f1):
        assert metric(nothing, nothing).as_dict() == {"value": None, "low": None, "high": None, "n": 4}
    assert math.isnan(ml.baseline_map(nothing))
    assert ml.exact_match(nothing, nothing).value == 1.0


def test_perfect_labels_leave_room_for_errors() -> None:
    targets = np.eye(3, dtype=np.uint8)[np.arange(60) % 3]
    for found in (
        ml.mean_average_precision(targets, targets.astype(np.float32))[0],
        ml.macro_f1(targets, targets),
        ml.micro_f1(targets, targets),
    ):
        assert found.value == found.high == 1.0 and 0.9 < found.low < 0.99


def test_the_threshold_of_a_label_has_the_greatest_f1_of_all() -> None:
    for seed in range(6):
        targets, p = labelled(60, [0.2], seed=seed, levels=100)
        true, shares = targets[:, 0], p[:, 0].astype(np.float64)
        grid = np.arange(5, 1000, 10) / 1000  # between the hundredths
        f1 = np.array([oracle.f1_score(true, shares >= t, zero_division=0) for t in grid])
        threshold = ml.best_threshold(true, p[:, 0])
        assert oracle.f1_score(true, shares >= threshold) == pytest.approx(f1.max())
        assert abs(threshold - 0.5) <= np.abs(grid[f1 == f1.max()] - 0.5).min() + 0.05


def test_of_equal_thresholds_the_one_nearest_half_is_taken() -> None:
    # From 0.2 up: two of two. The cut is in the middle of 0.1 and 0.2 and nowhere else.
    assert ml.best_threshold(np.array([1, 1, 0]), np.array([0.3, 0.2, 0.1])) == pytest.approx(0.15)
    # 0.5 parts them as well as 0.4 would.
    assert ml.best_threshold(np.array([1, 1, 0]), np.array([0.7, 0.6, 0.2])) == 0.5
    # F1 is 2/3 from 0.9 up and from 0.2 up: 0.85 is nearer to 0.5 than 0.1.
    assert ml.best_threshold(np.array([1, 0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.2, 0.0])) == pytest.approx(0.85)


def test_without_a_positive_or_any_knowledge_the_threshold_of_a_label_is_half() -> None:
    assert ml.best_threshold(np.zeros(3, np.uint8), np.array([0.1, 0.2, 0.9])) == 0.5
    assert ml.best_threshold(np.zeros(0, np.uint8), np.zeros(0)) == 0.5
    assert ml.best_threshold(np.array([1, 0, 0, 0]), np.full(4, 0.2)) == 0.5
    # The wrong way round: answering it always would have the greatest F1.
    assert ml.best_threshold(np.array([0, 0, 1, 1]), np.array([0.4, 0.3, 0.2, 0.1])) == 0.5


# Numbers.


@pytest.mark.parametrize("n", [2, 9, 200])
def test_numbers_agree_with_scikit_learn(n: int) -> None:
    random = np.random.default_rng(n)
    true = random.normal(40, 12, n).astype(np.float32)
    said = (true + random.normal(0, 5, n)).astype(np.float32)
    assert rg.mae(true, said).value == pytest.approx(oracle.mean_absolute_error(true, said), rel=1e-6)
    assert rg.mse(true, said).value == pytest.approx(oracle.mean_squared_error(true, said), rel=1e-6)
    root = oracle.root_mean_squared_error(true, said)
    assert rg.rmse(rg.mse(true, said)).value == pytest.approx(root, rel=1e-6)
    assert rg.r2(true, said).value == pytest.approx(oracle.r2_score(true, said), rel=1e-6)
    assert rg.median_error(true, said).value == pytest.approx(oracle.median_absolute_error(true, said), rel=1e-6)


def test_numbers_by_hand() -> None:
    true, said = np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 3.0])
    assert rg.mae(true, said).value == pytest.approx(4 / 3)
    assert rg.mse(true, said).value == pytest.approx(10 / 3)
    assert rg.r2(true, said).value == pytest.approx(1 - 10 / 14)
    assert rg.median_error(true, said).value == 1.0
    assert rg.baseline_mae(true) == pytest.approx(5 / 3)  # always 2: off by 1, 0, 4
    np.testing.assert_allclose(rg.huber(true, said), [0.5, 0.0, 2.5])
    np.testing.assert_allclose(rg.huber(true, said, delta=2.0), [0.5, 0.0, 4.0])


def test_huber_agrees_with_scipy() -> None:
    random = np.random.default_rng(0)
    true, said = random.normal(size=50), random.normal(size=50) * 3
    np.testing.assert_allclose(rg.huber(true, said, delta=0.7), special.huber(0.7, said - true))


def test_r2_interval_agrees_with_scipy() -> None:
    random = np.random.default_rng(0)
    true = random.normal(size=80)
    said = true + random.normal(0, 0.5, 80)

    def share(x: NDArray[np.float64], y: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return 1 - ((x - y) ** 2).sum(axis) / ((x - x.mean(axis, keepdims=True)) ** 2).sum(axis)

    expected = stats.bootstrap(
        (true, said), share, paired=True, vectorized=True, n_resamples=4000, method="percentile", rng=random
    ).confidence_interval
    found = rg.r2(true, said)
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=0.02), pytest.approx(expected.high, abs=0.02))
    assert rg.r2(true, said) == found != rg.r2(true, said, seed=1)


def test_constant_and_single_numbers_have_no_r2() -> None:
    for true in (np.full(7, 0.1), np.array([3.0]), np.zeros(0)):
        assert rg.r2(true, true + 1).as_dict() == {"value": None, "low": None, "high": None, "n": len(true)}
    # 0.1 has no exact mean: the spread of seven of them is a rounding and not a number to divide by.
    assert np.full(7, 0.1).var() > 0
    two = rg.r2(np.array([1.0, 2.0]), np.array([1.5, 2.0]))
    assert two.value == 0.5 and math.isnan(two.low) and math.isnan(two.high)


def test_one_number_has_values_and_no_ends() -> None:
    one = rg.rmse(rg.mse(np.array([3.0]), np.array([5.0])))
    assert one.as_dict() == {"value": 2.0, "low": None, "high": None, "n": 1}
    assert rg.baseline_mae(np.array([3.0])) == 0 and math.isnan(rg.baseline_mae(np.zeros(0)))


@pytest.mark.parametrize("n", [0, 1, 5, 6, 9, 40, 153, 5000])
def test_the_ends_of_a_median_are_those_of_the_sign_test(n: int) -> None:
    values = np.random.default_rng(n).permutation(n).astype(np.float64)
    found = median_interval(values)
    k = int(stats.binom.ppf(0.025, n, 0.5)) if n else 0
    if n and stats.binom.cdf(k, n, 0.5) <= 0.025:
        k += 1
    assert found.as_dict() == {
        "value": float(np.median(values)) if n else None,
        "low": k - 1 if k else None,
        "high": n - k if k else None,
        "n": n,
    }


def test_r2_is_covered() -> None:
    """Targets of variance 1 and errors of variance 0.2: the truth is 0.8."""

    def draw(random: np.random.Generator) -> Interval:
        true = random.normal(size=100)
        return rg.r2(true, true + random.normal(0, math.sqrt(0.2), 100))

    assert coverage(0.8, draw, 200) >= 0.91
