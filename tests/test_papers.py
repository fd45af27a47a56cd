"""The networks of the papers: their numbers, what is particular to each of ours, and a contract that all keep."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

import lensmith as house
from lensmith.data.preprocess import Preprocessing, read_square
from lensmith.data.store import Store
from lensmith.engines.pytorch import Normalise
from lensmith.errors import UsageError
from lensmith.tasks.classification import Classification
from lensmith.training.fit import FitSettings, Lessons, Positions, train_one_step
from lensmith.training.initial import draw_weights
from lensmith.training.optimizers import build_optimizer
from lensmith.verbs.networks import facts
from lensmith.zoo import lenet1998, own
from lensmith.zoo.arithmetic import Totals, totals
from lensmith.zoo.base import assemble
from lensmith.zoo.build import BUILDERS, FAMILIES, build, whole
from lensmith.zoo.cut import cuts
from lensmith.zoo.heads import Classifier, Fixed
from lensmith.zoo.names import NetworkName, canonical, contract, resolve
from lensmith.zoo.papers import PAPER_OF, PAPERS
from lensmith.zoo.resnet import Block
from lensmith.zoo.sides import new_classifier
from lensmith.zoo.tensors import load_tensors, read_tensors
from lensmith.zoo.trace import Traced
from running import lensmith

NAMES = list(PAPER_OF)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def named(name: str) -> NetworkName:
    """The network of a name in the table, without looking it up."""
    return canonical(name if name.startswith(("torchvision/", "timm/")) else f"lensmith/{name}")


def without_numbers(name: str) -> nn.Module:
    """The whole network on the meta device: shapes, and no memory."""
    with torch.device("meta"):
        return whole(named(name))


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# ------------------------------------------------------------------------------------------------------- the table

# What is printed in the papers or follows from them; multiply-adds in billions, rounded as they are published.
ANCHORS = [
    ("lenet5/1998", 60_000, None),
    ("alexnet/2012", 60_965_224, None),
    ("torchvision/alexnet", 61_100_840, "0.714"),
    ("zfnet", 62_357_608, None),
    ("torchvision/vgg16", 138_357_544, "15.470"),
    ("torchvision/vgg19", 143_667_240, "19.632"),
    ("googlenet/2014", 6_998_552, None),
    ("torchvision/googlenet", 6_624_904, "1.498"),
    ("torchvision/inception_v3", None, "5.713"),
    ("timm/inception_v4", None, "12.3"),
    ("timm/inception_resnet_v2", None, "13.2"),
    ("torchvision/resnet18", 11_689_512, "1.814"),
    ("torchvision/resnet34", 21_797_672, "3.664"),
    ("torchvision/resnet50", 25_557_032, "4.089"),
    ("torchvision/resnet101", 44_549_160, "7.801"),
    ("torchvision/resnet152", 60_192_808, "11.514"),
    ("resnet20", 269_722, "0.0406"),
    ("resnet32", 464_154, None),
    ("resnet44", 658_586, None),
    ("resnet56", 853_018, None),
    ("resnet110", 1_727_962, None),
    ("timm/legacy_xception", None, "8.4"),
    ("timm/mobilenetv1_100", 4_231_976, "0.569"),
    ("torchvision/mobilenet_v2", 3_504_872, "0.301"),
]


@pytest.mark.parametrize(("name", "count", "billions"), ANCHORS, ids=lambda value: value if value in NAMES else "")
def test_the_table_has_the_published_numbers(name: str, count: int | None, billions: str | None) -> None:
    numbers = PAPER_OF[name].networks[name]
    assert count in (None, numbers.parameters)
    if billions:
        assert f"{numbers.multiply_adds / 1e9:.{len(billions.partition('.')[2])}f}" == billions


def test_the_table_has_the_millions_that_papers_print() -> None:
    printed = {"torchvision/inception_v3": 23.8, "timm/inception_v4": 42.7, "timm/inception_resnet_v2": 55.8}
    printed |= {"timm/legacy_xception": 22.9}
    found = {name: round(PAPER_OF[name].networks[name].parameters / 1e6, 1) for name in printed}
    assert found == printed


@pytest.mark.parametrize("name", NAMES)
def test_the_table_has_the_numbers_of_the_network_itself(name: str) -> None:
    network, numbers = without_numbers(name).eval(), PAPER_OF[name].networks[name]
    assert parameters(network) == numbers.parameters
    with FlopCounterMode(display=False) as counter, torch.device("meta"), torch.no_grad():
        network(torch.zeros(1, 3, numbers.image_size, numbers.image_size))
    assert counter.get_total_flops() == 2 * numbers.multiply_adds, "torch counts both operations of a multiply-add"


def test_the_table_is_in_order_and_names_networks_that_exist() -> None:
    assert [paper.year for paper in PAPERS] == sorted(paper.year for paper in PAPERS)
    assert len(NAMES) == sum(len(paper.networks) for paper in PAPERS)
    listed = set(house.networks())
    assert set(NAMES) <= listed
    assert all(len(paper.idea) <= 74 and paper.idea.endswith(".") for paper in PAPERS)


def test_every_own_network_has_a_builder_and_a_contract() -> None:
    assert set(own.CONTRACTS) == set(BUILDERS)
    assert set(own.FAMILIES) == set(FAMILIES)


def test_a_whole_network_takes_other_classes_if_it_is_our_own() -> None:
    assert whole(named("resnet20"), 7)(torch.zeros(1, 3, 32, 32)).shape == (1, 7)
    with pytest.raises(UsageError, match="classes is 7"):
        whole(named("torchvision/resnet18"), 7)


# ------------------------------------------------------------------------------------------------ LeNet-5 of 1998


def test_lenet5_as_published_has_the_connections_of_the_paper() -> None:
    network, found = whole(named("lenet5/1998")), []

    def note(layer: nn.Module, given: Any, made: Tensor) -> None:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            found.append(made[0].numel() * (layer.weight[0].numel() + 1))
        elif isinstance(layer, lenet1998.Subsampling):
            found.append(made[0].numel() * (4 + 1))
        elif isinstance(layer, Fixed):
            found.append(layer.weight.numel())

    for layer in network.modules():
        layer.register_forward_hook(note)
    network(torch.zeros(1, 1, 32, 32))
    c1, s2, *c3, s4, c5, f6, output = found
    assert (c1, s2, sum(c3), s4, c5, f6, output) == (122_304, 5_880, 151_600, 2_000, 48_120, 10_164, 840)
    assert sum(found) == 340_908
    assert parameters(network) == 60_000


def test_lenet5_as_published_is_wired_by_table_i() -> None:
    rows = lenet1998.READ
    assert [len(row) for row in rows] == [3] * 6 + [4] * 9 + [6]
    assert rows[0] == (0, 1, 2) and rows[5] == (0, 1, 5) and rows[11] == (0, 1, 2, 5) and rows[12] == (0, 1, 3, 4)
    assert len(set(rows)) == 16, "no two maps read the same"
    layer, maps, kernel = lenet1998.SparseConvolution(), torch.rand(2, 6, 14, 14), torch.zeros(16, 6, 5, 5)
    weights = [weight for part in (layer.three, layer.four, layer.all) for weight in part.weight.detach()]
    biases = torch.cat([part.bias for part in (layer.three, layer.four, layer.all) if part.bias is not None])
    for number, (read, weight) in enumerate(zip(rows, weights, strict=True)):
        kernel[number, list(read)] = weight
    assert torch.allclose(layer(maps), functional.conv2d(maps, kernel, biases), atol=1e-5)


def test_subsampling_and_squashing_by_hand() -> None:
    layer = lenet1998.Subsampling(1)
    nn.init.constant_(layer.weight, 0.5), nn.init.constant_(layer.bias, 1.0)
    found = layer(torch.arange(16.0).reshape(1, 1, 4, 4))
    assert found.flatten().tolist() == [6.0, 10.0, 22.0, 26.0]  # 0 + 1 + 4 + 5 = 10, times 0.5, plus 1
    squashed = lenet1998.Squash()(torch.tensor([-1.0, 0.0, 1.0, 100.0]))
    assert squashed.tolist() == pytest.approx([-1, 0, 1, 1.7159], abs=1e-4)


def test_the_output_of_1998_is_a_dense_layer_but_for_what_all_classes_share() -> None:
    torch.manual_seed(0)
    layer, drawn = lenet1998.output_layer(84, 10), lenet1998.codes(10)
    assert layer is not None
    features = torch.rand(5, 84) * 3.4 - 1.7
    distances = (features[:, None] - drawn).square().sum(2)  # equation 7
    shared = layer(features) + distances
    assert torch.allclose(shared, shared[:, :1].expand(5, 10), atol=1e-3)
    assert torch.allclose(layer(features).softmax(1), (-distances).softmax(1), atol=1e-5)
    assert lenet1998.output_layer(100, 10) is None


@pytest.mark.parametrize("classes", [2, 10, 26])
def test_codes_are_plus_and_minus_one_and_differ(classes: int) -> None:
    drawn = lenet1998.codes(classes)
    assert drawn.shape == (classes, 84) and set(drawn.unique().tolist()) == {-1.0, 1.0}
    apart = (drawn[:, None] != drawn).sum(2) + 84 * torch.eye(classes, dtype=torch.long)
    assert int(apart.min()) >= 6, "of 84 places"
    assert torch.equal(drawn, lenet1998.codes(classes))


def test_lenet5_of_1998_averages_colours_and_places() -> None:
    network = build(named("lenet5/1998")).eval()
    pictures = torch.rand(2, 3, 32, 32)
    assert torch.allclose(network(pictures), network(pictures.mean(1, keepdim=True)), atol=1e-6)
    assert network(torch.rand(2, 3, 48, 48)).shape == (2, 84)
    assert all(tensor.abs().max() <= 2.4 / 4 for tensor in network.parameters())


@pytest.mark.parametrize("softmax", [True, False])
def test_only_scores_of_classes_come_from_codes_and_no_first_weights_overwrite_them(softmax: bool) -> None:
    network = new_classifier(
        "lensmith/lenet5/1998", None, 32, 84, 3, pool="mean", dense=(), dropout=0.5, softmax=softmax
    )
    draw_weights(network, "he")
    weight = network.head[0].state_dict()["weight"]
    assert torch.equal(weight, 2 * lenet1998.codes(3)) is softmax
    assert sum(name.startswith("head.") for name, _ in network.named_parameters()) == (0 if softmax else 2)


def test_the_codes_of_1998_stay_and_are_saved_as_an_ordinary_head(shapes: Path, tmp_path: Path) -> None:
    run = house.train(
        shapes, recipe="scratch", network="lenet5/1998", epochs=8, engine="torch", out=tmp_path, quiet=True
    )
    assert (run.document["recipe"]["cut"], run.document["recipe"]["image_size"]) == ("f6", 32)
    tensors = read_tensors(run.model_folder / "model.safetensors")
    assert [name for name in tensors if name.startswith("head.")] == ["head.0.bias", "head.0.weight"]
    assert np.array_equal(tensors["head.0.weight"], 2 * lenet1998.codes(3).numpy())
    assert not tensors["head.0.bias"].any()
    begun = build(named("lenet5/1998")).state_dict()
    assert {name.removeprefix("base.") for name in tensors if name.startswith("base.")} == set(begun)
    rows = csv.DictReader((run.folder / "history.csv").read_text().splitlines())
    assert min(float(row["validation_loss"]) for row in rows) < 0.9, "chance is 1.1"


# ----------------------------------------------------------------------------------------- what came after LeNet-5


def test_alexnet_normalises_as_section_3_3_says() -> None:
    maps = torch.rand(1, 9, 2, 2) * 50
    found = build(named("alexnet/2012")).get_submodule("norm1")(maps)
    for channel in range(9):
        near = maps[:, max(0, channel - 2) : channel + 3].square().sum(1)
        expected = maps[:, channel] / (2 + 1e-4 * near) ** 0.75
        assert torch.allclose(found[:, channel], expected)


def test_alexnet_and_zfnet_begin_as_their_papers_say() -> None:
    torch.manual_seed(0)
    for name, ones in (("alexnet/2012", {"conv2", "conv4", "conv5"}), ("zfnet", set())):
        network = build(named(name))
        for place, layer in network.named_children():
            if isinstance(layer, nn.Conv2d):
                # Pixels of deviation one stand for those of 0 to 255, whose deviation is 57.
                assert layer.weight.std().item() == pytest.approx(0.57 if place == "conv1" else 0.01, rel=0.05)
                assert layer.bias is not None and set(layer.bias.tolist()) == {1.0 if place in ones else 0.0}
        made = new_classifier(
            f"lensmith/{name}", None, 96, 1024, 3, pool="flatten", dense=(64, 64), dropout=0.5, softmax=True
        )
        hidden = 1.0 if ones else 0.0
        assert [set(layer.bias.tolist()) for layer in made.head] == [{hidden}, {hidden}, {0.0}]
        assert made.head[0].weight.std().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("name", ["alexnet/2012", "zfnet"])
def test_pictures_are_not_drowned_by_the_first_biases(name: str) -> None:
    """With 0.01 in the first layer too, the last maps of two pictures differed by 0.0007 of their size, and nothing was
    learned."""
    torch.manual_seed(0)
    pictures = torch.randn(8, 3, 16, 16).repeat_interleave(6, 2).repeat_interleave(6, 3)  # of deviation one
    with torch.no_grad():
        maps = build(named(name)).eval()(pictures)
    assert maps.std(0).mean() > 0.01 * maps.square().mean().sqrt()
    assert 0.01 < maps.square().mean().sqrt() < 10


def test_networks_with_wide_layers_learn_without_being_told_a_rate(shapes: Path, tmp_path: Path) -> None:
    run = house.train(
        shapes, recipe="scratch", network="zfnet", image_size=47, epochs=5, engine="torch", out=tmp_path, quiet=True
    )
    assert run.document["recipe"]["learning_rate"] == 0.0002
    assert "divided by 10" in run.document["reasons"]["learning_rate"]
    rows = csv.DictReader((run.folder / "history.csv").read_text().splitlines())
    assert min(float(row["validation_loss"]) for row in rows) < 0.95, "chance is 1.1"
    assert contract(named("alexnet/2012")).slower == 10 and contract(named("nin")).slower == 1


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("alexnet/2012", {"conv1": (96, 55, 55), "pool1": (96, 27, 27), "pool2": (256, 13, 13), "pool5": (256, 6, 6)}),
        ("zfnet", {"conv1": (96, 110, 110), "pool1": (96, 55, 55), "conv2": (256, 26, 26), "norm2": (256, 13, 13)}),
        ("nin", {"pool1": (96, 16, 16), "pool2": (192, 8, 8), "mlpconv3": (192, 8, 8)}),
        (
            "googlenet/2014",
            {
                **{"conv1": (64, 112, 112), "conv3": (192, 56, 56), "inception3a": (256, 28, 28)},
                **{"inception3b": (480, 28, 28), "inception4a": (512, 14, 14), "inception4b": (512, 14, 14)},
                **{"inception4c": (512, 14, 14), "inception4d": (528, 14, 14), "inception4e": (832, 14, 14)},
                **{"inception5a": (832, 7, 7), "inception5b": (1024, 7, 7)},
            },
        ),
        (
            "inception_v2",
            {
                **{"conv1": (64, 112, 112), "conv3": (192, 56, 56), "inception3a": (256, 28, 28)},
                **{"inception3b": (320, 28, 28), "inception3c": (576, 14, 14), "inception4a": (576, 14, 14)},
                **{"inception4b": (576, 14, 14), "inception4c": (576, 14, 14), "inception4d": (576, 14, 14)},
                **{"inception4e": (1024, 7, 7), "inception5a": (1024, 7, 7), "inception5b": (1024, 7, 7)},
            },
        ),
        ("resnet110", {"layer1": (16, 32, 32), "layer2": (32, 16, 16), "layer3": (64, 8, 8)}),
    ],
)
def test_maps_have_the_sizes_that_the_papers_print(name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    with torch.device("meta"):
        network = build(named(name))
    found = {
        place: cut.shape for cut in cuts(network, own.contract(name).image_size) for place in (cut.name, *cut.also)
    }
    assert {place: found[place] for place in shapes} == shapes


@pytest.mark.parametrize("name", [name for name, there in own.CONTRACTS.items() if there.smallest > 1])
def test_the_smallest_picture_works_and_the_next_smaller_one_names_the_layer(name: str) -> None:
    smallest = own.CONTRACTS[name].smallest
    with torch.device("meta"):
        network = build(named(name))
    assert cuts(network, smallest)
    with pytest.raises(UsageError, match=rf"image_size is {smallest - 1}; layer .* Try {smallest}, the smallest that"):
        cuts(network, smallest - 1)


def test_the_class_maps_of_network_in_network_are_the_dense_layer_before_the_mean() -> None:
    torch.manual_seed(0)
    network = whole(named("nin")).eval()
    assert isinstance(network, Classifier)
    pictures = torch.rand(2, 3, 32, 32)
    last = network.head[0]
    assert isinstance(last, nn.Linear)
    class_maps = functional.conv2d(network.base(pictures), last.weight[:, :, None, None], last.bias)
    assert torch.allclose(class_maps.mean((2, 3)), network(pictures), atol=1e-5)


def test_a_residual_block_of_zeros_does_nothing_and_a_plain_one_everything() -> None:
    maps = torch.rand(2, 16, 8, 8) - 0.5
    for shortcut in (True, False):
        block = Block(16, 16, 1, shortcut).eval()
        nn.init.zeros_(block.conv2.weight)
        assert torch.equal(block(maps), maps.relu() if shortcut else torch.zeros_like(maps))
    smaller = Block(16, 32, 2, True).eval()
    nn.init.zeros_(smaller.conv2.weight)
    found = smaller(maps)
    assert torch.equal(found[:, 8:24], maps[:, :, ::2, ::2].relu())
    assert not found[:, :8].any() and not found[:, 24:].any()


@pytest.mark.parametrize("depth", own.DEPTHS)
def test_a_plain_twin_has_the_tensors_of_the_residual_network(depth: int) -> None:
    with torch.device("meta"):
        residual, plain = (build(named(f"{kind}{depth}")).state_dict() for kind in ("resnet", "plain"))
    assert {name: tensor.shape for name, tensor in residual.items()} == {n: t.shape for n, t in plain.items()}
    assert sum(name.endswith("weight") and tensor.ndim == 4 for name, tensor in residual.items()) == depth - 1


# ---------------------------------------------------------------------------------------------------- the contract

# A step of training takes a part of a second at these sizes. The others are forms of networks in this list, or take
# gigabytes: they go all the way without numbers, and are not trained here.
STEPPED = {
    "lenet5/1998": 32,
    "lenet5": 32,
    "alexnet/2012": 99,
    "zfnet": 96,
    "nin": 32,
    "googlenet/2014": 64,
    "inception_v2": 64,
    "resnet20": 32,
    "plain20": 32,
    "torchvision/googlenet": 64,
    "torchvision/inception_v3": 112,
    "torchvision/squeezenet1_0": 64,
    "torchvision/mobilenet_v3_small": 64,
    "timm/mobilenetv1_100": 64,
}
# Further depths of the same code, and two that take seconds to record.
LONG = (
    *(f"{kind}{depth}" for kind in ("resnet", "plain") for depth in (32, 44, 56, 110)),
    *(f"torchvision/resnet{depth}" for depth in (34, 101, 152)),
    *("timm/inception_v4", "timm/inception_resnet_v2"),
)
SETTINGS = FitSettings(
    stage="scratch",
    epochs=1,
    batch_size=6,
    learning_rate=1e-3,
    optimizer="adamw",
    weight_decay=0.0,
    loss="cross_entropy",
    device="cpu",
    seed=0,
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in NAMES]
)
def test_every_network_is_counted_runs_forward_and_back_and_is_cut_in_two(name: str) -> None:
    numbers = PAPER_OF[name].networks[name]
    size = numbers.image_size
    pictures = torch.zeros(2, 3, size, size, device="meta")
    network = without_numbers(name).train()
    assert totals(network, size) == Totals(numbers.parameters, numbers.multiply_adds)
    with torch.device("meta"):
        network(pictures).sum().backward()
    assert all(one.grad is not None and one.grad.shape == one.shape for one in network.parameters())

    with torch.device("meta"):
        network = build(named(name))
        seen = Traced(network, network, size)
    maps = [place for place in seen.places if len(place.shape) == 4 and not place.after_classes]
    middle, last = maps[len(maps) // 2], maps[-1]
    lower, both = (seen.base(place, channels_last=False).eval() for place in (middle, last))
    upper = seen.top(middle, last, turned=(False, False))
    assert upper is not None
    with torch.device("meta"), torch.no_grad():
        assert upper.eval()(lower(pictures)).shape == both(pictures).shape == (2, *last.shape[1:])
    names = [set(part.state_dict()) for part in (lower, upper, both, network)]
    assert names[0] | names[1] == names[2] <= names[3]
    assert not names[0] & names[1]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if "v3" in name else name for name in STEPPED]
)
def test_a_network_learns_and_its_base_can_be_stored(name: str) -> None:
    full, size = str(named(name)), STEPPED[name]
    mine, there = full.startswith("lensmith/"), contract(named(name)) if full.startswith("lensmith/") else None
    torch.manual_seed(0)
    _, cut = assemble(full, None, size)
    pool = there.pool if there else "mean"
    features = int(np.prod(cut.shape)) if pool == "flatten" else cut.shape[0]
    dense = there.dense if there else ()
    network = new_classifier(full, None, size, features, 3, pool=pool, dense=dense, dropout=0.5, softmax=True)
    before = {place: tensor.clone() for place, tensor in network.state_dict().items()}
    pictures = np.random.default_rng(0).integers(0, 256, (6, size, size, 3), np.uint8)
    part = Positions(np.arange(6) % 3, np.arange(6))
    lessons = Lessons(
        network.train(),
        lambda epoch, positions: pictures[positions],
        Normalise(*IMAGENET, {}),
        part,
        part,
        Classification(("a", "b", "c")).watched,
    )
    optimizer = build_optimizer("adamw", network, 1e-3, 0.0)
    loss, logits, norm = train_one_step(lessons, optimizer, SETTINGS, np.arange(6), pictures, (0, 1, 0))
    assert np.isfinite(loss) and np.isfinite(logits).all() and 0 < norm < np.inf
    assert logits.shape == (6, 3)
    moved = [place for place, tensor in network.named_parameters() if not torch.equal(tensor, before[place])]
    first = next(iter(dict(network.named_parameters())))
    assert first in moved and len(moved) > 0.9 * len(list(network.parameters()))

    if mine:  # the others are covered by the tests of cuts
        state = {place[5:]: tensor for place, tensor in network.state_dict().items() if place.startswith("base.")}
        fresh = build(named(name)).eval()
        assert set(state) == set(fresh.state_dict())
        load_tensors(fresh, {place: tensor.numpy() for place, tensor in state.items()})
        shown = torch.rand(2, 3, size, size)
        found = network.eval().base(shown)
        assert torch.allclose(fresh(shown), found[0] if isinstance(found, tuple) else found, atol=1e-4)


# --------------------------------------------------------------------------------------------- lensmith networks


def test_the_table_prints_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    said = lensmith(capsys, "networks")
    lines = said.out.splitlines()
    assert said.code == 0 and max(map(len, lines)) <= 80
    row = next(line for line in lines if line.split()[:1] == ["vgg16"])
    assert row.split() == ["vgg16", "224", "138,357,544", "15.5", "G", "BSD-3-Clause"]
    assert next(line for line in lines if "lenet5/1998" in line).split() == [
        *("lenet5/1998", "32", "60,000", "0.327", "M", "-"),
    ]
    assert lines[2].startswith("1998  LeCun")
    others = len(house.networks()) - len(NAMES)
    assert lines[-1].startswith(f"{others:,} more")


def test_a_bare_name_of_the_table_means_the_network_of_its_row() -> None:
    for network in facts(NAMES):
        assert resolve(network.bare, Store().folder) == named(network.name)


def test_a_pattern_lists_names_with_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lensmith(capsys, "networks", "resnet20").out.splitlines()
    assert lines[1].split()[:6] == ["resnet20", "2015", "32", "269,722", "40.6", "M"]
    assert lines[1].endswith(PAPER_OF["resnet20"].idea)
    many = lensmith(capsys, "networks", "timm/*vit*tiny*").out.splitlines()
    assert len(many) == 1 + len(house.networks("timm/*vit*tiny*"))
    assert {line.split()[0] for line in many[1:]} == set(house.networks("timm/*vit*tiny*"))


def test_json_has_full_records(capsys: pytest.CaptureFixture[str]) -> None:
    found = {row["network"]: row for row in json.loads(lensmith(capsys, "networks", "*resnet50*", "--json").out)}
    row = found["torchvision/resnet50"]
    assert (row["year"], row["parameters"], row["image_size"]) == (2015, 25_557_032, 224)
    assert [entry["name"] for entry in row["weights"]] == ["IMAGENET1K_V2", "IMAGENET1K_V1"]
    assert row["weights"][0]["licence"].startswith("BSD-3-Clause")
    assert found["timm/resnet50"]["parameters"] is None and found["timm/resnet50"]["image_size"] == 224
    assert json.loads(lensmith(capsys, "networks", "convnet/", "--json").out) == []


# ------------------------------------------------------------------------------------------------ published weights


def test_published_weights_of_resnet20_fit_ours_and_are_right(data: Path) -> None:
    tensors = read_tensors(data / "weights" / "resnet20_cifar10.safetensors")
    network = whole(named("resnet20")).eval()
    head = {"head.0.weight": tensors.pop("linear.weight"), "head.0.bias": tensors.pop("linear.bias")}
    load_tensors(network, {f"base.{name}": tensor for name, tensor in tensors.items()} | head)
    geometry = Preprocessing(32, *IMAGENET)
    classes = sorted(folder.name for folder in (data / "objects32" / "test").iterdir())
    paths = [path for name in classes for path in sorted((data / "objects32" / "test" / name).iterdir())[:20]]
    squares = np.stack([read_square(path.read_bytes(), geometry)[0] for path in paths])
    with torch.no_grad():
        said = network(Normalise(*IMAGENET, {})(torch.from_numpy(squares))).argmax(1)
    right = np.mean([classes[answer] == path.parent.name for answer, path in zip(said.tolist(), paths, strict=True)])
    assert right >= 0.74, "0.78 on all thousand pictures is the goal; these are two hundred"


def test_published_weights_of_mobilenet_v2_know_photographs(data: Path, mobilenet: Path) -> None:
    network = whole(named("torchvision/mobilenet_v2")).eval()
    load_tensors(network, read_tensors(mobilenet))
    geometry = Preprocessing(224, *IMAGENET, crop=0.875)
    paths = sorted((data / "photos").glob("*.jpg"))[::3]
    squares = np.stack([read_square(path.read_bytes(), geometry)[0] for path in paths])
    with torch.no_grad():
        said = network(Normalise(*IMAGENET, {})(torch.from_numpy(squares))).argmax(1).tolist()
    assert np.mean([int(path.name[:4]) == answer for path, answer in zip(paths, said, strict=True)]) >= 0.6
