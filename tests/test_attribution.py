"""Gradients and maps against Captum where it is right, against finite differences where it is not, and by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lensmith.engines.head import Head
from lensmith.errors import UsageError
from lensmith.seeing import cam as engine_cam
from lensmith.seeing.attribution import integrated, reconstruct, saliency, smoothgrad
from lensmith.seeing.cams import cam, drawn_layer, grad_cam, guided_grad_cam
from lensmith.seeing.eye import pixels_of
from lensmith.seeing.gradients import Score, gradient, of_output, of_region
from lensmith.seeing.layers import layers, named, tapped
from seeing_networks import WAYS, Pooled, Small, drawn, eye_of, squares_of

TARGETS = [2, 0, 4]
RULES = ("guided", "rectified")


def difference(ours: Tensor, other: Tensor) -> float:
    """The worst difference relative to the largest value."""
    assert ours.shape == other.shape
    assert other.abs().max() > 0
    return float((ours - other).abs().max() / other.abs().max())


EVERY, WITH_RELU = ["small", "resnet18", "mobilenet_v2"], ["small", "resnet18"]  # Captum leaves ReLU6 as it is


@pytest.fixture(scope="module", params=EVERY)
def network(request: pytest.FixtureRequest) -> nn.Module:
    if request.param == "small":
        return drawn(Small)
    from torchvision import models

    torch.manual_seed(0)
    found: nn.Module = getattr(models, request.param)(num_classes=5)
    for module in found.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # Captum's hooks on modules and ReLUs in place do not go together
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # take the statistics of the one batch: random weights alone fade to nothing
    with torch.no_grad():
        found(torch.randn(4, 3, 64, 64))
    return found.eval()


@pytest.fixture(scope="module")
def eye(network: nn.Module) -> nn.Module:
    return eye_of(network)


@pytest.fixture(scope="module")
def pixels(network: nn.Module) -> Tensor:
    return pixels_of(squares_of(3, 16 if isinstance(network, Small) else 64))


@pytest.mark.filterwarnings("ignore")
class TestCaptum:
    """Captum 0.9, on networks whose ReLUs are modules."""

    def test_saliency(self, eye: nn.Module, pixels: Tensor) -> None:
        from captum.attr import Saliency

        theirs = Saliency(eye).attribute(pixels.clone().requires_grad_(), TARGETS, abs=False)
        assert difference(saliency(eye, pixels, of_output(TARGETS)), theirs) < 1e-4

    @pytest.mark.parametrize("network", WITH_RELU, indirect=True)
    @pytest.mark.parametrize("rule", RULES)
    def test_rules(self, eye: nn.Module, pixels: Tensor, rule: str) -> None:
        from captum.attr import Deconvolution, GuidedBackprop

        method = {"guided": GuidedBackprop, "rectified": Deconvolution}[rule](eye)
        theirs = method.attribute(pixels.clone().requires_grad_(), TARGETS)
        assert difference(saliency(eye, pixels, of_output(TARGETS), rule), theirs) < 1e-4

    def test_integrated_gradients(self, eye: nn.Module, pixels: Tensor) -> None:
        from captum.attr import IntegratedGradients

        theirs = IntegratedGradients(eye).attribute(
            pixels, torch.zeros_like(pixels), TARGETS, n_steps=6, method="riemann_middle", internal_batch_size=3
        )
        ours = integrated(eye, pixels, of_output(TARGETS), torch.zeros_like(pixels), 6)
        assert difference(ours, theirs) < 1e-4

    def test_grad_cam(self, eye: nn.Module, pixels: Tensor) -> None:
        from captum.attr import LayerGradCam

        name = _named_map(eye)
        theirs = LayerGradCam(eye, eye.get_submodule(f"network.{name}")).attribute(
            pixels, TARGETS, relu_attributions=True
        )
        layer = named(layers(eye, pixels[:1]), name)
        assert difference(grad_cam(eye, pixels, of_output(TARGETS), layer)[:, None], theirs.detach()) < 1e-4

    @pytest.mark.parametrize("network", WITH_RELU, indirect=True)
    def test_guided_grad_cam(self, eye: nn.Module, pixels: Tensor) -> None:
        from captum.attr import GuidedGradCam

        name = _named_map(eye)
        theirs = GuidedGradCam(eye, eye.get_submodule(f"network.{name}")).attribute(
            pixels.clone().requires_grad_(), TARGETS, interpolate_mode="bilinear"
        )
        layer = named(layers(eye, pixels[:1]), name)
        assert difference(guided_grad_cam(eye, pixels, of_output(TARGETS), layer), theirs.detach()) < 1e-4


def _named_map(eye: nn.Module) -> str:
    """A layer with a map of several places that is called once, so that Captum's hook can mean nothing else."""
    there = dict(eye.network.named_children())
    return "second" if "second" in there else "layer3.1.bn2" if "layer3" in there else "features.17.conv.3"


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
class TestWaysToWriteReLU:
    """Functional, in place and shared ReLUs, which a hook on modules misses."""

    def test_plain_equals_finite_differences(self, way: type[Small]) -> None:
        network = drawn(way).double()
        pixels = torch.from_numpy(squares_of(1) / 255.0).permute(0, 3, 1, 2)
        score = of_output(1)
        with warnings.catch_warnings(action="error"):
            ours = saliency(network, pixels, score)
        assert difference(ours, finite_differences(network, pixels, score)) < 1e-6

    @pytest.mark.parametrize("rule", RULES)
    def test_rules_equal_those_of_a_twin_with_modules(self, way: type[Small], rule: str) -> None:
        pixels = pixels_of(squares_of(3))
        ours, twin = (saliency(eye_of(drawn(each)), pixels, of_output(TARGETS), rule) for each in (way, Small))
        assert difference(ours, twin) < 1e-6

    @pytest.mark.parametrize("name", ["second", "norm"])
    def test_grad_cam_equals_that_of_a_twin(self, way: type[Small], name: str) -> None:
        pixels, found = pixels_of(squares_of(3)), []
        for each in (way, Small):
            eye = eye_of(drawn(each))
            layer = named(layers(eye, pixels[:1]), name)
            found.append(grad_cam(eye, pixels, of_output(TARGETS), layer, "guided"))
        assert difference(*found) < 1e-6


