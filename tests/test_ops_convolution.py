"""Convolution of one plane: against scipy, torch and numpy, against its own matrix, and against hand numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage, signal
from torch.nn import functional

from lensmith.ops import (
    convolution_matrix,
    convolve,
    correlation_matrix,
    cross_correlate,
    side_by_side,
    transposed_convolution,
)
from lensmith.ops.convolution import MODES
from lensmith.ops.windows import PADDINGS, output_size, transposed_size
from ops_oracle import Array, assert_close, draw, of_rank

PLANES = [((7,), (3,)), ((6,), (2,)), ((5, 6), (3, 2)), ((4, 5, 3), (2, 3, 2))]
A_B, X_Y_Z = [2, 3], [5, 7, 11]  # all products differ


def planes(shape: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[Array, Array]:
    return draw("signal", *shape), draw("kernel", *kernel)


# Against others.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("shape", "kernel"), PLANES)
def test_both_equal_scipy(shape: tuple[int, ...], kernel: tuple[int, ...], mode: str) -> None:
    x, k = planes(shape, kernel)
    assert_close(convolve(x, k, mode), signal.convolve(x, k, mode, method="direct"))
    assert_close(cross_correlate(x, k, mode), signal.correlate(x, k, mode, method="direct"))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("mode", MODES)
def test_one_dimension_equals_numpy(mode: str, size: int) -> None:
    x, k = planes((8,), (size,))
    assert_close(convolve(x, k, mode), np.convolve(x, k, mode))
    assert_close(cross_correlate(x, k, mode), np.correlate(x, k, mode))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("shape", "kernel"), PLANES)
def test_borders_equal_scipy(shape: tuple[int, ...], kernel: tuple[int, ...], padding: str) -> None:
    x, k = planes(shape, kernel)
    wanted = ndimage.correlate(x, k, mode={"replicate": "nearest"}.get(padding, padding), cval=0.5)
    assert_close(cross_correlate(x, k, "same", padding, fill=0.5), wanted)


@pytest.mark.parametrize(("padding", "theirs"), [("replicate", "replicate"), ("mirror", "reflect")])
def test_borders_by_the_names_of_torch(padding: str, theirs: str) -> None:
    x, k = planes((5, 6), (3, 5))
    padded = functional.pad(torch.from_numpy(x)[None, None], (2, 2, 1, 1), mode=theirs)
    wanted = functional.conv2d(padded, torch.from_numpy(k)[None, None])[0, 0].numpy()
    assert_close(cross_correlate(x, k, "same", padding), wanted)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("shape", "kernel"), PLANES)
def test_transposed_equals_torch_and_the_transposed_matrix(
    shape: tuple[int, ...], kernel: tuple[int, ...], stride: int
) -> None:
    x, k = planes(shape, kernel)
    found = transposed_convolution(x, k, stride)
    theirs = of_rank("conv_transpose", len(shape))(*(torch.from_numpy(a)[None, None] for a in (x, k)), stride=stride)
    assert_close(found, theirs[0, 0].numpy())
    matrix = correlation_matrix(k, found.shape, stride=stride)
    assert matrix.shape == (x.size, found.size)
    assert_close(matrix.T @ x.ravel(), found.ravel())


# Against itself.


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("shape", "kernel", "stride"), [((7,), (4,), 3), ((5, 6), (3, 2), (2, 1)), ((3, 4, 3), (2, 3, 3), 2)]
)
def test_the_matrix_does_what_the_function_does(
    shape: tuple[int, ...], kernel: tuple[int, ...], stride: int | tuple[int, ...], mode: str, padding: str
) -> None:
    x, k = planes(shape, kernel)
    matrix = convolution_matrix(k, shape, mode, padding, stride)
    assert_close(matrix @ x.ravel(), convolve(x, k, mode, padding, stride).ravel())
    matrix = correlation_matrix(k, shape, mode, padding, stride)
    assert_close(matrix @ x.ravel(), cross_correlate(x, k, mode, padding, stride).ravel())


@pytest.mark.parametrize("mode", MODES)
def test_a_stride_keeps_every_so_many(mode: str) -> None:
    x, k = planes((7, 8), (3, 2))
    assert_close(convolve(x, k, mode, stride=(2, 3)), convolve(x, k, mode)[::2, ::3])
    assert_close(convolve(x, k, mode, stride=2), convolve(x, k, mode)[::2, ::2])


def test_convolution_commutes_and_correlation_does_not() -> None:
    x, k = planes((4, 5), (3, 2))
    assert_close(convolve(x, k, "full"), convolve(k, x, "full"))
    assert not np.allclose(cross_correlate(x, k, "full"), cross_correlate(k, x, "full"))
    assert_close(cross_correlate(x, k, "full"), np.flip(cross_correlate(k, x, "full")))


def test_transposed_with_stride_one_is_full_convolution() -> None:
    x, k = planes((4, 5), (3, 2))
    assert_close(transposed_convolution(x, k), convolve(x, k, "full"))


# By hand (ANCHORS, section 1).


def test_the_response_to_a_single_one() -> None:
    one, kernel = np.zeros((5, 5), int), np.arange(1, 10).reshape(3, 3)
    one[2, 2] = 1
    assert convolve(one, kernel, "same")[1:4, 1:4].tolist() == kernel.tolist()
    assert cross_correlate(one, kernel, "same")[1:4, 1:4].tolist() == kernel[::-1, ::-1].tolist()


def test_vertical_edge() -> None:
    picture, edge = [[3, 0, 1], [1, 5, 8], [2, 7, 2]], [[1, 0, -1]] * 3
    assert cross_correlate(picture, edge).tolist() == [[-5]]
    assert convolve(picture, edge).tolist() == [[5]]  # turned round it looks for the other side


def test_five_by_five() -> None:
    picture = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
    kernel = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert cross_correlate(picture, kernel).tolist() == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]
    assert convolve(picture, kernel).tolist() == cross_correlate(picture, kernel).tolist()  # the kernel is symmetric


def test_transposed_by_hand() -> None:
    (a, b), (x, y, z) = A_B, X_Y_Z
    assert transposed_convolution(A_B, X_Y_Z, 1).tolist() == [a * x, a * y + b * x, a * z + b * y, b * z]
    assert transposed_convolution(A_B, X_Y_Z, 2).tolist() == [a * x, a * y, a * z + b * x, b * y, b * z]
    assert correlation_matrix(X_Y_Z, 5, stride=2).tolist() == [[x, y, z, 0, 0], [0, 0, x, y, z]]
    assert correlation_matrix(X_Y_Z, 4).T.tolist() == [[x, 0], [y, x], [z, y], [0, z]]


def test_borders_by_hand() -> None:
    def seen(padding: str, fill: float = 0) -> list[float]:
        """A kernel of a single 1 at its end shifts the padded signal into view."""
        return [cross_correlate([1, 2, 3], np.eye(5)[j], "same", padding, fill=fill)[0] for j in range(3)]

    assert seen("constant") == [0, 0, 1]
    assert seen("constant", 0.5) == [0.5, 0.5, 1]
    assert seen("replicate") == [1, 1, 1]
    assert seen("mirror") == [3, 2, 1]
    assert cross_correlate([7], [1, 1, 1], "same", "mirror").tolist() == [21]  # one pixel is all there is to mirror
    assert cross_correlate([1, 2], [1, 0, 0, 0], "full", "mirror").tolist() == [2, 1, 2, 1, 2]  # to and fro


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding", "places"),
    [
        (227, 11, 4, 0, 55),
        (224, 11, 4, 2, 55),
        (224, 7, 2, 3, 112),
        (32, 5, 1, 0, 28),
        (100, 3, 1, 2, 102),
        (20, 10, 10, 0, 2),
    ],
)
def test_output_sizes(size: int, window: int, stride: int, padding: int, places: int) -> None:
    assert output_size(size, window, stride, padding) == places
    padded = cross_correlate(np.zeros(size + 2 * padding), np.ones(window), stride=stride)
    assert padded.shape == (places,)


def test_the_sizes_of_a_u_net() -> None:
    """572 -> 568 284 280 140 136 68 64 32 28 and up again to 388, joined with what is cropped on the way."""
    size, down, up, crops = 572, [], [], []
    for level in range(5):
        size = output_size(output_size(size, 3), 3)
        down.append(size)
        if level < 4:
            size = output_size(size, 2, 2)
            down.append(size)
    assert down == [568, 284, 280, 140, 136, 68, 64, 32, 28]
    for across in reversed(down[:-1:2]):
        size = transposed_size(size, 2, 2)
        crops.append((across, size))
        size = output_size(output_size(size, 3), 3)
        up.append(size)
    assert (crops, up) == ([(64, 56), (136, 104), (280, 200), (568, 392)], [52, 100, 196, 388])


# What goes in.


def test_bytes_do_not_overflow() -> None:
    white = np.full((3, 3), 255, np.uint8)
    assert cross_correlate(white, np.ones((3, 3), np.uint8)).tolist() == [[9 * 255]]
    assert convolve(white, -np.ones((2, 2), np.int8)).dtype == np.int64


@pytest.mark.parametrize("padding", PADDINGS)
def test_single_precision_stays(padding: str) -> None:
    x, k = (array.astype(np.float32) for array in planes((4, 4), (3, 3)))
    assert convolve(x, k, "same", padding).dtype == np.float32
    assert convolution_matrix(k, (4, 4)).dtype == transposed_convolution(x, k).dtype == np.float32


def test_a_kernel_may_be_larger_than_the_signal() -> None:
    x, k = planes((3,), (5,))
    assert_close(convolve(x, k, "full"), np.convolve(x, k, "full"))
    assert_close(convolve(x, k, "same"), np.convolve(x, k, "full")[2:5])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1, 2], [1, 2, 3]), r"kernel \(3,\) is larger than the signal \(2,\).*mode 'same' or 'full'"),
        (([[1, 2, 3]], [[1], [2]]), r"kernel \(2, 1\) is larger than the signal \(1, 3\)"),
        (([1, 2], [[1]]), r"signal is \(2,\) and kernel \(1, 1\); must have the same number of axes"),
        ((1, 2), "at least one"),
        (([], [1]), "must not be empty"),
        (([1, 2], [1], "vaild"), "mode is 'vaild'; allowed are valid, same, full. Nearest: valid"),
        (([1, 2], [1], "same", "reflect"), "padding is 'reflect'; allowed are constant, replicate, mirror"),
        (([1, 2], [1], "same", "constant", 0), "stride is 0; must be a whole number from 1 up"),
        (([1, 2], [1], "same", "constant", (1, 1)), "one for each of 1 axes"),
        (([1, 2], [1], "same", "constant", 1.5), "stride is 1.5"),
        ((["a"], [1]), "signal is an array of <U1; must hold whole numbers or floats"),
    ],
)
@pytest.mark.parametrize("function", [cross_correlate, convolve])
def test_what_cannot_be(function: object, arguments: tuple[object, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        function(*arguments)  # type: ignore[operator]


def test_matrices_refuse_what_the_functions_refuse() -> None:
    with pytest.raises(ValueError, match=r"kernel \(3,\) is larger than the signal \(2,\)"):
        convolution_matrix([1, 2, 3], 2)
    with pytest.raises(ValueError, match="shape is 0; must be a whole number from 1 up"):
        correlation_matrix([1, 2, 3], 0, "same")
    with pytest.raises(ValueError, match="at least one"):
        correlation_matrix(1, 3)
    with pytest.raises(ValueError, match="stride is 0"):
        transposed_convolution([1, 2], [1], 0)
    with pytest.raises(ValueError, match=r"a window of 5 does not fit into 2 with padding 1 .* Take at most 4"):
        output_size(2, 5, 1, 1)
    with pytest.raises(ValueError, match="stride 0"):
        output_size(2, 1, 0)


# As text.


def test_planes_side_by_side() -> None:
    assert side_by_side({"signal": [[0, 10], [2, 0], [0, 0]], "k": [1, -1], "half": [[0.5]]}).splitlines() == [
        "signal    k        half",
        "",
        " . 10",
        " 2  .      1 -1    0.5",
        " .  .",
    ]
    with pytest.raises(ValueError, match=r"cube is \(1, 1, 1\); must have one or two axes"):
        side_by_side({"cube": [[[1]]]})
