"""The arithmetic of networks: hand numbers, torch's own counter, and fields measured by gradient."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from lensmith.errors import UsageError
from lensmith.zoo.arithmetic import Arithmetic, Layer, Totals, arithmetic, shape_for, totals
from lensmith.zoo.chain import weightless
from lensmith.zoo.field import measured_field
from lensmith.zoo.sight import regrouped
from lensmith.zoo.stack import dense_stack, stack


def of_stack(text: str) -> Arithmetic:
    return arithmetic(*stack(text))


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build without memory and without drawing weights."""
    with torch.device("meta"):
        return build()


def torchvision(name: str, **options: Any) -> nn.Module:
    from torchvision import models

    return on_meta(lambda: models.get_model(name, weights=None, **options))


def layer(found: Arithmetic, name: str) -> Layer:
    return next(one for one in found.layers if one.name == name)


# Hand numbers (ANCHORS, section 1).


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("stack:227x227x3/conv11-96-s4-p0", (96, 55, 55)),
        ("stack:224x224x3/conv11-64-s4-p2", (64, 55, 55)),
        ("stack:224x224x3/conv7-64-s2-p3", (64, 112, 112)),
        ("stack:32x32x1/conv5-6-p0", (6, 28, 28)),
        ("stack:100x100x1/conv3-1-p2", (1, 102, 102)),
        ("stack:100x100x3/conv10-10-p0", (10, 91, 91)),
        ("stack:8x8x3/conv3-2", (2, 8, 8)),
        ("stack:6x6x3/conv3-2-p0", (2, 4, 4)),
        ("stack:20x20x1/pool10", (1, 2, 2)),
        ("stack:3x5x2/conv3x5-3", (3, 3, 5)),
        ("stack:7x5x1/pool2x1-s1", (1, 6, 5)),
        ("stack:28x28x64/up2-32", (32, 56, 56)),
    ],
)
def test_sizes(text: str, made: tuple[int, ...]) -> None:
    assert of_stack(text).layers[-1].made == made


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("stack:32x32x3/conv3-10", 280),
        ("stack:256x256x3/dense1000", 196_609_000),
        ("stack:28x28x1/conv3-32-p0/conv3-64-p0/pool2/dense128/dense10", 1_199_882),
        ("stack:28x28x192/conv1-32", 6_176),
        ("stack:8x8x3/conv3-2", 56),
        ("stack:3x5x2/conv3x5-3", 93),
        ("stack:100x100x3/conv10-10-p0", 3_000 + 10),
        ("stack:32x32x3/conv5-6-p0/pool2/conv5-16-p0/pool2/dense120/dense84/dense10", 62_006),
        ("stack:1x1x3/dense1", 4),
        ("stack:2/dense4/dense3/dense1", 31),
        ("stack:11/dense512/dense512/dense512/dense1", 531_969),
        ("stack:33/dense4/dense4/dense1", 161),
        ("stack:9x9x1/conv3-1/norm/conv3-1", 10 + 2 + 10),
    ],
)
def test_parameters(text: str, parameters: int) -> None:
    found = of_stack(text)
    assert found.totals.parameters == sum(one.parameters for one in found.layers) == parameters


