"""Losses and their gradients against torch and scikit-learn, and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import hinge_loss
from torch.nn import functional

from lensmith.ops import (
    binary_cross_entropy,
    binary_hinge,
    cross_entropy,
    dice,
    hinge,
    huber,
    kl_divergence,
    mae,
    mse,
    pixel_cross_entropy,
    softmax,
)
from lensmith.reproduce import generator
from ops_oracle import Array, assert_close, draw

N, K = 6, 4
CLASSES = np.arange(N) % K
SHARES = generator(0, "shares").dirichlet(np.ones(K), N)
SIGNS = np.where(draw("signs", N, K) > 0, 1, -1)
LABELS = (SIGNS + 1) // 2


def compare(ours: tuple[float, Array], theirs: Callable[[torch.Tensor], torch.Tensor], answers: Array) -> None:
    """Assert that value and gradient are those of torch."""
    leaf = torch.from_numpy(answers.copy()).requires_grad_()
    value = theirs(leaf)
    value.backward()
    assert isinstance(ours[0], float)
    assert_close(ours[0], value.item())
    assert_close(ours[1], leaf.grad.numpy())


@pytest.fixture
def scores() -> Array:
    drawn = 2 * draw("scores", N, K)
    drawn[0] = [1e4, -1e4, 0, 3]  # nothing may overflow
    return drawn


@pytest.mark.parametrize("shape", [(N, K), (2, 3, 4, 5)])
def test_losses_of_numbers_equal_torch(shape: tuple[int, ...]) -> None:
    a, t = draw("answers", *shape), draw("targets", *shape)
    a.flat[0] = t.flat[0]  # no error at all
    target = torch.from_numpy(t)
    compare(mae(a, t), lambda x: functional.l1_loss(x, target), a)
    compare(mse(a, t), lambda x: functional.mse_loss(x, target), a)
    for delta in (0.5, 1.0, 3.0):
        compare(huber(a, t, delta), lambda x, delta=delta: functional.huber_loss(x, target, delta=delta), a)


@pytest.mark.parametrize("margin", [1.0, 2.5])
def test_hinges_equal_torch_and_scikit_learn(scores: Array, margin: float) -> None:
    classes, signs = torch.from_numpy(CLASSES), torch.from_numpy(SIGNS)
    # torch divides the sum over rivals by the number of classes.
    compare(
        hinge(scores, CLASSES, margin), lambda x: functional.multi_margin_loss(x, classes, margin=margin) * K, scores
    )

    def worst(x: torch.Tensor) -> torch.Tensor:
        true = x.gather(1, classes[:, None])
        rivals = x.masked_fill(functional.one_hot(classes, K).bool(), -math.inf)
        return (rivals.amax(1) - true[:, 0] + margin).clamp(min=0).mean()

    compare(hinge(scores, CLASSES, margin, "worst"), worst, scores)
    compare(binary_hinge(scores, SIGNS, margin), lambda x: (margin - signs * x).clamp(min=0).mean(), scores)
    if margin == 1:
        assert hinge(scores, CLASSES, rivals="worst")[0] == pytest.approx(hinge_loss(CLASSES, scores))
        assert binary_hinge(scores[:, 0], SIGNS[:, 0])[0] == pytest.approx(hinge_loss(SIGNS[:, 0], scores[:, 0]))


@pytest.mark.parametrize("targets", [LABELS, SHARES])
def test_binary_cross_entropy_equals_torch(scores: Array, targets: Array) -> None:
    theirs = torch.from_numpy(targets.astype(np.float64))
    compare(
        binary_cross_entropy(scores, targets), lambda x: functional.binary_cross_entropy_with_logits(x, theirs), scores
    )


@pytest.mark.parametrize("targets", [CLASSES, SHARES])
def test_cross_entropy_equals_torch(scores: Array, targets: Array) -> None:
    theirs = torch.from_numpy(targets)
    compare(cross_entropy(scores, targets), lambda x: functional.cross_entropy(x, theirs), scores)


def test_kl_equals_torch(scores: Array) -> None:
    theirs = torch.from_numpy(SHARES)
    found = kl_divergence(scores, SHARES)
    compare(found, lambda x: functional.kl_div(x.log_softmax(1), theirs, reduction="batchmean"), scores)
    exact = np.log(SHARES)
    assert kl_divergence(exact, SHARES)[0] == pytest.approx(0, abs=1e-12)
    assert_close(kl_divergence(exact, SHARES)[1], np.zeros((N, K)))


@pytest.mark.parametrize("weights", [None, np.array([0.5, 1.0, 2.0, 4.0])])
@pytest.mark.parametrize("ignored", [None, 255])
@pytest.mark.parametrize("space", [(), (5,), (3, 4), (2, 3, 2)])
def test_pixel_cross_entropy_equals_torch(space: tuple[int, ...], weights: Array | None, ignored: int | None) -> None:
    logits = draw("logits", 3, K, *space)
    targets = generator(0, "classes").integers(0, K, (3, *space))
    if ignored is not None:
        targets[0] = ignored
    each, classes = None if weights is None else torch.from_numpy(weights), torch.from_numpy(targets)
    theirs = partial(functional.cross_entropy, target=classes, weight=each, ignore_index=ignored or -100)
    compare(pixel_cross_entropy(logits, targets, weights, ignored), theirs, logits)


def test_no_pixel_counts() -> None:
    value, gradient = pixel_cross_entropy(draw("logits", 1, 2, 2, 2), np.full((1, 2, 2), 9), None, 9)
    assert value == 0 and not gradient.any()


def test_dice_is_the_formula_of_v_net() -> None:
    p = generator(0, "p").uniform(0, 1, (2, 3, 4, 5))
    g = (draw("g", 2, 3, 4, 5) > 0).astype(np.uint8)
    g[0, 0] = 0  # a class that is not in the picture
    mask = torch.from_numpy(g.astype(np.float64))

    def theirs(x: torch.Tensor) -> torch.Tensor:
        shares = 2 * (x * mask).sum((2, 3)) / ((x**2).sum((2, 3)) + (mask**2).sum((2, 3)))
        return 1 - shares.mean()

    compare(dice(p, g), theirs, p)


# By hand (ANCHORS, section 1).


def test_one_hot_targets_make_three_losses_one() -> None:
    """KL = cross-entropy = -log p of the true class."""
    logits = draw("logits", N, K)
    wanted = -np.log(softmax(logits)[np.arange(N), CLASSES]).mean()
    one_hot = np.eye(K)[CLASSES]
    found = [cross_entropy(logits, CLASSES), cross_entropy(logits, one_hot)]
    found += [kl_divergence(logits, CLASSES), kl_divergence(logits, one_hot), pixel_cross_entropy(logits, CLASSES)]
    for value, gradient in found:
        assert value == pytest.approx(wanted, rel=1e-12)
        assert_close(gradient, found[0][1])


def test_by_hand() -> None:
    three = np.array([[3.0, 0.5, -1.0]])
    zero = np.zeros_like(three)
    assert mae(three, zero)[0] == pytest.approx(1.5)
    assert mse(three, zero)[0] == pytest.approx((9 + 0.25 + 1) / 3)
    assert huber(three, zero)[0] == pytest.approx((2.5 + 0.125 + 0.5) / 3)
    # A cat at 3.2, rivals at 5.1 and -1.7: 5.1 - 3.2 + 1 = 2.9, and nothing for the other.
    value, gradient = hinge(np.array([[3.2, 5.1, -1.7]]), np.array([0]))
    assert value == pytest.approx(2.9) and gradient.tolist() == [[-1, 1, 0]]
    assert hinge(np.array([[1.0, 2.0, 2.0]]), np.array([0]))[0] == 4
    assert hinge(np.array([[1.0, 2.0, 2.0]]), np.array([0]), rivals="worst")[0] == 2
    assert binary_hinge(np.array([0.25, 2.0]), np.array([1, 1]))[0] == 0.375
    assert binary_cross_entropy(np.zeros(3), np.array([0, 1, 1]))[0] == pytest.approx(math.log(2))
    assert cross_entropy(np.zeros((1, 10)), np.array([3]))[0] == pytest.approx(math.log(10))
    assert dice(np.array([[[1.0, 1.0, 0.0, 0.0]]]), np.array([[[1, 0, 0, 0]]]))[0] == pytest.approx(1 - 2 / 3)
    assert dice(np.zeros((1, 1, 4)), np.zeros((1, 1, 4)))[0] == 0


# What goes in.


def test_single_precision_stays() -> None:
    a, t = draw("a", N, K).astype(np.float32), SHARES.astype(np.float32)
    found = [mae(a, t), mse(a, t), huber(a, t), binary_cross_entropy(a, t), cross_entropy(a, t), kl_divergence(a, t)]
    found += [hinge(a, CLASSES), cross_entropy(a, CLASSES), pixel_cross_entropy(a, CLASSES), binary_hinge(a, SIGNS)]
    found += [dice(t, LABELS)]
    assert [gradient.dtype for _, gradient in found] == [np.dtype(np.float32)] * len(found)


def test_bytes_are_no_trouble() -> None:
    """Labels as they come from a file, uint8, must not wrap around."""
    scores, labels = draw("scores", 3, 2), np.array([[0, 1], [1, 1], [0, 0]], np.uint8)
    assert mae(np.array([3], np.uint8), np.array([5], np.uint8))[0] == 2
    for loss in (mae, mse, huber, binary_cross_entropy):
        assert_close(loss(scores, labels)[0], loss(scores, labels.astype(float))[0])
    classes = labels[:, 0]
    for loss in (hinge, cross_entropy, kl_divergence, pixel_cross_entropy):
        assert_close(loss(scores, classes)[0], loss(scores, classes.astype(int))[0])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mae(np.zeros((2, 1)), np.zeros(2)), r"targets is \(2,\); must be \(2, 1\)"),
        (
            lambda: hinge(np.zeros((2, 3)), np.array([0, 3])),
            "targets are int64 from 0 to 3; must be whole numbers from 0",
        ),
        (lambda: hinge(np.zeros((2, 3)), np.array([0.0, 1.0])), "targets are float64"),
        (lambda: hinge(np.zeros((0, 3)), np.zeros(0, int)), "targets are none.*at least one"),
        (lambda: hinge(np.zeros((1, 3)), np.array([0]), rivals="one"), "rivals is 'one'; allowed are all, worst"),
        (lambda: binary_hinge(np.zeros(2), np.array([0, 1])), r"targets hold \[0, 1\]; must be -1 or 1"),
        (lambda: binary_cross_entropy(np.zeros(2), np.array([0, 2])), "targets reach from 0 to 2"),
        (lambda: cross_entropy(np.zeros((1, 2)), np.array([[0.5, 0.6]])), "each row must sum to 1"),
        (lambda: cross_entropy(np.zeros((1, 2)), np.array([[-1.0, 2.0]])), "nothing lie below 0"),
        (lambda: kl_divergence(np.zeros((1, 2, 4)), np.zeros((1, 4), int)), "For pixels there is"),
        (
            lambda: pixel_cross_entropy(np.zeros((1, 2, 4)), np.zeros((1, 3), int)),
            r"targets is \(1, 3\); must be \(1, 4\)",
        ),
        (lambda: pixel_cross_entropy(np.zeros((1, 2, 4)), np.zeros((1, 4), int), np.ones(3)), r"weights is \(3,\)"),
        (lambda: dice(np.zeros((1, 2, 4)), np.zeros((1, 4))), r"targets is \(1, 4\)"),
    ],
)
def test_what_cannot_be(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
