"""A run that was killed, interrupted or out of disk goes on to the same weights, bit for bit; what cannot is said."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_tensors

from killing import ROW, STEP, End, Incident, Life, live
from lensmith.reproduce import generator
from lensmith.run import Run
from lensmith.zoo.convnet import Convnet
from running import can_unshare, lensmith, refused
from sample_trainings import RECIPES, WEIGHTS, differences, document, drawn_kills, prepare, words

SEED = 20
KILLS = 4  # of each recipe while it learns: 20 together; each dies once more while it finishes
DISK = "disk"  # a small one of its own, where the system lets us make one
Capture = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class Lived:
    """Where the runs are, and how the processes ended that worked on them."""

    folder: Path
    ends: dict[str, list[End]]

    def run(self, name: str) -> Path:
        return self.folder / "runs" / name


def chain(begin: tuple[str, ...], lives: list[Life]) -> list[Life]:
    """Return the lives of one run: the first begins it, the others and a last one, left in peace, go on with it."""
    on = ("train", "--resume", begin[-1])
    return [replace(lives[0], words=begin), *(replace(life, words=on) for life in lives[1:]), Life(on)]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Every run of this file that takes a process of its own, side by side."""
    folder = tmp_path_factory.mktemp("resume")
    prepare(folder)
    lives: dict[str, list[Life]] = {}
    for name in RECIPES:
        lives[f"{name}-whole"] = [Life(words(folder, name, f"{name}-whole"))]
        lives[name] = chain(words(folder, name, name), [Life((), each) for each in drawn_kills(name, KILLS, SEED)])
    seconds = generator(SEED, "clock").uniform(0.2, 1.0, 3)
    begun = Life((), Incident("renamed", "run.json"))  # or, on a slow machine, there would be nothing to go on with
    timed = [Life((), seconds=each, often=False) for each in seconds]
    lives["clock"] = chain(words(folder, "adamw", "clock"), [begun, *timed])
    lives["others"] = chain(words(folder, "adamw", "others"), [Life((), each) for each in OTHERS.values()])
    lives["stopped"] = [
        Life(words(folder, "adamw", "stopped"), Incident("renamed", "scratch.safetensors", ("scratch", 5)))
    ]
    shutil.copy(folder / WEIGHTS, folder / "mine.safetensors")
    mine = (*words(folder, "frozen", "mine"), "--weights", "mine.safetensors")
    lives["mine"] = [Life(mine, Incident("renamed", "frozen.safetensors", ("frozen", 5)))]
    before: tuple[str, ...] = ()
    if can_unshare("-rm"):
        (folder / DISK).mkdir()
        mount = f'mount -t tmpfs -o size=4m none {DISK} && "$@"; code=$?; cp -r {DISK} copied; exit $code'
        before = ("unshare", "-rm", "sh", "-c", mount, "sh")
        lives["full"] = []
        for name, place in FULL.items():
            first = Life(words(folder, "adamw", name), Incident(*place, act="fill"), folder=DISK)
            lives["full"] += [first, Life(("train", "--resume", name), folder=DISK)]
    return Lived(folder, live(lives, folder, before=before))


# What else happens to a run, one after another: before anything is learned, amid a row, after all is done.
OTHERS = {
    "killed with nothing but run.json": Incident("renamed", "run.json"),
    "killed before the first checkpoint": Incident(STEP, number=2),
    "killed amid a row": Incident(ROW, after=("scratch", 3)),
    "interrupted amid a step": Incident(STEP, after=("scratch", 5), act="interrupt"),
    "interrupted amid a checkpoint": Incident("half", "scratch.safetensors", ("scratch", 7), act="interrupt"),
    "killed with nothing missing but the page": Incident("half", "report.html"),
}
FULL = {
    "amid a checkpoint": ("opened", "scratch.safetensors", ("scratch", 4)),
    "amid a row": (ROW, "", ("scratch", 4)),
    "before anything was learned": ("opened", "splits.csv"),
}


# Killed.


@pytest.mark.parametrize("name", RECIPES)
def test_killed_at_any_moment_it_ends_with_the_same_weights(name: str, lived: Lived) -> None:
    ends = lived.ends[name]
    assert [end.code for end in lived.ends[f"{name}-whole"]] == [0], lived.ends[f"{name}-whole"]
    assert [end.code for end in ends] == [-9] * (KILLS + 1) + [0], ends
    assert "going on with" in ends[-1].said
    assert differences(lived.run(name), lived.run(f"{name}-whole")) == []
    # The comparison says something: the kept weights are of the stage that was killed, and not those it began with.
    result = document(lived.run(name))["result"]
    assert result["stage"] == RECIPES[name].stage and result["epoch"] > 1, result


def test_there_were_twenty_kills_of_every_kind(lived: Lived) -> None:
    incidents = [each for name in RECIPES for each in drawn_kills(name, KILLS, SEED)[:-1]]
    assert len(incidents) == 20
    assert [each.place for each in incidents].count(STEP) == 10
    assert len({each.place for each in incidents}) >= 5
    assert sum(end.code == -9 for name in RECIPES for end in lived.ends[name]) == 25