@pytest.mark.parametrize(
    ("text", "each"),
    [
        ("stack:28x28x192/conv5-32", [120_422_400]),
        ("stack:28x28x192/conv1-16/conv5-32", [2_408_448, 10_035_200]),
        ("stack:28x28x192/conv1-32", [4_816_896]),
        ("stack:28x28x192/conv5-32-g32", [120_422_400 // 32]),
        ("stack:4x4x8/up2-16", [4 * 4 * 8 * 16 * 2 * 2]),
        ("stack:3/dense1", [3]),
    ],
)
def test_multiply_adds(text: str, each: list[int]) -> None:
    found = of_stack(text)
    assert [one.multiply_adds for one in found.layers] == each
    assert found.totals.multiply_adds == sum(each)


def test_a_stack_of_small_windows_sees_as_much_with_fewer_weights() -> None:
    one, two, three = (
        of_stack(f"stack:15x15x1/{layers}") for layers in ("conv5-1", "conv3-1/conv3-1", "conv3-1/" * 2 + "conv3-1")
    )
    assert [found.layers[-1].field for found in (one, two, three)] == [(5, 5), (5, 5), (7, 7)]
    assert [found.totals.parameters - len(found.layers) for found in (one, two, three)] == [25, 18, 27]


@pytest.mark.parametrize(("side", "dense", "head"), [(150, (256, 1), 2_097_665), (128, (6, 1), 49_165)])
def test_vgg_base_with_a_head(side: int, dense: tuple[int, ...], head: int) -> None:
    base = torchvision("vgg16").features
    assert isinstance(base, nn.Module)
    network = nn.Sequential(base, dense_stack(4 * 4 * 512, dense))
    assert totals(network, side).parameters == 14_714_688 + head


# Receptive fields.

FIELDS = [
    ("alexnet", {"features.10": 163, "features.12": 195}),
    ("vgg16", {"features.30": 212, "classifier.0": 404}),
    ("vgg19", {"features.36": 268}),
    ("resnet18", {"layer4.1.add": 435}),
    ("resnet34", {"layer4.2.add": 899}),
    ("resnet50", {"layer4.2.add": 427}),
    ("inception_v3", {"Mixed_7c.cat_2": 1311}),  # Araujo, Norris and Sim 2019, table 1
]


@pytest.mark.parametrize(("name", "fields"), FIELDS)
def test_published_fields(name: str, fields: dict[str, int]) -> None:
    options = {"init_weights": False} if name == "inception_v3" else {}
    found = arithmetic(torchvision(name, **options), (3, 224, 224))
    assert {one: layer(found, one).field for one in fields} == {one: (size, size) for one, size in fields.items()}


class Branches(nn.Module):
    """A residual addition, a concatenation, a crop and an enlargement, all written as code."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.near, self.far = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 5, padding=2)
        self.down, self.up = nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ConvTranspose2d(8, 4, 3, 2, 1, 1)
        self.last = nn.Conv2d(12, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = functional.relu(self.stem(images))
        maps = maps + functional.max_pool2d(self.near(maps), 3, 1, 1)
        both = torch.cat([self.near(maps), self.far(maps)], 1)
        deep = self.up(functional.relu_(self.down(both)))
        both = torch.cat([deep, both], 1)
        return self.last(both[:, :, 1:-1, 2:])


class ChannelsLast(nn.Module):
    """Dense layers over channels, between and behind windows whose sides differ."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, (3, 5), 2), nn.Conv2d(4, 2, (5, 3))
        self.norm, self.dense = nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images)
        return self.last(maps + self.dense(self.norm(maps.permute(0, 2, 3, 1))).permute(0, 3, 1, 2))


MEASURED: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "plain": (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3)), (1, 31, 31)),
    "strides": (nn.Sequential(nn.Conv2d(1, 2, 7, 2, 3), nn.MaxPool2d(3, 2, 1), nn.Conv2d(2, 2, 3, 1, 1)), (1, 63, 63)),
    "an axis each": (nn.Sequential(nn.Conv2d(1, 2, (3, 5), (1, 2)), nn.AvgPool2d((2, 3), (2, 1))), (1, 41, 51)),
    "dilated": (nn.Sequential(nn.Conv2d(1, 4, 3, dilation=2), nn.Conv2d(4, 4, 3, dilation=4, groups=2)), (1, 41, 41)),
    "rounded up": (nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(1, 1, 3)), (1, 41, 41)),
    "transposed": (nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.ConvTranspose2d(2, 2, 3, 2, 1, 1)), (1, 41, 41)),
    "transposed twice": (
        nn.Sequential(nn.Conv2d(1, 2, 4, 4), nn.ConvTranspose2d(2, 2, 4, 2, 1), nn.ConvTranspose2d(2, 2, 2, 2)),
        (1, 64, 64),
    ),
    "enlarged": (
        nn.Sequential(nn.Conv2d(1, 2, 2, 2), nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 3, padding=1)),
        (1, 40, 40),
    ),
    "enlarged smoothly": (
        nn.Sequential(nn.Conv2d(1, 2, 4, 4), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(2, 2, 3)),
        (1, 64, 64),
    ),
    "adaptive": (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.AdaptiveAvgPool2d(4)), (1, 32, 32)),
    "norms": (
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.LocalResponseNorm(2), nn.Conv2d(4, 1, 3)),
        (1, 21, 21),
    ),
    "padded by itself": (nn.Sequential(nn.ReflectionPad2d((1, 2, 3, 0)), nn.Conv2d(1, 1, 4)), (1, 21, 21)),
    "branches": (Branches(), (1, 96, 96)),
    "channels last": (ChannelsLast(), (1, 41, 31)),
    "one axis": (nn.Sequential(nn.Conv1d(1, 2, 5, 2), nn.MaxPool1d(3)), (1, 61)),
    "three axes": (nn.Sequential(nn.Conv3d(1, 1, (3, 5, 5), (1, 2, 2)), nn.MaxPool3d(2)), (1, 12, 31, 31)),
    "shuffled": (nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.PixelShuffle(2), nn.Conv2d(1, 1, 3)), (1, 41, 41)),
}


