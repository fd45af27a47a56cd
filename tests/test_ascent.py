"""Pictures found by gradient ascent: the steps, the parametrisations, and what is reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18

from lensmith.engines.pytorch import Normalise
from lensmith.errors import UsageError
from lensmith.seeing import ascent, fourier
from lensmith.seeing.ascent import GREY, Climb, Wanted, Way, ascend
from lensmith.seeing.eye import Eye
from lensmith.seeing.folded import folded, gives_the_same
from lensmith.seeing.layers import Layer, layers_of, named

SIDE, CLASSES = 16, 4


class Small(nn.Module):
    """Two convolutions, one with a functional ReLU, one with a module in place; any size of picture."""

    def __init__(self, bias: float = 0.0) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.act, self.out = nn.ReLU(inplace=True), nn.Linear(8, CLASSES)
        nn.init.constant_(self.two.bias, bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.out(self.act(self.two(functional.relu(self.one(images)))).mean((2, 3)))
        return found


def eye_of(network: nn.Module) -> Eye:
    return Eye(network, Normalise((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), {}))


@pytest.fixture
def eye() -> Iterator[Eye]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        yield eye_of(Small())


def layer_of(eye: Eye, name: str) -> Layer:
    return named(layers_of(eye, SIDE), name)


def end(climbs: Iterator[Climb]) -> Climb:
    found = list(climbs)
    assert [climb.step for climb in found] == list(range(1, len(found) + 1))
    return found[-1]


# The way to climb.


@pytest.mark.parametrize("start", ascent.WAYS)
def test_ascent_ends_above_its_start_and_above_any_drawn_picture(eye: Eye, start: str) -> None:
    wanted = [Wanted(str(place), place) for place in range(CLASSES)]
    found = end(ascend(eye, wanted, SIDE, ascent.way(start, 64)))
    noise = torch.rand(64, 3, SIDE, SIDE) * 255
    if start == "fourier":
        noise = fourier.picture_of(torch.randn((64, *fourier.shape_of(SIDE))), SIDE)
    with torch.no_grad():
        grey = eye(torch.full((1, 3, SIDE, SIDE), GREY))[0]
        highest = eye(noise).amax(0)
    assert (found.scores > grey).all()
    if start != "noise":  # blurred, what comes of noise cannot be as fine as noise is
        assert (found.scores > highest).all()


def test_scores_at_the_end_are_those_of_pictures_that_can_be_saved(eye: Eye) -> None:
    found = end(ascend(eye, [Wanted("1", 1), Wanted("3", 3, sign=-1.0)], SIDE, ascent.way("fourier", 5)))
    assert found.pixels.shape == (2, 3, SIDE, SIDE)
    kept = torch.from_numpy(found.pixels.numpy().astype(np.uint8)).float()
    assert torch.equal(kept, found.pixels)
    with torch.no_grad():
        scores = eye(kept)
    assert found.scores.tolist() == pytest.approx([scores[0, 1].item(), -scores[1, 3].item()], rel=1e-5)


def test_a_step_from_blank_is_the_gradient_over_its_root_mean_square(eye: Eye) -> None:
    way = Way("blank", 1, rate=3.0, decay=0.01)
    pixels = torch.full((1, 3, SIDE, SIDE), GREY, requires_grad=True)
    images = ((pixels / 255) - 0.5) / 0.25
    (slope,) = torch.autograd.grad(eye.network(images)[0, 2], pixels)  # at grey |I|^2 is flat
    by_hand = (GREY + 3.0 * slope / slope.square().mean().sqrt()).round().clamp(0, 255)
    found = end(ascend(eye, [Wanted("2", 2)], SIDE, way))
    assert torch.allclose(found.pixels, by_hand, atol=1e-4)
    assert (by_hand != GREY).any()


def test_squares_are_paid_for(eye: Eye) -> None:
    """Simonyan et al. 2014, section 2: the score minus lambda |I|^2; two steps, so that the second meets the cost."""
    free, dear = (
        end(ascend(eye, [Wanted("0", 0)], SIDE, Way("blank", 20, rate=4.0, decay=decay))).pixels for decay in (0.0, 0.1)
    )
    assert (dear - GREY).square().sum() < 0.8 * (free - GREY).square().sum()


def test_a_picture_depends_on_nothing_beside_it(eye: Eye) -> None:
    layer, way = layer_of(eye, "two"), ascent.way("fourier", 6)
    sought = [Wanted(str(number), number, layer) for number in (5, 2, 7)]
    together = end(ascend(eye, sought, SIDE, way, seed=3))
    alone = end(ascend(eye, sought[1:2], SIDE, way, seed=3))
    assert (together.pixels[1] - alone.pixels[0]).abs().max() <= 2
    other = end(ascend(eye, sought[1:2], SIDE, way, seed=4))
    assert (other.pixels - alone.pixels).abs().max() > 8


def test_filters_are_climbed_by_their_mean(eye: Eye) -> None:
    layer, way = layer_of(eye, "two"), ascent.way("blank", 12)
    found = end(ascend(eye, [Wanted("m", 3, layer)], SIDE, way))
    with torch.no_grad():
        images = (found.pixels / 255 - 0.5) / 0.25
        means = eye.network.two(functional.relu(eye.network.one(images))).mean((2, 3))  # type: ignore[operator]
    assert found.scores.item() == pytest.approx(means[0, 3].item(), rel=1e-4)


def test_layers_above_do_not_run(eye: Eye) -> None:
    eye.network.out.register_forward_hook(lambda *_: pytest.fail("the layer above ran"))
    value, taken = ascent.value_of(eye, torch.zeros(2, 3, SIDE, SIDE), layer_of_quiet(eye))
    assert value.shape == (2, 8, 8, 8) and taken is None


def layer_of_quiet(eye: Eye) -> Layer:
    return Layer("two", "Conv2d", (8, 8, 8))


def test_stopping_in_the_middle_leaves_the_network_as_it_was(eye: Eye) -> None:
    def hooks() -> int:
        return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in eye.modules())

    before = hooks()
    climbs = ascend(eye, [Wanted("0", 0, layer_of(eye, "two"))], SIDE, ascent.way("noise", 5))
    next(climbs)
    assert hooks() == before
    climbs.close()
    assert hooks() == before


def test_a_silent_filter_is_woken() -> None:
    """ReLUs far below zero have no gradient: through what they were given there is one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        eye = eye_of(Small(bias=-0.4))
    wanted, grey = [Wanted("a", 1, layer_of(eye, "act"))], torch.full((1, 3, SIDE, SIDE), GREY, requires_grad=True)
    (asleep,) = torch.autograd.grad(ascent.scored(eye, grey, wanted).sum(), grey)
    assert not asleep.any()
    awake = end(ascend(eye, wanted, SIDE, Way("blank", 60, rate=6.0)))
    assert awake.scores.item() > 0.01


