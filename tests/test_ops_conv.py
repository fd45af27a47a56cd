"""Convolution layers and their gradients against torch, against the formulas, and against the notes' own examples."""

from __future__ import annotations

import numpy as np
import pytest

from lensmith.ops import (
    conv,
    conv_backward,
    convolve,
    cross_correlate,
    dense,
    max_pool,
    relu,
    transposed_conv,
    transposed_conv_backward,
)
from ops_oracle import assert_close, draw, of_rank, oracle

Sizes = tuple[int, ...]
Steps = int | tuple[int, ...]
LAYERS = [  # images, weight, stride, padding, groups
    ((2, 3, 9), (4, 3, 3), 1, 0, 1),
    ((2, 4, 10), (6, 2, 3), 2, 1, 2),
    ((2, 3, 6, 7), (4, 3, 3, 2), (2, 1), (1, 0), 1),
    ((1, 4, 5, 6), (4, 1, 3, 3), (1, 2), 1, 4),
    ((2, 2, 8, 7), (3, 2, 3, 3), 3, 0, 1),  # the last pixels are never seen
    ((1, 2, 3, 3), (2, 2, 1, 1), 2, 2, 1),  # the window is narrower than its stride
    ((1, 2, 4, 5, 4), (3, 2, 2, 3, 2), (1, 2, 2), (0, 1, 1), 1),
]
TRANSPOSED = [  # images, weight, stride, padding, output padding, groups
    ((2, 3, 4), (3, 2, 3), 2, 1, 1, 1),
    ((1, 2, 3, 4), (2, 3, 3, 3), 1, 0, 0, 1),
    ((1, 4, 3, 4), (4, 2, 3, 2), (2, 3), (1, 0), (1, 2), 2),
    ((1, 2, 2, 3, 2), (2, 3, 2, 2, 3), 2, 0, 0, 1),
]


@pytest.mark.parametrize(("images", "weight", "stride", "padding", "groups"), LAYERS)
def test_conv_equals_torch(images: Sizes, weight: Sizes, stride: Steps, padding: Steps, groups: int) -> None:
    x, w, b = draw("images", *images), draw("weight", *weight), draw("bias", weight[0])
    theirs = of_rank("conv", len(images) - 2)
    answer, gradient, gradients = oracle(lambda x, w, b: theirs(x, w, b, stride, padding, groups=groups), x, w, b)
    assert_close(conv(x, w, b, stride, padding, groups), answer)
    assert_close(conv_backward(gradient, x, w, stride, padding, groups), gradients)


@pytest.mark.parametrize(("images", "weight", "stride", "padding", "extra", "groups"), TRANSPOSED)
def test_transposed_conv_equals_torch(
    images: Sizes, weight: Sizes, stride: Steps, padding: Steps, extra: Steps, groups: int
) -> None:
    x, w, b = draw("images", *images), draw("weight", *weight), draw("bias", weight[1] * groups)
    theirs = of_rank("conv_transpose", len(images) - 2)
    answer, gradient, gradients = oracle(lambda x, w, b: theirs(x, w, b, stride, padding, extra, groups), x, w, b)
    assert_close(transposed_conv(x, w, b, stride, padding, extra, groups), answer)
    assert_close(transposed_conv_backward(gradient, x, w, stride, padding, groups), gradients)


# The formulas.


def test_a_layer_is_a_sum_of_cross_correlations() -> None:
    x, w, b = draw("images", 2, 3, 5, 6), draw("weight", 4, 3, 3, 2), draw("bias", 4)
    answer = conv(x, w, b)
    for n, o in np.ndindex(2, 4):
        assert_close(answer[n, o], b[o] + sum(cross_correlate(x[n, c], w[o, c]) for c in range(3)))