@pytest.mark.parametrize("name", MEASURED)
def test_fields_are_those_measured_by_gradient(name: str) -> None:
    network, shape = MEASURED[name]
    calculated = arithmetic(network, shape).layers[-1]
    assert calculated.field == measured_field(network, shape)
    assert not calculated.whole


@pytest.mark.parametrize(("name", "cut", "side"), [("alexnet", "features", 415), ("resnet18", "layer3", 307)])
def test_fields_of_published_networks_are_those_measured(name: str, cut: str, side: int) -> None:
    from torchvision import models

    network = models.get_model(name, weights=None)
    found = arithmetic(network, (3, side, side))
    inside = [one for one in found.layers if one.name.startswith(f"{cut}.")]
    kept = nn.Sequential(*list(network.children())[: [child for child, _ in network.named_children()].index(cut) + 1])
    measured = measured_field(kept, (3, side, side))
    assert inside[-1].field == measured
    assert max(measured) < side


class Tokens(nn.Module):
    """Patches that attend to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.encoder = nn.Conv2d(1, 8, 4, 4), nn.TransformerEncoderLayer(8, 2, 8, 0.0, batch_first=True)

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.encoder(self.patches(images).flatten(2).transpose(1, 2))
        return tokens


@pytest.mark.parametrize(
    "network",
    [nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)), Tokens()],
    ids=["global pooling", "attention"],
)
def test_some_layers_see_the_whole_picture_whatever_its_size(network: nn.Module) -> None:
    found = arithmetic(network, (1, 20, 20))
    assert found.layers[-1].whole
    assert not found.layers[0].whole
    assert measured_field(network, (1, 20, 20)) == (20, 20)


def test_a_dense_layer_sees_through_all_positions_of_its_map() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3, 2), nn.Flatten(), nn.Linear(2 * 9 * 9, 1))
    (*_, dense) = arithmetic(network, (1, 19, 19)).layers
    assert dense.field == (3 + 8 * 2,) * 2 == measured_field(network, (1, 19, 19))
    assert dense.formulas["field"] == "3 + (9 - 1)*2 = 19"
    assert dense.stride is None


def test_gates_made_from_the_whole_picture_show_it() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.gate = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.convolution(images)
            return maps * self.gate(maps.mean((2, 3), keepdim=True)).sigmoid()

    found = arithmetic(Gated(), (1, 9, 9))
    assert [one.name for one in found.layers] == ["convolution", "mean", "gate", "mul"]
    assert [one.whole for one in found.layers] == [False, True, True, True]


def test_strides_count_pixels() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3, 2), nn.MaxPool2d(2), nn.ConvTranspose2d(1, 1, 8, 8))
    strides = [one.stride for one in arithmetic(network, (1, 33, 33)).layers]
    assert strides == [(Fraction(2),) * 2, (Fraction(4),) * 2, (Fraction(1, 2),) * 2]


def test_positions_that_are_split_make_fields_unknown_and_said_so() -> None:
    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 1)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.first(images)
            windows = maps.view(-1, 2, 2, 4, 2, 4).mean((3, 5))
            return self.last(windows)

    found = arithmetic(Windows(), (1, 8, 8))
    assert found.layers[0].field == (3, 3)
    assert found.layers[-1].field is None
    assert "positions split" in found.notes[0]
    assert found.totals.multiply_adds == 2 * 9 * 64 + 2 * 2 * 4


def test_how_dimensions_of_two_shapes_belong_together() -> None:
    assert list(regrouped((1, 6, 4, 4), (1, 6, 16))) == [([0], [0]), ([1], [1]), ([2, 3], [2])]
    assert list(regrouped((12, 5), (1, 3, 4, 5))) == [([], [0]), ([0], [1, 2]), ([1], [3])]
    assert list(regrouped((1, 7, 1, 1), (7,))) == [([0], []), ([1], [0]), ([2], []), ([3], [])]


# Totals.

PUBLISHED = [
    ("alexnet", 224, 61_100_840, "0.714"),
    ("vgg16", 224, 138_357_544, "15.470"),
    ("vgg19", 224, 143_667_240, "19.632"),
    ("resnet18", 224, 11_689_512, "1.814"),
    ("resnet34", 224, 21_797_672, "3.664"),
    ("resnet50", 224, 25_557_032, "4.089"),
    ("resnet101", 224, 44_549_160, "7.801"),
    ("resnet152", 224, 60_192_808, "11.514"),
    ("mobilenet_v2", 224, 3_504_872, "0.301"),
    ("inception_v3", 299, 27_161_264, "5.713"),
]


@pytest.mark.parametrize(("name", "side", "parameters", "billions"), PUBLISHED)
def test_published_totals(name: str, side: int, parameters: int, billions: str) -> None:
    options = {"init_weights": False} if name == "inception_v3" else {}
    found = totals(torchvision(name, **options), side)
    assert found.parameters == parameters
    assert f"{found.multiply_adds / 1e9:.3f}" == billions


def test_published_fields_and_totals_of_another_library() -> None:
    """Fields as in Araujo, Norris and Sim 2019, table 1; totals as printed by the library."""
    import timm

    for name, side, field, parameters, billions in (
        ("mobilenetv1_100", 224, 315, 4_231_976, "0.569"),
        ("inception_v4", 299, 2071, 42_679_816, "12.3"),
        ("inception_resnet_v2", 299, 3039, 55_843_464, "13.2"),
    ):
        found = arithmetic(on_meta(lambda name=name: timm.create_model(name)), (3, side, side))  # type: ignore[misc]
        _, last = found.ends()
        assert last is not None and last.field == (field, field), name
        assert found.totals.parameters == parameters
        digits = len(billions.partition(".")[2])
        assert f"{found.totals.multiply_adds / 1e9:.{digits}f}" == billions


def test_googlenet_with_and_without_the_heads_that_only_help_training() -> None:
    network = torchvision("googlenet", init_weights=False, aux_logits=True)
    found = arithmetic(network, (3, 224, 224))
    assert found.totals.parameters == 6_624_904 + 6_379_984
    assert f"{found.totals.multiply_adds / 1e9:.3f}" == "1.498"
    assert found.notes == ("6,379,984 of the parameters are not used for an answer (in aux1, aux2).",)


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "mnasnet0_5", "convnext_tiny", "swin_t", "vit_b_32"])
def test_multiply_adds_are_half_of_what_torch_counts(name: str) -> None:
    network = torchvision(name)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.device("meta"):
        network.eval()(torch.zeros(1, 3, 224, 224))
    assert 2 * totals(network, 224).multiply_adds == counter.get_total_flops()


@pytest.mark.parametrize("name", MEASURED)
def test_multiply_adds_of_small_networks_are_half_of_what_torch_counts(name: str) -> None:
    network, shape = MEASURED[name]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, *shape))
    assert 2 * arithmetic(network, shape).totals.multiply_adds == counter.get_total_flops()


def test_layers_add_up() -> None:
    found = arithmetic(torchvision("resnet18"), (3, 224, 224))
    assert sum(one.parameters for one in found.layers) == found.totals.parameters
    assert sum(one.multiply_adds for one in found.layers) == found.totals.multiply_adds
    stages = found.stages()
    assert [stage.name for stage in stages] == ["112 x 112", "56 x 56", "28 x 28", "14 x 14", "7 x 7", "vector"]
    assert sum(stage.parameters for stage in stages) == found.totals.parameters
    assert sum(stage.layers for stage in stages) == len(found.layers)


def test_a_shared_layer_has_its_weights_once_and_its_work_twice() -> None:
    shared = nn.Conv2d(2, 2, 3, padding=1)
    found = arithmetic(nn.Sequential(shared, nn.ReLU(), shared), (2, 8, 8))
    assert [one.parameters for one in found.layers] == [38, 0, 0]
    assert [one.name for one in found.layers] == ["0", "1", "0_1"]
    assert found.totals == Totals(38, 2 * 64 * 36)


# Formulas.


def test_formulas_have_the_numbers_filled_in() -> None:
    found = arithmetic(torchvision("alexnet"), (3, 224, 224))
    assert layer(found, "features.0").formulas == {
        "output": "floor((224 + 2*2 - 11)/4) + 1 = 55",
        "parameters": "(11*11*3 + 1)*64 = 23,296",
        "multiply_adds": "55*55*64 * 11*11*3 = 70,276,800",
        "field": "1 + (11 - 1)*1 = 11",
        "stride": "1*4 = 4",
    }
    assert layer(found, "features.2").formulas["field"] == "11 + (3 - 1)*4 = 19"
    assert layer(found, "classifier.1").formulas == {
        "parameters": "(9216 + 1)*4096 = 37,752,832",
        "multiply_adds": "4096 * 9216 = 37,748,736",
        "field": "195 + (6 - 1)*32 = 355",
    }
    assert [layer(found, f"features.{n}").kind for n in (0, 1, 2)] == ["conv 11x11/4", "ReLU", "max pool 3x3/2"]


@pytest.mark.parametrize(
    ("text", "key", "formula"),
    [
        ("stack:9x9x1/conv3-1-d2", "output", "floor((9 + 2*2 - (2*(3 - 1) + 1))/1) + 1 = 9"),
        ("stack:9x9x1/conv3-1-d2", "field", "1 + 2*(3 - 1)*1 = 5"),
        ("stack:9x7x1/conv3-1-p0", "output", "floor((9 + 2*0 - 3)/1) + 1 = 7, floor((7 + 2*0 - 3)/1) + 1 = 5"),
        ("stack:4x4x8/up2-16", "output", "(4 - 1)*2 - 2*0 + 2 = 8"),
        ("stack:4x4x8/up2-16", "stride", "1/2 = 1/2"),
        ("stack:4x4x8/conv3-8-g4", "parameters", "(3*3*2 + 1)*8 = 152"),
        ("stack:4x4x8/norm", "parameters", "2*8 = 16"),
        ("stack:4x4x8/mean", "field", "the whole picture"),
    ],
)
def test_single_formulas(text: str, key: str, formula: str) -> None:
    assert of_stack(text).layers[-1].formulas[key] == formula


def test_a_residual_addition_takes_the_larger_field() -> None:
    found = arithmetic(torchvision("resnet18"), (3, 224, 224))
    assert layer(found, "layer1.0.add").formulas["field"] == "max(27, 11) = 27"
    assert layer(found, "layer1.0.add").kind == "add"
    assert layer(found, "layer1.0.add").joint and not layer(found, "layer1.0.conv1").joint


# Modules of all kinds.


class AsksForNumbers(nn.Module):
    """What it does depends on a number, so that shapes alone do not tell."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        if images.sum().item() > 1:
            images = images / images.max()
        return self.convolution(images)


