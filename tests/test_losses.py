"""The losses in numpy against torch, the criteria against both, and what class weights make of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from lensmith.errors import UsageError
from lensmith.reproduce import generator
from lensmith.training import criteria, losses
from lensmith.training.balance import class_weights, picture_weights

N, K = 9, 4


def logits() -> np.ndarray:
    found = generator(1, "logits").normal(0, 2, (N, K)).astype(np.float32)
    found[0] = [1e4, -1e4, 0, 3]  # nothing may overflow
    return found


def targets(name: str) -> np.ndarray:
    random = generator(2, name)
    if name == "classes":
        return np.arange(N) % K
    if name == "shares":
        return random.dirichlet(np.ones(K), N).astype(np.float32)
    if name == "labels":
        return random.integers(0, 2, (N, K)).astype(np.uint8)
    return random.normal(0, 2, (N, K)).astype(np.float32)


TORCH = {
    "cross_entropy": lambda x, t: functional.cross_entropy(x, t, reduction="none"),
    "binary_cross_entropy": lambda x, t: functional.binary_cross_entropy_with_logits(
        x, t.float(), reduction="none"
    ).mean(1),
    "mae": lambda x, t: functional.l1_loss(x, t, reduction="none").mean(1),
    "mse": lambda x, t: functional.mse_loss(x, t, reduction="none").mean(1),
    "huber": lambda x, t: functional.huber_loss(x, t, reduction="none").mean(1),
}
CASES = [
    ("cross_entropy", "classes"),
    ("cross_entropy", "shares"),
    ("binary_cross_entropy", "labels"),
    ("mae", "numbers"),
    ("mse", "numbers"),
    ("huber", "numbers"),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_losses_and_gradients_equal_torch(name: str, kind: str, weighted: bool) -> None:
    weights = generator(3, "w").uniform(0.2, 3, N).astype(np.float32) if weighted else None
    x = torch.from_numpy(logits()).requires_grad_()
    wanted = TORCH[name](x, torch.from_numpy(targets(kind))) * (1 if weights is None else torch.from_numpy(weights))
    wanted.sum().backward()
    found, gradient = losses.LOSSES[name](logits(), targets(kind), weights)
    assert found.shape == (N,) and np.isfinite(found).all() and np.isfinite(gradient).all()
    np.testing.assert_allclose(found, wanted.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-4, atol=1e-6)
    tensors = [torch.from_numpy(array) if array is not None else None for array in (logits(), targets(kind), weights)]
    np.testing.assert_allclose(criteria.LOSSES[name](*tensors, 0.0), wanted.detach(), rtol=1e-6)
    assert criteria.criterion(name)(*tensors).item() == pytest.approx(wanted.sum().item() / N, rel=1e-5)


def test_the_tables_name_the_same_losses() -> None:
    assert list(losses.LOSSES) == list(criteria.LOSSES)
    assert set(losses.NUMBERS) < set(losses.LOSSES)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "mae", "mse", "huber"])
def test_one_output_takes_targets_without_a_second_axis(name: str) -> None:
    x, t = logits()[:, :1], targets("labels")[:, 0].astype(np.float32)
    for one, other in zip(losses.LOSSES[name](x, t, None), losses.LOSSES[name](x, t[:, None], None), strict=True):
        assert np.array_equal(one, other)
    found = criteria.LOSSES[name](torch.from_numpy(x), torch.from_numpy(t), None, 0.0)
    np.testing.assert_allclose(found, losses.LOSSES[name](x, t, None)[0], rtol=1e-6)


def test_by_hand() -> None:
    zero = np.zeros((1, 2), np.float32)
    assert losses.cross_entropy(zero, np.array([1]))[0][0] == pytest.approx(math.log(2))
    assert losses.binary_cross_entropy(zero, np.array([[1, 0]]))[0][0] == pytest.approx(math.log(2))
    away = np.array([[3.0], [0.5]], np.float32)
    assert losses.huber(away, np.zeros(2))[0].tolist() == [2.5, 0.125]  # 3 - 1/2; 0.5^2 / 2


@pytest.mark.parametrize("kind", ["classes", "shares"])
def test_label_smoothing_is_that_of_torch(kind: str) -> None:
    x, t = torch.from_numpy(logits()), torch.from_numpy(targets(kind))
    wanted = functional.cross_entropy(x, t, label_smoothing=0.1)
    assert criteria.criterion("cross_entropy")(x, t, None, 0.1).item() == pytest.approx(wanted.item(), rel=1e-6)


def test_smoothed_labels_move_towards_one_half() -> None:
    x, t = torch.from_numpy(logits()), torch.from_numpy(targets("labels"))
    wanted = functional.binary_cross_entropy_with_logits(x, torch.where(t == 1, 0.95, 0.05))
    assert criteria.criterion("binary_cross_entropy")(x, t, None, 0.1).item() == pytest.approx(wanted.item(), rel=1e-6)


@pytest.mark.parametrize("name", losses.NUMBERS)
def test_numbers_are_not_smoothed(name: str) -> None:
    x = torch.zeros(2, 1)
    with pytest.raises(UsageError, match="must be 0"):
        criteria.criterion(name)(x, x, None, 0.1)


def test_half_precision_is_computed_in_float32() -> None:
    x, t = torch.from_numpy(logits()), torch.from_numpy(targets("classes"))
    assert criteria.cross_entropy(x.bfloat16(), t).dtype == torch.float32


def test_soft_targets() -> None:
    assert criteria.soft_targets(torch.tensor([2, 0]), "cross_entropy", 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    labels = torch.tensor([[1, 0]], dtype=torch.uint8)
    assert criteria.soft_targets(labels, "binary_cross_entropy", 2).dtype == torch.float32
    assert criteria.soft_targets(torch.tensor([1.5]), "mse", 1).tolist() == [1.5]


CLASSES = ("ants", "bees", "a, b=c")
TARGETS = np.array([0] * 6 + [1] * 3 + [2])


def test_balanced_classes_count_alike() -> None:
    """scikit-learn's "balanced" is n / (k n_c) as well; the mean over the pictures is 1."""
    from sklearn.utils.class_weight import compute_class_weight

    found = class_weights("balanced", CLASSES, TARGETS)
    np.testing.assert_allclose(found, compute_class_weight("balanced", classes=np.arange(3), y=TARGETS), rtol=1e-6)
    weights = picture_weights(found, TARGETS)
    assert weights.mean() == pytest.approx(1)
    np.testing.assert_allclose([weights[np.equal(TARGETS, c)].sum() for c in range(3)], 10 / 3, rtol=1e-6)


