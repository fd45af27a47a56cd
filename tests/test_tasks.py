"""What every task promises the rest of the house, and the words and choices of labels and numbers."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as oracle

from lensmith.errors import DataError, RunError, UsageError
from lensmith.tasks.choose import task_for, task_from_dict
from lensmith.tasks.classification import Classification
from lensmith.tasks.interface import Order, Task
from lensmith.tasks.multilabel import Multilabel
from lensmith.tasks.regression import Regression
from lensmith.tasks.words import amount

LABELS = ("cat", "dog", "lamp")
TASKS: dict[str, Task] = {
    "classes": Classification(("a", "b", "c")),
    "two classes": Classification(("no", "yes"), 0.3),
    "one sigmoid": Classification(("no", "yes"), 0.3, "sigmoid"),
    "labels": Multilabel(LABELS, (0.2, 0.5, 0.9)),
    "one label": Multilabel(("cat",)),
    "numbers": Regression("age", "mae"),
}


def made(task: Task, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return targets as a data set holds them, and logits (n, outputs) that know something of them."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(n, task.outputs))
    if task.kind == "regression":
        targets = random.normal(40, 12, n).astype(np.float32)
        return targets, (targets[:, None] + 4 * noise).astype(np.float32)
    k = len(task.classes)
    if task.kind == "multilabel":
        rows = (random.random((n, k)) < 0.4).astype(np.uint8)
        return rows, (2.0 * rows - 1 + noise).astype(np.float32)
    positions = random.integers(k, size=n)
    known = np.eye(k)[positions] if task.outputs == k else 2.0 * positions[:, None] - 1
    return positions, (2 * known + noise).astype(np.float32)


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]


# What all of them promise.


@pytest.mark.parametrize("n", [1, 2, 60])
def test_scores_are_json_and_have_a_verdict(task: Task, n: int) -> None:
    targets, logits = made(task, n)
    answers = task.answers(logits)
    assert answers.dtype == np.float32 and len(answers) == n
    scores = task.score(targets, answers, seed=1)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores == task.score(targets, answers, seed=1)
    said = task.verdict(scores, "test")
    assert said.endswith(".") and "nan" not in said and "None" not in said and "  " not in said
    assert ("rough" in said) == (n < 50)


def test_a_task_survives_its_own_file(task: Task) -> None:
    fields = json.loads(json.dumps(task.as_dict()))
    assert fields["task"] == task.kind and fields["classes"] == list(task.classes) and fields["loss"] == task.loss
    assert task_from_dict(fields) == task


def test_an_empty_split_cannot_be_scored(task: Task) -> None:
    targets, logits = made(task, 1)
    with pytest.raises(DataError, match="0 pictures"):
        task.score(targets[:0], task.answers(logits[:0]))
    assert math.isnan(task.watched(targets[:0], logits[:0]))


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_diverged_network_is_named(task: Task, broken: float) -> None:
    targets, logits = made(task, 5)
    logits[3] = broken
    assert math.isnan(task.watched(targets, logits))
    logits[3] = np.nan
    with pytest.raises(RunError, match=r"1 of 5 pictures.*smaller learning rate"):
        task.score(targets, task.answers(logits))


def test_shapes_that_do_not_match_are_refused(task: Task) -> None:
    targets, logits = made(task, 4)
    with pytest.raises(ValueError, match="must be"):
        task.score(targets, task.answers(logits)[:3])


def test_huge_logits_do_not_overflow(task: Task) -> None:
    _, logits = made(task, 4)
    found = task.answers(logits * 1e30)
    assert np.isfinite(found).all()
    if task.classes:
        assert found.min() >= 0 and found.max() <= 1


def test_the_table_is_one_row_a_picture(task: Task) -> None:
    targets, logits = made(task, 3)
    answers, text = task.answers(logits), io.StringIO()
    csv.writer(text).writerows([task.table_header(), *task.table_rows(["x,1.png", "y.png", "z.png"], targets, answers)])
    text.seek(0)
    rows = list(csv.DictReader(text))
    assert [row["path"] for row in rows] == ["x,1.png", "y.png", "z.png"]
    assert [row["target"] for row in rows] == [task.target_text(target) for target in targets]
    for row, answer in zip(rows, answers, strict=True):
        one = task.row(answer)
        assert json.loads(json.dumps(one)) == one
        said = one["predicted"]
        assert row["predicted"] == (";".join(said) if isinstance(said, list) else str(said))
        for name, share in one.get("probabilities", {}).items():
            assert float(row[f"p:{name}"]) == share


def test_worth_and_heat_maps_have_one_entry_a_picture(task: Task) -> None:
    targets, logits = made(task, 40)
    answers = task.answers(logits)
    worth = task.worth(targets, answers)
    assert worth.shape == (40,) and worth.dtype == np.float64
    # A network that knows more is worth more.
    _, other = made(task, 40, seed=1)
    assert worth.mean() > task.worth(targets, task.answers(other)).mean()
    outputs, signs = task.explained(answers)
    assert outputs.dtype == np.int64 and signs.dtype == np.float32 and outputs.shape == signs.shape == (40,)
    assert outputs.min() >= 0 and outputs.max() < task.outputs and set(np.abs(signs)) == {1}


def test_order_names_pictures_of_the_split(task: Task) -> None:
    targets, logits = made(task, 40)
    order = task.order(targets, task.answers(logits))
    for part in order:
        assert len(set(part.tolist())) == len(part) and set(part.tolist()) <= set(range(40))
    chosen = [position for _, position in order.chosen(8, 4, 4)]
    assert len(set(chosen)) == len(chosen) <= 16
    assert not any(len(part) for part in task.order(targets[:0], task.answers(logits[:0])))


def test_settled_stays_the_same_kind(task: Task) -> None:
    targets, logits = made(task, 60)
    settled = task.settled(targets, task.answers(logits))
    assert type(settled) is type(task) and settled.classes == task.classes
    assert task_from_dict(json.loads(json.dumps(settled.as_dict()))) == settled


def test_no_picture_is_shown_twice() -> None:
    order = Order(np.array([4, 2]), np.array([2, 1, 0]), np.array([4, 1, 0, 3]))
    assert order.chosen(2, 2, 2) == [
        ("mistake", 4),
        ("mistake", 2),
        ("hard", 1),
        ("hard", 0),
        ("typical", 3),
    ]


# Labels.


def labels(rows: str) -> np.ndarray:
    """Return zeros and ones: `"110 001"` is two pictures of three labels."""
    return np.array([[int(digit) for digit in row] for row in rows.split()], np.uint8)


def test_labels_are_answered_by_themselves() -> None:
    task = Multilabel(LABELS, (0.5, 0.2, 0.9))
    shares = task.answers(
        np.log(np.array([[0.5, 0.3, 0.8], [0.4, 0.1, 0.95]]) / np.array([[0.5, 0.7, 0.2], [0.6, 0.9, 0.05]]))
    )
    np.testing.assert_allclose(shares, [[0.5, 0.3, 0.8], [0.4, 0.1, 0.95]], rtol=1e-6)
    assert task.decode(shares).tolist() == [[1, 1, 0], [0, 0, 1]]
    assert task.row(shares[0])["predicted"] == ["cat", "dog"]
    assert list(task.table_rows(["a"], labels("101"), shares[:1])) == [
        ("a", "cat;lamp", "cat;dog", "0.500000", "0.300000", "0.800000")
    ]
    assert task.target_text(labels("000")[0]) == ""


def test_the_map_explains_the_likeliest_answered_label() -> None:
    task = Multilabel(LABELS, (0.5, 0.2, 0.9))
    # The lamp is likelier, but not answered; where nothing is, it is the likeliest of all.
    assert task.explained(np.array([[0.4, 0.3, 0.8], [0.4, 0.1, 0.3]], np.float32))[0].tolist() == [1, 0]


def test_watched_is_macro_f1_at_half_whatever_the_thresholds() -> None:
    task = Multilabel(LABELS, (0.1, 0.1, 0.1))
    targets, logits = made(task, 80)
    expected = oracle.f1_score(targets, (logits >= 0).astype(int), average="macro")
    assert task.watched(targets, logits) == pytest.approx(expected)


def test_settled_gives_each_label_its_own_threshold() -> None:
    targets = labels("100 100 000 000")
    shares = np.array([[0.3, 0.2, 0.9], [0.2, 0.2, 0.1], [0.1, 0.9, 0.2], [0.05, 0.4, 0.3]], np.float32)
    assert Multilabel(LABELS).settled(targets, shares).thresholds == pytest.approx((0.15, 0.5, 0.5))
    with pytest.raises(RunError, match="diverged"):
        Multilabel(LABELS).settled(targets, np.full((4, 3), np.nan, np.float32))


def test_keys_of_the_scores_of_labels() -> None:
    task = Multilabel(LABELS)
    targets, logits = made(task, 60)
    scores = task.score(targets, task.answers(logits))
    assert set(scores) == {"map", "macro_f1", "micro_f1", "exact_match", "baseline_map", "per_class"}
    for key in ("map", "macro_f1", "micro_f1", "exact_match"):
        assert scores[key]["low"] <= scores[key]["value"] <= scores[key]["high"] and scores[key]["n"] == 60
    assert list(scores["per_class"]) == list(LABELS)
    assert set(scores["per_class"]["cat"]) == {"ap", "precision", "recall", "f1", "n", "predicted", "threshold"}
    assert scores["baseline_map"] == pytest.approx(targets.mean())


def test_worth_of_labels_is_minus_the_log_loss() -> None:
    worth = Multilabel(("a", "b")).worth(labels("10 00"), np.array([[0.9, 0.2], [0.5, 0.5]], np.float32))
    np.testing.assert_allclose(worth, [(math.log(0.9) + math.log(0.8)) / 2, math.log(0.5)], rtol=1e-6)


def test_order_of_labels_starts_with_the_worst_log_loss() -> None:
    shares = np.array([[0.9], [0.45], [0.6], [0.05], [0.99]], np.float32)
    order = Multilabel(("a",)).order(labels("1 1 1 1 1"), shares)
    assert [part.tolist() for part in order] == [[3, 1], [2, 0, 4], [2, 1, 0, 4, 3]]


@pytest.mark.parametrize(
    ("classes", "thresholds"),
    [((), None), (("a", "a"), None), (("a", "b"), (0.5,)), (("a",), (1.5,)), (("a",), (math.nan,))],
)
def test_impossible_labels_are_refused(classes: tuple[str, ...], thresholds: tuple[float, ...] | None) -> None:
    with pytest.raises(ValueError, match="must be"):
        Multilabel(classes, thresholds)


def test_targets_of_labels_are_zeros_and_ones() -> None:
    with pytest.raises(ValueError, match="zeros and ones"):
        Multilabel(("a", "b")).score(np.array([[0, 2]]), np.full((1, 2), 0.5, np.float32))


def label_verdict(targets: np.ndarray, shares: np.ndarray, split: str = "test") -> str:
    """Return the verdict on answers that were settled on nothing."""
    task = Multilabel(LABELS)
    return task.verdict(task.score(targets, shares.astype(np.float32)), split)


def test_verdict_on_labels() -> None:
    targets = np.tile(labels("110 100 001 000"), (25, 1))
    shares = np.tile([[0.9, 0.8, 0.1], [0.8, 0.4, 0.1], [0.2, 0.3, 0.4], [0.3, 0.1, 0.4]], (25, 1))
    # Cats and dogs are ranked perfectly; half of the first fifty lamps are lamps.
    assert label_verdict(targets, shares) == (
        "Asked for the pictures that carry a label, the surest first, it is right 83 % of the time (mean average "
        "precision, 100 pictures it had never seen), and with new pictures like these between 78 % and 88 %. Guessing "
        "would be right about 33 % of the time. It gets every label right for 75 of 100 (75 %). "
        'It finds "dog" best (100 %) and "lamp" worst (50 %).'
    )


def test_verdict_on_labels_that_are_guessed() -> None:
    random = np.random.default_rng(0)
    targets, shares = (random.random((60, 3)) < 0.3).astype(np.uint8), random.random((60, 3))
    assert "cannot be told from guessing: guessing would be right about" in label_verdict(targets, shares)
    targets = np.repeat(labels("111 000"), 100, axis=0)
    wrong = label_verdict(targets, 0.9 - 0.8 * targets - 0.05 * random.random((200, 3)), "validation")
    assert "worse than guessing" in wrong and "held back for validation" in wrong
    assert "For none of them it gets every label right." in wrong


def test_verdict_on_labels_that_are_on_all_pictures_or_on_none() -> None:
    shares = np.full((60, 3), 0.7)
    every = label_verdict(np.tile(labels("110"), (60, 1)), shares)
    assert "does not show whether it tells them apart" in every
    assert '"lamp" is on none of them, so nothing is known of it.' in every
    assert "2 of the 3 labels are on none of them" in label_verdict(np.tile(labels("100"), (60, 1)), shares)
    none = label_verdict(np.zeros((60, 3), np.uint8), 0.1 * shares)
    assert none.startswith("No label is on any of the 60 pictures") and "every label right for all of them" in none


# Numbers.


def test_numbers_are_answered_as_they_are() -> None:
    task = Regression("age")
    answers = task.answers(np.array([[0.1], [34.5]], np.float32))
    assert task.decode(answers).tolist() == answers.tolist()
    assert task.row(answers[0]) == {"predicted": 0.1}
    assert list(task.table_rows(["a", "b"], np.array([3, 40.25], np.float32), answers)) == [
        ("a", "3.0", "0.1"),
        ("b", "40.25", "34.5"),
    ]
    assert task.settled(np.zeros(2), answers) is task
    assert task.watched(np.array([1.1, 32.5], np.float32), answers[:, None]) == pytest.approx(1.5)
    assert task.worth(np.array([1.0, 32.5]), answers) == pytest.approx([-0.9, -2.0])


def test_order_of_numbers_starts_with_the_largest_errors() -> None:
    order = Regression().order(np.zeros(5), np.array([1.0, -9.0, 2.0, 3.0, -8.0], np.float32))
    assert [part.tolist() for part in order] == [[1, 4], [], [3, 2, 0, 4, 1]]


def test_keys_of_the_scores_of_numbers() -> None:
    task = Regression("age")
    targets, logits = made(task, 60)
    scores = task.score(targets, task.answers(logits))
    assert set(scores) == {"mae", "mse", "rmse", "r2", "median_error", "baseline_mae", "n"} and scores["n"] == 60
    for key in ("mae", "mse", "rmse", "r2", "median_error"):
        assert scores[key]["low"] <= scores[key]["value"] <= scores[key]["high"] and scores[key]["n"] == 60
    assert scores["baseline_mae"] == pytest.approx(np.abs(targets - np.median(targets)).mean())


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Regression().score(np.array([1.0, np.nan]), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="must be one of huber, mae, mse"):
        Regression(loss="l1")


def number_verdict(targets: Any, answers: Any, name: str = "age", split: str = "test") -> str:
    """Return the verdict on answered numbers."""
    task = Regression(name)
    return task.verdict(task.score(np.asarray(targets, float), np.asarray(answers, float)), split)


def test_verdict_on_numbers() -> None:
    targets = np.arange(101) % 29
    answers = targets + np.tile([2.0, -2.6], 51)[:101]
    assert number_verdict(targets, answers) == (
        'Its "age" is off by 2.3 on average for 101 pictures it had never seen, and with new pictures like these by '
        "between 2.2 and 2.4. Always answering the median would be off by 7.1. Its answers account for 92 % of how "
        "much the pictures differ (R2 0.92)."
    )
    assert number_verdict(targets, answers, name="").startswith("Its number is off by 2.3")


def test_verdict_on_many_numbers_has_the_decimals_it_has_earned() -> None:
    targets = np.arange(20_000.0) % 28
    said = number_verdict(targets, targets + np.tile([2.0, -2.6], 10_000))
    assert "off by 2.300 on average for 20,000 pictures" in said and "between 2.296 and 2.304" in said


def test_verdict_on_numbers_that_are_no_better_than_the_median() -> None:
    random = np.random.default_rng(0)
    targets = random.normal(40, 12, 80)
    guessed = number_verdict(targets, np.full(80, np.median(targets) + 1))
    assert "cannot be told from always giving the same answer: always answering the median would be off by" in guessed
    assert "worse than always giving the same answer" in number_verdict(targets, targets + 40)


def test_verdict_on_numbers_that_follow_the_pictures_but_miss_the_median() -> None:
    # Nine in ten are 0, so the median is nearly always right; the others are told apart all the same.
    targets = np.tile([0.0] * 9 + [10.0], 12)
    said = number_verdict(targets, targets * 0.9 + 1.2)
    assert "by less; but its answers do follow the pictures: they account for" in said


def test_verdict_on_constant_numbers_and_on_one() -> None:
    assert "All of them have the same number" in number_verdict(np.full(60, 0.1), np.full(60, 0.2))
    one = number_verdict([3.0], [5.0])
    assert one == (
        'Its "age" is off by 2.0 for the one picture it had never seen. One picture cannot show whether its answers '
        "follow what is in the pictures. Only one picture was tested, so these figures are rough."
    )


@pytest.mark.parametrize(
    ("value", "smallest", "text"),
    [
        (2.34, 2.3, "2.3"),
        (7.06, 2.3, "7.1"),
        (0.0344, 0.0344, "0.034"),
        (1234.5, 23, "1,234"),
        (3e-9, 3e-9, "3e-09"),
        (0.0, 0.0, "0"),
        (0.0, 2.0, "0.0"),
    ],
)
def test_amounts(value: float, smallest: float, text: str) -> None:
    assert amount(value, smallest) == text


# Choosing.


def test_each_kind_has_its_task_and_loss() -> None:
    assert task_for("classification", ("a", "b")) == Classification(("a", "b"))
    assert task_for("classification", ("a", "b"), output="sigmoid").loss == "binary_cross_entropy"
    assert task_for("classification", ("a", "b", "c"), loss="cross_entropy").loss == "cross_entropy"
    assert task_for("multilabel", LABELS, loss="binary_cross_entropy", output="sigmoid") == Multilabel(LABELS)
    assert task_for("regression", (), target_name="age") == Regression("age", "huber")
    assert task_for("regression", (), loss="mse").loss == "mse"


@pytest.mark.parametrize(
    ("kind", "classes", "asked", "said"),
    [
        ("classification", ("a", "b"), {"loss": "mae"}, "classification has cross_entropy"),
        ("classification", ("a", "b"), {"loss": "binary_cross_entropy"}, "--output sigmoid has that loss"),
        ("classification", ("a", "b"), {"loss": "cross_entropy", "output": "sigmoid"}, "has binary_cross_entropy"),
        ("classification", ("a", "b", "c"), {"output": "sigmoid"}, "3 classes; it needs exactly two"),
        ("multilabel", ("a",), {"loss": "cross_entropy"}, "multilabel has binary_cross_entropy"),
        ("regression", (), {"loss": "hubert"}, "has huber, mae, mse. Nearest: huber"),
        ("regression", (), {"output": "sigmoid"}, "'sigmoid' for a number"),
        ("multilabel", ("a",), {"output": "sigmod"}, "softmax or sigmoid. Nearest: sigmoid"),
    ],
)
def test_what_a_kind_does_not_have_is_refused(
    kind: str, classes: tuple[str, ...], asked: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        task_for(kind, classes, **asked)


def test_files_of_older_models_are_read() -> None:
    old = {"task": "classification", "classes": ["a", "b"], "threshold": 0.4}
    assert task_from_dict(old) == Classification(("a", "b"), 0.4)


@pytest.mark.parametrize(
    "fields",
    [
        {"classes": ["a", "b"]},
        {"task": "detection", "classes": ["a", "b"]},
        {"task": "classification", "classes": ["a", "b"]},
        {"task": "classification", "classes": "ab", "threshold": None},
        {"task": "classification", "classes": ["a", 2], "threshold": None},
        {"task": "classification", "classes": ["a", "b"], "threshold": "0.5"},
        {"task": "classification", "classes": ["a", "b"], "threshold": True},
        {"task": "classification", "classes": ["a", "b"], "threshold": 2},
        {"task": "classification", "classes": ["a", "b"], "threshold": None, "loss": "mae"},
        {"task": "classification", "classes": ["a", "b"], "threshold": None, "output": 1},
        {"task": "multilabel", "classes": ["a", "b"], "thresholds": [0.5]},
        {"task": "multilabel", "classes": ["a", "b"], "thresholds": 0.5},
        {"task": "multilabel", "classes": [], "thresholds": None},
        {"task": "regression", "target_name": "age"},
        {"task": "regression", "target_name": None, "loss": "mae"},
        {"task": "regression", "target_name": "age", "loss": "cross_entropy"},
    ],
)
def test_a_damaged_file_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        task_from_dict(fields)