@pytest.mark.parametrize("name", ["0.relu#1", "0.relu#2", "1.relu#1", "1.relu#2"])
def test_what_an_activation_was_given_is_what_it_took(name: str) -> None:
    """At the end of a residual block that is the sum, in place, and not the convolution that ended just before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks = resnet18(weights=None).layer2.eval()
    eye = eye_of(nn.Sequential(nn.Conv2d(3, 64, 3), blocks))
    layer = named(layers_of(eye, SIDE), f"1.{name}")
    pixels = torch.rand((2, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0)) * 255
    value, taken = ascent.value_of(eye, pixels, layer)
    assert taken is not None and (taken < 0).any()
    assert torch.equal(taken.clamp_min(0), value)


def test_the_limit_of_a_relu6_is_no_end() -> None:
    """Where all is at its limit there is no gradient, but more can be had of what it is given."""
    eye = eye_of(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU6()))
    nn.init.constant_(eye.network[0].bias, 20.0)  # type: ignore[index, arg-type]
    wanted, grey = [Wanted("1", 1, layer_of(eye, "1"))], torch.full((1, 3, SIDE, SIDE), GREY, requires_grad=True)
    assert ascent.scored(eye, grey, wanted).item() == 6
    climbed = ascent.scored(eye, grey, wanted, ascent.LEAK)
    assert climbed.item() == pytest.approx(eye.network[0]((grey / 255 - 0.5) / 0.25)[0, 1].mean().item())  # type: ignore
    assert torch.autograd.grad(climbed.sum(), grey)[0].any()


# The same with less to compute.


def test_a_folded_network_gives_the_same() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = resnet18(weights=None)
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                for values in (part.weight, part.running_var):
                    nn.init.uniform_(values, 0.5, 1.5)
                for values in (part.bias, part.running_mean):
                    nn.init.normal_(values, std=0.2)
    eye = eye_of(network)
    lighter = folded(eye)
    assert lighter is not eye
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for name, same in (("layer2.0.relu#2", True), ("layer1.0.bn1", True), ("layer1.0.conv1", False)):
        assert gives_the_same(eye, lighter, 32, named(layers_of(eye, 32), name)) == same
    assert gives_the_same(eye, lighter, 32, None)
    assert all(torch.equal(kept[name], tensor) for name, tensor in network.state_dict().items())
    assert "forward" not in vars(network.conv1)  # the user's own network is as it was


def test_a_network_whose_code_is_not_recorded_is_left_alone() -> None:
    class Choosing(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images if images.sum() > 0 else -images)

    eye = eye_of(Choosing(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2)))
    assert folded(eye) is eye
    plain = eye_of(nn.Sequential(nn.Conv2d(3, 2, 3)))
    assert folded(plain) is plain


# Where it runs.


@pytest.mark.parametrize("start", ascent.WAYS)
def test_everything_stands_where_the_network_stands(start: str) -> None:
    """On the weightless device any tensor made elsewhere would raise."""
    eye = eye_of(Small()).to("meta")
    way = replace(ascent.way(start, 5, classes=True), blur=0.5)
    climbs = ascend(eye, [Wanted("0", 0), Wanted("1", 1, sign=-1.0)], SIDE, way)
    for _ in range(4):  # blurred at the fourth
        climb = next(climbs)
    assert climb.pixels.device.type == climb.scores.device.type == "meta"
    assert climb.pixels.shape == (2, 3, SIDE, SIDE)
    layer = Layer("act", "ReLU", (8, 8, 8))
    assert ascent.scored(eye, climb.pixels, [Wanted("3", 3, layer)] * 2, ascent.LEAK).device.type == "meta"


def test_networks_of_one_size_are_shown_that_size() -> None:
    with torch.random.fork_rng(devices=[]):
        eye = eye_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 2)))
    found = end(ascend(eye, [Wanted("0", 0)], SIDE, ascent.way("fourier", 4, classes=True)))
    assert found.pixels.shape == (1, 3, SIDE, SIDE)


def test_unknown_ways() -> None:
    with pytest.raises(UsageError, match=r"start is 'fouriere'; allowed are fourier, blank, noise. Nearest: fourier"):
        ascent.way("fouriere")
    with pytest.raises(UsageError, match="steps is 0"):
        ascent.way("blank", 0)
    with pytest.raises(ValueError, match="of one layer"):
        next(
            ascend(
                eye_of(Small()),
                [Wanted("0", 0), Wanted("1", 1, layer_of_quiet(eye_of(Small())))],
                SIDE,
                ascent.way("blank"),
            )
        )


# Waves and colours.


def test_no_numbers_are_grey() -> None:
    grey = fourier.picture_of(torch.zeros((1, *fourier.shape_of(SIDE))), SIDE)
    assert torch.allclose(grey, torch.full((1, 3, SIDE, SIDE), GREY))


def test_waves_are_those_of_numpy() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        numbers = torch.randn((2, *fourier.shape_of(15)))
    down, right = np.fft.fftfreq(15)[:, None], np.fft.rfftfreq(15)[None]
    sizes = np.maximum(np.hypot(down, right), 1 / 15) ** -fourier.FALL
    sizes /= np.sqrt((sizes**2).mean())
    spectrum = (numbers[..., 0].numpy() + 1j * numbers[..., 1].numpy()) * sizes
    plain = np.fft.irfft2(spectrum, s=(15, 15), norm="ortho")
    mixed = np.einsum("ij,njhw->nihw", np.array(fourier.COLOURS), plain)
    expected = 255 / (1 + np.exp(-fourier.CONTRAST * mixed))
    assert np.abs(fourier.picture_of(numbers, 15).numpy() - expected).max() < 0.01


def test_colours_are_uncorrelated_directions() -> None:
    colours = np.array(fourier.COLOURS)
    products = colours.T @ colours
    assert np.abs(products - np.diag(np.diag(products))).max() < 2e-4
    assert np.diag(products)[0] > 10 * np.diag(products)[1] > 10 * np.diag(products)[2] > 0