def test_weights_by_name() -> None:
    found = class_weights("ants=2, bees=1", CLASSES, TARGETS)
    assert found[0] / found[1] == pytest.approx(2) and found[1] == found[2]
    assert picture_weights(found, TARGETS).mean() == pytest.approx(1)
    odd = class_weights("a, b=c=3", CLASSES, TARGETS)
    assert odd[2] / odd[0] == pytest.approx(3), "names may hold commas and equals signs"
    assert class_weights("none", CLASSES, TARGETS).tolist() == [1, 1, 1]


def test_a_class_without_pictures_disturbs_nobody() -> None:
    found = class_weights("balanced", CLASSES, TARGETS[:9])
    assert np.isfinite(found).all() and picture_weights(found, TARGETS[:9]).mean() == pytest.approx(1)


def test_labels_weigh_where_they_are_given() -> None:
    labels = np.zeros((1000, 3), np.uint8)
    labels[:250, 0], labels[:1, 1], labels[:, 2] = 1, 1, 1
    found = class_weights("balanced", CLASSES, labels)
    assert found.tolist() == [3, 100, 1]  # 750 / 250; 999 is too much; nobody lacks the third
    assert class_weights("bees=4", CLASSES, labels).tolist() == [1, 4, 1]
    x = torch.from_numpy(generator(4, "x").normal(size=(1000, 3)).astype(np.float32))
    y = torch.from_numpy(labels)
    wanted = functional.binary_cross_entropy_with_logits(x, y.float(), pos_weight=torch.from_numpy(found))
    weights = picture_weights(found, labels)
    assert criteria.criterion("binary_cross_entropy")(x, y, torch.from_numpy(weights)).item() == pytest.approx(
        wanted.item(), rel=1e-5
    )
    ours = losses.binary_cross_entropy(x.numpy(), labels, weights)[0].mean()
    assert ours == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("balance", "Nearest: balanced"),
        ("ant=2", "Nearest: ants"),
        ("ants=0", "must be a number above 0"),
        ("ants=many", "must be a number above 0"),
        ("ants=nan", "must be a number above 0"),
        ("ants=2,bees", "pairs like"),
        ("", "pairs like"),
    ],
)
def test_wrong_class_weights_are_named(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        class_weights(text, CLASSES, TARGETS)


def test_numbers_have_no_class_weights() -> None:
    assert class_weights("none", (), np.zeros(3, np.float32)).shape == (0,)
    with pytest.raises(UsageError, match="the target is a number"):
        class_weights("balanced", (), np.zeros(3, np.float32))
