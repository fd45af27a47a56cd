"""Names of networks, lensmith's own networks, and where a network is cut."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lensmith.errors import UsageError
from lensmith.zoo import catalogue
from lensmith.zoo.build import build
from lensmith.zoo.chain import chain
from lensmith.zoo.contract import Contract, contract_from_dict
from lensmith.zoo.cut import base, cuts, default_cut
from lensmith.zoo.names import NetworkName, contract, known_names, published, resolve
from lensmith.zoo.own import convnet_widths


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the lists of both libraries."""
    folder = tmp_path_factory.mktemp("cache")
    known_names(folder)
    return folder


# ---------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("asked", "full"),
    [
        ("mobilenet_v2", "torchvision/mobilenet_v2"),
        ("resnet18", "torchvision/resnet18"),
        ("convnext_atto", "timm/convnext_atto"),
        ("timm/resnet18", "timm/resnet18"),
        ("timm/resnet18.a1_in1k", "timm/resnet18.a1_in1k"),
        ("lenet5", "lensmith/lenet5"),
        ("convnet", "lensmith/convnet/32-64-128/128"),
        ("convnet/8-16", "lensmith/convnet/8-16"),
        ("convnet/8/32-10", "lensmith/convnet/8/32-10"),
        ("lenet5/1998", "lensmith/lenet5/1998"),
        ("alexnet", "torchvision/alexnet"),
        ("alexnet/2012", "lensmith/alexnet/2012"),
        ("resnet20", "lensmith/resnet20"),
        ("plain110", "lensmith/plain110"),
        ("inception_v2", "lensmith/inception_v2"),
        ("inception_v3", "torchvision/inception_v3"),
        ("inception_v4", "timm/inception_v4"),
        (" my_networks.small:make ", "my_networks.small:make"),
    ],
)
def test_a_name_means_one_network_and_its_full_name_means_the_same(asked: str, full: str, cache: Path) -> None:
    name = resolve(asked, cache)
    assert str(name) == full
    assert resolve(str(name), cache) == name


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("mobilnet_v2", "mobilenet_v2"),
        ("torchvision/resnet19", "resnet18"),
        ("timm/resnet18.a9_in1k", "it has a1_in1k"),
        ("lenet", "lenet5"),
        ("lenet5/3", "lensmith's own are convnet, lenet5, lenet5/1998"),
        ("alexnet/2021", "Nearest: alexnet/2012"),
        ("lensmith/resnet21", "resnet20"),
        ("resnet57", "resnet56"),
        ("convnet/32-x", "convnet/32-64-128/128"),
        ("convnet/0", "1 to 9999"),
        ("convnet/8/8/8", "convnet/WIDTHS/DENSE"),
        ("somewhere/resnet18", "there is no network"),
        ("module:", "module:factory"),
        ("", "lensmith networks"),
    ],
)
def test_an_unknown_name_is_a_usage_error_that_helps(asked: str, said: str, cache: Path) -> None:
    with pytest.raises(UsageError, match=r".") as error:
        resolve(asked, cache)
    assert said in str(error.value)


def test_convnet_widths() -> None:
    assert convnet_widths(resolve("convnet").name) == ((32, 64, 128), (128,))
    assert convnet_widths(resolve("convnet/7").name) == ((7,), ())


def test_every_listed_network_has_sensible_contracts(cache: Path) -> None:
    known = known_names(cache)
    assert list(known) == ["lensmith", "torchvision", "timm"]
    assert len(known["torchvision"]) >= 80
    assert len(known["timm"]) >= 1000
    for library in catalogue.LIBRARIES:
        for name, entries in catalogue.entries(library, cache).items():
            for entry in entries:
                there = contract_from_dict(entry["contract"])
                assert there.image_size >= there.smallest > 0, name
                assert 0.5 <= there.crop <= 1, name
                assert there.interpolation in ("bilinear", "bicubic"), name
                assert (there.licence is not None) == ("url" in entry or "hub" in entry), name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mobilenet_v2", Contract(224, 1, False, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 0.965517)),
        ("vit_b_16", Contract(224, 224, True, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 0.875)),
        ("inception_v3", Contract(299, 75, False, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 0.874269)),
    ],
)
def test_a_torchvision_contract_is_that_of_its_default_weights(name: str, expected: Contract, cache: Path) -> None:
    there = contract(resolve(name, cache), cache).as_dict()
    assert there.pop("licence").startswith("BSD-3-Clause")
    assert there == {key: value for key, value in expected.as_dict().items() if key != "licence"}


