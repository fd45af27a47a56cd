"""`lensmith see`: filters, maps, silence, crops, neighbours, templates, and the verb that draws them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

import lensmith
from conftest import write_shapes
from lensmith.errors import DataError, UsageError
from lensmith.files import OURS
from lensmith.reports import mosaic
from lensmith.seeing.crops import Field, field_of, patterns, peaks
from lensmith.seeing.eye import pixels_of
from lensmith.seeing.filters import first_filters
from lensmith.seeing.layers import layers_of, named
from lensmith.seeing.neighbours import nearest_rows
from lensmith.seeing.templates import is_linear, surest, template
from running import lensmith as front_door
from running import refused
from sample_eyes import SIDE, Mixed, eye_of, squares

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def weights() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


# The first layer.


def test_filters_are_the_weights_grey_ones_first() -> None:
    conv = nn.Conv2d(3, 4, 5)
    with torch.no_grad():
        conv.weight[2] = conv.weight[2].mean(0)  # no colour
        conv.weight[1] *= 1e-4
    found = first_filters(eye_of(nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(4 * 400, 2))), SIDE)
    assert (found.layer, found.kind, found.silent) == ("0", "convolution", 1)
    assert found.numbers[0] == 2 and found.numbers[-1] == 1
    for place, number in enumerate(found.numbers):
        assert np.array_equal(found.weights[place], conv.weight[number].permute(1, 2, 0).detach().numpy())
    assert 0 < found.scale <= float(conv.weight.abs().max())


def test_a_dense_first_layer_is_laid_out_as_torch_flattens() -> None:
    dense = nn.Linear(3 * SIDE * SIDE, 2)
    found = first_filters(eye_of(nn.Sequential(nn.Flatten(), dense)), SIDE)
    tile = found.weights[list(found.numbers).index(1)]
    picture = torch.rand(1, 3, SIDE, SIDE)
    by_tile = (tile * picture[0].permute(1, 2, 0).numpy()).sum() + dense.bias[1].item()
    assert dense(picture.flatten(1))[0, 1].item() == pytest.approx(by_tile, abs=1e-4)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 2, 3)), "reads 12 channels, not the three colours"),
        (nn.Sequential(nn.Conv2d(3, 2, 1)), "sees a single pixel"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2)), "reads 12 numbers"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), "neither a convolution nor dense"),
    ],
)
def test_where_there_are_no_filters_to_draw_it_says_why(network: nn.Module, reason: str) -> None:
    found = first_filters(eye_of(network), SIDE)
    assert not len(found.weights)
    assert reason in found.reason


# Crops.


def bright() -> nn.Module:
    """A filter that adds up 5 x 5 pixels, then windows of 3 x 3, 2 apart."""
    one, two = nn.Conv2d(3, 2, 5, padding=2, bias=False), nn.Conv2d(2, 2, 3, stride=2, padding=1, bias=False)
    for conv in (one, two):
        nn.init.constant_(conv.weight, 1.0)
    return nn.Sequential(one, nn.ReLU(), two, nn.ReLU(), nn.Flatten())


def test_the_crop_is_exactly_what_the_place_sees() -> None:
    eye = eye_of(bright(), mean=0.0)
    layer = named(layers_of(eye, SIDE), "3")
    field = field_of(eye, SIDE, layer)
    assert (field.size, field.stride, field.first) == ((7, 7), (2, 2), (-3, -3))
    pictures = np.zeros((3, SIDE, SIDE, 3), np.uint8)
    pictures[1, 9:16, 11:18] = 200  # the field of place (6, 7): 2 * 6 - 3 = 9 to 15, 2 * 7 - 3 = 11 to 17
    pictures[2, 0:2, 22:24] = 200  # in a corner
    found = peaks(eye, [pictures[:2], pictures[2:]], {layer: [1]})[layer]
    assert found.best(0, 9).tolist() == [1, 2]  # the black one excites nothing
    assert found.places[1, 0].tolist() == [6, 7]
    assert field.box(found.places[1, 0], SIDE) == (11, 9, 18, 16)
    _, top, right, _ = field.box(found.places[2, 0], SIDE)
    assert (top, right) == (0, SIDE)
    trace = patterns(eye, pictures[1:2], layer, 1)[0]
    rows, columns = np.nonzero(trace.any(2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (9, 15, 11, 17)
    assert field.corner((0, 0), SIDE) == (-3, -3) and field.box((0, 0), SIDE) == (0, 0, 4, 4)


def test_fields_equal_those_of_the_gradient() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3, 2), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3), nn.Flatten())
    eye = eye_of(network, mean=0.0)
    layer = named(layers_of(eye, SIDE), "2")
    field = field_of(eye, SIDE, layer)
    assert field.size is not None
    noise = squares(40)
    pixels = pixels_of(noise).requires_grad_()
    value = network[:3](pixels / 255 / 0.25)
    (slope,) = torch.autograd.grad(value[:, :, 2, 1].sum(), pixels)
    rows, columns = np.nonzero(slope.abs().sum((0, 1)).numpy())
    assert field.box((2, 1), SIDE) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_what_is_made_from_the_whole_picture_is_cropped_from_nothing() -> None:
    eye = eye_of(nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)))
    layer = named(layers_of(eye, SIDE), "3")
    assert field_of(eye, SIDE, layer) == Field()
    assert Field().box((0, 0), SIDE) == (0, 0, SIDE, SIDE)
    values = peaks(eye, [squares(3)], {layer: [0, 1]})[layer].values
    assert values.shape == (3, 2)


def test_crops_at_the_border_keep_their_place() -> None:
    part = np.full((4, 5, 3), 9, np.uint8)
    found = mosaic.within(part, (7, 7), (2, 3))
    assert (found[3:, 2:] == 9).all()
    assert (found[:3] == mosaic.GROUND).all() and (found[:, :2] == mosaic.GROUND).all()


# Neighbours.


def test_neighbours_are_those_of_sklearn() -> None:
    random = np.random.default_rng(0)
    known, asked = random.normal(size=(200, 16)).astype(np.float32), random.normal(size=(600, 16)).astype(np.float32)
    places, distances = nearest_rows(asked, known, 5)
    oracle, expected = NearestNeighbors(n_neighbors=5, metric="cosine", algorithm="brute").fit(known).kneighbors(asked)
    assert np.allclose(distances, oracle, atol=1e-6)
    assert (places == expected).mean() > 0.999


def test_rows_of_zeros_and_few_rows() -> None:
    known = np.array([[1, 0], [0, 0], [-2, 0]], np.float32)
    places, distances = nearest_rows(np.array([[3, 0], [0, 0]], np.float32), known, 6)
    assert places[0].tolist() == [0, 1, 2] and distances[0].tolist() == [0, 1, 2]
    assert distances[1].tolist() == [1, 1, 1]


# Templates.


def test_the_template_of_a_linear_network_is_its_row() -> None:
    dense = nn.Linear(3 * SIDE * SIDE, 4)
    eye = eye_of(nn.Sequential(nn.Flatten(), dense), mean=0.3, std=0.2)
    pictures = squares(40)
    found = template(eye, pictures, pictures[:9], 2, sign=-1.0)
    row = -dense.weight[2].detach().view(3, SIDE, SIDE).permute(1, 2, 0).numpy() / (255 * 0.2)
    assert np.allclose(found.slopes, row, rtol=1e-4, atol=1e-8)
    assert is_linear(eye, SIDE, 2)
    assert found.mean is not None and np.abs(found.mean - pictures[:9].mean(0)).max() <= 0.5
    assert found.pictures == 40


def test_of_other_networks_it_is_the_mean_gradient() -> None:
    eye, pictures = eye_of(Mixed()), squares(35)
    assert not is_linear(eye, SIDE, 0)
    slopes = []
    for one in pictures:
        pixels = pixels_of(one[None]).requires_grad_()
        slopes.append(torch.autograd.grad(eye(pixels)[0, 1], pixels)[0][0].permute(1, 2, 0).numpy())
    assert np.allclose(template(eye, pictures, pictures[:0], 1).slopes, np.mean(slopes, 0), atol=1e-7)
    assert template(eye, pictures, pictures[:0], 1).mean is None


def test_the_surest() -> None:
    assert surest(np.array([0.1, 5, 3, 9]), [0, 1, 2], 2).tolist() == [1, 2]


# Tiles.


def test_zero_is_grey_or_black_and_tiles_stay_crisp() -> None:
    assert mosaic.about_grey(np.array([[[-2.0, 0, 2]]]), 2.0).tolist() == [[[0, 128, 255]]]
    assert mosaic.about_grey(np.zeros((1, 1, 3)), 0.0).tolist() == [[[128, 128, 128]]]
    glow = mosaic.glowing(np.array([[0.0, 1.0, -1.0]]), 1.0)[0]
    assert glow[0].tolist() == [0, 0, 0] and glow[1].tolist() == [255, 255, 255]
    assert glow[2][0] > glow[2][2]  # amber
    sheet = mosaic.mosaic(list(squares(5, 3)), 4, 10, crisp=True)
    assert sheet.size == (4 * 9 + 3 * mosaic.GAP, 2 * 9 + mosaic.GAP)
    assert len(set(map(tuple, np.asarray(sheet)[:9, :9].reshape(-1, 4).tolist()))) <= 9
    assert np.asarray(sheet)[-1, -1, 3] == 0  # nothing there


# The verb.


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng(devices=[]):
        return lensmith.train(
            shapes,
            recipe="scratch",
            network="convnet/8-16/16",
            image_size=32,
            epochs=2,
            out=tmp_path_factory.mktemp("runs"),
            name="small",
            quiet=True,
        ).folder


def test_a_run_is_seen_with_its_own_pictures(run: Path, capsys: Capture) -> None:
    said = front_door(capsys, "see", run, "--steps", "4", "--count", "24", "--quiet", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    folder = run / "sights"
    assert found["page"] == str(folder / "page.html")
    assert found["searched"] == {"what": "it was trained on", "pictures": 24, "of": 24}
    assert found["first_layer"]["filters"] == 8
    assert [one["class"] for one in found["classes"]] == ["cross", "disc", "square"]
    assert {one["layer"] for one in found["filters"]} == {row["layer"] for row in found["filters"]}
    assert all(one["highest_of_pictures"] is not None for one in [*found["classes"], *found["filters"]])
    assert {one["class"] for one in found["templates"]} == {"cross", "disc", "square"}
    assert len(found["activations"]) >= 2
    for asked in found["nearest"]:
        assert len(asked["nearest"]) == 6
        distances = [row["distance"] for row in asked["nearest"]]
        assert distances == sorted(distances)
        assert {row["class"] for row in asked["nearest"]} <= {"cross", "disc", "square"}
    kept = json.loads((folder / "sights.json").read_text(encoding="utf-8"))
    assert kept == {name: value for name, value in found.items() if name != "page"}
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:|#)", page) and "<script" not in page
    named_pictures = re.findall(r'"(?:\w*picture|best|mean)": "([^"]+)"', json.dumps(kept))
    for name in named_pictures:
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) >= 16
    assert len(named_pictures) == page.count("<img ")


def test_what_is_asked_for_is_what_is_shown(run: Path, shapes: Path, tmp_path: Path, capsys: Capture) -> None:
    picture = shapes / "disc" / "003.png"
    said = front_door(
        capsys, "see", "small", picture, "--out", run.parent, "--layer", "base.blocks.1.conv", "--filter", "0,5",
        "--class", "disc", "--in", shapes, "--count", "12", "--start", "blank", "--steps", "3",
        "--save", tmp_path / "x",
    )  # fmt: skip
    assert said.code == 0, said.err
    found = json.loads((tmp_path / "x" / "sights.json").read_text(encoding="utf-8"))
    assert [(one["layer"], one["channel"]) for one in found["filters"]] == [("base.blocks.1.conv", n) for n in (0, 5)]
    assert found["pictures"][0]["layers"][0]["channels"] == [0, 5]
    assert [one["class"] for one in found["classes"]] == ["disc"]
    assert (found["start"], found["steps"]) == ("blank", 3)
    assert found["searched"] == {"what": "in the folder", "pictures": 12, "of": 12}
    assert [row["path"] for row in found["pictures"]] == [str(picture)]
    assert "by ascent" in said.out and str(tmp_path / "x" / "page.html") in said.out
    assert "ascent for classes" in said.err


def test_the_same_seed_gives_the_same_pictures(run: Path, tmp_path: Path) -> None:
    def seen(folder: str, seed: int) -> bytes:
        found = lensmith.see(
            run, classes="disc", layer="base.blocks.1.conv", filters=[1], count=4, steps=3, seed=seed,
            save=tmp_path / folder, quiet=True,
        )  # fmt: skip
        return (found.page.parent / "class-1.png").read_bytes()

    assert seen("a", 0) == seen("b", 0) != seen("c", 1)


def test_a_network_by_name_without_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = lensmith.see("convnet/8-16", weights="none", steps=2, quiet=True).found
    assert (tmp_path / "sights" / "page.html").is_file()
    assert found["pictures"] == found["activations"] == found["nearest"] == found["templates"] == []
    assert found["searched"]["pictures"] == 0
    assert len(found["classes"]) == 4 and len(found["filters"]) >= 3
    assert all(one["highest_of_pictures"] is None and one["crops"] == [] for one in found["filters"])
    page = (tmp_path / "sights" / "page.html").read_text(encoding="utf-8")
    assert page.index("What would it like to see?") < page.index("What is not on this page?")
    assert page.index("What is not on this page?") < page.index("Which pictures does it find alike?")


def test_a_module_without_convolutions(tmp_path: Path, shapes: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3))
    found = lensmith.see(
        network, shapes / "disc", image_size=32, count=6, steps=2, save=tmp_path / "s", quiet=True
    ).found
    assert found["first_layer"]["kind"] == "dense layer" and found["first_layer"]["filters"] == 3
    assert found["filters"] == [] and found["pictures"] == []
    assert found["templates"][0]["linear"]
    page = (tmp_path / "s" / "page.html").read_text(encoding="utf-8")
    assert "linear in its pixels" in page
    assert "What is not on this page?" in page and page.count("No layer gives a map.") == 2


def test_names_that_no_disk_takes_are_looked_at_all_the_same(tmp_path: Path, shapes: Path) -> None:
    network = nn.Sequential()
    for name, part in (("a/b", nn.Conv2d(3, 4, 3)), ("a-b", nn.ReLU()), ("c" * 300, nn.Conv2d(4, 2, 3))):
        network.add_module(name, part)
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("end:", nn.Flatten())
    found = lensmith.see(
        network, shapes / "disc" / "000.png", layer=f"a/b,a-b,{'c' * 300}", filters=[0, 1], image_size=24, steps=1,
        save=tmp_path / "s", quiet=True,
    ).found  # fmt: skip
    assert [one["layer"][:3] for one in found["filters"]] == ["a/b"] * 2 + ["a-b"] * 2 + ["ccc"] * 2
    names = [one["picture"] for one in found["filters"]]
    assert len(set(names)) == 6
    assert all((tmp_path / "s" / f"{name}.png").is_file() for name in names)


def test_a_network_of_one_layer_has_its_pixels_for_neighbours(tmp_path: Path, shapes: Path) -> None:
    class Root(nn.Linear):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.flatten(1))

    pictures = shapes / "disc"
    found = lensmith.see(
        Root(3 * 16 * 16, 2), pictures, image_size=16, count=6, steps=1, save=tmp_path / "s", quiet=True
    ).found
    assert len(found["nearest"][0]["nearest"]) == 5


def test_names_are_escaped(tmp_path: Path, shapes: Path) -> None:
    picture = tmp_path / "<b>&'x.png"
    shutil.copy(shapes / "disc" / "000.png", picture)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = lensmith.see(network, picture, image_size=32, steps=1, save=tmp_path / "s", quiet=True)
    assert "<b>&'x" not in found.page.read_text(encoding="utf-8")


# What can go wrong.


def test_wrong_arguments(run: Path, tmp_path: Path, capsys: Capture) -> None:
    for words, said in (
        (["--layer", "base.blocks.2.con"], ["no layer 'base.blocks.2.con'", "Nearest: base.blocks.2.conv"]),
        (["--layer", "base.blocks.2.conv", "--filter", "16"], ["no filter 16", "it has 16, from 0 to 15"]),
        (["--layer", "base.blocks.1.conv", "--filter", "a"], ["filter is 'a'", "Try 0,1,2"]),
        (["--filter", "1"], ["of which layer", "--layer"]),
        (["--class", "disk"], ["no class 'disk'", "Nearest: disc"]),
        (["--start", "blanc"], ["start is 'blanc'", "Nearest: blank"]),
        (["--count", "0"], ["count is 0"]),
    ):
        refused(front_door(capsys, "see", run, *words, "--save", tmp_path / "no"), 2, *said)
    assert not (tmp_path / "no").exists()
    (tmp_path / "file").write_text("", encoding="utf-8")
    refused(front_door(capsys, "see", run, "--save", tmp_path / "file"), 2, "which is a file")


def test_no_picture_of_the_user_is_written_over(run: Path, shapes: Path, tmp_path: Path, capsys: Capture) -> None:
    own = tmp_path / "picture-1.png"
    shutil.copy(shapes / "disc" / "000.png", own)
    before = own.read_bytes()
    refused(front_door(capsys, "see", run, own, "--save", tmp_path), 2, "holds files of others", "an empty folder")
    (tmp_path / OURS).touch()  # even there
    said = front_door(capsys, "see", run, own, "--in", tmp_path, "--steps", "1", "--save", tmp_path)
    refused(said, 2, "picture-1.png", "would be written over", "Choose another folder")
    assert own.read_bytes() == before and not (tmp_path / "page.html").exists()


def test_pictures_that_are_not_there(run: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").mkdir()
    refused(front_door(capsys, "see", run, "--in", tmp_path / "empty"), 1, "no pictures in", "empty")
    refused(front_door(capsys, "see", run, tmp_path / "none.png"), 1, "no file or folder")
    (tmp_path / "text.png").write_text("hello", encoding="utf-8")
    refused(front_door(capsys, "see", run, tmp_path / "text.png"), 1, "none of the pictures can be read", "text.png")


def test_a_broken_picture_is_named_and_a_constant_one_is_no_trouble(run: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_text("hello", encoding="utf-8")
    for number, grey in enumerate((0, 128, 255)):
        Image.new("RGB", (9, 7), (grey,) * 3).save(folder / f"{number}.png")
    said = front_door(capsys, "see", run, folder, "--in", folder, "--steps", "2", "--save", tmp_path / "s")
    assert said.code == 1
    assert "a.png cannot be read: not a picture" in said.out
    assert (tmp_path / "s" / "page.html").is_file()


def test_training_pictures_that_are_gone(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", each=8)
    run = lensmith.train(
        data, recipe="scratch", network="convnet/4", image_size=16, epochs=1, out=tmp_path, name="gone", quiet=True
    )
    shutil.rmtree(data)
    with pytest.raises(DataError, match=r"no longer in .* name a folder"):
        lensmith.see(run, quiet=True)


def test_runs_of_rows(tmp_path: Path) -> None:
    rows = ["a,b,quality", *(f"{n},{n * n % 7},{n % 5}.5" for n in range(40))]
    (tmp_path / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    run = lensmith.train(tmp_path / "rows.csv", target="quality", epochs=1, dense=(8,), out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="looks into networks for pictures"):
        lensmith.see(run, quiet=True)


def test_both_of_two_classes_have_their_own_pictures_and_dense_layers_their_units(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "two", each=8, kinds=("cross", "disc"))
    run = lensmith.train(
        data, recipe="scratch", network="convnet/4/6", image_size=16, epochs=1, output="sigmoid", out=tmp_path,
        name="both", quiet=True,
    )  # fmt: skip
    found = lensmith.see(run, layer="head.0", filters=[0, 5], steps=3, count=10, quiet=True).found
    assert [one["class"] for one in found["classes"]] == ["cross", "disc"]
    assert len({one["picture"] for one in found["classes"]} | {one["best"] for one in found["classes"]}) == 4
    assert found["classes"][0]["highest_path"] != found["classes"][1]["highest_path"]
    assert [one["sees"] for one in found["filters"]] == [None, None]
    assert found["pictures"] == []
