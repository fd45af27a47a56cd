"""`lensmith inspect`: what it prints, draws and refuses."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import lensmith
from lensmith.errors import RunError, UsageError
from lensmith.reports import diagram
from lensmith.verbs import ledger
from lensmith.zoo.arithmetic import arithmetic
from lensmith.zoo.stack import stack
from running import lensmith as front_door
from running import refused

WIDE, NARROW = "stack:28x28x192/conv5-32", "stack:28x28x192/conv1-16/conv5-32"
WIDTH = 110
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from scratch, small enough to be trained here."""
    out = tmp_path_factory.mktemp("runs")
    run = lensmith.train(
        shapes, recipe="scratch", network="convnet/8-16/16", image_size=32, epochs=1, out=out, name="small", quiet=True
    )
    return run.folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a network of the user's own in it."""
    (tmp_path / "my_nets_inspected.py").write_text(
        "from torch import nn\n\n\ndef grey():\n    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path


# The function.


def test_a_network_by_name_is_inspected_at_the_size_it_is_made_for() -> None:
    found = lensmith.inspect("torchvision/alexnet")
    assert found.name == "torchvision/alexnet"
    assert found.arithmetic.shape == (3, 224, 224)
    assert found.arithmetic.totals.parameters == 61_100_840
    assert found.as_dict()["receptive_field"] == [195, 195]
    assert found.as_dict()["receptive_field_of"] == "features.12"


def test_networks_of_our_own_have_the_head_they_are_published_with() -> None:
    found = lensmith.inspect("lenet5")
    assert found.arithmetic.totals.parameters == 62_006
    assert lensmith.inspect("lenet5", channels=1).arithmetic.totals.parameters == 61_706
    residual = lensmith.inspect("resnet20")
    assert residual.arithmetic.totals.parameters == 269_722
    assert f"{residual.arithmetic.totals.multiply_adds / 1e9:.4f}" == "0.0406"


def test_a_module_is_inspected_as_it_is() -> None:
    found = lensmith.inspect(nn.Sequential(nn.Conv2d(1, 4, 3)), image_size=9)
    assert found.name == "Sequential"
    assert found.arithmetic.shape == (1, 9, 9)


def test_a_factory_of_the_users_own(here: Path) -> None:
    found = lensmith.inspect("my_nets_inspected:grey", image_size=16)
    assert found.arithmetic.shape == (1, 16, 16)
    assert [layer.kind for layer in found.arithmetic.layers] == ["conv 3x3", "ReLU"]


def test_a_run_is_its_base_and_its_head_as_trained(trained: Path) -> None:
    from safetensors import safe_open

    found = lensmith.inspect(trained)
    assert found.classes == ("cross", "disc", "square")
    assert found.arithmetic.layers[-1].made == (3,)
    assert found.arithmetic.shape == (3, 32, 32)
    with safe_open(trained / "model" / "model.safetensors", "numpy") as file:
        names = [name for name in file.keys() if "running" not in name and "num_batches" not in name]  # noqa: SIM118
        kept = sum(file.get_tensor(name).size for name in names)
    assert found.arithmetic.totals.parameters == kept
    assert lensmith.inspect("small", out=trained.parent) == found
    assert lensmith.inspect(lensmith.open_run(trained)) == found


def test_runs_of_rows_and_of_sentences(tmp_path: Path) -> None:
    rows = ["a,b,quality", *(f"{n},{n * n % 7},{n % 5}.5" for n in range(40))]
    (tmp_path / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    lines = [
        "text,label",
        *(f"it was {'good' if n % 2 else 'bad'} and {n},{'yes' if n % 2 else 'no'}" for n in range(40)),
    ]
    (tmp_path / "lines.csv").write_text("\n".join(lines), encoding="utf-8")
    run = lensmith.train(tmp_path / "rows.csv", target="quality", epochs=1, dense=(8,), out=tmp_path, quiet=True)
    found = lensmith.inspect(run).arithmetic
    assert [layer.made for layer in found.layers] == [(8,), (1,)]
    assert found.totals.multiply_adds == found.shape[0] * 8 + 8
    run = lensmith.train(tmp_path / "lines.csv", epochs=1, out=tmp_path, quiet=True)
    read = lensmith.inspect(run)
    assert read.classes == ("no", "yes")
    assert {layer.field for layer in read.arithmetic.layers if layer.kind.startswith("conv")} == {(3,), (4,), (5,)}
    assert read.arithmetic.layers[-1].whole


def test_the_network_of_a_run_of_clips() -> None:
    from lensmith.data.clips import Moving
    from lensmith.data.preprocess import Preprocessing
    from lensmith.zoo.measured import Measured
    from lensmith.zoo.trained import trained

    moving = Moving(8, Preprocessing(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    network, shape = trained(Measured(moving, "torchvision/r3d_18"), [512, 2])
    assert shape == (3, 8, 32, 32)
    found = arithmetic(network, shape)
    _, last = found.ends()
    assert last is not None and last.name == "base.layer4.1.add" and last.sides == (1, 2, 2)
    assert found.layers[-1].made == (2,) and found.layers[-1].whole


def test_two_networks_side_by_side() -> None:
    found = lensmith.inspect(WIDE, compare=NARROW)
    assert found.other is not None
    pair = [one.arithmetic.totals.multiply_adds for one in (found, found.other)]
    assert pair == [120_422_400, 12_443_648]
    said = found.as_dict()
    assert said["compare"]["multiply_adds"] == 12_443_648 and said["compare"]["compare"] is None


# What is printed.


def printed(capsys: Capture, *arguments: object) -> str:
    said = front_door(capsys, "inspect", *arguments)
    assert said.code == 0, said.err
    return said.out


@pytest.mark.parametrize("arguments", [(), ("--all",), ("--compare", "torchvision/resnet18")])
def test_the_table_fits_a_terminal(arguments: tuple[str, ...], capsys: Capture) -> None:
    out = printed(capsys, "torchvision/resnet152", *arguments)
    assert max(map(len, out.splitlines())) <= WIDTH


def test_what_is_printed_of_alexnet(capsys: Capture) -> None:
    out = printed(capsys, "torchvision/alexnet", "--formulas")
    assert re.search(r"features\.0 +conv 11x11/4 +64 x 55 x 55 +23,296 +70,276,800 +11 +4\n", out)
    assert "61,100,840 parameters (233.1 MB as float32)" in out
    assert "714.188 M multiply-adds for a picture" in out
    assert "receptive field 195 pixels at features.12" in out
    assert "floor((224 + 2*2 - 11)/4) + 1 = 55" in out
    assert "ReLU" not in out and "--all" in out
    assert "ReLU" in printed(capsys, "torchvision/alexnet", "--all")


def test_blocks_that_repeat_are_written_out_once(capsys: Capture) -> None:
    found = lensmith.inspect("torchvision/resnet152").arithmetic
    shown = [layer for layer in found.layers if not layer.quiet]
    groups = list(ledger.folded(shown))
    every = [layer for group in groups for block in (group.shown, *group.more) for layer in block]
    assert every == shown
    out = printed(capsys, "torchvision/resnet152")
    assert "and 34 more like these: layer3.2 to layer3.35" in out
    assert len(out.splitlines()) < 110
    assert "layer3.20.conv1" in printed(capsys, "torchvision/resnet152", "--all")


def test_layers_that_only_look_alike_are_not_folded_across_blocks() -> None:
    layers = arithmetic(*stack("stack:8x8x4/" + "/".join(["conv3-4"] * 6))).layers
    (group,) = ledger.folded(layers)
    assert [len(group.shown), len(group.more)] == [1, 5]


def test_shares_are_bars(capsys: Capture) -> None:
    assert ledger.bar(0, 10) == ""
    assert ledger.bar(10, 10) == "█" * 20
    assert ledger.bar(1, 10_000) == "▏"
    out = printed(capsys, "torchvision/alexnet")
    assert re.search(r"vector +\d+ +96\.0 % █{19}", out)
    assert "most parameters: classifier.1 61.8 %" in out


def test_json_is_everything(capsys: Capture) -> None:
    found = json.loads(printed(capsys, "torchvision/alexnet", "--json"))
    assert found["parameters"] == 61_100_840 and found["multiply_adds"] == 714_188_480
    assert found["shape"] == [3, 224, 224]
    assert found["layers"][0]["formulas"]["stride"] == "1*4 = 4"
    assert found["layers"][0]["stride"] == [4, 4] and found["layers"][0]["channels"] == 64
    assert sum(stage["multiply_adds"] for stage in found["stages"]) == found["multiply_adds"]


def test_comparison_says_how_many_times(capsys: Capture) -> None:
    out = printed(capsys, WIDE, "--compare", NARROW)
    assert re.search(r"parameters +153,632 +15,920 +9\.65", out)
    assert re.search(r"multiply-adds +120,422,400 +12,443,648 +9\.68", out)
    assert re.search(r"field of the last map +5 +5", out)


def test_a_run_is_printed_with_its_classes(trained: Path, capsys: Capture) -> None:
    out = printed(capsys, "small", "--out", trained.parent)
    assert "classes: cross, disc, square" in out
    assert "base.blocks.1.conv" in out and "head.1" in out


# What is drawn.


def well_formed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


@pytest.mark.parametrize("name", ["torchvision/alexnet", "torchvision/resnet50", "torchvision/mobilenet_v2", "lenet5"])
def test_drawings_are_files_of_their_own(name: str, tmp_path: Path) -> None:
    lensmith.inspect(name, svg=tmp_path / "net.svg")
    text = (tmp_path / "net.svg").read_text(encoding="utf-8")
    root = well_formed(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme: dark" in text and "NaN" not in text
    assert not re.search(r"(?:href|src)=|url\(", text)


def test_boxes_are_the_maps_that_everything_passes_through() -> None:
    said = lensmith.inspect("torchvision/resnet50").as_dict()
    some = diagram.boxes(said["layers"], said["shape"])
    assert [(box.channels, box.sides) for box in some] == [
        (3, (224, 224)),
        (64, (112, 112)),
        (64, (56, 56)),
        (256, (56, 56)),
        (512, (28, 28)),
        (1024, (14, 14)),
        (2048, (7, 7)),
        (2048, ()),
        (1000, ()),
    ]
    assert [box.what for box in some[3:7]] == [f"{n} residual blocks" for n in (3, 4, 6, 3)]
    assert [box.name for box in some[3:7]] == ["layer1", "layer2", "layer3", "layer4"]
    for key in ("parameters", "multiply_adds"):
        assert sum(box.cost(key) for box in some) == said[key]


def test_a_deep_chain_is_drawn_by_modules() -> None:
    for name in ("torchvision/mobilenet_v2", "torchvision/densenet121", "torchvision/vgg19_bn"):
        said = lensmith.inspect(name).as_dict()
        assert 5 < len(diagram.boxes(said["layers"], said["shape"])) <= diagram.MOST + 1, name


def test_the_page_holds_drawing_cost_and_formulas(tmp_path: Path) -> None:
    lensmith.inspect(WIDE, compare=NARROW, page=tmp_path / "net.html")
    text = (tmp_path / "net.html").read_text(encoding="utf-8")
    assert text.count('<svg class="net"') == 2
    assert "28*28*32 * 5*5*192 = 120,422,400" in text and "9.68" in text
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", text)


def test_names_cannot_break_a_page(tmp_path: Path) -> None:
    network = nn.Sequential()
    network.add_module('<b>&"', nn.Conv2d(1, 1, 3))
    lensmith.inspect(network, image_size=8, page=tmp_path / "net.html", svg=tmp_path / "net.svg")
    well_formed((tmp_path / "net.svg").read_text(encoding="utf-8"))
    assert "<u>" not in (tmp_path / "net.html").read_text(encoding="utf-8")


# Stacks.


def test_stacks_take_words_for_layers() -> None:
    network, shape = stack("stack:32x32x3/conv3x5-8-s2-p1-d1-g1/norm/pool2-s1/mean2/up2-4/mean/dense7")
    assert shape == (3, 32, 32)
    assert network.eval()(torch.zeros(1, *shape, device="meta")).shape == (1, 7)
    names = [name for name, _ in stack("stack:9x9x1/conv3-1/conv3-1")[0].named_children()]
    assert names == ["conv3-1", "conv3-1 (2)"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stack:28x28x3", "it has 0 layers"),
        ("stack:x/conv3-1", "it begins with 'x'"),
        ("stack:0x3x3/conv3-1", "it begins with '0x3x3'"),
        ("stack:8x8x3/conw3-8", "'conw3-8' is no layer. Nearest: conv."),
        ("stack:8x8x3/conv3", "'conv3' is no layer"),
        ("stack:8x8x3/pool2-d2", "'pool2-d2' is no layer"),
        ("stack:8x8x3/conv3x3x3-4", "has 3 sides for a map of 2"),
        ("stack:8x8x3/dense4/conv3-4", "needs a map"),
        ("stack:8x8x3/conv9-4-p0", "layer conv9-4-p0 of stack:8x8x3/conv9-4-p0 does not fit a map of 8 x 8"),
        ("stack:8x8x3/conv3-4-g2", "does not fit a map of 8 x 8"),
        ("stack:8x8x3/conv3-4-s0", "does not fit a map of 8 x 8"),
    ],
)
def test_stacks_that_are_not_written_as_they_should_be(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        stack(text)


# Bad input.


def test_bad_input_is_named(tmp_path: Path, trained: Path, capsys: Capture, here: Path) -> None:
    out = ("--out", trained.parent)
    refused(front_door(capsys, "inspect", "resnet81", *out), 2, "no network 'resnet81'", "Nearest: resnet")
    refused(
        front_door(capsys, "inspect", "smal", *out), 2, "no network 'smal'", f"Of the runs in {trained.parent}: small."
    )
    refused(front_door(capsys, "inspect", "torchvision/alexnet", "--image-size", "50"), 2, "features.12", "Try 63")
    refused(front_door(capsys, "inspect", "torchvision/alexnet", "--image-size", "0"), 2, "at least 1")
    refused(front_door(capsys, "inspect", "torchvision/alexnet", "--channels", "1"), 2, "no picture of 1 channels")
    refused(front_door(capsys, "inspect", "stack:8x8x3/conv3"), 2, "stack:28x28x192/conv1-16/conv5-32")
    refused(front_door(capsys, "inspect", "my_nets_inspected:gray"), 2, "could not be built")
    refused(front_door(capsys, "inspect", "lenet5", "--svg", tmp_path / "no" / "a.svg"), 1, "no folder")
    refused(front_door(capsys, "inspect", "lenet5", "--page", tmp_path), 2, "a folder", "network.html")


def test_only_what_inspect_wrote_is_replaced(here: Path, capsys: Capture) -> None:
    kept = {"mine": "my notes", "mine.html": "<html>my page</html>", "mine.svg": "<svg/>"}
    for name, text in kept.items():
        Path(name).write_text(text)
    refused(front_door(capsys, "inspect", "lenet5", "--page", "mine"), 2, "must end in .html", "--page mine.html")
    refused(front_door(capsys, "inspect", "lenet5", "--page", "mine.html"), 2, "there already", "another name")
    refused(front_door(capsys, "inspect", "lenet5", "--svg", "mine.svg"), 2, "there already", "another name")
    for option in ("page", "svg"):
        refused(front_door(capsys, "inspect", "lenet5", f"--{option}", "."), 2, f"{option} is '.', a folder")
    assert {name: Path(name).read_text() for name in kept} == kept
    Path("new.html").touch()
    for _ in range(2):  # a file that is empty, then one of our own
        assert front_door(capsys, "inspect", "lenet5", "--page", "new.html", "--svg", "new.svg").code == 0
    assert "lensmith inspect" in Path("new.html").read_text() and Path("new.svg").read_text().startswith("<svg")


def test_a_folder_that_is_no_run_is_not_taken_for_a_network(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run at"):
        lensmith.inspect(tmp_path)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(UsageError, match="network is of type int"):
        lensmith.inspect(3)  # type: ignore[arg-type]