def test_a_timm_contract_follows_the_tag(cache: Path) -> None:
    plain = contract(resolve("timm/resnet18.tv_in1k", cache), cache)
    assert (plain.crop, plain.interpolation) == (0.875, "bilinear")
    assert contract(resolve("timm/resnet18.a1_in1k", cache), cache).interpolation == "bicubic"
    assert published(resolve("timm/resnet18.a1_in1k", cache), cache)[0].hub == "timm/resnet18.a1_in1k"


def test_our_own_contracts_leave_the_statistics_to_the_training_split() -> None:
    lenet, convnet = contract(resolve("lenet5")), contract(resolve("convnet/8-16/32"))
    assert (lenet.image_size, lenet.mean, lenet.pool, lenet.dense) == (32, None, "flatten", (120, 84))
    assert (convnet.std, convnet.dense, convnet.smallest) == (None, (32,), 4)


def test_a_contract_survives_json(cache: Path) -> None:
    there = contract(resolve("mobilenet_v2", cache), cache)
    assert contract_from_dict(json.loads(json.dumps(there.as_dict()))) == there


def test_names_and_contracts_need_no_torch_once_the_lists_are_kept(cache: Path) -> None:
    program = f"""
    import sys
    for name in ("torch", "torchvision", "timm"):
        sys.modules[name] = None
    from pathlib import Path
    from lensmith.errors import UsageError
    from lensmith.zoo.names import contract, resolve
    cache = Path({str(cache)!r})
    for asked in ("mobilenet_v2", "timm/resnet18", "convnext_atto", "lenet5", "convnet/8/8", "mine:net"):
        contract(resolve(asked, cache), cache)
    try:
        resolve("resnet180", cache)
    except UsageError as error:
        print(error)
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "resnet18" in ran.stdout


def test_a_damaged_list_is_made_again(tmp_path: Path) -> None:
    file = catalogue.catalogue_file("torchvision", tmp_path)
    file.parent.mkdir()
    file.write_text('{"format": 1, "netw')
    assert resolve("resnet18", tmp_path) == NetworkName("torchvision", "resnet18")
    assert "resnet18" in json.loads(file.read_text())["networks"]


# ------------------------------------------------------------------------------------------------ our own networks


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def with_default_head(name: NetworkName, network: nn.Module, features: int, classes: int) -> nn.Module:
    """A flattened map, the dense layers of the contract, the classes."""
    widths = [features, *contract(name).dense, classes]
    dense = [nn.Linear(before, after) for before, after in pairwise(widths)]
    return nn.Sequential(network, nn.Flatten(), *dense)


def test_lenet5_has_the_parameters_and_maps_of_the_paper() -> None:
    name = resolve("lenet5")
    grey, colour = build(name, channels=1), build(name)
    # A 28 x 28 digit padded to 32 x 32, and a colour picture of 32 x 32: 400-120-84-10 follow either.
    assert parameters(with_default_head(name, grey, 400, 10)) == 61_706
    assert parameters(with_default_head(name, colour, 400, 10)) == 62_006
    assert [cut.shape for cut in cuts(colour, 32) if cut.name in ("c1", "s2", "c3", "s4")] == [
        (6, 28, 28),
        (6, 14, 14),
        (16, 10, 10),
        (16, 5, 5),
    ]
    assert grey(torch.zeros(2, 1, 32, 32)).shape == (2, 16, 5, 5)


def test_convnet_is_the_blocks_its_name_says() -> None:
    network = build(resolve("convnet/8-16"))
    assert parameters(network) == (27 * 8 + 16) + (72 * 16 + 32)
    assert [cut.shape for cut in cuts(network, 30) if cut.name in ("blocks.1", "blocks")] == [(8, 15, 15), (16, 8, 8)]
    assert default_cut(network, 30).also == ("blocks.2", "blocks.2.pool")


def test_convnet_takes_pictures_smaller_than_its_blocks_can_halve() -> None:
    network = build(resolve("convnet"))
    assert network(torch.zeros(2, 3, 5, 5)).shape == (2, 128, 1, 1)


def test_the_start_of_our_own_networks_keeps_the_scale_of_the_signal() -> None:
    torch.manual_seed(0)
    network = build(resolve("convnet/64-64-64"))
    convolution = network.get_submodule("blocks.2.conv")
    assert isinstance(convolution.weight, Tensor)
    assert convolution.weight.var().item() == pytest.approx(2 / (9 * 64), rel=0.05)


@pytest.mark.parametrize("name", ["convnet/8", "lenet5", "squeezenet1_0", "timm/mobilenetv3_small_050"])
def test_the_seed_decides_the_weights(name: str, cache: Path) -> None:
    def drawn(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        return list(build(resolve(name, cache)).state_dict().values())

    once, again, other = drawn(1), drawn(1), drawn(2)
    assert all(torch.equal(one, two) for one, two in zip(once, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(once, other, strict=True))


def test_a_network_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_nets_of_test.py").write_text(
        "from torch import nn\n"
        "def small():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())\n"
        "def broken():\n    raise KeyError('width')\n"
        "def number():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    assert isinstance(build(resolve("my_nets_of_test:small")), nn.Sequential)
    for name, said in (("broken", "KeyError: 'width'"), ("number", "a int"), ("absent", "absent")):
        with pytest.raises(UsageError, match=said):
            build(resolve(f"my_nets_of_test:{name}"))
    with pytest.raises(UsageError, match="No module named"):
        build(resolve("my_nets_of_test_2:small"))


def test_a_network_of_one_size_can_be_built_for_another(cache: Path) -> None:
    with torch.device("meta"):
        small = build(resolve("timm/vit_tiny_patch16_224", cache), image_size=64)
        smaller = build(resolve("torchvision/vit_b_16", cache), image_size=32)
    assert default_cut(small, 64).shape == (192,)
    assert default_cut(smaller, 32).shape == (768,)
    with pytest.raises(UsageError, match="image_size is 50"):
        build(resolve("torchvision/vit_b_16", cache), image_size=50)


# ------------------------------------------------------------------------------------------------------- the chain


def test_the_chain_of_a_graph() -> None:
    # a -> b -> (c, d) -> e -> f, a dead end g, and a way from b to f past e only where it is drawn.
    graph = {"a": [], "b": ["a"], "g": ["b"], "c": ["b"], "d": ["b"], "e": ["c", "d"], "f": ["e"]}
    assert list(chain(graph)) == ["a", "b", "e", "f"]
    assert list(chain(graph | {"f": ["e", "b"]})) == ["a", "b", "f"]


class Block(nn.Module):
    """A residual block that adds with or without a change in place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.norm(self.conv(x)))


