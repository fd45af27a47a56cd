"""Pooling and un-pooling against torch, and by hand: what goes up came down, and no gradient is lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from lensmith.ops import (
    global_pool,
    global_pool_backward,
    l2_pool,
    l2_pool_backward,
    max_pool,
    max_pool_backward,
    mean_pool,
    mean_pool_backward,
    unpool_max,
    unpool_max_backward,
    unpool_nails,
    unpool_nails_backward,
    unpool_nearest,
    unpool_nearest_backward,
)
from ops_oracle import assert_close, draw, of_rank, oracle

Sizes = tuple[int, ...]
Steps = int | tuple[int, ...] | None
POOLINGS = [  # images, window, stride, padding
    ((2, 3, 9), 3, 2, 1),
    ((1, 2, 8, 8), 2, None, 0),
    ((2, 2, 6, 7), (3, 2), (2, 1), (1, 0)),
    ((2, 2, 7, 7), 2, 3, 0),  # some pixels lie in no window
    ((1, 2, 2, 2), 3, 1, 1),  # every window reaches over the edge
    ((1, 2, 5, 4, 6), (2, 3, 2), (2, 1, 2), (1, 1, 0)),
]
every_pooling = pytest.mark.parametrize(("images", "window", "stride", "padding"), POOLINGS)


@every_pooling
def test_max_equals_torch(images: Sizes, window: Steps, stride: Steps, padding: Steps) -> None:
    x, theirs = draw("images", *images), of_rank("max_pool", len(images) - 2)
    values, indices = max_pool(x, window, stride, padding)
    answer, gradient, (to_images,) = oracle(lambda x: theirs(x, window, stride, padding), x)
    assert_close(values, answer)
    assert_close(max_pool_backward(gradient, indices, x.shape), to_images)


@every_pooling
@pytest.mark.parametrize("kind", ["ties", "constant", "endless"])
def test_remembered_places_are_those_of_torch(
    images: Sizes, window: Steps, stride: Steps, padding: Steps, kind: str
) -> None:
    made = {
        "ties": np.round(draw("images", *images)),
        "constant": np.ones(images),
        "endless": np.full(images, -math.inf),
    }
    theirs = of_rank("max_pool", len(images) - 2)
    _, wanted = theirs(torch.from_numpy(made[kind]), window, stride, padding, return_indices=True)
    assert np.array_equal(max_pool(made[kind], window, stride, padding)[1], wanted.numpy())


@every_pooling
@pytest.mark.parametrize("counted", [False, True])
def test_mean_equals_torch(images: Sizes, window: Steps, stride: Steps, padding: Steps, counted: bool) -> None:
    x, theirs = draw("images", *images), of_rank("avg_pool", len(images) - 2)
    answer, gradient, (to_images,) = oracle(lambda x: theirs(x, window, stride, padding, False, counted), x)
    assert_close(mean_pool(x, window, stride, padding, counted), answer)
    assert_close(mean_pool_backward(gradient, x.shape, window, stride, padding, counted), to_images)


@every_pooling
def test_l2_equals_torch(images: Sizes, window: Steps, stride: Steps, padding: Steps) -> None:
    axes = len(images) - 2
    x, mean = draw("images", *images), of_rank("avg_pool", axes)
    pixels = window**axes if isinstance(window, int) else math.prod(window or ())
    answer, gradient, (to_images,) = oracle(lambda x: (mean(x**2, window, stride, padding) * pixels).sqrt(), x)
    assert_close(l2_pool(x, window, stride, padding), answer)
    assert_close(l2_pool_backward(gradient, x, window, stride, padding), to_images)


def test_l2_is_what_torch_calls_lp_with_two() -> None:
    x = draw("images", 2, 3, 6, 6)
    assert_close(l2_pool(x, 3, 2), functional.lp_pool2d(torch.from_numpy(x), 2.0, 3, 2).numpy())


@pytest.mark.parametrize("kind", ["max", "mean", "l2"])
@pytest.mark.parametrize("images", [(2, 3, 5), (2, 3, 4, 5), (1, 2, 3, 4, 2)])
def test_global_pools_equal_torch(images: Sizes, kind: str) -> None:
    theirs = {
        "max": lambda x: x.amax(2),
        "mean": lambda x: x.mean(2),
        "l2": lambda x: torch.linalg.vector_norm(x, dim=2),
    }
    x = draw("images", *images)
    answer, gradient, (to_images,) = oracle(lambda x: theirs[kind](x.flatten(2)), x)
    assert_close(global_pool(x, kind), answer)
    assert_close(global_pool_backward(gradient, x, kind), to_images)


@pytest.mark.parametrize(
    ("images", "window"), [((2, 3, 8), 2), ((2, 2, 6, 9), (2, 3)), ((1, 2, 5, 5), 2), ((1, 2, 4, 4, 2), 2)]
)
def test_max_unpooling_equals_torch(images: Sizes, window: Steps) -> None:
    values, indices = max_pool(draw("images", *images), window)
    theirs, places = of_rank("max_unpool", len(images) - 2), torch.from_numpy(indices)
    answer, gradient, (to_values,) = oracle(lambda v: theirs(v, places, window, output_size=images), values)
    assert_close(unpool_max(values, indices, images), answer)
    assert_close(unpool_max_backward(gradient, indices), to_values)


@pytest.mark.parametrize(
    ("images", "factor"), [((2, 3, 4), (3,)), ((2, 2, 3, 4), (2, 3)), ((1, 2, 2, 3, 2), (2, 1, 3))]
)
def test_the_other_unpoolings_equal_torch(images: Sizes, factor: Sizes) -> None:
    x = draw("images", *images)
    scales = tuple(map(float, factor))
    answer, gradient, (to_images,) = oracle(lambda x: functional.interpolate(x, scale_factor=scales), x)
    assert_close(unpool_nearest(x, factor), answer)
    assert_close(unpool_nearest_backward(gradient, factor), to_images)

    nail = torch.zeros(images[1], 1, *factor, dtype=torch.float64)
    nail[(..., *(0 for _ in factor))] = 1
    theirs = of_rank("conv_transpose", len(factor))
    answer, gradient, (to_images,) = oracle(lambda x: theirs(x, nail, stride=factor, groups=images[1]), x)
    assert_close(unpool_nails(x, factor), answer)
    assert_close(unpool_nails_backward(gradient, factor), to_images)


# By hand (ANCHORS, section 1).


def test_numbers_counted_up() -> None:
    values, indices = max_pool(np.arange(32).reshape(1, 2, 4, 4), 3, (2, 1), 1)
    first = np.array([[5, 6, 7, 7], [13, 14, 15, 15]])
    assert values.tolist() == [[first.tolist(), (first + 16).tolist()]]
    assert (indices == first).all()  # in each plane they are their own places


def test_twenty_by_ten() -> None:
    assert max_pool(np.zeros((1, 1, 20, 20)), 10)[0].shape == (1, 1, 2, 2)
    assert mean_pool(np.arange(400).reshape(1, 1, 20, 20), 10).tolist() == [[[[94.5, 104.5], [294.5, 304.5]]]]


@every_pooling
def test_the_sum_of_the_gradient_is_kept(images: Sizes, window: Steps, stride: Steps, padding: Steps) -> None:
    x = draw("images", *images)
    values, indices = max_pool(x, window, stride, padding)
    gradient = draw("gradient", *values.shape)
    assert_close(max_pool_backward(gradient, indices, x.shape).sum(), gradient.sum())
    assert_close(mean_pool_backward(gradient, x.shape, window, stride, padding).sum(), gradient.sum())


def test_backward_by_hand() -> None:
    x = np.array([[[[1, 2], [4, 3]]]])
    gradient = np.array([[[[8.0]]]])
    assert max_pool_backward(gradient, max_pool(x, 2)[1], x.shape).tolist() == [[[[0, 0], [8, 0]]]]
    assert mean_pool_backward(gradient, x.shape, 2).tolist() == [[[[2, 2], [2, 2]]]]
    assert l2_pool(np.array([[[3, 4]]]), 2).tolist() == [[[5]]]
    assert_close(l2_pool_backward(np.array([[[1.0]]]), np.array([[[3, 4]]]), 2), np.array([[[0.6, 0.8]]]))
    assert l2_pool_backward(np.array([[[1.0]]]), np.array([[[0, 0]]]), 2).tolist() == [[[0, 0]]]


def test_unpooling_by_hand() -> None:
    x = np.array([[[[1, 9], [3, 2]]]])
    values, indices = max_pool(x, 2)
    assert unpool_max(values, indices, x.shape).tolist() == [[[[0, 9], [0, 0]]]]
    assert unpool_nails(values, 2).tolist() == [[[[9, 0], [0, 0]]]]
    assert unpool_nearest(values, 2).tolist() == [[[[9, 9], [9, 9]]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_kinds_of_numbers(dtype: type) -> None:
    white = np.full((1, 1, 4, 4), 255, dtype)
    assert max_pool(white, 3, 1, 1)[0].tolist() == white.tolist()
    assert mean_pool(white, 2).tolist() == [[[[255, 255], [255, 255]]]]
    assert global_pool(white, "l2").tolist() == [[1020]]
    if dtype == np.float32:
        assert {global_pool(white, kind).dtype for kind in ("max", "mean", "l2")} == {np.dtype(np.float32)}


# What goes in.


@pytest.mark.parametrize(
    ("images", "arguments", "said"),
    [
        ((4, 4), (2,), r"images are \(4, 4\); must be \(N, C, \*space\)"),
        ((1, 1, 4, 4), (5,), "a window of 5 does not fit into 4 with padding 0"),
        ((1, 1, 4, 4), (0,), "window is 0; must be a whole number from 1 up"),
        ((1, 1, 4, 4), (2, 0), "stride is 0"),
        ((1, 1, 4, 4), ((2, 2, 2),), "one for each of 2 axes"),
        ((1, 1, 4, 4), (2, 2, 2), r"padding is \(2, 2\); must be at most half the window"),
    ],
)
@pytest.mark.parametrize("function", [max_pool, mean_pool, l2_pool])
def test_what_cannot_be(function: object, images: Sizes, arguments: tuple[object, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        function(np.zeros(images), *arguments)  # type: ignore[operator]


def test_what_does_not_fit() -> None:
    x = draw("images", 1, 1, 4, 4)
    values, indices = max_pool(x, 2)
    with pytest.raises(ValueError, match=r"planes of \(2, 2\) have 4"):
        unpool_max(values, indices, (1, 1, 2, 2))
    with pytest.raises(ValueError, match=r"values is \(1, 1, 2, 2\); must be \(2, 1, 2, 2\)"):
        unpool_max(values, indices, (2, 1, 4, 4))
    with pytest.raises(ValueError, match=r"indices is .*; must be \(1, 1, 2\)"):
        max_pool_backward(values[..., 0], indices, x.shape)
    with pytest.raises(ValueError, match=r"gradient is \(1, 1, 4, 4\); must be \(1, 1, 2, 2\)"):
        mean_pool_backward(x, x.shape, 2)
    with pytest.raises(ValueError, match=r"the pooled picture is \(1, 1, 2, 2\); must be \(1, 1, 4, 4\)"):
        l2_pool_backward(x, x, 2)
    with pytest.raises(ValueError, match="kind is 'median'; allowed are max, mean, l2"):
        global_pool(x, "median")
    with pytest.raises(ValueError, match=r"its planes must be whole blocks of \(3, 3\)"):
        unpool_nearest_backward(x, 3)
    with pytest.raises(ValueError, match="factor is 0"):
        unpool_nails(x, 0)
    with pytest.raises(ValueError, match=r"images are \(4, 4\)"):
        unpool_nearest(x[0, 0], 2)