def finite_differences(network: nn.Module, pixels: Tensor, score: Score, step: float = 1e-6) -> Tensor:
    """The slope of the score at each number of one picture, from the score alone."""
    moves = torch.eye(pixels.numel(), dtype=pixels.dtype).reshape(-1, *pixels.shape[1:]) * step
    with torch.no_grad():
        slopes = (score(network(pixels + moves)) - score(network(pixels - moves))) / (2 * step)
    return slopes.reshape(pixels.shape)


def test_grad_cam_weights_equal_finite_differences_at_the_layer() -> None:
    network = drawn(Small).double()
    pixels = torch.from_numpy(squares_of(1) / 255.0).permute(0, 3, 1, 2)
    layer = named(layers(network, pixels), "second")

    def above(values: Tensor) -> Tensor:
        pooled = network.pool(torch.relu(values))
        return network.out(torch.relu(network.dense(pooled.flatten(1))))

    values = network.second(network.pool(torch.relu(network.norm(network.first(pixels))))).detach()
    slopes = finite_differences(above, values, of_output(3))  # type: ignore[arg-type]
    by_hand = (slopes.mean((2, 3), keepdim=True) * values).sum(1).clamp_min(0)
    assert difference(grad_cam(network, pixels, of_output(3), layer), by_hand) < 1e-6


