"""Mixed pictures: the share in the picture is the share in the target, whatever is mixed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lensmith.errors import UsageError
from lensmith.training.mixing import Mixing, mixed

N, SIDE = 6, 16


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Picture i has the value i everywhere, and the target of its own class."""
    images = torch.arange(N).float()[:, None, None, None].expand(N, 3, SIDE, SIDE).clone()
    return images.contiguous(memory_format=torch.channels_last), torch.eye(N)


@pytest.mark.parametrize("settings", [Mixing(mixup=0.4), Mixing(cutmix=1.0), Mixing(0.4, 1.0)])
def test_the_target_says_what_is_in_the_picture(settings: Mixing) -> None:
    for step in range(40):
        images, targets = mixed(*batch(), settings, (0, 1, step))
        # With the value i for class i, the mean of a picture is the mean of its target's classes.
        np.testing.assert_allclose(images.mean((1, 2, 3)), targets @ torch.arange(N).float(), atol=1e-4)
        np.testing.assert_allclose(targets.sum(1), 1, atol=1e-6)
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_cutmix_pastes_one_whole_box() -> None:
    seen = set()
    for step in range(60):
        images, targets = mixed(*batch(), Mixing(cutmix=1.0), (3, 1, step))
        for image, own in zip(images, range(N), strict=True):
            foreign = (image[0] != own).nonzero()
            assert (image == image[0]).all(), "all colours alike"
            if len(foreign):
                (top, left), (bottom, right) = foreign.amin(0).tolist(), foreign.amax(0).tolist()
                assert len(foreign) == (bottom - top + 1) * (right - left + 1)
                assert targets[own, own] == pytest.approx(1 - len(foreign) / SIDE**2, abs=1e-6)
                seen.add((top, left, bottom, right))
    assert len(seen) > 20
    assert min(box[0] for box in seen) == 0 and max(box[2] for box in seen) == SIDE - 1, "boxes reach the border"


def test_shares_are_drawn_from_beta() -> None:
    """Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)); the batch partner is drawn afresh each step."""
    images, targets = torch.zeros(2, 3, 4, 4), torch.eye(2)
    shares = []
    for step in range(2000):
        _, soft = mixed(images, targets, Mixing(mixup=0.5), (0, 0, step))
        if soft[0, 1] > 0:
            shares.append(float(soft[0, 0]))
    assert 850 < len(shares) < 1150, "every second permutation of two leaves them where they are"
    assert np.mean(shares) == pytest.approx(0.5, abs=0.04)
    assert np.var(shares) == pytest.approx(1 / 8, abs=0.02)


def test_area_of_boxes() -> None:
    """With alpha 1 lambda is even; a side sqrt(u), its centre anywhere, keeps sqrt(u) - u / 4 of itself on average."""
    images, targets = torch.zeros(2, 3, 32, 32), torch.eye(2)
    areas = [float(mixed(images, targets, Mixing(cutmix=1.0), (0, 0, step))[1][0, 1]) for step in range(1500)]
    found = [area for area in areas if area > 0]
    # The mean of (sqrt(u) - u / 4)^2 over even u is 1/2 - 1/5 + 1/48.
    assert np.mean(found) == pytest.approx(0.321, abs=0.03)


def test_it_follows_from_the_place_alone() -> None:
    images, targets = batch()
    before = images.clone()
    one, again, other = (mixed(images, targets, Mixing(0.4, 1.0), place) for place in ((7, 2, 3), (7, 2, 3), (7, 2, 4)))
    assert torch.equal(one[0], again[0]) and torch.equal(one[1], again[1])
    assert not torch.equal(one[1], other[1])
    assert torch.equal(images, before) and torch.equal(targets, torch.eye(N)), "what is given is left alone"


def test_off_is_nothing() -> None:
    images, targets = batch()
    for settings, count in ((Mixing(), N), (Mixing(mixup=1.0), 1)):
        same = mixed(images[:count], targets[:count], settings, (0, 0, 0))
        assert torch.equal(same[0], images[:count]) and torch.equal(same[1], targets[:count])


def test_numbers_can_be_mixed() -> None:
    images, _ = batch()
    mixture, numbers = mixed(images, torch.arange(N).float(), Mixing(mixup=1.0), (0, 0, 1))
    np.testing.assert_allclose(mixture.mean((1, 2, 3)), numbers, atol=1e-5)


def test_impossible_alpha() -> None:
    with pytest.raises(UsageError, match=r"cutmix is -1; .* Try"):
        Mixing(cutmix=-1)
