"""The classification task: probabilities, answers, scores ready for JSON, and the sentences about them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy import special
from sklearn import metrics as oracle

from lensmith.errors import DataError, RunError
from lensmith.metrics import classification as m
from lensmith.metrics.intervals import percent
from lensmith.tasks.classification import Classification, Confusion
from lensmith.tasks.words import out_of

ANTS_BEES = [[66, 4], [3, 80]]
"""146 of 153 right, 0.954: within the 0.95 to 0.96 that a frozen ResNet-18 reaches on this split."""


def scored(confusion: list[list[int]], names: str = "ants bees") -> tuple[Classification, dict[str, Any]]:
    """Return a task and the scores, read back from JSON, of answers that give this confusion matrix."""
    task = Classification(tuple(names.split()))
    k = len(task.classes)
    cells = [(true, answer) for true in range(k) for answer in range(k) for _ in range(confusion[true][answer])]
    probabilities = np.full((len(cells), k), 0.1 / (k - 1), np.float32)
    probabilities[np.arange(len(cells)), [answer for _, answer in cells]] = 0.9
    scores = task.score(np.array([true for true, _ in cells]), probabilities)
    text = json.dumps(scores, allow_nan=False)
    return task, json.loads(text)


def verdict(confusion: list[list[int]], names: str = "ants bees", split: str = "test") -> str:
    """Return the verdict on a confusion matrix."""
    task, scores = scored(confusion, names)
    return task.verdict(scores, split)


# Probabilities and answers.


def test_probabilities_agree_with_scipy_and_do_not_overflow() -> None:
    logits = np.random.default_rng(0).normal(scale=5, size=(50, 7)).astype(np.float32)
    before = logits.copy()
    task = Classification(tuple("abcdefg"))
    found = task.answers(logits)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, special.softmax(logits.astype(np.float64), axis=1), rtol=1e-5, atol=1e-12)
    np.testing.assert_array_equal(logits, before)
    huge = task.answers(np.eye(7, dtype=np.float32) * 1e30)
    np.testing.assert_array_equal(huge, np.eye(7))


def test_decode_answers_the_likeliest_class() -> None:
    task = Classification(("a", "b", "c"))
    probabilities = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], np.float32)
    assert task.decode(probabilities).tolist() == [1, 0]
    np.testing.assert_allclose(task.confidence(probabilities), [0.5, 0.6])


def test_a_threshold_decides_between_two_classes() -> None:
    task = Classification(("no", "yes"), threshold=0.3)
    probabilities = np.array([[0.65, 0.35], [0.75, 0.25]], np.float32)
    assert task.decode(probabilities).tolist() == [1, 0]
    np.testing.assert_allclose(task.confidence(probabilities), [0.35, 0.75])


def test_a_threshold_between_neighbouring_float32_still_parts_them() -> None:
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    task = Classification(("no", "yes"), threshold=(float(low) + float(high)) / 2)
    assert task.decode(np.array([[1 - low, low], [1 - high, high]], np.float32)).tolist() == [0, 1]


def test_settled_takes_the_threshold_from_validation_for_two_classes_only() -> None:
    random = np.random.default_rng(0)
    targets = np.repeat([1, 0], 100)
    positive = np.concatenate([random.normal(0.3, 0.03, 100), random.normal(0.1, 0.03, 100)])
    task = Classification(("no", "yes")).settled(targets, np.stack([1 - positive, positive], axis=1))
    assert task.threshold is not None and 0.15 < task.threshold < 0.3
    three = Classification(("a", "b", "c"))
    assert three.settled(np.array([0]), np.full((1, 3), 1 / 3)) is three


def test_one_sigmoid_answers_as_two_classes() -> None:
    task = Classification(("no", "yes"), output="sigmoid")
    assert (task.outputs, task.loss) == (1, "binary_cross_entropy")
    logits = np.array([[-200.0], [-3.0], [0.0], [2.0], [200.0]], np.float32)
    found = task.answers(logits)
    # Two-way softmax with the first logit at 0 is the same function.
    both = Classification(("no", "yes")).answers(np.concatenate([np.zeros_like(logits), logits], axis=1))
    np.testing.assert_allclose(found, both, rtol=1e-5, atol=1e-30)
    assert found.dtype == np.float32 and task.decode(found).tolist() == [0, 0, 0, 1, 1]
    outputs, signs = task.explained(found)
    assert outputs.tolist() == [0] * 5 and signs.tolist() == [-1, -1, -1, 1, 1]
    assert task.watched(np.array([0, 0, 0, 1, 0]), logits) == 0.8


def test_heat_maps_explain_the_answered_class() -> None:
    outputs, signs = Classification(("a", "b", "c")).explained(np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]))
    assert outputs.tolist() == [1, 0] and signs.tolist() == [1, 1]


@pytest.mark.parametrize(("output", "classes"), [("sigmoid", "a b c"), ("linear", "a b")])
def test_an_output_that_does_not_fit_is_refused(output: str, classes: str) -> None:
    with pytest.raises(ValueError, match="softmax"):
        Classification(tuple(classes.split()), output=output)


def test_watched_is_the_accuracy_of_the_likeliest_class() -> None:
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 3.0, 2.0]], np.float32)
    task = Classification(("a", "b", "c"))
    assert task.watched(np.array([0, 2, 0]), logits) == 2 / 3
    # A threshold settled before changes nothing: curves of all epochs must mean the same.
    assert Classification(("a", "b"), 0.99).watched(np.array([1]), np.array([[0.0, 1.0]])) == 1.0


def test_worth_is_one_for_each_right_answer() -> None:
    shares = np.array([[0.7, 0.3], [0.4, 0.6], [0.1, 0.9]], np.float32)
    assert Classification(("a", "b"), 0.8).worth(np.array([0, 1, 1]), shares).tolist() == [1, 0, 1]


def test_a_row_and_a_table_are_what_predictions_hold() -> None:
    task = Classification(("no", "yes"), threshold=0.3)
    shares = np.array([[0.65, 0.35], [0.9999999, 0.0000001]], np.float32)
    assert task.row(shares[0]) == {
        "predicted": "yes",
        "confidence": 0.35,
        "probabilities": {"no": 0.65, "yes": 0.35},
    }
    assert task.table_header() == ("path", "target", "predicted", "confidence", "p:no", "p:yes")
    assert list(task.table_rows(["a.png", "b.png"], np.array([0, 0]), shares)) == [
        ("a.png", "no", "yes", "0.350000", "0.650000", "0.350000"),
        ("b.png", "no", "no", "1.000000", "1.000000", "0.000000"),
    ]


def test_order_is_wrong_ones_by_falling_confidence_then_right_ones_both_ways() -> None:
    shares = np.array([0.9, 0.6, 0.8, 0.7, 0.55, 0.95])
    task, targets = Classification(("a", "b")), np.array([0, 1, 1, 0, 0, 0])
    order = task.order(targets, np.stack([shares, 1 - shares], axis=1))
    assert [part.tolist() for part in order] == [[2, 1], [4, 3, 0, 5], [5, 0, 3, 4]]
    assert order.chosen(1, 2, 3) == [("mistake", 2), ("hard", 4), ("hard", 3), ("typical", 5), ("typical", 0)]


@pytest.mark.parametrize(
    ("classes", "threshold"),
    [
        (("a",), None),
        (("a", "a"), None),
        (("a", "b", "c"), 0.5),
        (("a", "b"), 1.5),
        (("a", "b"), float("nan")),
    ],
)
def test_an_impossible_task_is_refused(classes: tuple[str, ...], threshold: float | None) -> None:
    with pytest.raises(ValueError, match="must"):
        Classification(classes, threshold)


# Scores.

ALWAYS = {"accuracy", "balanced_accuracy", "macro_f1", "log_loss", "calibration_error"}
TABLES = {"per_class", "confusion_matrix", "calibration", "baseline_accuracy"}


@pytest.mark.parametrize(
    ("k", "more"), [(2, {"auc", "threshold"}), (3, set()), (5, set()), (6, {"top5"}), (12, {"top5"})]
)
def test_keys_follow_the_number_of_classes(k: int, more: set[str]) -> None:
    names = " ".join(f"c{index}" for index in range(k))
    _, scores = scored((np.eye(k, dtype=int) * 3 + 1).tolist(), names)
    assert set(scores) == ALWAYS | TABLES | more
    for key in (ALWAYS | more) - {"threshold"}:
        interval = scores[key]
        assert list(interval) == ["value", "low", "high", "n"]
        assert interval["low"] <= interval["value"] <= interval["high"]


def test_scores_of_ants_and_bees() -> None:
    _, scores = scored(ANTS_BEES)
    assert scores["accuracy"]["value"] == 146 / 153
    assert scores["accuracy"]["low"] == pytest.approx(0.9086, abs=1e-4)
    assert scores["accuracy"]["high"] == pytest.approx(0.9777, abs=1e-4)
    assert scores["confusion_matrix"] == ANTS_BEES
    assert scores["baseline_accuracy"] == 83 / 153
    assert scores["threshold"] == 0.5
    ants = scores["per_class"]["ants"]
    assert (ants["n"], ants["predicted"], ants["recall"]["value"]) == (70, 69, 66 / 70)
    assert sum(row["n"] for row in scores["calibration"]) == 153


def test_the_threshold_counts_in_the_scores() -> None:
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]], np.float32)
    targets = np.array([1, 0, 1])
    assert Classification(("n", "y")).score(targets, probabilities)["accuracy"]["value"] == 2 / 3
    moved = Classification(("n", "y"), 0.3).score(targets, probabilities)
    assert moved["accuracy"]["value"] == 1.0 and moved["threshold"] == 0.3


def test_scores_agree_with_scikit_learn_on_many_classes() -> None:
    random = np.random.default_rng(1)
    task = Classification(tuple(f"c{index}" for index in range(1000)))
    targets = random.integers(300, size=2000)
    logits = random.normal(size=(2000, 1000))
    logits[np.arange(2000), targets] += 3
    probabilities = task.answers(logits)
    scores = task.score(targets, probabilities)
    labels, predicted = np.unique(targets), task.decode(probabilities)
    f1 = oracle.f1_score(targets, predicted, labels=labels, average="macro", zero_division=0)
    assert scores["macro_f1"]["value"] == pytest.approx(f1)
    top5 = oracle.top_k_accuracy_score(targets, probabilities, k=5, labels=range(1000))
    assert scores["top5"]["value"] == pytest.approx(top5)
    assert scores["per_class"]["c999"]["n"] == 0
    json.dumps(scores, allow_nan=False)


def test_the_seed_moves_only_bootstrapped_ends() -> None:
    random = np.random.default_rng(2)
    targets, task = random.integers(2, size=80), Classification(("a", "b"))
    probabilities = task.answers(random.normal(size=(80, 2)))
    one, same, other = (task.score(targets, probabilities, seed) for seed in (0, 0, 1))
    assert one == same
    changed = {key for key in one if one[key] != other[key]}
    assert "log_loss" in changed and changed <= {"log_loss", "calibration_error"}


def test_one_picture_is_scored() -> None:
    _, scores = scored([[0, 0], [0, 1]])
    assert scores["log_loss"]["value"] == pytest.approx(-np.log(0.9), rel=1e-6)
    assert scores["log_loss"]["low"] is None and scores["log_loss"]["high"] is None
    assert scores["auc"] == {"value": None, "low": None, "high": None, "n": 1}
    assert scores["balanced_accuracy"] == scores["accuracy"]


def test_nothing_is_settled_on_answers_that_are_none() -> None:
    with pytest.raises(RunError, match="diverged"):
        Classification(("a", "b")).settled(np.array([0, 1]), np.array([[np.nan, np.nan], [0.5, 0.5]]))


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(DataError, match="0 pictures; at least one"):
        Classification(("a", "b")).score(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))


def test_a_network_that_answers_nan_is_an_error() -> None:
    broken = np.array([[np.nan, 0.5], [0.5, 0.5]], np.float32)
    with pytest.raises(RunError, match=r"1 of 2 pictures.*smaller learning rate"):
        Classification(("a", "b")).score(np.array([0, 1]), broken)


@pytest.mark.parametrize(("targets", "k"), [([0, 1], 3), ([0, 2], 2), ([-1, 0], 2)])
def test_targets_and_probabilities_must_fit_the_classes(targets: list[int], k: int) -> None:
    with pytest.raises(ValueError, match="must"):
        Classification(("a", "b")).score(np.array(targets), np.full((2, k), 1 / k, np.float32))


# Confusions.


def test_confusions_are_ranked_by_count_then_by_share() -> None:
    task, scores = scored([[10, 3, 0], [0, 20, 3], [1, 0, 5]], "a b c")
    assert task.confusions(scores) == [
        Confusion("a", "b", 3, 13),
        Confusion("b", "c", 3, 23),
        Confusion("c", "a", 1, 6),
    ]
    assert task.confusions(scores, most=1) == [Confusion("a", "b", 3, 13)]
    assert task.confusions(scored([[1, 0], [0, 1]])[1]) == []


# The verdict.


def test_verdict_on_ants_and_bees() -> None:
    assert verdict(ANTS_BEES) == (
        "It names the right class for 146 of 153 pictures it had never seen: 95 %, and with new pictures "
        'like these between 91 % and 98 %. Always answering "bees" would be right for 54 %. '
        'It most often takes "ants" for "bees" (4 of 70).'
    )


def test_verdict_names_the_split() -> None:
    assert "146 of 153 pictures held back for validation: 95 %" in verdict(ANTS_BEES, split="validation")
    assert "146 of 153 pictures of holiday: 95 %" in verdict(ANTS_BEES, split="holiday")


def test_verdict_on_a_perfect_score_leaves_room_for_errors() -> None:
    text = verdict([[70, 0], [0, 83]])
    assert "for all 153 pictures it had never seen" in text
    assert "up to 3 in 100 may still go wrong" in text  # Wilson: 2.45 %
    assert "100 %" not in text and "most often" not in text


def test_verdict_on_guessing_says_so() -> None:
    text = verdict([[35, 35], [40, 43]])
    assert 'cannot be told from guessing: always answering "bees" would be right for 54 %' in text


def test_verdict_on_less_than_guessing_says_so() -> None:
    text = verdict([[10, 60], [70, 13]])
    assert 'worse than always answering "bees"' in text


def test_verdict_on_nothing_right() -> None:
    text = verdict([[0, 70], [83, 0]])
    assert "for none of 153 pictures" in text and "right for up to 3 in 100" in text
    assert 'takes "bees" for "ants" (83 of 83)' in text


def test_verdict_on_a_rare_class_counts_classes_alike() -> None:
    text = verdict([[38, 2], [60, 900]])
    assert 'Always answering "bees" would be right more often (96 %), but it does tell the classes apart' in text
    assert "right for 94 %, where guessing gives 50 %" in text
    assert "cannot be told" not in text


def test_verdict_on_few_pictures_says_that_it_is_rough() -> None:
    assert "Only 30 pictures were tested" in verdict([[14, 1], [0, 15]])
    assert "Only one picture was tested" in verdict([[0, 0], [0, 1]])
    assert "Only" not in verdict([[25, 0], [0, 25]])


def test_verdict_on_a_split_of_one_class_claims_nothing_about_the_others() -> None:
    text = verdict([[0, 0], [1, 59]])
    assert 'All of them are "bees", so this says nothing about the other class.' in text
    assert "guessing" not in text
    assert "the other classes." in verdict([[60, 0, 0], [0, 0, 0], [0, 0, 0]], "a b c")


def test_verdict_on_single_mistakes() -> None:
    assert 'Its one mistake was to take "ants" for "bees".' in verdict([[69, 1], [0, 83]])
    assert "No two of its mistakes are of the same kind." in verdict([[69, 1], [1, 82]])


def test_verdict_on_a_large_test_has_the_decimals_it_has_earned() -> None:
    assert "1,900 of 2,000 pictures it had never seen: 95.0 %" in verdict([[950, 50], [50, 950]])
    text = verdict([[9990, 10], [20, 9980]])
    assert "19,970 of 20,000" in text and "99.85 %" in text and "(20 of 10,000)" in text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0245, "3 in 100"), (0.0038, "4 in 1,000"), (0.793, "80 in 100"), (0.00007, "7 in 100,000")],
)
def test_small_shares_in_whole_cases(share: float, text: str) -> None:
    assert out_of(share) == text


# The threshold.


def test_a_clear_gain_moves_the_threshold() -> None:
    # 100 of each class; the positives answer about 0.3, the negatives about 0.1.
    random = np.random.default_rng(0)
    p = np.concatenate([random.normal(0.3, 0.03, 100), random.normal(0.1, 0.03, 100)])
    targets = np.repeat([1, 0], 100)
    threshold = m.choose_threshold(targets, p)
    assert 0.15 < threshold < 0.3
    assert ((p >= threshold) == targets).mean() > 0.97


def test_few_pictures_leave_the_threshold_at_half() -> None:
    # Eight pictures, one of which a threshold of 0.45 would win: within one standard error of luck.
    p = np.array([0.9, 0.8, 0.7, 0.47, 0.43, 0.3, 0.2, 0.1])
    targets = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    assert m.choose_threshold(targets, p) == 0.5
    # The same picture two hundred times over is no luck.
    assert m.choose_threshold(np.tile(targets, 200), np.tile(p, 200)) == pytest.approx(0.45)


def test_the_threshold_obeys_the_rule_against_a_search() -> None:
    """Try every threshold of a fine grid: none within one standard error of the best lies nearer to 0.5."""
    for seed in range(20):
        random = np.random.default_rng(seed)
        targets = (random.random(60) < 0.3).astype(np.int64)
        p = np.round(np.clip(random.normal(0.2 + 0.25 * targets, 0.15), 0, 1), 2)
        positives, negatives = int(targets.sum()), int((1 - targets).sum())
        grid = np.arange(-5, 1010, 10) / 1000  # between the hundredths to which p is rounded
        found = np.array([(p[targets == 1] >= t).sum() for t in grid])
        spared = np.array([(p[targets == 0] < t).sum() for t in grid])
        balanced = (found / positives + spared / negatives) / 2
        best = int(np.argmax(balanced))
        error = m.balanced_error(int(found[best]), positives, int(spared[best]), negatives)
        good = grid[balanced >= balanced[best] - error]
        threshold = m.choose_threshold(targets, p)
        answered = (p >= threshold).astype(np.int64)
        assert oracle.balanced_accuracy_score(targets, answered) >= balanced[best] - error - 1e-9
        # A threshold stands in the middle between two answers, the grid finds the near end of that gap.
        levels = np.unique(p)
        gap = np.diff(levels)[max(0, np.searchsorted(levels, threshold) - 1)] if threshold != 0.5 else 0.01
        assert abs(threshold - 0.5) <= np.abs(good - 0.5).min() + gap


def test_without_both_classes_or_any_difference_the_threshold_is_half() -> None:
    assert m.choose_threshold(np.ones(4, np.int64), np.array([0.1, 0.2, 0.3, 0.4])) == 0.5
    assert m.choose_threshold(np.zeros(0, np.int64), np.zeros(0)) == 0.5
    assert m.choose_threshold(np.array([0, 1, 0, 1]), np.full(4, 0.2)) == 0.5


def test_a_reversed_network_keeps_the_threshold_at_half() -> None:
    p = np.repeat([0.1, 0.2, 0.8, 0.9], 50)
    assert m.choose_threshold(np.repeat([1, 1, 0, 0], 50), p) == 0.5


# Percentages.


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [
        (146 / 153, 0, "95 %"),
        (0.945, 0, "95 %"),
        (0.285, 0, "29 %"),
        (0.5, 1, "50.0 %"),
        (1.0, 0, "100 %"),
        (0.0, 0, "0 %"),
        (0.997, 0, "99.7 %"),
        (49_999 / 50_000, 0, "99.998 %"),
        (1 / 50_000, 0, "0.002 %"),
        (0.9999999999999999, 0, "100 %"),
    ],
)
def test_percent(share: float, decimals: int, text: str) -> None:
    assert percent(share, decimals) == text


def test_metrics_and_tasks_import_nothing_heavy() -> None:
    heavy = ("torch", "scipy", "sklearn", "openvino", "PIL")
    code = f"import sys, lensmith.tasks.choose; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