class Small(nn.Module):
    """A network of 5 classes whose parts a test can exchange."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.passing = nn.Identity()
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(8, 5)

    def features(self, images: Tensor) -> Tensor:
        maps: Tensor = self.passing(self.blocks(self.stem(images)))
        return maps

    def forward(self, images: Tensor, mask: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
        if mask is not None:
            images = images * mask
        scores: Tensor = self.fc(self.drop(self.features(images).mean((2, 3)))) * scale
        return scores


class Asking(Small):
    """Code of the network itself that asks for a value: nothing can record it."""

    def features(self, images: Tensor) -> Tensor:
        if images.sum() > 1e9:
            images = images / 2
        return super().features(images)


class AskingBlock(Block):
    """The same in a part of a network: only the part is kept whole."""

    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > 1e9:
            x = x / 2
        return super().forward(x)


class DropInTheMiddle(Small):
    """Training and evaluation differ in the code of the network itself, before its features end."""

    def features(self, images: Tensor) -> Tensor:
        return super().features(functional.dropout(images, 0.5, training=self.training))


class DropAtTheEnd(Small):
    """The same behind the features, as many published networks do."""

    def forward(self, images: Tensor, mask: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
        pooled = functional.dropout(self.features(images).mean((2, 3)), 0.5, training=self.training)
        scores: Tensor = self.fc(pooled)
        return scores


class WithConstant(Small):
    """A tensor made on the way: no weight, and no part of the state."""

    def features(self, images: Tensor) -> Tensor:
        return super().features(images - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1))


class InPlace(Small):
    """A change in place whose result is found in the changed tensor: no recorded graph shows it."""

    def features(self, images: Tensor) -> Tensor:
        maps = super().features(images)
        maps.mul_(2)
        return maps


class TwoAnswers(Small):
    """Two class layers read different tokens, as in distilled transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(8, 5)

    def forward(self, images: Tensor, mask: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
        tokens = self.drop(self.features(images).flatten(2).transpose(1, 2) * self.fc.weight[0])
        scores: Tensor = self.fc(tokens[:, 0]) + self.other(tokens[:, 1])
        return scores


def at(network: nn.Module, module: str, images: Tensor) -> Tensor:
    """What `module` gives when the whole network runs."""
    seen: list[Tensor] = []
    hook = network.get_submodule(module).register_forward_hook(lambda part, given, output: seen.append(output.clone()))
    with torch.no_grad():
        network(images)
    hook.remove()
    return seen[-1]


@pytest.mark.parametrize("kind", [Small, Asking, DropInTheMiddle, DropAtTheEnd, WithConstant])
def test_small_networks_are_cut_at_their_last_map(kind: type[Small]) -> None:
    torch.manual_seed(0)
    network = kind().eval()
    images = torch.rand(2, 3, 12, 12)
    cut_off, cut = base(network, None, 12)
    assert (cut.name, cut.shape, cut.is_map) == ("blocks", (8, 6, 6), True)
    assert "passing" in cut.also
    assert torch.equal(cut_off(images), at(network, "blocks", images))
    expected = [name for name in network.state_dict() if not name.startswith("fc")]
    assert list(cut_off.state_dict()) == expected
    assert cut_off.state_dict()["stem.weight"].data_ptr() == network.stem.weight.data_ptr()


@pytest.mark.parametrize("kind", [Small, Asking, DropInTheMiddle])
def test_training_and_evaluation_mean_in_a_base_what_they_always_do(kind: type[Small]) -> None:
    torch.manual_seed(0)
    network = kind()
    cut_off, _ = base(network, None, 12)
    images = torch.rand(4, 3, 12, 12)
    before = network.get_buffer("blocks.0.norm.running_mean").clone()
    cut_off.eval()(images)
    assert torch.equal(network.get_buffer("blocks.0.norm.running_mean"), before)
    cut_off.train()(images).sum().backward()
    assert not torch.equal(network.get_buffer("blocks.0.norm.running_mean"), before)
    assert network.stem.weight.grad is not None
    assert network.fc.weight.grad is None
    assert not torch.equal(cut_off(images), cut_off(images)) or kind is not DropInTheMiddle


def test_a_part_that_cannot_be_recorded_is_kept_whole() -> None:
    network = Small().eval()
    network.blocks = nn.Sequential(AskingBlock(8), AskingBlock(8))
    assert [cut.name for cut in cuts(network, 12)] == ["stem", "blocks.0", "blocks", "mean", "drop", "fc", "mul"]


def test_a_change_in_place_is_seen() -> None:
    network = InPlace().eval()
    images = torch.rand(2, 3, 12, 12)
    cut_off, cut = base(network, "drop", 12)
    assert cut.shape == (8,)
    assert torch.equal(cut_off(images), at(network, "drop", images))


def test_a_map_with_channels_last_is_turned() -> None:
    class Last(Small):
        def forward(self, images: Tensor, mask: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
            scores: Tensor = self.fc(self.drop(self.features(images).permute(0, 2, 3, 1)).mean((1, 2)))
            return scores

    network = Last().eval()
    images = torch.rand(2, 3, 12, 12)
    cut_off, cut = base(network, "permute", 12)
    assert (cut.shape, cut.channels_last, cut.is_map) == ((8, 6, 6), True, True)
    assert torch.equal(cut_off(images), at(network, "blocks", images))


def test_two_class_layers_leave_the_tokens_they_read() -> None:
    cut = default_cut(TwoAnswers(), 12)
    assert (cut.name, cut.shape, cut.is_map) == ("drop", (36, 8), False)


def test_a_network_without_classes_is_a_base_as_it_is() -> None:
    network = Small()
    network.fc = nn.Identity()  # type: ignore[assignment]
    cut = default_cut(network, 12)
    assert (cut.name, cut.shape) == ("blocks", (8, 6, 6))


def test_looking_at_a_network_leaves_no_marks() -> None:
    network = WithConstant()
    network.blocks[0].eval()
    before = copy.deepcopy(network.state_dict())
    attributes = {name: set(vars(part)) for name, part in network.named_modules()}
    cuts(network, 12)
    assert {name: set(vars(part)) for name, part in network.named_modules()} == attributes
    assert network.training
    assert not network.blocks[0].training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("block", "there is no cut 'block'. Nearest: blocks"),
        ("blocks.1.conv", "not a place where exactly one tensor crosses"),
    ],
)
def test_an_unknown_cut_is_a_usage_error(name: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        base(Small(), name, 12)
    assert said in str(error.value)


def test_a_network_with_two_ways_through_all_of_it_cannot_be_cut() -> None:
    class Two(Small):
        def forward(self, images: Tensor, mask: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
            maps = self.stem(images)
            scores: Tensor = self.fc(self.blocks(maps).mean((2, 3))) + self.fc(maps.mean((2, 3)))
            return scores

    class Apart(Two):
        def __init__(self) -> None:
            super().__init__()
            self.second = Small()

        def forward(self, images: Tensor, mask: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
            scores: Tensor = super().forward(images) + self.second(images)
            return scores

    assert default_cut(Two(), 12).name == "stem"
    with pytest.raises(UsageError, match="no place where exactly one tensor crosses"):
        default_cut(Apart(), 12)


@pytest.mark.parametrize(
    ("name", "image_size", "works"),
    [("lenet5", 8, 16), ("inception_v3", 50, 75), ("timm/vit_tiny_patch16_224", 200, 224)],
)
def test_an_impossible_image_size_names_one_that_works(name: str, image_size: int, works: int, cache: Path) -> None:
    with torch.device("meta"):
        network = build(resolve(name, cache))
    with pytest.raises(UsageError, match=f"image_size is {image_size}.* Try {works}"):
        cuts(network, image_size)


# ------------------------------------------------------------------------------------- contract: published networks

# Network, image size (small where it may be), default cut, its shape.
ROWS = [
    ("torchvision/resnet18", 64, "layer4", (512, 2, 2)),
    ("torchvision/densenet121", 64, "relu", (1024, 2, 2)),
    ("torchvision/squeezenet1_0", 64, "features", (512, 3, 3)),
    ("torchvision/mobilenet_v2", 64, "features", (1280, 2, 2)),
    ("torchvision/swin_t", 64, "permute", (768, 2, 2)),
    ("timm/tf_efficientnetv2_s", 64, "bn2", (1280, 2, 2)),
    ("timm/ghostnet_050", 64, "blocks", (480, 2, 2)),
    ("timm/convnext_atto", 64, "stages", (320, 2, 2)),
    ("timm/mambaout_femto", 64, "stages", (288, 2, 2)),
    ("timm/deit_tiny_distilled_patch16_224", 224, "norm", (198, 192)),
]
SLOW_ROWS = [
    ("timm/hiera_tiny_224", 224, "head.drop", (768,)),
    ("timm/swin_tiny_patch4_window7_224", 224, "norm", (768, 7, 7)),
    ("torchvision/alexnet", 96, "features", (256, 2, 2)),
    ("torchvision/vgg16", 64, "features", (512, 2, 2)),
    ("torchvision/vgg11_bn", 64, "features", (512, 2, 2)),
    ("torchvision/googlenet", 64, "inception5b", (1024, 2, 2)),
    ("torchvision/inception_v3", 139, "Mixed_7c", (2048, 3, 3)),
    ("torchvision/resnet50", 64, "layer4", (2048, 2, 2)),
    ("torchvision/resnext50_32x4d", 64, "layer4", (2048, 2, 2)),
    ("torchvision/mobilenet_v3_small", 64, "features", (576, 2, 2)),
    ("torchvision/mnasnet0_5", 64, "layers", (1280, 2, 2)),
    ("torchvision/shufflenet_v2_x0_5", 64, "conv5", (1024, 2, 2)),
    ("torchvision/efficientnet_b0", 64, "features", (1280, 2, 2)),
    ("torchvision/efficientnet_v2_s", 64, "features", (1280, 2, 2)),
    ("torchvision/regnet_y_400mf", 64, "trunk_output", (440, 2, 2)),
    ("torchvision/convnext_tiny", 64, "features", (768, 2, 2)),
    ("torchvision/swin_v2_t", 64, "permute", (768, 2, 2)),
    ("torchvision/vit_b_16", 224, "getitem", (768,)),
    ("torchvision/maxvit_t", 224, "blocks.3", (512, 7, 7)),
    ("timm/vgg16", 64, "features", (512, 2, 2)),
    ("timm/resnet18", 64, "layer4", (512, 2, 2)),
    ("timm/resnet50d", 64, "layer4", (2048, 2, 2)),
    ("timm/resnetv2_50", 64, "norm", (2048, 2, 2)),
    ("timm/resnest14d", 64, "layer4", (2048, 2, 2)),
    ("timm/seresnet50", 64, "layer4", (2048, 2, 2)),
    ("timm/legacy_seresnet18", 64, "layer4", (512, 2, 2)),
    ("timm/nf_resnet50", 64, "final_act", (2048, 2, 2)),
    ("timm/dm_nfnet_f0", 64, "final_act", (3072, 2, 2)),
    ("timm/efficientnet_b0", 64, "bn2", (1280, 2, 2)),
    ("timm/mobilenetv1_100", 64, "blocks", (1024, 2, 2)),
    ("timm/mobilenetv2_100", 64, "bn2", (1280, 2, 2)),
    ("timm/mobilenetv3_small_100", 64, "blocks", (576, 2, 2)),
    ("timm/mobilenetv4_conv_small", 64, "blocks", (960, 2, 2)),
    ("timm/xception41", 96, "blocks", (2048, 3, 3)),
    ("timm/legacy_xception", 96, "act4", (2048, 3, 3)),
    ("timm/inception_v4", 139, "features", (1536, 3, 3)),
    ("timm/inception_resnet_v2", 139, "conv2d_7b", (1536, 3, 3)),
    ("timm/densenet121", 64, "features", (1024, 2, 2)),
    ("timm/regnety_006", 64, "s4", (608, 2, 2)),
    ("timm/dla34", 64, "level5", (512, 2, 2)),
    ("timm/dpn68", 64, "features", (832, 2, 2)),
    ("timm/hrnet_w18_small", 64, "final_layer", (2048, 2, 2)),
    ("timm/convnextv2_atto", 64, "stages", (320, 2, 2)),
    ("timm/repvit_m0_9", 64, "stages", (384, 2, 2)),
    ("timm/mobilevit_xxs", 64, "final_conv", (320, 2, 2)),
    ("timm/fastvit_t8", 64, "final_conv", (768, 2, 2)),
    ("timm/coatnet_nano_rw_224", 224, "norm", (512, 7, 7)),
    ("timm/vit_tiny_patch16_224", 224, "head_drop", (192,)),
    ("timm/mixer_s16_224", 224, "head_drop", (512,)),
    ("timm/levit_128s", 224, "mean", (384,)),
    ("timm/poolformer_s12", 64, "stages", (512, 2, 2)),
    ("timm/pvt_v2_b0", 64, "stages", (256, 2, 2)),
    ("timm/edgenext_xx_small", 64, "stages", (168, 2, 2)),
    ("timm/gemma4_vit_167m", 192, "norm", (768,)),
]
# Cuts that are not the end of a module: the module to look at instead, and what is done to its output or input.
ELSEWHERE = {
    "torchvision/densenet121": ("features", "relu of its output"),
    "torchvision/vit_b_16": ("heads", "its input"),
    "timm/levit_128s": ("head", "its input"),
}


@pytest.mark.parametrize(
    ("name", "image_size", "expected", "shape"),
    [*ROWS, *(pytest.param(*row, marks=pytest.mark.slow) for row in SLOW_ROWS)],
    ids=lambda value: value if isinstance(value, str) and "/" in value else "",
)
def test_the_base_of_a_published_network(
    name: str, image_size: int, expected: str, shape: tuple[int, ...], cache: Path
) -> None:
    torch.manual_seed(0)
    network = build(resolve(name, cache)).eval()
    cut_off, cut = base(network, None, image_size)
    assert (cut.name, cut.shape) == (expected, shape)
    assert not cut.after_classes
    images = torch.rand(2, 3, image_size, image_size)
    with torch.no_grad():
        values = cut_off(images)
    assert values.shape == (2, *shape)
    seen = seen_in(network, name, cut.name, images)
    assert torch.equal(values, seen.permute(0, 3, 1, 2) if cut.channels_last else seen)
    whole = network.state_dict()
    for tensor_name, tensor in cut_off.state_dict().items():
        assert tensor.data_ptr() == whole[tensor_name].data_ptr(), tensor_name
        assert tensor.shape[:1] != (1000,), f"{tensor_name} makes classes"


def seen_in(network: nn.Module, name: str, cut: str, images: Tensor) -> Tensor:
    """What the whole network has at the cut, found by a hook."""
    module, what = ELSEWHERE.get(name, (cut, "its output"))
    if what != "its input":
        output = at(network, module, images)
        return functional.relu(output) if what == "relu of its output" else output
    seen: list[Tensor] = []
    hook = network.get_submodule(module).register_forward_pre_hook(lambda part, given: seen.append(given[0].clone()))
    with torch.no_grad():
        network(images)
    hook.remove()
    return seen[-1]


@pytest.mark.parametrize(
    ("name", "image_size", "expected", "shape"),
    [row for row in SLOW_ROWS if row[0].partition("/")[2] in ("vgg16", "vit_b_16", "hiera_tiny_224", "xception41")],
    ids=lambda value: value if isinstance(value, str) and "/" in value else "",
)
def test_the_default_cut_of_a_large_network_is_found_without_its_weights(
    name: str, image_size: int, expected: str, shape: tuple[int, ...], cache: Path
) -> None:
    with torch.device("meta"):
        network = build(resolve(name, cache))
    cut = default_cut(network, image_size)
    assert (cut.name, cut.shape) == (expected, shape)
