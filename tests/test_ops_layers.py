"""Layers that keep the size, and activations, forward and backward: against torch and the formulas of papers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional

from lensmith import ops
from lensmith.ops import (
    Statistics,
    batch_norm,
    batch_norm_backward,
    batch_statistics,
    dense,
    dense_backward,
    dropout,
    dropout_backward,
    local_response,
    local_response_backward,
    prelu,
    prelu_backward,
    running_statistics,
    softmax,
    softmax_backward,
)
from ops_oracle import Array, assert_close, draw, oracle

SHAPES = [(5, 3), (4, 3, 6), (2, 3, 4, 5), (2, 3, 2, 3, 2)]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def test_dense_equals_torch() -> None:
    x, w, b = draw("x", 4, 3), draw("w", 5, 3), draw("b", 5)
    answer, gradient, gradients = oracle(functional.linear, x, w, b)
    assert_close(dense(x, w, b), answer)
    assert_close(dense_backward(gradient, x, w), gradients)


def test_a_linear_unit() -> None:
    """The notes' own: weight 2.5, bias 90; 5 grams of sugar are 102.5 calories."""
    assert dense(np.array([[5.0]]), np.array([[2.5]]), np.array([90.0])).tolist() == [[102.5]]


# Batch normalisation.


@every_shape
def test_batch_norm_in_training_equals_torch(shape: tuple[int, ...]) -> None:
    x, scale, shift = 3 + 2 * draw("x", *shape), draw("scale", 3), draw("shift", 3)
    before = Statistics(draw("mean", 3), 1 + draw("variance", 3) ** 2)
    mean, variance = torch.from_numpy(before.mean.copy()), torch.from_numpy(before.variance.copy())
    theirs = partial(functional.batch_norm, training=True)
    answer, gradient, gradients = oracle(lambda x, w, b: theirs(x, None, None, w, b), x, scale, shift)
    assert_close(batch_norm(x, scale, shift), answer)
    assert_close(batch_norm_backward(gradient, x, scale), gradients)
    functional.batch_norm(torch.from_numpy(x), mean, variance, training=True, momentum=0.3)
    after = running_statistics(before, x, momentum=0.3)
    assert_close([after.mean, after.variance], [mean.numpy(), variance.numpy()])


@every_shape
def test_batch_norm_in_use_equals_torch(shape: tuple[int, ...]) -> None:
    x, scale, shift = draw("x", *shape), draw("scale", 3), draw("shift", 3)
    given = Statistics(draw("mean", 3), 1 + draw("variance", 3) ** 2)
    running = [torch.from_numpy(given.mean), torch.from_numpy(given.variance)]
    answer, gradient, gradients = oracle(lambda x, w, b: functional.batch_norm(x, *running, w, b), x, scale, shift)
    assert_close(batch_norm(x, scale, shift, given), answer)
    assert_close(batch_norm_backward(gradient, x, scale, given), gradients)
    assert_close(batch_norm(x[:1], scale, shift, given), answer[:1])  # the others do not matter


def test_what_batch_norm_forgives() -> None:
    """The scale and shift of what comes in make no difference (up to the epsilon)."""
    x, one, none = draw("x", 50, 3), np.ones(3), np.zeros(3)
    plain = batch_norm(x, one, none)
    np.testing.assert_allclose(batch_norm(1000 * x - 7, one, none), plain, rtol=1e-4)
    assert_close(plain.mean(0), np.zeros(3))
    np.testing.assert_allclose(plain.var(0), 1, rtol=1e-4)
    found = batch_statistics(np.array([[1], [3]]))
    assert (found.mean, found.variance) == (2, 1)
    assert running_statistics(Statistics(none[:1], one[:1]), np.array([[1], [3]])).variance == pytest.approx(
        0.9 + 0.1 * 2
    )


# Dropout.


def test_dropout_keeps_the_mean_and_comes_back_the_same() -> None:
    x, gradient = np.ones((100, 100)), draw("gradient", 100, 100)
    answer, mask = dropout(x, 0.25, 7, "fc6", 0)
    assert set(np.unique(mask)) == {0.0, 1 / 0.75}
    assert (mask == 0).mean() == pytest.approx(0.25, abs=0.02) and answer.mean() == pytest.approx(1, abs=0.02)
    assert np.array_equal(answer, x * mask) and np.array_equal(dropout_backward(gradient, mask), gradient * mask)
    assert np.array_equal(dropout(x, 0.25, 7, "fc6", 0)[1], mask)
    for other in [(8, "fc6", 0), (7, "fc7", 0), (7, "fc6", 1)]:
        assert not np.array_equal(dropout(x, 0.25, *other)[1], mask)
    assert np.array_equal(dropout(x, 0, 0)[0], x)


# Local response normalisation.


@pytest.mark.parametrize("n", [1, 3, 4, 5, 20])
@pytest.mark.parametrize("shape", [(2, 7, 3), (2, 7, 3, 4)])
def test_local_response_equals_torch(shape: tuple[int, ...], n: int) -> None:
    x = 3 * draw("x", *shape)
    theirs = partial(functional.local_response_norm, size=n, alpha=0.5, beta=0.75, k=2.0)
    answer, gradient, (to_images,) = oracle(theirs, x)
    assert_close(local_response(x, n, alpha=0.5, mean=True), answer)
    assert_close(local_response_backward(gradient, x, n, alpha=0.5, mean=True), to_images)
    assert_close(local_response(x, n, alpha=0.5 / n), answer)
    assert_close(local_response_backward(gradient, x, n, alpha=0.5 / n), to_images)