def test_killed_after_some_time(lived: Lived) -> None:
    ends = lived.ends["clock"]
    assert {end.code for end in ends[:-1]} <= {0, -9} and ends[-1].code == 0, ends
    assert differences(lived.run("clock"), lived.run("adamw-whole")) == []


@pytest.mark.parametrize("what", OTHERS)
def test_whatever_happens_it_goes_on(what: str, lived: Lived) -> None:
    end, after = (lived.ends["others"][list(OTHERS).index(what) + later] for later in (0, 1))
    assert "Traceback" not in end.said
    assert "going on with" in after.said or "is done already" in after.said, after
    if what.startswith("killed"):
        assert end.code == -9, end
    else:
        assert end.code == 130, end
        assert "go on by: lensmith train --resume runs/others\n" in end.said


def test_after_all_that_it_ends_with_the_same_weights(lived: Lived) -> None:
    assert lived.ends["others"][-1].code == 0, lived.ends["others"][-1]
    assert differences(lived.run("others"), lived.run("adamw-whole")) == []


# A full disk.


@pytest.mark.parametrize("when", FULL)
def test_a_full_disk_leaves_a_run_that_goes_on(when: str, lived: Lived) -> None:
    if "full" not in lived.ends:
        pytest.skip("this system makes no disk of our own")
    place = 2 * list(FULL).index(when)
    first, second = lived.ends["full"][place : place + 2]
    assert first.code == 1, first
    assert "lensmith: the disk is full" in first.said and "Traceback" not in first.said
    run = lived.folder / "copied" / "runs" / when
    if when.startswith("before"):  # nothing is left behind
        assert not run.exists() and second.code == 1 and "no run at" in second.said
        return
    assert "go on by: lensmith train --resume" in first.said
    assert second.code == 0, second
    assert differences(run, lived.run("adamw-whole")) == []


# Refused.


@pytest.fixture
def stopped(lived: Lived, tmp_path: Path) -> Path:
    """A run that was killed in its sixth epoch."""
    assert [end.code for end in lived.ends["stopped"]] == [-9]
    return Path(shutil.copytree(lived.run("stopped"), tmp_path / "runs" / "stopped"))


def test_a_finished_run_is_given_back(lived: Lived, capsys: Capture) -> None:
    run = lived.run("adamw-whole")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    said = lensmith(capsys, "train", "--resume", run)
    assert said.code == 0 and "is done already" in said.err and "accuracy" in said.out
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_run_that_another_process_trains_is_left_to_it(stopped: Path, capsys: Capture) -> None:
    holding = "import sys; from pathlib import Path; from lensmith.run import Run\n"
    holding += "with Run(Path(sys.argv[1])).claimed():\n    print('held', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", holding, str(stopped)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    refused(lensmith(capsys, "train", "--resume", stopped), 1, "is being trained by another process", "Wait for it")
    other.kill()  # and what a killed process held is free
    other.communicate()
    assert lensmith(capsys, "train", "--resume", stopped, "--quiet").code == 0


def test_other_options_are_named(stopped: Path, tmp_path: Path, capsys: Capture) -> None:
    said = lensmith(capsys, "train", "--resume", stopped, "--epochs", 40, "--mixup", 0.3)
    refused(said, 2, "epochs", "mixup", "the run's own settings")
    refused(lensmith(capsys, "train", tmp_path, "--resume", stopped, "--name", "other"), 2, "data", "name")


def test_near_names_are_named(stopped: Path, capsys: Capture) -> None:
    refused(
        lensmith(capsys, "train", "--resume", "stoped", "--out", stopped.parent), 1, "no run at 'stoped'", "stopped"
    )
    refused(lensmith(capsys, "train", "--resume", "first", "--out", stopped.parent / "none"), 1, "There are no runs")


def changed_picture(pictures: Path) -> None:
    shutil.copy(pictures / "disc" / "003.png", pictures / "cross" / "003.png")


def one_more(pictures: Path) -> None:
    shutil.copy(pictures / "disc" / "003.png", pictures / "disc" / "zzz.png")


def one_less(pictures: Path) -> None:
    (pictures / "disc" / "011.png").unlink()


def other_label(pictures: Path) -> None:
    (pictures / "cross" / "005.png").rename(pictures / "disc" / "999.png")


@pytest.mark.parametrize("change", [changed_picture, one_more, one_less, other_label])
def test_changed_pictures_are_an_error(
    change: Callable[[Path], None], lived: Lived, stopped: Path, tmp_path: Path, capsys: Capture
) -> None:
    pictures = Path(shutil.copytree(lived.folder / "pictures", tmp_path / "pictures"))
    said = json.loads((stopped / "run.json").read_text())
    said["request"]["data"] = str(pictures)
    (stopped / "run.json").write_text(json.dumps(said))
    change(pictures)
    refused(lensmith(capsys, "train", "--resume", stopped), 1, "the pictures have changed", "Train again")
    shutil.rmtree(pictures)
    refused(lensmith(capsys, "train", "--resume", stopped), 1, "no such folder")
    assert Run(stopped).resumable  # nothing of it was touched