class TestByHand:
    """One 1 x 1 convolution with two channels, its mean, one dense layer: every number can be said."""

    @pytest.fixture
    def network(self) -> nn.Module:
        network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 1))
        with torch.no_grad():
            network[0].weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0]])[:, :, None, None])
            network[0].bias.zero_()
            network[4].weight.copy_(torch.tensor([[2.0, -1]]))
            network[4].bias.fill_(0.5)
        return network.eval()

    @pytest.fixture
    def pixels(self) -> Tensor:
        red, green = [[4.0, 0], [-1, 2]], [[1.0, 8], [0, 1]]
        return torch.tensor([[red, green, [[9.0, 9], [9, 9]]]])

    def test_saliency(self, network: nn.Module, pixels: Tensor) -> None:
        slopes = saliency(network, pixels, of_output(0))
        red, green = [[0.5, 0], [0, 0.5]], [[-0.25, -0.25], [0, -0.25]]  # weight / 4 where the map is above zero
        torch.testing.assert_close(slopes, torch.tensor([[red, green, [[0.0, 0], [0, 0]]]]))

    def test_rules(self, network: nn.Module, pixels: Tensor) -> None:
        guided = saliency(network, pixels, of_output(0), "guided")
        assert guided[0, 0].tolist() == [[0.5, 0], [0, 0.5]]
        assert guided[0, 1].tolist() == [[0, 0], [0, 0]]
        rectified = saliency(network, pixels, of_output(0), "rectified")
        assert rectified[0, 0].tolist() == [[0.5, 0.5], [0.5, 0.5]]
        assert rectified[0, 1].tolist() == [[0, 0], [0, 0]]

    def test_maps(self, network: nn.Module, pixels: Tensor) -> None:
        layer = drawn_layer(network, pixels)
        assert layer.name == "1"
        # 2 x red - green, both without what is below zero; Grad-CAM divides by four places and cuts off.
        assert cam(network, pixels, of_output(0), layer).tolist() == [[[7, -8], [0, 3]]]
        assert grad_cam(network, pixels, of_output(0), layer).tolist() == [[[1.75, 0], [0, 0.75]]]

    def test_integrated_gradients(self, network: nn.Module, pixels: Tensor) -> None:
        shares = integrated(network, pixels, of_output(0), torch.zeros_like(pixels), 4)
        red, green = [[2.0, 0], [0, 1]], [[-0.25, -2], [0, -0.25]]
        torch.testing.assert_close(shares, torch.tensor([[red, green, [[0.0, 0], [0, 0]]]]))

    def test_the_strongest_unit_alone(self, network: nn.Module, pixels: Tensor) -> None:
        found = reconstruct(network, pixels, drawn_layer(network, pixels), 1)
        assert found[0, 1].tolist() == [[0, 8], [0, 0]]
        assert not found[0, [0, 2]].any()

    def test_a_layer_below_every_relu(self, network: nn.Module, pixels: Tensor) -> None:
        found = reconstruct(network, pixels, named(layers(network, pixels), "0"), 0)
        assert found[0, 0].tolist() == [[4, 0], [0, 0]]


def test_max_pooling_goes_back_by_its_switches() -> None:
    network = nn.Sequential(nn.Conv2d(3, 1, 1, bias=False), nn.ReLU(), nn.MaxPool2d(2))
    with torch.no_grad():
        network[0].weight.fill_(1)
    pixels = torch.zeros(1, 3, 4, 4)
    pixels[0, 0, 1, 2], pixels[0, 0, 3, 3] = 5, 3
    found = reconstruct(network, pixels, named(layers(network, pixels), "2"), 0)
    assert found[0, 0].nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize("inplace", [False, True])
def test_a_unit_at_the_limit_of_a_relu6_is_guided_back(inplace: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 1, 1, bias=False), nn.ReLU6(inplace), nn.Flatten())
    with torch.no_grad():
        network[0].weight.fill_(1)
    pixels = torch.tensor([9.0, 2.0, -1.0, 5.0]).reshape(1, 1, 2, 2).repeat(1, 3, 1, 1)
    found = saliency(network, pixels, lambda outputs: outputs.sum(1), "guided")
    assert found[0, 0].flatten().tolist() == [1, 1, 0, 1]  # 27 and 15 are above 6, 6 is at it, -3 below 0


def test_without_max_pooling_a_pattern_still_tells_pictures_apart() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    pixels = pixels_of(squares_of(6, 15)) / 255 - 0.5
    found = reconstruct(network, pixels, named(layers(network, pixels), "4"), 0)
    with tapped(network, named(layers(network, pixels), "4")) as tap:
        network(pixels)
    places = tap.value[:, 0].flatten(1).argmax(1).tolist()
    one, other = next((a, b) for a in range(6) for b in range(a) if places[a] == places[b])
    assert torch.cosine_similarity(found[one].flatten(), found[other].flatten(), 0) < 0.99  # the sizes differ anyway


