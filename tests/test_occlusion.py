"""Hiding a part of the picture: against Captum, by hand, and with torch out of reach."""

from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import nn

from lensmith.errors import UsageError
from lensmith.seeing.eye import asking, pixels_of
from lensmith.seeing.fills import FILLS, filled
from lensmith.seeing.gradients import of_output, of_region
from lensmith.seeing.methods import METHODS, Settings, explained, targets_of
from lensmith.seeing.occlusion import hide, sizes, spread, starts_of
from seeing_networks import Small, drawn, eye_of, squares_of, subject_of


def ramp(side: int) -> np.ndarray:
    """A picture in which every number is another, up to 255."""
    return (np.arange(side * side * 3).reshape(side, side, 3) % 256).astype(np.uint8)


def total(squares: Iterable[np.ndarray]) -> np.ndarray:
    """A network that adds up the red of a picture, and says its opposite too."""
    return np.array([[square[..., 0].sum(), -float(square[..., 0].sum())] for square in squares], np.float32)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("window", "stride"), [(4, 4), (4, 2), (8, 4), (5, 3)], ids=str)
@pytest.mark.parametrize("fill", ["mean", "black", "blur"])
def test_equals_captum(window: int, stride: int, fill: str) -> None:
    from captum.attr import Occlusion

    eye, square = eye_of(drawn(Small)), squares_of(1)[0]
    whole, hidden = hide(asking(eye, of_output(3)), square, window, stride, fill)
    ours = spread((whole - hidden)[..., 0], 16, window, stride)
    theirs = Occlusion(eye).attribute(
        pixels_of(square[None]),
        (3, window, window),
        (3, stride, stride),
        pixels_of(np.array(filled(square, fill))[None]),
        target=3,
        perturbations_per_eval=8,
    )
    theirs = theirs[0, 0].numpy()
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()


class TestByHand:
    def test_windows_side_by_side(self) -> None:
        square = ramp(4)
        whole, hidden = hide(total, square, 2, 2, "black")
        red = square[..., 0].astype(float)
        lost = [[red[:2, :2].sum(), red[:2, 2:].sum()], [red[2:, :2].sum(), red[2:, 2:].sum()]]
        assert (whole[0] - hidden[..., 0]).tolist() == lost
        assert (whole[1] - hidden[..., 1]).tolist() == [[-one for one in row] for row in lost]

    def test_overlapping_scores_are_averaged(self) -> None:
        assert spread(np.array([[1.0, 3.0], [5.0, 11.0]]), 3, 2, 1).tolist() == [[1, 2, 3], [3, 5, 7], [5, 8, 11]]

    def test_the_last_window_is_cut_off(self) -> None:
        assert list(starts_of(5, 2, 2)) == [0, 2, 4]
        assert list(starts_of(224, 32, 16)) == list(range(0, 193, 16))
        square = ramp(5)
        whole, hidden = hide(total, square, 2, 2, "black")
        assert hidden.shape == (3, 3, 2)
        assert whole[0] - hidden[2, 2, 0] == square[4, 4, 0]
        assert spread(np.arange(9.0).reshape(3, 3), 5, 2, 2)[4].tolist() == [6, 6, 7, 7, 8]

    def test_sizes(self) -> None:
        assert sizes(224, None, None) == (32, 16)
        assert sizes(32, None, None) == (5, 2)
        assert sizes(3, None, None) == (1, 1)
        assert sizes(64, 20, None) == (20, 10)

    def test_fills(self) -> None:
        square = ramp(4)
        means = square.reshape(-1, 3).mean(0).round()
        assert filled(square, "mean")[2, 1].tolist() == means.tolist()
        assert [int(filled(square, fill)[0, 0, 0]) for fill in ("grey", "black", "white")] == [128, 0, 255]
        edge = np.zeros((28, 28, 3), np.uint8)
        edge[:, 14:] = 200
        blurred = filled(edge, "blur")[14, :, 0].astype(int)
        assert 0 < blurred[13] < blurred[14] < 200
        assert blurred[0] < 5 < 195 < blurred[27]
        assert all(filled(square, fill).shape == square.shape for fill in FILLS)


