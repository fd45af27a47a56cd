"""Bad input through the real command line: exit code 1 or 2, what was seen, the fix, and nothing left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import lensmith as house
from conftest import draw_shape, write_shapes
from lensmith.data.awkward import write_awkward
from lensmith.run import Run
from running import Said, can_unshare, leftovers, lensmith, process, refused, snapshot, table

NETWORK = "convnet/4-8"
SMALL = ("--recipe", "scratch", "--network", NETWORK, "--image-size", "16", "--epochs", "1", "--quiet")

Command = Callable[..., Said]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("small") / "small", each=6, size=16)


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs")
    return house.train(
        pictures, recipe="scratch", network=NETWORK, image_size=16, epochs=1, out=out, name="trained", quiet=True
    )


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """A run that a test may damage."""
    shutil.copytree(trained.folder, tmp_path / "runs" / "trained")
    return Run(tmp_path / "runs" / "trained")


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> Iterator[Command]:
    """Run lensmith in an empty folder; afterwards no run, no temporary file may be there, and none in the store."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    before = set(leftovers(cache))
    yield lambda *words: lensmith(capsys, *words)
    assert not list(work.glob("runs/*"))
    assert leftovers(work) == []
    assert set(leftovers(cache)) <= before


# Folders that are no data set.


def test_empty_folder(command: Command, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for verb in ("train", "check"):
        refused(command(verb, tmp_path / "photos"), 1, "photos", "holds nothing", "Each class is a folder", "cat/1.jpg")


def test_folder_that_does_not_exist(command: Command, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for verb in ("train", "check"):
        refused(command(verb, tmp_path / "fotos"), 1, "fotos", "no such folder", "Nearest: photos")
    refused(command("train", tmp_path / "no" / "such" / "place"), 1, "no such folder")
    refused(command("train"), 2, "data")


def test_picture_or_archive_in_place_of_a_folder(command: Command, tmp_path: Path, pictures: Path) -> None:
    refused(command("train", pictures / "disc" / "000.png"), 1, "one picture", "lensmith predict")
    (tmp_path / "photos.zip").write_bytes(b"PK\x03\x04")
    refused(command("train", tmp_path / "photos.zip"), 1, "archive", "Unpack")


def test_one_class(command: Command, tmp_path: Path) -> None:
    write_shapes(tmp_path / "photos", each=4, size=16, kinds=("disc",))
    refused(command("train", tmp_path / "photos"), 1, "one class", "'disc'", "4 pictures", "two are needed")


def test_pictures_without_class_folders(command: Command, tmp_path: Path, pictures: Path) -> None:
    refused(command("train", pictures / "disc"), 1, "6 pictures", "no class folders", "Each class is a folder")


@pytest.mark.parametrize("left", [0, 1])
def test_class_with_too_few_pictures(left: int, command: Command, tmp_path: Path) -> None:
    folder = write_shapes(tmp_path / "photos", each=12, size=16)
    for path in sorted((folder / "disc").iterdir())[2:]:
        path.unlink()
    for path in sorted((folder / "disc").iterdir())[left:]:
        path.write_bytes(b"")
    words = f"class 'disc' has {left} usable picture", "at least 2", "Add pictures or remove the folder"
    refused(command("train", folder, *SMALL), 1, *words)
    said = command("check", folder)
    assert said.code == 1 and words[0] in said.out


def test_class_with_one_picture_is_refused_before_reading(command: Command, tmp_path: Path) -> None:
    folder = write_shapes(tmp_path / "photos", each=6, size=16)
    for path in sorted((folder / "disc").iterdir())[1:]:
        path.unlink()
    said = command("train", folder, *SMALL[:-1])  # not quiet: it would say that it reads
    refused(said, 1, "class 'disc' has 1 picture; at least 2", "Add pictures or remove the folder")
    assert "reading" not in said.err


def test_class_whose_pictures_are_all_the_same(command: Command, tmp_path: Path) -> None:
    folder = write_shapes(tmp_path / "photos", each=5, size=16, kinds=("disc", "cross"))
    for path in (folder / "disc").iterdir():
        draw_shape("disc", 0, 16).save(path)
    for path in (folder / "cross").iterdir():
        draw_shape("cross", 0, 16).save(path)
    refused(command("train", folder, *SMALL), 1, "no pictures are left for the split", "differ from each other")


def test_splits_without_training(command: Command, tmp_path: Path) -> None:
    write_shapes(tmp_path / "photos" / "val", each=3, size=16)
    write_shapes(tmp_path / "photos" / "test", each=3, size=16)
    refused(command("train", tmp_path / "photos", *SMALL), 1, "none named train")


def test_class_without_training_pictures(command: Command, tmp_path: Path) -> None:
    write_shapes(tmp_path / "photos" / "train", each=6, size=16, kinds=("disc", "cross"))
    write_shapes(tmp_path / "photos" / "test", each=6, size=24)
    refused(command("train", tmp_path / "photos", *SMALL), 1, "no training pictures for: square", "train")


def test_test_pictures_that_are_copies_of_the_training_ones(command: Command, tmp_path: Path) -> None:
    """Every training picture is left out, for the score to be honest: the message must say that, not ask for more."""
    write_shapes(tmp_path / "photos" / "train", each=6, size=16)
    shutil.copytree(tmp_path / "photos" / "train", tmp_path / "photos" / "test")
    refused(command("train", tmp_path / "photos", *SMALL), 1, "copies", "held-out", "train")


def test_runs_beside_the_classes_are_no_class(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cd photos; lensmith train .` twice: the second time runs/ is there, with the pictures of the first report."""
    folder = write_shapes(tmp_path / "photos", each=6, size=16)
    monkeypatch.chdir(folder)
    for name in ("one", "other"):
        assert command("train", ".", *SMALL, "--name", name).code == 0
    assert set(Run(folder / "runs" / "other").document["findings"]["classes"]) == {"cross", "disc", "square"}
    said = command("predict", "one", ".", "--json")
    assert len(json.loads(said.out)) == 18


def test_more_than_a_tenth_broken(command: Command, tmp_path: Path) -> None:
    folder = write_shapes(tmp_path / "photos", each=10, size=16)
    for number in range(4):
        (folder / "disc" / f"00{number}.png").write_text("hello")
    said = command("train", folder, *SMALL)
    refused(said, 1, "4 of 30", "13%", "10%", "disc/000.png: not a picture (the text begins with 'hello')", "Mend")
    listed = command("check", folder)
    assert listed.code == 1
    assert all(f"disc/00{number}.png" in listed.out for number in range(4))


def test_every_awkward_picture_in_a_training_folder(command: Command, tmp_path: Path) -> None:
    folder = write_shapes(tmp_path / "photos", each=60, size=16)
    awkward = [one for one in write_awkward(folder / "disc") if not one.name.startswith(".")]
    broken = {f"disc/{one.name}": one.why for one in awkward if one.outcome == "left out"}
    assert len(broken) < 0.1 * (180 + len(awkward))
    out = tmp_path / "runs"
    said = command("train", folder, *SMALL, "--out", out, "--name", "one")
    assert said.code == 0, said.err
    findings = Run(out / "one").document["findings"]
    assert {entry["path"]: entry["reason"] for entry in findings["unreadable"]} == broken
    report = Run(out / "one").report.read_text(encoding="utf-8")
    assert all(path in report for path in broken)
    listed = json.loads(command("check", folder, "--json").out)
    assert {entry["path"]: entry["reason"] for entry in listed["unreadable"]} == broken
    predicted = command("predict", out / "one", folder / "disc", "--json")
    assert predicted.code == 1  # some of them cannot be read
    answers = {Path(entry["path"]).name: entry for entry in json.loads(predicted.out)}
    for one in awkward:
        assert answers[one.name].get("error") == (one.why if one.outcome == "left out" else None)

    few = tmp_path / "few"
    write_shapes(few, each=4, size=16)
    write_awkward(few / "disc")
    refused(command("train", few, *SMALL), 1, f"{len(broken)} of {12 + len(awkward)}", "cannot be read")


# Options that cannot be had.


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (("--epochs", 0), "1 or more"),
        (("--epochs", -3), "1 or more"),
        (("--dropout", 1), "below 1"),
        (("--dropout", -0.1), "0 to below 1"),
        (("--dropout", "nan"), "0 to below 1"),
        (("--patience", 0), "1 or more"),
        (("--min-delta", -1), "0 or more"),
        (("--min-delta", "nan"), "0 or more"),
        (("--pool", "x"), "mean, flatten"),
        (("--resize", "x"), "crop, squash, pad"),
        (("--interpolation", "x"), "bilinear"),
        (("--learning-rate", -1), "above 0"),
        (("--learning-rate", 0), "above 0"),
        (("--learning-rate", 1e9), "up to 10"),
        (("--learning-rate", "inf"), "up to 10"),
        (("--dense", "abc"), "'abc'"),
        (("--dense", "256--128"), "256-128"),
        (("--dense", 0), "1 or more"),
        (("--batch-size", 1), "2 or more"),
        (("--seed", 2**70), "64-bit"),
        (("--seed", "x"), "seed"),
        (("--image-size", 0), "1 to 4096"),
        (("--image-size", 5000), "1 to 4096"),
        (("--image-size", "big"), "image-size"),
        (("--recipe", "finetune2"), "features, frozen, finetune, scratch"),
        (("--device", "gpu"), "cpu, cuda, mps"),
        (("--engine", "tensorflow"), "openvino, torch"),
        (("--name", "a/b"), "plain folder name"),
        (("--name", ".."), "plain folder name"),
        (("--name", ""), "plain folder name"),
        (("--name", "x" * 300), "name"),
        (("--network", ""), "network"),
        (("--network", "convnet/8-x"), "convnet/32-64-128/128"),
        (("--network", "convnet/0"), "1 to 9999"),
        (("--network", "convnet/8-8-8-8-8-8-8-8-8-8-8-8-8"), "at most 12"),
        (("--network", "lenet6"), "lenet5"),
        (("--network", "no_module:f"), "no_module"),
        (("--network", "math:nothing"), "nothing"),
        (("--network", "os:getcwd"), "torch.nn.Module"),
        (("--network", "a b:c"), "module:factory"),
        (("--cut", "nowhere"), "blocks"),
        (("--such", "option"), "--such"),
    ],
    ids=lambda value: " ".join(map(str, value))[:30] if isinstance(value, tuple) else "",
)
def test_wrong_option(words: tuple[object, ...], seen: str, command: Command, pictures: Path) -> None:
    refused(command("train", pictures, *SMALL, *words), 2, seen)


def test_every_public_function_refuses_what_the_command_line_refuses(pictures: Path, tmp_path: Path) -> None:
    from lensmith.errors import UsageError

    for options in ({"epochs": 0}, {"pool": "x"}, {"name": "nul\0l"}, {"name": "a/b"}, {"dense": (0,)}):
        with pytest.raises(UsageError):
            house.train(pictures, recipe="scratch", network=NETWORK, out=tmp_path / "runs", **options)
    assert not (tmp_path / "runs").exists()


def test_unknown_network_names_the_nearest(command: Command, pictures: Path) -> None:
    refused(command("train", pictures, "--network", "resnet5o"), 2, "'resnet5o'", "resnet50", "lensmith networks")
    refused(command("train", pictures, "--network", "torchvision/resnet5o"), 2, "resnet50")
    said = command("networks", "no-such-network")
    assert said.code == 1 and "no network matches" in said.out


def test_learning_that_diverges(command: Command, tmp_path: Path) -> None:
    """Numbers that run out of range must not end as a model that answers nothing."""
    folder = write_shapes(tmp_path / "photos", each=8, size=16)
    (tmp_path / "work" / "wild.py").write_text(
        "from torch import nn\n"
        "class Wild(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Conv2d(3, 4, 3)\n"
        "    def forward(self, pictures):\n"
        "        return (self.layer(pictures) * 1e30).square().mean((2, 3))\n"
    )
    words = ("--recipe", "scratch", "--network", "wild:Wild", "--image-size", 16, "--cut", "layer", "--epochs", 3)
    said = command("train", folder, *words, "--learning-rate", 10, "--pool", "mean", "--quiet", "--out", tmp_path / "r")
    if said.code:
        refused(said, 1, "diverged", "learning_rate")
        assert not list((tmp_path / "r").glob("*"))
    else:
        scores = next(iter((tmp_path / "r").glob("*/metrics.json")))
        assert np.isfinite(json.loads(scores.read_text())["test"]["log_loss"]["value"])


@pytest.mark.parametrize(
    ("network", "size", "words"),
    [
        ("lenet5", 8, ("8", "Try")),
        ("torchvision/vit_b_16", 50, ("50", "multiples", "16")),
        ("torchvision/alexnet", 16, ("16", "Try")),
        ("convnet/4-4-4-4-4-4/8", 4, ()),
    ],
)
def test_image_size_the_network_cannot_take(
    network: str, size: int, words: tuple[str, ...], command: Command, pictures: Path, tmp_path: Path
) -> None:
    """A message, or a run that works: pooling rounds up, so a convnet takes any size."""
    out = tmp_path / "out"
    said = command(
        "train", pictures, "--recipe", "scratch", "--network", network, "--image-size", size, "--epochs", 1,
        "--out", out, "--batch-size", 8, "--quiet",
    )  # fmt: skip
    if network.startswith("convnet"):
        assert said.code == 0, said.err
        assert Run(next(out.iterdir())).document["status"] == "done"
        return
    refused(said, 2, "image_size", *words)
    assert not out.exists()


# Weights.


def test_weights_that_do_not_fit(command: Command, pictures: Path, trained: Run, tmp_path: Path) -> None:
    tensors = load_file(trained.model_folder / "model.safetensors")
    base = {name[5:]: value for name, value in tensors.items() if name.startswith("base.") and "batches" not in name}
    file = tmp_path / "weights.safetensors"
    words = ("train", pictures, "--weights", file, "--image-size", 16, "--network")
    save_file(base, file)
    refused(command(*words, "convnet/4-8-16"), 1, "3", "missing", "blocks.3.conv.weight", "--weights none")
    refused(command(*words, "convnet/6-8"), 1, "blocks.1.conv.weight is (4, 3, 3, 3), not (6, 3, 3, 3)")
    refused(command(*words, "resnet18"), 1, "conv1.weight", "missing")
    save_file({f"model.{name}": value for name, value in base.items()}, file)
    refused(command(*words, NETWORK), 1, "missing", "blocks.1.conv.weight")


@pytest.mark.parametrize("name", ["text.safetensors", "text.pth", "empty.safetensors", "empty.pth", "picture.bin"])
def test_weights_file_that_holds_none(name: str, command: Command, pictures: Path, tmp_path: Path) -> None:
    contents = {"text": b"hello, I am no file of weights\n", "empty": b"", "picture": b"\x89PNG\r\n\x1a\n" + bytes(99)}
    (tmp_path / name).write_bytes(contents[name.partition(".")[0]])
    said = command("train", pictures, "--weights", tmp_path / name, "--network", NETWORK, "--image-size", 16)
    refused(said, 1, name)


def test_weights_that_are_not_there(command: Command, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for place, code, word in (
        (tmp_path / "no.safetensors", 2, "neither a file"),
        ("IMAGENET1K_V9", 2, "neither a file"),
        (tmp_path, 2, "neither a file"),
        (tmp_path / "notes.txt", 1, ".safetensors"),
    ):
        refused(command("train", pictures, "--weights", place, "--network", NETWORK, "--image-size", 16), code, word)
    refused(
        command("train", pictures, "--recipe", "features", "--weights", "none"), 2, "features", "Try --recipe scratch"
    )
    refused(command("train", pictures, "--recipe", "features", "--network", "lenet5"), 2, "no weights are published")


def test_weights_of_another_network_by_name(command: Command, pictures: Path, data: Path) -> None:
    file = data / "weights" / "squeezenet1_0.safetensors"
    refused(command("train", pictures, "--weights", file), 1, "features.0.0.weight", "too many", "features.0.bias")


# Places that cannot be written.


def test_existing_run_name(command: Command, pictures: Path, run: Run) -> None:
    before = snapshot(run.folder)
    said = command("train", pictures, *SMALL, "--out", run.folder.parent, "--name", "trained")
    refused(said, 2, "'trained' already exists", "another --name")
    assert snapshot(run.folder) == before


def test_out_is_a_file(command: Command, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "runs"):
        refused(command("train", pictures, *SMALL, "--out", place), 1, str(tmp_path / "file"), "--out")
    assert (tmp_path / "file").read_text() == "mine"


def test_csv_that_cannot_be_written(command: Command, run: Run, tmp_path: Path) -> None:
    refused(command("evaluate", run.folder, "--csv", tmp_path / "no" / "x.csv"), 1, "no folder", "Make it first")
    refused(command("evaluate", run.folder, "--csv", tmp_path), 1, str(tmp_path))


# Runs commands one after another, each with its own small disk; what is left on the disk is noted.
ON_A_SMALL_DISK = """
import json, os, subprocess, sys, traceback
from pathlib import Path
from lensmith import cli

place, ended = Path(sys.argv[1]), []
for options, arguments, cache in json.loads(sys.argv[2]):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=True)
    os.environ["LENSMITH_CACHE"] = cache
    sys.argv, code = ["lensmith", *arguments], 0
    print(f"<{len(ended)}>", file=sys.stderr)
    try:
        cli.main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    ended.append({"code": code, "left": sorted(str(path.relative_to(place)) for path in place.rglob("*"))})
print("\\n" + json.dumps(ended))
"""


@pytest.fixture(scope="module")
def full_disks(
    pictures: Path, tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> dict[str, tuple[Said, list[str]]]:
    """The outcome of training on disks that are too small or may not be written, by name."""
    if not can_unshare("-rm"):
        pytest.skip("this system lets us mount no small disk")
    place = tmp_path_factory.mktemp("disk")
    words = ["train", str(pictures), "--recipe", "scratch", "--image-size", "16", "--epochs", "2"]
    wide = [*words, "--network", "convnet/64-128"]
    on_disk = ["--out", str(place / "runs")]
    elsewhere = ["--out", str(place.parent / "elsewhere")]
    jobs = {
        "no room at all": ("size=4k", [*wide, *on_disk], str(cache)),
        "room for tables": ("size=40k", [*wide, *on_disk], str(cache)),
        "300 kB": ("size=300k", [*wide, *on_disk], str(cache)),
        "room for the model": ("size=412k", [*wide, *on_disk], str(cache)),
        "read-only": ("ro", [*words, "--network", NETWORK, *on_disk], str(cache)),
        "store is full": ("size=300k", [*wide, *elsewhere, "--name", "full"], str(place / "cache")),
        "store is tiny": ("size=4k", [*wide, *elsewhere, "--name", "tiny"], str(place / "cache")),
        "store is read-only": ("ro", [*words, "--network", NETWORK, *elsewhere, "--name", "ro"], str(place / "cache")),
    }
    said = process(
        ["-c", ON_A_SMALL_DISK, place, json.dumps(list(jobs.values()))], folder=place.parent, before=("unshare", "-rm")
    )
    assert said.code == 0, said.err
    ended = json.loads(said.out.splitlines()[-1])
    parts = [said.err.partition(f"<{number}>\n")[2].partition(f"<{number + 1}>")[0] for number in range(len(jobs))]
    return {
        name: (Said(end["code"], "", part), end["left"]) for name, end, part in zip(jobs, ended, parts, strict=True)
    }


def test_a_disk_that_fills_after_the_model_keeps_the_model(full_disks: dict[str, tuple[Said, list[str]]]) -> None:
    """A trained model is not thrown away for want of room for its pictures; nothing unfinished lies beside it."""
    said, left = full_disks["room for the model"]
    refused(said, 1, "disk is full", "Free some space", "--out")
    model = {f"runs/small-1/model/{name}" for name in ("config.json", "model.safetensors")}
    assert model <= set(left) or left in ([], ["runs"])
    assert not [name for name in left if Path(name).name.startswith(".")]


@pytest.mark.parametrize("disk", ["no room at all", "room for tables", "300 kB"])
def test_run_on_a_full_disk(disk: str, full_disks: dict[str, tuple[Said, list[str]]]) -> None:
    said, left = full_disks[disk]
    refused(said, 1, "disk is full", "Free some space", "--out")
    assert left in ([], ["runs"])


def test_run_on_a_read_only_disk(full_disks: dict[str, tuple[Said, list[str]]]) -> None:
    said, left = full_disks["read-only"]
    refused(said, 1, "cannot be written", "--out")
    assert left == []


@pytest.mark.parametrize("disk", ["store is full", "store is tiny", "store is read-only"])
def test_store_that_takes_nothing_slows_and_never_stops(
    disk: str, full_disks: dict[str, tuple[Said, list[str]]]
) -> None:
    said, left = full_disks[disk]
    assert said.code == 0, said.err
    assert "Traceback" not in said.err
    assert not [name for name in left if Path(name).name.startswith(".")]


# Evaluate, predict, report.


def test_evaluate_with_unknown_classes(command: Command, run: Run, pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures, tmp_path / "other")
    (tmp_path / "other" / "disc").rename(tmp_path / "other" / "disk")
    refused(command("evaluate", run.folder, tmp_path / "other"), 1, "'disk'", "'disc'", "Nearest: disc", "Rename")


def test_evaluate_where_pictures_changed_or_went(command: Command, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "moving"
    shutil.copytree(pictures, folder)
    out = tmp_path / "runs"
    assert command("train", folder, *SMALL, "--out", out, "--name", "one").code == 0
    held_out = [row["path"] for row in table(out / "one" / "splits.csv") if row["split"] == "test"]
    picture = folder / held_out[0]
    content = picture.read_bytes()
    picture.unlink()
    refused(command("evaluate", out / "one"), 1, held_out[0], "no longer in", "Put the pictures back")
    draw_shape("disc", 999, 16).save(picture)
    refused(command("evaluate", out / "one"), 1, held_out[0], "has changed")
    picture.write_bytes(content)
    assert command("evaluate", out / "one").code == 0
    folder.rename(tmp_path / "moved")
    refused(command("evaluate", out / "one"), 1, "no longer in", "lensmith evaluate")
    assert command("evaluate", out / "one", tmp_path / "moved").code == 0


def test_evaluate_on_nothing(command: Command, run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(command("evaluate", run.folder, tmp_path / "empty"), 1, "holds nothing")
    (tmp_path / "broken" / "disc").mkdir(parents=True)
    (tmp_path / "broken" / "disc" / "1.png").write_bytes(b"")
    refused(command("evaluate", run.folder, tmp_path / "broken"), 1, "can be read")


def test_predict_on_nothing(command: Command, run: Run, tmp_path: Path, pictures: Path) -> None:
    refused(command("predict", run.folder), 2, "pictures")
    refused(command("predict", run.folder, tmp_path / "no.png"), 1, "no file or folder", "no.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("hello")
    refused(command("predict", run.folder, tmp_path / "empty"), 1, "no pictures in", ".jpg")
    refused(command("predict", run.folder, pictures, "--json", "--csv"), 2, "--json", "--csv")


def test_predict_on_a_broken_picture(command: Command, run: Run, tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"")
    good = pictures / "disc" / "000.png"
    for flags in ((), ("--csv",), ("--json",)):
        said = command("predict", run.folder, tmp_path / "broken.jpg", good, *flags)
        assert said.code == 1
        assert "the file is empty" in said.out and "disc/000.png" in said.out  # long paths are cut at their start
        assert "Traceback" not in said.err
    alone = command("predict", run.folder, tmp_path / "broken.jpg", "--csv")
    assert alone.code == 1
    assert alone.out.splitlines()[1].startswith(f"{tmp_path / 'broken.jpg'},,,the file is empty")


@pytest.mark.parametrize("verb", ["evaluate", "predict", "report"])
def test_no_such_run(verb: str, command: Command, run: Run, pictures: Path, tmp_path: Path) -> None:
    more = (pictures,) if verb == "predict" else ()
    refused(command(verb, "traned", *more, "--out", run.folder.parent), 1, "'traned'", "Nearest: trained")
    refused(command(verb, "zzz", *more, "--out", tmp_path / "nowhere"), 1, "'zzz'", "no runs in")
    refused(command(verb, pictures, *more), 1, "no run.json")


DAMAGE: dict[str, tuple[Any, tuple[str, ...]]] = {
    "cut short": (lambda text: text[: len(text) // 2], ("run.json",)),
    "empty": (lambda text: "", ("run.json",)),
    "not text": (lambda text: "\udcff\udcfe", ("run.json",)),
    "a list": (lambda text: "[1, 2]", ("run.json",)),
    "no format": (lambda text: text.replace('"format"', '"former"'), ("run.json",)),
    "newer format": (lambda text: text.replace('"format": 1', '"format": 2'), ("format 2", "Install a newer")),
    "nothing but a format": (lambda text: '{"format": 1}', ("run.json",)),
    "odd format": (lambda text: text.replace('"format": 1', '"format": "one"'), ("run.json",)),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("verb", ["evaluate", "report"])
def test_damaged_run_json(verb: str, damage: str, command: Command, run: Run) -> None:
    file = run.folder / "run.json"
    change, words = DAMAGE[damage]
    file.write_bytes(change(file.read_text(encoding="utf-8")).encode("utf-8", "surrogateescape"))
    if (verb, damage) == ("report", "nothing but a format"):
        assert command(verb, run.folder).code == 0  # a page that says how little there is
        return
    said = command(verb, run.folder)
    refused(said, 1, *words)
    assert ("Install a newer" in said.err) == (damage == "newer format")


@pytest.mark.parametrize("verb", ["evaluate", "report"])
@pytest.mark.parametrize("name", ["metrics.json", "splits.csv", "model/config.json", "figures/pictures.json"])
@pytest.mark.parametrize("content", ["", "{", "[[[", "a,b\n1\n", None])
def test_other_damaged_files(verb: str, name: str, content: str | None, command: Command, run: Run) -> None:
    """A report is made without them, or says what is broken; nothing ends in a traceback."""
    if content is None:
        (run.folder / name).unlink()
    else:
        (run.folder / name).write_text(content)
    said = command(verb, run.folder)
    if said.code:
        refused(said, 1, "lensmith: ")


def test_run_without_its_weights(command: Command, run: Run, pictures: Path) -> None:
    (run.model_folder / "model.safetensors").unlink()
    refused(command("predict", run.folder, pictures), 1, "model.safetensors is missing", "Train again")


def test_picture_that_vanishes_or_is_a_folder(command: Command, run: Run, tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "odd" / "folder.png").mkdir(parents=True)
    (tmp_path / "odd" / "link.png").symlink_to(tmp_path / "nothing.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "odd" / "fine.png")
    said = command("predict", run.folder, tmp_path / "odd", "--json")
    assert {Path(entry["path"]).name: entry.get("error") for entry in json.loads(said.out)} == {
        "fine.png": None,
        "link.png": "a link to nothing",
    }
    assert said.code == 1