def test_local_response_is_the_equation_of_the_paper() -> None:
    """Krizhevsky et al. 2012, section 3.3, written out: j from max(0, i - n/2) to min(N - 1, i + n/2)."""
    x, n, alpha, beta, k = 50 * draw("x", 1, 8, 2, 2), 5, 1e-4, 0.75, 2.0
    answer = local_response(x)
    for i in range(8):
        near = range(max(0, i - n // 2), min(7, i + n // 2) + 1)
        wanted = x[:, i] / (k + alpha * sum(x[:, j] ** 2 for j in near)) ** beta
        assert_close(answer[:, i], wanted)


# Activations.

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "leaky_relu": functional.leaky_relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "scaled_tanh": lambda x: 1.7159 * torch.tanh(x * 2 / 3),
}
EDGES = np.array([[-800.0, -1.0, 0.0, 1.0, 800.0]])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_equal_torch(name: str) -> None:
    forward, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
    for x in (2 * draw("x", 3, 4, 5), EDGES):
        answer, gradient, (to_values,) = oracle(ACTIVATIONS[name], x)
        assert_close(forward(x), answer)
        assert_close(backward(gradient, x), to_values)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("shape", [(5, 4), (2, 4, 3, 3)])
def test_prelu_equals_torch(shape: tuple[int, ...], channels: int) -> None:
    x, slopes = draw("x", *shape), draw("slopes", channels)
    answer, gradient, gradients = oracle(functional.prelu, x, slopes)
    assert_close(prelu(x, slopes), answer)
    assert_close(prelu_backward(gradient, x, slopes), gradients)


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4, 5)])
def test_softmax_equals_torch(shape: tuple[int, ...]) -> None:
    for x in (draw("x", *shape), 1e4 * draw("x", *shape)):
        answer, gradient, (to_values,) = oracle(lambda x: x.softmax(1), x)
        assert_close(softmax(x), answer)
        assert_close(softmax_backward(gradient, x), to_values)
    assert_close(softmax(x, axis=0), torch.from_numpy(x).softmax(0).numpy())


def test_activations_by_hand() -> None:
    assert ops.sigmoid(np.array([0.0])) == 0.5
    np.testing.assert_allclose(ops.scaled_tanh(np.array([-1.0, 1.0])), [-1, 1], rtol=1e-4)
    assert ops.relu_backward(np.ones(3), np.array([-1.0, 0.0, 1.0])).tolist() == [0, 0, 1]
    assert ops.leaky_relu(np.array([-2.0, 3.0]), 0.1).tolist() == [-0.2, 3]
    assert_close(softmax(np.log([[1.0, 2.0, 5.0]])), np.array([[0.125, 0.25, 0.625]]))


# What goes in.


def test_single_precision_stays() -> None:
    x = draw("x", 2, 3, 4, 4).astype(np.float32)
    one = np.ones(3, np.float32)
    found: list[Array] = [*dropout(x, 0.5, 0), *batch_norm_backward(x, x, one), batch_norm(x, one, one)]
    found += [local_response(x), local_response_backward(x, x), softmax(x), softmax_backward(x, x)]
    found += [prelu(x, one), *prelu_backward(x, x, one)]
    for name in ACTIVATIONS:
        found += [getattr(ops, name)(x), getattr(ops, f"{name}_backward")(x, x)]
    assert [array.dtype for array in found] == [np.dtype(np.float32)] * len(found)


def test_whole_numbers_may_come_in() -> None:
    pixels = np.array([[250, 10], [0, 30]], np.uint8)
    assert_close(batch_norm(pixels, np.ones(2), np.zeros(2)), batch_norm(pixels / 1.0, np.ones(2), np.zeros(2)))
    assert_close(local_response(pixels), local_response(pixels / 1.0))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: batch_norm(x[:1, :, 0], np.ones(3), np.ones(3)), r"images are \(1, 3\);.*Take a larger batch"),
        (lambda x: batch_norm(x, np.ones(2), np.ones(3)), r"scale is \(2,\); must be \(3,\)"),
        (lambda x: batch_norm_backward(x[:1], x, np.ones(3)), r"gradient is \(1, 3, 4\); must be \(2, 3, 4\)"),
        (lambda x: running_statistics(Statistics(0, 1), x[:1, :, 0]), "no variance"),
        (lambda x: dropout(x, 1.0, 0), "rate is 1.0; must be from 0 up to less than 1"),
        (lambda x: dropout(x, -0.1, 0), "rate is -0.1"),
        (lambda x: dropout_backward(x, x[0]), r"mask is \(3, 4\)"),
        (lambda x: dense(x, x), r"must be \(N, F\) and \(units, F\)"),
        (lambda x: dense(x[0], x[0], np.ones(2)), r"bias is \(2,\); must be \(3,\)"),
        (lambda x: dense_backward(x[0], x[0], x[1]), r"gradient is \(3, 4\); must be \(3, 3\)"),
        (lambda x: local_response(x, 0), "n is 0; must be .* at least 1"),
        (lambda x: prelu(x, np.ones(4)), r"slopes is \(4,\); must be \(3,\)"),
    ],
)
def test_what_cannot_be(call: Callable[[Array], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call(draw("x", 2, 3, 4))


def test_the_names_are_complete() -> None:
    """Each backward pass has its forward pass, and everything named exists."""
    assert all(hasattr(ops, name) for name in ops.__all__)
    assert {name.removesuffix("_backward") for name in ops.__all__ if name.endswith("_backward")} <= set(ops.__all__)