class GoesAround(nn.Module):
    """Leaves torch on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(torch.from_numpy(self.first(images).numpy() * 2))


class Bare(nn.Module):
    """Has weights and code, and no layers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(4, 3, 3, 3)), nn.Parameter(torch.zeros(4))
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(functional.conv2d(images, self.weight * 2, self.bias)) * self.scale


def test_code_that_asks_for_numbers_is_run_with_them_and_said_so() -> None:
    found = arithmetic(AsksForNumbers(), (3, 9, 9))
    assert layer(found, "convolution").field == (3, 3)
    assert "asks for numbers" in found.notes[0]


def test_what_leaves_torch_is_counted_but_its_field_is_unknown() -> None:
    found = arithmetic(GoesAround(), (3, 9, 9))
    assert found.totals.multiply_adds == 49 * 4 * 27 + 25 * 2 * 36
    assert layer(found, "first").field == (3, 3)
    assert layer(found, "last").field is None
    assert found.notes[1] == "Its answer cannot be followed back to the picture."


def test_code_without_layers_has_a_row_for_each_operation_that_counts() -> None:
    found = arithmetic(Bare(), (3, 9, 9))
    assert [(one.name, one.kind, one.parameters) for one in found.layers] == [
        ("convolution", "conv 3x3", 112),
        ("mul", "multiply", 4),
    ]
    assert found.totals == Totals(116, 49 * 4 * 27)