def test_a_network_may_begin_by_changing_its_input() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    pixels = torch.linspace(-1, 1, 108).reshape(1, 3, 6, 6)
    before = pixels.clone()
    slopes = saliency(network, pixels, of_output(1))
    assert slopes[pixels > 0].any()
    assert not slopes[pixels <= 0].any()
    assert reconstruct(network, pixels, named(layers(network, pixels.clone()), "2"), 0).any()
    assert grad_cam(network, pixels, of_output(1), named(layers(network, pixels.clone()), "1")).shape == (1, 4, 4)
    torch.testing.assert_close(pixels, before, rtol=0, atol=0)


@pytest.mark.parametrize("make", [Small, Pooled])
def test_shares_add_up_the_nearer_the_more_steps(make: type[nn.Module]) -> None:
    """Completeness: the sum is the difference of the scores (Sundararajan et al. 2017, proposition 1)."""
    eye, pixels, score = eye_of(drawn(make)), pixels_of(squares_of(3)), of_output(TARGETS)
    baseline = torch.full_like(pixels, 128)
    with torch.no_grad():
        by = score(eye(pixels)) - score(eye(baseline))
    off = [float((integrated(eye, pixels, score, baseline, n).sum((1, 2, 3)) - by).abs().max()) for n in (4, 128)]
    assert off[1] < 0.005 * by.abs().max()
    assert off[1] < off[0]


class TestSmoothGrad:
    def test_is_the_gradient_of_a_linear_score(self) -> None:
        network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
        pixels = pixels_of(squares_of(2, 4))
        found = smoothgrad(network, pixels, of_output(1), samples=3)
        assert difference(found, saliency(network, pixels, of_output(1))) < 1e-6

    def test_follows_from_its_seed_and_not_from_the_batch(self) -> None:
        eye, pixels = eye_of(drawn(Small)), pixels_of(squares_of(2))
        both = smoothgrad(eye, pixels, of_output(1), samples=4, seed=1)
        assert difference(smoothgrad(eye, pixels[1:], of_output(1), samples=4, seed=1), both[1:]) < 1e-5
        assert difference(smoothgrad(eye, pixels[1:], of_output(1), samples=4, seed=2), both[1:]) > 1e-3

    def test_without_noise_is_saliency(self) -> None:
        eye, pixels = eye_of(drawn(Small)), pixels_of(squares_of(2))
        found = smoothgrad(eye, pixels, of_output(1), samples=2, noise=0, rule="guided")
        assert difference(found, saliency(eye, pixels, of_output(1), "guided")) < 1e-6


class TestCam:
    @pytest.fixture
    def eye(self) -> nn.Module:
        return eye_of(drawn(Pooled))

    @pytest.fixture
    def pixels(self) -> Tensor:
        return pixels_of(squares_of(3))

    def test_its_mean_is_the_score_less_the_bias(self, eye: nn.Module, pixels: Tensor) -> None:
        maps = cam(eye, pixels, of_output(TARGETS), drawn_layer(eye, pixels))
        score = of_output(TARGETS)(eye(pixels)) - eye.network.out.bias[TARGETS]
        torch.testing.assert_close(maps.mean((1, 2)), score)

    def test_grad_cam_is_its_positive_part(self, eye: nn.Module, pixels: Tensor) -> None:
        layer, score = drawn_layer(eye, pixels), of_output(TARGETS)
        maps = cam(eye, pixels, score, layer)
        torch.testing.assert_close(
            grad_cam(eye, pixels, score, layer), maps.clamp_min(0) / maps[0].numel(), rtol=1e-5, atol=1e-7
        )

    def test_grad_cam_is_that_of_the_engines(self, eye: nn.Module, pixels: Tensor) -> None:
        base, out = eye.network.base, eye.network.out
        head = Head((out.weight.detach().numpy().T.copy(),), (out.bias.detach().numpy(),))
        maps = base(eye.normalise(pixels.permute(0, 2, 3, 1))).detach().numpy()
        theirs = engine_cam.grad_cam(head, "mean", maps.mean((2, 3)), maps, np.array(TARGETS))
        ours = grad_cam(eye, pixels, of_output(TARGETS), drawn_layer(eye, pixels))
        assert difference(ours, torch.from_numpy(theirs)) < 1e-5

    @pytest.mark.parametrize("name", ["base.1", "base.2"], ids=["a convolution above", "a ReLU above"])
    def test_refuses_a_layer_whose_mean_is_not_the_score(self, eye: nn.Module, pixels: Tensor, name: str) -> None:
        layer = named(layers(eye, pixels[:1]), name)
        with pytest.raises(UsageError, match=f"of {name}.*What remains: grad-cam"):
            cam(eye, pixels, of_output(TARGETS), layer)

    def test_refuses_dense_layers_above_the_mean(self) -> None:
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6), nn.ReLU()
        )
        pixels = pixels_of(squares_of(2))
        with pytest.raises(UsageError, match="weighted mean"):
            cam(network, pixels, lambda outputs: outputs.sum(1), drawn_layer(network, pixels))