def test_gradients_are_convolutions_again() -> None:
    """ANCHORS: weight gradient = input conv output gradient, input gradient = full conv."""
    x, w, g = draw("images", 2, 3, 5, 6), draw("weight", 4, 3, 3, 2), draw("gradient", 2, 4, 3, 5)
    to_images, to_weight, to_bias = conv_backward(g, x, w)
    for o, c in np.ndindex(4, 3):
        assert_close(to_weight[o, c], sum(cross_correlate(x[n, c], g[n, o]) for n in range(2)))
    for n, c in np.ndindex(2, 3):
        assert_close(to_images[n, c], sum(convolve(g[n, o], w[o, c], "full") for o in range(4)))
    assert_close(to_bias, g.sum((0, 2, 3)))


@pytest.mark.parametrize(("images", "weight", "stride", "padding", "extra", "groups"), TRANSPOSED)
def test_transposed_means_transposed(
    images: Sizes, weight: Sizes, stride: Steps, padding: Steps, extra: Steps, groups: int
) -> None:
    """`<conv(x), y> = <x, transposed_conv(y)>` for all x and y is what makes it the transpose."""
    y, w = draw("images", *images), draw("weight", *weight)
    back = transposed_conv(y, w, None, stride, padding, extra, groups)
    x = draw("pictures", *back.shape)
    assert_close((conv(x, w, None, stride, padding, groups) * y).sum(), (x * back).sum())


def test_one_by_one_is_a_dense_layer_at_each_pixel() -> None:
    x, w, b = draw("images", 2, 5, 3, 4), draw("weight", 7, 5), draw("bias", 7)
    pixels = np.moveaxis(x, 1, -1).reshape(-1, 5)
    wanted = np.moveaxis(dense(pixels, w, b).reshape(2, 3, 4, 7), -1, 1)
    assert_close(conv(x, w[:, :, None, None], b), wanted)


def test_two_groups_are_two_layers() -> None:
    x, w = draw("images", 1, 4, 5, 5), draw("weight", 6, 2, 3, 3)
    halves = [conv(x[:, :2], w[:3]), conv(x[:, 2:], w[3:])]
    assert_close(conv(x, w, groups=2), np.concatenate(halves, 1))


def test_zero_weights_in_a_residual_block() -> None:
    """ANCHORS: the block is the identity after ReLU."""
    x = relu(draw("images", 2, 3, 5, 5))
    zero, bias = np.zeros((3, 3, 3, 3)), np.zeros(3)
    inside = conv(relu(conv(x, zero, bias, padding=1)), zero, bias, padding=1)
    assert np.array_equal(relu(inside + x), x)


# Worked examples of the notes (ANCHORS, section 1).


@pytest.mark.parametrize(
    ("images", "weight", "padding", "answer", "parameters"),
    [
        ((4, 2, 3, 5), (3, 2, 3, 5), (1, 2), (4, 3, 3, 5), 93),
        ((1, 3, 5, 5), (10, 3, 3, 3), 0, (1, 10, 3, 3), 280),
        ((1, 3, 8, 8), (2, 3, 3, 3), 1, (1, 2, 8, 8), 56),
        ((1, 3, 6, 6), (2, 3, 3, 3), 0, (1, 2, 4, 4), 56),
        ((1, 192, 28, 28), (32, 192, 1, 1), 0, (1, 32, 28, 28), 6_176),
        ((1, 3, 100, 100), (10, 3, 10, 10), 0, (1, 10, 91, 91), 3_010),
    ],
)
def test_shapes_and_parameters(images: Sizes, weight: Sizes, padding: Steps, answer: Sizes, parameters: int) -> None:
    w, b = np.zeros(weight, np.float32), np.ones(weight[0], np.float32)
    found = conv(np.zeros(images, np.float32), w, b, padding=padding)
    assert found.shape == answer and (found == 1).all()
    assert w.size + b.size == parameters


NETS = {  # filters (O, kernel) with or without a pooling by 2 behind each, sizes on the way, dense widths, parameters
    "small net for MNIST": ((1, 28), [(32, 3, False), (64, 3, True)], [26, 24, 12], (128, 10), 1_199_882),
    "LeNet in colour": ((3, 32), [(6, 5, True), (16, 5, True)], [28, 14, 10, 5], (120, 84, 10), 62_006),
}