def test_a_map_that_is_written_into_part_by_part_makes_fields_unknown_and_said_so() -> None:
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.first(images)
            both = torch.zeros_like(maps)
            both[:, :2], both[:, 2:] = maps[:, 2:], maps[:, :2]
            return self.last(both)

    found = arithmetic(Halves(), (3, 9, 9))
    assert [one.field for one in found.layers] == [(3, 3), None]
    assert "a part of a map written into" in found.notes[0]


def test_layers_that_wait_for_their_input_are_shown_one() -> None:
    network = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2)).train()
    assert arithmetic(network, (3, 9, 9)).totals == Totals(112 + 8 + 2 * (4 * 49 + 1), 49 * 4 * 27 + 2 * 4 * 49)
    assert all(part.training for part in network.modules())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_pictures_have_the_numbers_that_the_weights_have(dtype: torch.dtype) -> None:
    assert totals(nn.Conv2d(3, 4, 3).to(dtype), 9) == Totals(112, 49 * 4 * 27)


def test_weights_made_from_other_weights_are_counted_where_they_are_used() -> None:
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU())
    found = arithmetic(network, (3, 9, 9))
    assert [(one.name, one.parameters) for one in found.layers] == [("0", 3 * 4 * 9 + 4 + 4), ("1", 0)]