def test_the_layer_drawn_lies_before_pooling() -> None:
    """VGG and AlexNet pool once more before their dense layers: the finer map is that of the last convolution."""
    eye, pixels = eye_of(drawn(Small)), pixels_of(squares_of(1))
    layer = drawn_layer(eye, pixels)
    assert (layer.name, layer.shape) == ("relus.1", (8, 8, 8))
    assert grad_cam(eye, pixels, of_output(1), layer).shape == (1, 8, 8)


class Aside(Pooled):
    """Computes two branches that are left out: one whose map is like the last of those that count, one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.like, self.unlike = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU()), nn.Conv2d(8, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        values = self.base(images)
        self.like(values)
        self.unlike(values)
        return self.out(values.mean((2, 3)))


class TestLeftOut:
    """Maps that no way leads on from."""

    def test_the_layer_drawn_is_the_last_that_counts(self) -> None:
        eye, pixels = eye_of(drawn(Aside)), pixels_of(squares_of(2))
        layer = drawn_layer(eye, pixels)
        assert layer.name == "base.3"
        for make in (grad_cam, cam, guided_grad_cam):
            assert make(eye, pixels, of_output([1, 2]), layer).any()

    @pytest.mark.parametrize("name", ["like", "like.0", "unlike"])
    def test_one_that_is_named_is_refused(self, name: str) -> None:
        with pytest.raises(UsageError, match=f"layer is '{name}', which the network runs and then .* of base.3"):
            drawn_layer(eye_of(drawn(Aside)), pixels_of(squares_of(1)), name)

    def test_its_gradient_is_zero(self) -> None:
        eye, pixels = eye_of(drawn(Aside)), pixels_of(squares_of(2))
        maps = grad_cam(eye, pixels, of_output(1), named(layers(eye, pixels), "unlike"))
        assert maps.shape == (2, 6, 6) and not maps.any()
        leaf, other = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
        assert gradient(torch.ones(3), leaf).tolist() == gradient(other * 2, leaf).tolist() == [0, 0]

    def test_answers_that_torch_cannot_follow_have_none(self) -> None:
        network = drawn(Pooled)
        network.register_forward_hook(lambda module, images, outputs: outputs.detach())
        eye, pixels = eye_of(network), pixels_of(squares_of(1))
        assert not saliency(eye, pixels, of_output(1)).any()
        assert not grad_cam(eye, pixels, of_output(1), drawn_layer(eye, pixels)).any()


class TestLayouts:
    """Tokens of a vision transformer, and maps whose channels come last."""

    def test_tokens(self) -> None:
        import timm

        torch.manual_seed(0)
        network = timm.create_model("test_vit", img_size=64, num_classes=5).eval()
        pixels = pixels_of(squares_of(2, 64))
        eye = eye_of(network)
        layer = drawn_layer(eye, pixels)
        assert layer.name.endswith("norm1")  # after it only the class's token counts
        maps = grad_cam(eye, pixels, of_output([1, 2]), layer)
        assert maps.shape == (2, 4, 4)
        assert (maps.amax((1, 2)) > 0).all()

    def test_channels_last(self) -> None:
        from timm.models.swin_transformer import SwinTransformer

        torch.manual_seed(0)
        network = SwinTransformer(
            img_size=32, num_classes=5, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=4
        )
        pixels = pixels_of(squares_of(2, 32))
        eye = eye_of(network)
        layer = drawn_layer(eye, pixels)
        assert layer.shape == (4, 4, 16)
        maps = cam(eye, pixels, of_output([1, 2]), layer)
        bias = network.head.fc.bias[[1, 2]]
        torch.testing.assert_close(maps.mean((1, 2)), of_output([1, 2])(eye(pixels)) - bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("end", [nn.Softmax(1), nn.Sigmoid()], ids=["softmax", "sigmoid"])
def test_the_end_of_a_network_changes_nothing(end: nn.Module) -> None:
    pixels = pixels_of(squares_of(2))
    plain, ended = (saliency(eye_of(each), pixels, of_output(1)) for each in (drawn(Small), _ended(end)))
    assert difference(ended, plain) == 0


def _ended(end: nn.Module) -> nn.Module:
    return nn.Sequential(drawn(Small), end)


class TestOtherScores:
    """Scores of pixels and boxes go through the same functions."""

    @pytest.fixture
    def network(self) -> nn.Module:
        """A fully convolutional network: two 3 x 3 convolutions, 4 channels at every pixel."""
        return drawn(lambda: nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, padding=1)))

    def test_pixels(self, network: nn.Module) -> None:
        pixels, region = pixels_of(squares_of(2)) / 255, torch.zeros(16, 16)
        region[8, 5] = 1
        score = of_region(2, region)
        slopes = saliency(network, pixels, score)
        seen = slopes.abs().amax((0, 1)).nonzero()
        assert seen.amin(0).tolist() == [6, 3]  # two 3 x 3 convolutions see two pixels to each side
        assert seen.amax(0).tolist() == [10, 7]
        maps = grad_cam(network, pixels, score, named(layers(network, pixels), "1"))
        assert maps.shape == (2, 16, 16)
        double, twice = network.double(), pixels[:1].double()
        assert difference(saliency(double, twice, score), finite_differences(double, twice, score)) < 1e-6
        network.float()

    def test_boxes(self, network: nn.Module) -> None:
        """Each pixel is a box (x, y of its centre, objectness, class): the score is that of the box nearest a place."""
        wanted = torch.tensor([4.0, 9.0])

        def nearest_box(outputs: Tensor) -> Tensor:
            there = torch.stack(torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="xy"))
            centres = there + outputs[:, :2]
            best = (centres - wanted[:, None, None]).square().sum(1).flatten(1).argmin(1)
            sure = (outputs[:, 2].sigmoid() * outputs[:, 3].sigmoid()).flatten(1)
            return sure[torch.arange(len(outputs)), best]

        pixels = pixels_of(squares_of(2)) / 255
        shares = integrated(network, pixels, nearest_box, pixels * 0.9, 64)
        with torch.no_grad():
            by = nearest_box(network(pixels)) - nearest_box(network(pixels * 0.9))
        torch.testing.assert_close(shares.sum((1, 2, 3)), by, rtol=0.02, atol=1e-4)
        centre = saliency(network, pixels, nearest_box).abs().amax((0, 1)).nonzero().double().mean(0)
        assert (centre - torch.tensor([9.0, 4.0])).abs().max() < 2


class TestBadInput:
    def test_no_relu_for_guided(self) -> None:
        network, pixels = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Tanh(), nn.Flatten()), pixels_of(squares_of(1))
        with pytest.raises(UsageError, match=r"no ReLU .* Try plain"):
            saliency(network, pixels, of_output(0), "guided")
        with pytest.raises(UsageError, match=r"no ReLU .* Try plain"):
            grad_cam(network, pixels, of_output(0), drawn_layer(network, pixels), "guided")

    def test_no_relu_above_the_layer_leaves_the_plain_map(self) -> None:
        eye, pixels = eye_of(drawn(Pooled)), pixels_of(squares_of(2))
        layer = drawn_layer(eye, pixels)
        plain, guided = (grad_cam(eye, pixels, of_output(1), layer, rule) for rule in ("plain", "guided"))
        assert difference(guided, plain) == 0

    def test_no_convolution(self) -> None:
        network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
        with pytest.raises(UsageError, match="remain: occlusion, saliency"):
            drawn_layer(network, pixels_of(squares_of(1, 4)))

    def test_an_unknown_layer_and_one_without_a_map(self) -> None:
        network, pixels = drawn(Small), pixels_of(squares_of(1))
        with pytest.raises(UsageError, match=r"no layer 'secnd'.*second"):
            drawn_layer(network, pixels, "secnd")
        with pytest.raises(UsageError, match=r"dense.* no map"):
            drawn_layer(network, pixels, "dense")