@pytest.mark.parametrize("name", NETS)
def test_whole_networks(name: str) -> None:
    (channels, size), layers, wanted, widths, total = NETS[name]
    x = np.zeros((1, channels, size, size), np.float32)
    sizes, parameters = [], 0
    for filters, kernel, pooled in layers:
        w, b = np.zeros((filters, x.shape[1], kernel, kernel), np.float32), np.zeros(filters, np.float32)
        x, parameters = relu(conv(x, w, b)), parameters + w.size + b.size
        sizes.append(x.shape[2])
        if pooled:
            x, _ = max_pool(x, 2)
            sizes.append(x.shape[2])
    assert sizes == wanted
    x = x.reshape(1, -1)
    assert x.shape[1] == {"small net for MNIST": 9_216, "LeNet in colour": 400}[name]
    for width in widths:
        w, b = np.zeros((width, x.shape[1]), np.float32), np.zeros(width, np.float32)
        x, parameters = dense(x, w, b), parameters + w.size + b.size
    assert parameters == total and x.shape == (1, widths[-1])


# What goes in.


def test_bytes_do_not_overflow() -> None:
    white = np.full((1, 2, 3, 3), 255, np.uint8)
    assert conv(white, np.ones((1, 2, 3, 3), np.uint8)).tolist() == [[[[18 * 255]]]]


def test_single_precision_stays() -> None:
    x, w, b = (draw("x", *shape).astype(np.float32) for shape in ((1, 2, 4, 4), (2, 2, 3, 3), (2,)))
    answer = conv(x, w, b, padding=1)
    arrays = [answer, *conv_backward(answer, x, w, padding=1), transposed_conv(x, w, b)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("images", "weight", "arguments", "said"),
    [
        ((3, 4, 4), (2, 3, 3, 3), {}, r"images are \(3, 4, 4\) and weight is .*\(N, C, \*space\)"),
        ((1, 3), (2, 3), {}, "one, two or three axes of space"),
        ((1, 3, 4, 4), (2, 4, 3, 3), {}, "must have 4 channels for this weight"),
        ((1, 4, 4, 4), (3, 2, 3, 3), {"groups": 2}, "groups is 2; must divide the 3 planes"),
        ((1, 4, 4, 4), (3, 2, 3, 3), {"groups": 0}, "groups is 0"),
        ((1, 3, 4, 4), (2, 3, 5, 5), {}, "a window of 5 does not fit into 4 with padding 0"),
        ((1, 3, 4, 4), (2, 3, 3, 3), {"stride": 0}, "stride is 0; must be a whole number from 1 up"),
        ((1, 3, 4, 4), (2, 3, 3, 3), {"padding": (1, 1, 1)}, "one for each of 2 axes"),
        ((1, 3, 4, 4), (2, 3, 3, 3), {"padding": -1}, "padding is -1"),
        ((1, 3, 4, 4), (2, 3, 3, 3), {"bias": np.zeros(3)}, r"bias is \(3,\); must be \(2,\)"),
    ],
)
def test_what_cannot_be(images: Sizes, weight: Sizes, arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        conv(np.zeros(images), np.zeros(weight), **arguments)  # type: ignore[arg-type]


def test_gradients_must_fit() -> None:
    x, w = np.zeros((1, 3, 4, 4)), np.zeros((2, 3, 3, 3))
    with pytest.raises(ValueError, match=r"gradient is \(1, 2, 4, 4\); must be \(1, 2, 2, 2\)"):
        conv_backward(np.zeros((1, 2, 4, 4)), x, w)
    with pytest.raises(ValueError, match=r"output_padding is .*less than the stride"):
        transposed_conv(np.zeros((1, 2, 4, 4)), w, output_padding=1)
    with pytest.raises(ValueError, match="takes everything away"):
        transposed_conv(np.zeros((1, 2, 1, 1)), w, padding=2)
    with pytest.raises(ValueError, match=r"the gradient of the images is .*must be"):
        transposed_conv_backward(np.zeros((1, 3, 7, 7)), np.zeros((1, 2, 4, 4)), w)