def test_a_recurrent_layer_is_one_row() -> None:
    class Columns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.look, self.read = nn.Conv2d(3, 8, 3), nn.LSTM(8, 16, batch_first=True)

        def forward(self, images: Tensor) -> Tensor:
            answer: Tensor = self.read(self.look(images).mean(2).transpose(1, 2))[0]
            return answer

    found = arithmetic(Columns(), (3, 9, 9))
    assert [(one.name, one.kind) for one in found.layers] == [
        ("look", "conv 3x3"),
        ("mean", "global mean"),
        ("read", "LSTM"),
    ]
    assert found.layers[-1].multiply_adds == 7 * 4 * 16 * (8 + 16)


def test_answers_of_other_kinds_are_fine() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 5)

        def forward(self, images: Tensor) -> dict[str, Any]:
            return {"near": self.one(images), "far": [self.other(images)]}

    found = arithmetic(Two(), (3, 9, 9))
    assert [one.field for one in found.layers] == [(3, 3), (5, 5)]


def test_nothing_is_left_on_the_network() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.random.get_rng_state()
    arithmetic(network, (3, 9, 9))
    assert all(part.training and not part._forward_hooks and not part._forward_pre_hooks for part in network.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.backends.mha.get_fastpath_enabled()


def test_large_networks_take_no_memory() -> None:
    network = torchvision("vgg19")
    assert totals(network, 224).parameters == 143_667_240
    assert {weight.device.type for weight in weightless(network).parameters()} == {"meta"}


def test_what_a_network_is_shown_follows_from_its_first_layer() -> None:
    assert shape_for(nn.Sequential(nn.Conv2d(1, 2, 3)), 28) == (1, 28, 28)
    assert shape_for(nn.Sequential(nn.Conv2d(1, 2, 3)), 28, channels=3) == (3, 28, 28)
    assert shape_for(nn.Sequential(nn.Conv2d(48, 2, 3)), 28) == (3, 28, 28)
    assert shape_for(nn.Sequential(nn.Conv3d(3, 2, 3)), 112) == (3, 16, 112, 112)
    assert shape_for(nn.Sequential(nn.Linear(11, 2)), 224) == (11,)
    assert shape_for(nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)), 8) == (3, 8, 8)


# Bad input.


def test_a_picture_too_small_names_the_layer_and_the_smallest_that_works() -> None:
    with pytest.raises(UsageError) as caught:
        totals(torchvision("alexnet"), 50)
    assert str(caught.value) == (
        "image_size is 50; layer features.12 would shrink it to nothing: its 3x3 max pooling gets a map of 2 x 2. "
        "Try 63, the smallest that works."
    )
    assert totals(torchvision("alexnet"), 63)
    with pytest.raises(UsageError):
        totals(torchvision("alexnet"), 62)


def test_a_network_made_for_one_size_says_which() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 5), nn.Flatten(), nn.Linear(4 * 28 * 28, 2))
    with pytest.raises(UsageError, match=r"image_size is 24; layer 2 cannot take it .*Try 32, the smallest that works"):
        totals(network, 24)
    with pytest.raises(UsageError, match=r"image_size is 200; .*Try 32\."):
        totals(network, 200)


def test_a_wrong_number_of_channels_is_not_called_a_size() -> None:
    with pytest.raises(UsageError, match=r"no picture of 3 channels, of any size tried; at 24 layer 0 .*--channels"):
        totals(nn.Sequential(nn.Conv2d(1, 2, 3)), 24)


def test_a_network_that_needs_more_than_pictures_is_refused() -> None:
    class Needy(nn.Module):
        def forward(self, images: Tensor, lengths: Tensor, *, scale: float = 1.0) -> Tensor:
            return images * lengths * scale

    with pytest.raises(
        UsageError, match=r"takes more than pictures: forward\(images, lengths, scale\).*lengths itself"
    ):
        totals(Needy(), 8)