class Corner(nn.Module):
    """Class 1 while the upper left quarter is bright, class 0 otherwise."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bright = images[:, 0, :4, :4].mean((1, 2))
        return torch.stack([torch.zeros_like(bright), bright], 1)


def test_the_class_map_says_which_class_wins() -> None:
    from lensmith.tasks.classification import Classification

    subject = subject_of(Corner(), Classification(("dark", "bright")), side=8)
    square = np.zeros((8, 8, 3), np.uint8)
    square[:4, :4] = 255
    (found,) = _explained(subject, [square], Settings(window=4, stride=4, fill="black"))
    assert found.target == "bright"
    assert found.answers is not None
    assert found.answers.tolist() == [[0, 1], [1, 1]]
    assert (found.map[:4, :4] > 0).all()
    assert not found.map[4:].any()
    assert not found.map[:, 4:].any()


def test_the_score_of_a_region_is_explained_too() -> None:
    network = drawn(lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1)))
    region = torch.zeros(16, 16)
    region[4:6, 8:10] = 1
    whole, hidden = hide(asking(network, of_region(1, region)), squares_of(1)[0], 2, 2)
    lost = spread(np.abs(whole - hidden)[..., 0], 16, 2, 2)
    rows, columns = (lost > 1e-5 * lost.max()).nonzero()  # the last digits hang on the batch
    assert lost[4:6, 8:10].min() > 0
    # Two 3 x 3 convolutions see two pixels to each side.
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 7, 6, 11)


def test_hidden_pictures_are_made_as_they_are_asked_for() -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def says(squares: Iterable[np.ndarray]) -> np.ndarray:
        nonlocal most
        found = []
        for square in squares:
            alive.append(weakref.ref(square))
            most = max(most, sum(one() is not None for one in alive))
            found.append([float(square.sum())])
        return np.array(found, np.float32)

    hide(says, ramp(40), 4, 2)
    assert len(alive) == 1 + 19 * 19
    assert most <= 4


def test_what_the_window_does_not_change_is_not_asked() -> None:
    square, asked = np.zeros((8, 8, 3), np.uint8), []
    square[:4, :4] = 200

    def says(squares: Iterable[np.ndarray]) -> np.ndarray:
        asked.extend(squares)
        return total(asked)

    whole, hidden = hide(says, square, 4, 4, "black")
    assert len(asked) == 2
    assert (whole[0] - hidden[..., 0]).tolist() == [[16 * 200, 0], [0, 0]]


def test_needs_no_torch() -> None:
    code = """
import sys
for name in ("torch", "torchvision", "timm"):
    sys.modules[name] = None
import numpy as np
from lensmith.data.preprocess import Preprocessing
from lensmith.seeing.methods import Settings, explained, targets_of
from lensmith.seeing.subject import Subject
from lensmith.tasks.classification import Classification
def says(squares):
    return np.array([[float(s[:4].mean()), float(s[4:].mean())] for s in squares], np.float32)
subject = Subject("none", Classification(("up", "down")), Preprocessing(8, (0, 0, 0), (1, 1, 1)), says, lambda: 1 / 0)
squares = [np.repeat(np.arange(8, dtype=np.uint8), 24).reshape(8, 8, 3)]
(found,) = explained(subject, squares, ["a"], targets_of(subject, squares), "occlusion", Settings(fill="black"))
print(found.target, found.map[0, 0], found.map[7, 0] > 0)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.split() == ["down", "0.0", "True"], found.stderr


class TestBadInput:
    @pytest.mark.parametrize("window", [0, 17])
    def test_a_picture_smaller_than_the_window(self, window: int) -> None:
        with pytest.raises(UsageError, match=rf"window is {window}; must be 1 to 16.* Try 2"):
            _explained(subject_of(drawn(Small)), list(squares_of(1)), Settings(window=window))

    @pytest.mark.parametrize("stride", [0, 5])
    def test_a_stride_that_leaves_pixels_out(self, stride: int) -> None:
        with pytest.raises(UsageError, match=rf"stride is {stride}; must be 1 to 4.* Try 2"):
            _explained(subject_of(drawn(Small)), list(squares_of(1)), Settings(window=4, stride=stride))

    def test_an_unknown_fill(self) -> None:
        with pytest.raises(UsageError, match=r"fill is 'gray'; allowed are .* Nearest: grey"):
            _explained(subject_of(drawn(Small)), list(squares_of(1)), Settings(fill="gray"))

    def test_a_constant_picture_leaves_an_empty_map(self) -> None:
        (found,) = _explained(subject_of(drawn(Small)), [np.full((16, 16, 3), 90, np.uint8)], Settings())
        assert found.empty
        assert not found.map.any()


def _explained(subject, squares, settings):  # type: ignore[no-untyped-def]
    assert METHODS["occlusion"].engine
    paths = [str(place) for place in range(len(squares))]
    return list(explained(subject, squares, paths, targets_of(subject, squares), "occlusion", settings))