def test_weights_are_found_from_any_folder_and_other_weights_are_an_error(
    lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        shutil.copytree(lived.run("mine"), tmp_path / name)
    assert lensmith(capsys, "train", "--resume", "first", "--out", ".", "--quiet").code == 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        save_tensors(Convnet((4, 8)).state_dict(), lived.folder / "mine.safetensors")
    refused(lensmith(capsys, "train", "--resume", "second", "--out", "."), 1, "weights", "have changed", "Train again")


# Damaged.


def rewritten(file: Path, change: Callable[[dict[str, np.ndarray], dict[str, str]], None]) -> None:
    """Write a checkpoint again with other content, as valid a file as before."""
    with safe_open(file, "numpy") as opened:
        said = dict(opened.metadata())
    tensors = load_file(file)
    change(tensors, said)
    save_file(tensors, file, said)


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def random_bytes(file: Path) -> None:
    file.write_bytes(generator(SEED, "bytes").bytes(file.stat().st_size))


def one_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-5] ^= 1  # of a number that any tensor may hold
    file.write_bytes(data)


def huge_header(file: Path) -> None:
    file.write_bytes((1 << 62).to_bytes(8, "little") + file.read_bytes()[8:])


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def no_metadata(file: Path) -> None:
    save_file(load_file(file), file)


def nested(file: Path) -> None:
    rewritten(file, lambda _, said: said.update(document="[" * 200_000))


def no_rows(file: Path) -> None:
    rewritten(file, lambda _, said: said.update(document='{"why": "", "stopping": {}}'))


def other_number(file: Path) -> None:
    def change(tensors: dict[str, np.ndarray], said: dict[str, str]) -> None:
        said["document"] = re.sub(r'"waited": \d', '"waited": 9', said["document"])

    rewritten(file, change)


def other_shape(file: Path) -> None:
    def change(tensors: dict[str, np.ndarray], said: dict[str, str]) -> None:
        tensors["now.network.head.0.weight"] = np.zeros((2, 2), np.float32)

    rewritten(file, change)


def tensor_gone(file: Path) -> None:
    def change(tensors: dict[str, np.ndarray], said: dict[str, str]) -> None:
        del tensors[next(name for name in tensors if "exp_avg" in name)]

    rewritten(file, change)


DAMAGES = [
    truncated, emptied, random_bytes, one_bit, huge_header, a_folder, no_metadata, nested, no_rows, other_number,
    other_shape, tensor_gone,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named(damage: Callable[[Path], None], stopped: Path, capsys: Capture) -> None:
    file = stopped / "checkpoint" / "scratch.safetensors"
    damage(file)
    refused(lensmith(capsys, "train", "--resume", stopped), 1, "scratch.safetensors is damaged", "Remove it")
    assert stopped.exists() and file.exists()


def test_what_it_says_to_do_about_a_damaged_checkpoint_helps(stopped: Path, capsys: Capture) -> None:
    (stopped / "checkpoint" / "scratch.safetensors").unlink()
    assert lensmith(capsys, "train", "--resume", stopped, "--quiet").code == 0
    assert document(stopped)["status"] == "done"


def of_another_network(tensors: dict[str, np.ndarray]) -> None:
    for name in [name for name in tensors if "head.0" in name]:
        tensors[name] = np.zeros((2, *tensors[name].shape), np.float32)


def of_another_optimizer(tensors: dict[str, np.ndarray]) -> None:
    for name in [name for name in tensors if "exp_avg" in name]:
        tensors[name] = np.zeros(1, np.float32)


def of_no_epoch(tensors: dict[str, np.ndarray]) -> None:
    del tensors["now.epoch"]


@pytest.mark.parametrize("change", [of_another_network, of_another_optimizer, of_no_epoch])
def test_a_whole_checkpoint_of_another_training_is_refused(
    change: Callable[[dict[str, np.ndarray]], None], stopped: Path, capsys: Capture
) -> None:
    found = Run(stopped).read_checkpoint("scratch")
    assert found is not None
    change(found[0])
    Run(stopped).write_checkpoint("scratch", *found)
    refused(lensmith(capsys, "train", "--resume", stopped), 1, "the checkpoint does not fit this training")


def test_a_whole_checkpoint_of_another_version_is_refused(stopped: Path, capsys: Capture) -> None:
    found = Run(stopped).read_checkpoint("scratch")
    assert found is not None
    for broken in (
        {},
        {**found[1], "rows": None},
        {**found[1], "stopping": {**found[1]["stopping"], "best": {"a": 1}}},
    ):
        Run(stopped).write_checkpoint("scratch", found[0], broken)
        refused(lensmith(capsys, "train", "--resume", stopped), 1, "is not of this lensmith")


def test_damaged_run_documents_are_named(stopped: Path, capsys: Capture) -> None:
    whole = json.loads((stopped / "run.json").read_text())
    for request in (None, {}, {**whole["request"], "unknown": 1}, {**whole["request"], "dense": 5}):
        (stopped / "run.json").write_text(json.dumps({**whole, "request": request}))
        refused(lensmith(capsys, "train", "--resume", stopped), 1, "is damaged", "Train again")
