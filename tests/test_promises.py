"""What lensmith promises whatever happens: no torch and no network where none is needed, nothing half-written after
a kill, nothing executed, nothing published, nothing written beside the data."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import lensmith as house
from conftest import draw_shape, write_shapes
from lensmith.run import HISTORY, Run
from running import ESCAPE, can_unshare, leftovers, lensmith, process, refused, snapshot, table

NETWORK = "convnet/4-8"
SMALL = ("--recipe", "scratch", "--network", NETWORK, "--image-size", "16", "--quiet")

# Runs several commands in one process, each through the front door, and writes down how each ended.
DRIVER = """
import json, os, sys, traceback
from pathlib import Path
from lensmith import cli

ended, asked = [], Path(os.environ["ASKED"])
for arguments in json.loads(sys.argv[1]):
    sys.argv, code = ["lensmith", *arguments], 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        code = traceback.format_exc()
    ended.append({"code": code, "asked": asked.read_text() if asked.exists() else ""})
    asked.unlink(missing_ok=True)
Path(os.environ["ENDED"]).write_text(json.dumps(ended))
"""
# Python imports sitecustomize before anything else.
NO_TORCH = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "sklearn"):
            raise ModuleNotFoundError(f"{name} is not to be imported here")

sys.meta_path.insert(0, Missing())
"""
NO_NETWORK = """
import os, socket

def refuse(*arguments, **options):
    with open(os.environ["ASKED"], "a") as file:
        print(arguments, file=file)
    raise OSError("there is no network here")

socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
"""


def drive(
    commands: list[list[object]], site: str, folder: Path, before: tuple[str, ...] = (), **environment: str
) -> list[dict[str, Any]]:
    """Run commands in one process that begins with the code `site`; return code and network requests of each."""
    place = folder / "site"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(site)
    ways = {"PYTHONPATH": os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")])}
    files = {"ASKED": str(folder / "asked"), "ENDED": str(folder / "ended")}
    text = json.dumps([[str(word) for word in command] for command in commands])
    said = process(["-c", DRIVER, text], folder=folder, environment={**ways, **files, **environment}, before=before)
    assert said.code == 0, said.err
    ended: list[dict[str, Any]] = json.loads((folder / "ended").read_text())
    late = (folder / "asked").read_text() if (folder / "asked").exists() else ""  # from a thread behind
    ended[-1]["asked"] += late
    return [{**each, "err": said.err, "out": said.out} for each in ended]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("small") / "small", each=8, size=16)


@pytest.fixture(scope="module")
def scratch(pictures: Path, out: Path) -> Run:
    return house.train(
        pictures, recipe="scratch", network=NETWORK, image_size=16, epochs=3, out=out, name="scratch", quiet=True
    )


@pytest.fixture(scope="module")
def weights(scratch: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tensors = load_file(scratch.model_folder / "model.safetensors")
    wanted = {name[5:]: tensor for name, tensor in tensors.items() if name.startswith("base.")}
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file({name: tensor for name, tensor in wanted.items() if "num_batches" not in name}, file)
    return file


# No torch on the common path.


def test_common_path_needs_no_torch(scratch: Run, pictures: Path, weights: Path, out: Path, tmp_path: Path) -> None:
    options = {"recipe": "features", "network": NETWORK, "weights": weights, "image_size": 16}
    house.train(pictures, **options, out=out, name="first-with-features", quiet=True)
    again = [
        "train", pictures, "--recipe", "features", "--network", NETWORK, "--weights", weights, "--image-size", 16,
        "--out", out, "--name", "without-torch", "--seed", 4,
    ]  # fmt: skip
    picture = pictures / "disc" / "001.png"
    commands: list[list[object]] = [
        ["predict", scratch.folder, picture],
        ["evaluate", scratch.folder],
        again,
        ["evaluate", out / "without-torch", pictures],
        ["report", out / "without-torch"],
        ["check", pictures],
        ["cache"],
    ]
    ended = drive(commands, NO_TORCH, tmp_path)
    for command, end in zip(commands, ended, strict=True):
        assert end["code"] == 0, f"{command}: {end}"
    assert Run(out / "without-torch").document["status"] == "done"


def test_common_path_needs_no_torch_with_real_weights(data: Path, mobilenet: Path, tmp_path: Path) -> None:
    options = ["--recipe", "features", "--weights", mobilenet, "--image-size", 64, "--out", tmp_path, "--quiet"]
    some = tmp_path / "some"
    for name in ("ants", "bees"):
        (some / name).mkdir(parents=True)
        for picture in sorted((data / "ants-bees" / "train" / name).iterdir())[:12]:
            shutil.copy(picture, some / name)
    house.train(some, recipe="features", weights=mobilenet, image_size=64, out=tmp_path, name="first", quiet=True)
    commands: list[list[object]] = [
        ["train", some, *options, "--name", "second"],
        ["predict", tmp_path / "second", some],
        ["evaluate", tmp_path / "second"],
    ]
    assert [end["code"] for end in drive(commands, NO_TORCH, tmp_path)] == [0, 0, 0]


# No network.


@pytest.fixture(scope="module")
def alone(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The whole way in processes that cannot reach the network and write down each try.

    The second process predicts before it trains: what a library does when it is loaded, and how, may depend on that.
    Last, weights are left to be found.
    """
    place = tmp_path_factory.mktemp("alone")
    run = place / "runs" / "one"
    first: list[list[object]] = [
        ["check", pictures],
        ["train", pictures, *SMALL, "--epochs", 2, "--name", "one"],
        ["evaluate", run],
        ["report", run],
    ]
    second: list[list[object]] = [
        ["predict", run, pictures],
        ["train", pictures, *SMALL, "--epochs", 1, "--seed", 1],
        ["train", pictures, "--epochs", 1, "--name", "open"],
    ]
    before = ("unshare", "-rn") if can_unshare("-rn") else ()
    # An empty store, and homes where no library has kept weights before.
    homes = {name: str(place / name) for name in ("HOME", "XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME")}
    for home in homes.values():
        Path(home).mkdir()
    surroundings = {**homes, "LENSMITH_CACHE": str(place / "cache"), "LENSMITH_OFFLINE": "", "HF_HUB_OFFLINE": ""}
    ended = [drive(commands, NO_NETWORK, place, before, **surroundings) for commands in (first, second)]
    return place, [*ended[0], *ended[1]]


def test_nothing_asks_for_a_network(alone: tuple[Path, list[dict[str, Any]]]) -> None:
    place, ended = alone
    for end in ended[:-1]:
        assert end["code"] == 0, end
        assert end["asked"] == ""
    hosts = re.findall(r"'([\w-]+(?:\.[\w-]+)+)'", ended[-1]["asked"])
    assert set(hosts) <= {"download.pytorch.org"}  # weights were left to be found, and only they were looked for
    assert list((place / "HOME").iterdir()) == []


def test_weights_that_cannot_be_fetched_are_said(alone: tuple[Path, list[dict[str, Any]]]) -> None:
    place, ended = alone
    assert ended[-1]["code"] == 0, ended[-1]
    assert "--weights PATH" in ended[-1]["err"]
    run = Run(place / "runs" / "open")
    assert run.document["recipe"]["recipe"] == "scratch"
    said = " ".join(run.document["verdict"])
    assert "for want of pretrained weights" in said
    assert "--weights PATH" in said and "mobilenet_v2" in said
    assert "for want of pretrained weights" in run.report.read_text(encoding="utf-8")


def test_the_whole_way_without_a_network(alone: tuple[Path, list[dict[str, Any]]]) -> None:
    if not can_unshare("-rn"):
        pytest.skip("this system makes no namespace without a network")
    place, ended = alone
    assert [end["code"] for end in ended] == [0] * 7, ended
    assert len(list((place / "runs").glob("*/report.html"))) == 3


# Killed at any moment.

# What runs in the background may have been told to ignore the keyboard.
HEARING = """
import signal
from lensmith.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def test_stopped_by_a_signal(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    words = ["train", pictures, *SMALL[:-1], "--epochs", 100_000, "--patience", 100_000, "--out", tmp_path / "runs"]
    kinds = {"term": signal.SIGTERM, "int": signal.SIGINT}
    running = {
        name: subprocess.Popen(
            [sys.executable, "-c", HEARING, *map(str, words), "--name", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in kinds
    }
    try:
        for name, started in running.items():
            history = tmp_path / "runs" / name / "history.csv"
            wait_for(lambda history=history: history.exists() and history.read_text().count("\n") > 3, started)
            started.send_signal(kinds[name])
        for name, started in running.items():
            printed, complaint = started.communicate(timeout=30)
            assert started.returncode == 130, complaint
            assert printed == ""
            assert "Traceback" not in complaint
            assert re.search("interrupted|stopped", complaint.splitlines()[-1])
            check_whole(tmp_path / "runs" / name)
            assert Run(tmp_path / "runs" / name).document["status"] == "stopped"
            assert leftovers(tmp_path / "runs" / name) == []
    finally:
        for started in running.values():
            started.kill()
            started.communicate()
    refused(lensmith(capsys, "predict", tmp_path / "runs" / "int", pictures), 1, "did not get that far")
    refused(lensmith(capsys, "evaluate", tmp_path / "runs" / "int"), 1, "did not get that far")
    assert lensmith(capsys, "report", tmp_path / "runs" / "int").code == 0


def wait_for(true: Callable[[], bool], started: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert started.poll() is None, started.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


# Imports everything once, then forks a child for each killing: nothing is computed before the fork, since the threads
# of the libraries would not survive it. Each child has its own seed, hence its own weights and its own conversion;
# every other one stays with torch, which is quicker.
KILLER = """
import json, os, signal, sys, time, traceback
import openvino.frontend.pytorch.ts_decoder, safetensors.numpy, torch._dynamo, torch.onnx
import lensmith.engines.convert, lensmith.zoo.build, lensmith.zoo.cut, lensmith.zoo.trace
import lensmith.reports, lensmith.seeing.cam, lensmith.training.fit, lensmith.training.trials
from lensmith import cli
from lensmith.reproduce import generator
from lensmith.verbs import show, train

signal.signal(signal.SIGINT, signal.default_int_handler)

def child(name, seed):
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        log = os.open(f"{name}.log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1), os.dup2(log, 2)
        sys.argv = ["lensmith", *words, "--name", name, "--seed", str(seed)]
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)

def ended(pid):
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status)

words, kills, stops = json.loads(sys.argv[1])
codes, whole, given = {}, [], words
for engine in ("openvino", "torch"):
    start, words = time.monotonic(), [*given, "--engine", engine]
    codes[engine] = ended(child(engine, 1000))
    whole.append(time.monotonic() - start)
for sign, count, first in ((signal.SIGKILL, kills, 0.0), (signal.SIGINT, stops, 0.1)):
    for number in range(count):
        share = first + (1 - first) * (number + generator(0, sign.name, number).random()) / count
        name, words = f"{sign.name}-{number}", [*given, "--engine", ("openvino", "torch")[number % 2]]
        pid = child(name, number)
        time.sleep(share * whole[number % 2])
        os.kill(pid, sign)
        codes[name] = ended(pid)
print(json.dumps(codes))
"""


def test_killed_at_random_moments(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("LENSMITH_CACHE", str(tmp_path / "cache"))
    words = ["train", str(pictures), *SMALL[:-1], "--epochs", "12", "--patience", "12"]
    said = process(["-c", KILLER, json.dumps([words, 10, 3])], folder=tmp_path)
    assert said.code == 0, said.err
    codes: dict[str, int] = json.loads(said.out)
    logs = {name: (tmp_path / f"{name}.log").read_text() for name in codes}
    assert codes.pop("openvino") == codes.pop("torch") == 0, logs
    assert set(codes.values()) <= {0, 130, -signal.SIGKILL}, codes
    assert list(codes.values()).count(-signal.SIGKILL) >= 6
    assert 130 in codes.values()
    for name, code in codes.items():
        assert "Traceback" not in logs[name], logs[name]
        folder = tmp_path / "runs" / name
        if folder.exists():
            check_whole(folder)
        if code == 130 and folder.exists():
            assert leftovers(folder) == []
            assert Run(folder).document["status"] in ("stopped", "done")
        if (folder / "run.json").exists():
            assert lensmith(capsys, "report", folder).code == 0
            assert lensmith(capsys, "predict", folder, pictures / "disc", "--quiet").code in (0, 1)
    for file in (tmp_path / "cache").rglob("*.sqlite"):
        with sqlite3.connect(file) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    # The next training, on what the killed ones left in the store, gives what the undisturbed one gave.
    after = lensmith(capsys, *words, "--seed", 1000, "--out", tmp_path / "runs", "--name", "after")
    assert after.code == 0, after.err
    one, other = ((tmp_path / "runs" / name) for name in ("openvino", "after"))
    for name in ("metrics.json", "predictions.csv", "splits.csv", "model/model.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    # What killed processes had begun to write into the store goes with the rest.
    assert lensmith(capsys, "cache", "--clear").code == 0
    assert leftovers(tmp_path / "cache") == []


# An interruption at the worst place: in Python that C++ has called, where nobody above expects an exception.
INTERRUPTED_CONVERSION = """
import os, signal, sys
sys.modules["openvino_telemetry"] = None
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder as Decoder
from lensmith.cli import main

def interrupted(self, plain=Decoder.get_op_type):
    os.kill(os.getpid(), signal.SIGINT)
    return plain(self)

signal.signal(signal.SIGINT, signal.default_int_handler)
Decoder.get_op_type = interrupted
main()
"""


def test_interrupted_while_a_base_is_converted(pictures: Path, tmp_path: Path) -> None:
    words = ["train", pictures, *SMALL, "--epochs", 1, "--name", "one"]
    surroundings = {"LENSMITH_CACHE": str(tmp_path / "cache")}
    said = process(["-c", INTERRUPTED_CONVERSION, *words], folder=tmp_path, environment=surroundings)
    assert said.code == 130, said
    assert "terminate" not in said.err and "cannot take this network" not in said.err
    assert leftovers(tmp_path / "cache") == []
    if (tmp_path / "runs" / "one").exists():
        assert Run(tmp_path / "runs" / "one").document["status"] == "stopped"


def check_whole(folder: Path) -> None:
    """Check that every file of a run is there as a whole; only the last line of history.csv may be cut short."""
    for path in folder.rglob("*"):
        if path.is_dir() or path.name.startswith("."):
            continue
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.name == "history.csv":
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]
            assert all(line.count(",") == len(HISTORY) - 1 for line in lines)
        elif path.suffix == ".csv":
            assert path.read_bytes().endswith(b"\n")
            table(path)
        elif path.suffix == ".safetensors":
            load_file(path)
        elif path.suffix == ".jpg":
            Image.open(path).load()
        elif path.name == "report.html":
            assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")


# Nothing of a file is executed.


class Hostile:
    """What a hostile pickle holds: a call that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return (Path.write_text, (self.mark, "it ran"))  # type: ignore[return-value]


@pytest.mark.parametrize("ending", [".pth", ".pt", ".bin"])
@pytest.mark.parametrize("zipped", [True, False])
def test_hostile_pickle_does_not_run(ending: str, zipped: bool, pictures: Path, tmp_path: Path, capsys: Any) -> None:
    import torch

    mark, file = tmp_path / "mark", tmp_path / f"weights{ending}"
    if zipped:
        torch.save({"blocks.1.conv.weight": Hostile(mark)}, file)
    else:
        file.write_bytes(pickle.dumps(Hostile(mark)))
    said = lensmith(
        capsys, "train", pictures, "--network", NETWORK, "--weights", file, "--image-size", 16,
        "--out", tmp_path / "runs",
    )  # fmt: skip
    refused(said, 1, str(file), "nothing of it was run")
    assert not mark.exists()
    assert not (tmp_path / "runs").exists()
    pickle.loads(pickle.dumps(Hostile(mark)))
    assert mark.exists()  # the file is as hostile as it looks


ODD_CONFIGS: dict[str, Any] = {
    "format 99": lambda c: c | {"format": 99},
    "format of text": lambda c: c | {"format": "new"},
    "a list": lambda c: [c],
    "nothing": lambda c: {},
    "classes of one": lambda c: c | {"classes": ["disc"]},
    "classes of numbers": lambda c: c | {"classes": 3},
    "classes repeated": lambda c: c | {"classes": ["disc", "disc", "disc"]},
    "classes too many": lambda c: c | {"classes": ["a", "b", "c", "d"]},
    "no classes": lambda c: {key: value for key, value in c.items() if key != "classes"},
    "threshold with three classes": lambda c: c | {"threshold": 0.5},
    "threshold of text": lambda c: c | {"threshold": "high"},
    "no preprocessing": lambda c: c | {"preprocessing": None},
    "huge pictures": lambda c: c | {"preprocessing": c["preprocessing"] | {"image_size": 10**9}},
    "size of text": lambda c: c | {"preprocessing": c["preprocessing"] | {"image_size": "16"}},
    "odd resize": lambda c: c | {"preprocessing": c["preprocessing"] | {"resize": "../x"}},
    "unknown field": lambda c: c | {"preprocessing": c["preprocessing"] | {"more": 1}},
    "crop of nothing": lambda c: c | {"preprocessing": c["preprocessing"] | {"crop": 0}},
    "crop of more": lambda c: c | {"preprocessing": c["preprocessing"] | {"crop": -1e9}},
    "mean of one": lambda c: c | {"preprocessing": c["preprocessing"] | {"mean": [0.5]}},
    "std of zero": lambda c: c | {"preprocessing": c["preprocessing"] | {"std": [0, 0, 0]}},
    "unknown network": lambda c: c | {"network": "../../etc"},
    "another network": lambda c: c | {"network": "lensmith/convnet/99"},
    "unknown cut": lambda c: c | {"cut": "nowhere"},
    "odd pool": lambda c: c | {"pool": "most"},
    "no engine": lambda c: c | {"engine": None},
    "odd engine": lambda c: c | {"engine": c["engine"] | {"name": "x"}},
    "odd precision": lambda c: c | {"engine": c["engine"] | {"precision": "../../x"}},
}


@pytest.mark.parametrize("odd", ODD_CONFIGS)
def test_hostile_config_gives_a_clear_error(
    odd: str, scratch: Run, pictures: Path, tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(scratch.folder, folder)
    config = folder / "model" / "config.json"
    config.write_text(json.dumps(ODD_CONFIGS[odd](json.loads(config.read_text()))))
    said = lensmith(capsys, "predict", folder, pictures / "disc", "--quiet")
    if odd == "odd precision" and said.code == 0:
        return  # a precision this machine does not offer is replaced by the best one
    assert said.code in (1, 2), said
    refused(said, said.code, "lensmith: ")


@pytest.mark.parametrize("left", [0, 4, 200, 0.5, 0.99])
def test_truncated_weights_give_a_clear_error(
    left: float, scratch: Run, pictures: Path, tmp_path: Path, capsys: Any
) -> None:
    shutil.copytree(scratch.folder, tmp_path / "cut")
    file = tmp_path / "cut" / "model" / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(left * len(content) if 0 < left < 1 else left)])
    refused(lensmith(capsys, "predict", tmp_path / "cut", pictures), 1, "model.safetensors", "damaged", "Train again")


def test_weights_of_something_else_give_a_clear_error(
    scratch: Run, pictures: Path, tmp_path: Path, capsys: Any
) -> None:
    shutil.copytree(scratch.folder, tmp_path / "other")
    file = tmp_path / "other" / "model" / "model.safetensors"
    tensors = load_file(file)
    without_head = {name: value for name, value in tensors.items() if not name.startswith("head.")}
    wrong_head = without_head | {
        "head.0.weight": tensors["head.0.weight"][:, :-1],
        "head.0.bias": tensors["head.0.bias"],
    }
    wrong_base = tensors | {"base.blocks.1.conv.weight": tensors["base.blocks.1.conv.weight"][:-1]}
    without_base = {name: value for name, value in tensors.items() if name.startswith("head.")}
    for changed in (without_head, wrong_head, wrong_base, without_base):
        save_file({name: value.copy() for name, value in changed.items()}, file)
        refused(lensmith(capsys, "predict", tmp_path / "other", pictures, "--quiet"), 1, "lensmith: ")


# Names stay text, and nothing of a camera is published.

CLASS_NAMES = (
    "<script>alert(1)",
    '"><img src=x onerror=alert(1)>',
    'it\'s "quoted" & more',
    "ünï çødé 🐜 日本",
    "  spaces  ",
    "-rf",
    "=1+1",
    "a,b;c\td",
    "p:disc",
    "{{ 7 * 7 }}",
    "x" * 200,
)


@pytest.fixture(scope="module")
def oddly_named(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A run on classes and files of which every name is awkward."""
    folder = tmp_path_factory.mktemp("odd") / "-a 'folder' <b>&amp;"
    for number, name in enumerate(CLASS_NAMES):
        (folder / name).mkdir(parents=True)
        for place in range(5):
            picture = draw_shape(("cross", "disc", "square")[number % 3], 100 * number + place, 16)
            picture.save(folder / name / f"{name[:200]}{place}.png")
    run = house.train(
        folder, recipe="scratch", network=NETWORK, image_size=16, epochs=1, out=folder.parent / "runs", quiet=True
    )
    return folder, run


def test_awkward_names_survive_everything(oddly_named: tuple[Path, Run], capsys: Any) -> None:
    folder, run = oddly_named
    classes = json.loads((run.model_folder / "config.json").read_text(encoding="utf-8"))["classes"]
    assert sorted(classes) == sorted(CLASS_NAMES)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    rows = table(run.folder / "splits.csv")
    assert sorted(row["path"] for row in rows) == files
    assert {row["target"] for row in rows} == set(CLASS_NAMES)
    predicted = table(run.folder / "predictions.csv")
    assert [column[2:] for column in list(predicted[0])[4:]] == classes
    said = lensmith(capsys, "predict", run.folder, folder, "--json", "--quiet")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert sorted(entry["path"] for entry in found) == [str(folder / file) for file in files]
    assert {entry["predicted"] for entry in found} <= set(CLASS_NAMES)
    for words in (
        ["evaluate", run.folder],
        ["evaluate", run.folder, folder],
        ["check", folder],
        ["report", run.folder],
    ):
        said = lensmith(capsys, *words)
        assert said.code == 0, said.err
        assert ESCAPE not in said.out
    assert lensmith(capsys, "predict", run.folder, folder).code == 0
    assert lensmith(capsys, "predict", run.folder, folder, "--csv").code == 0


def test_file_that_begins_with_a_dash(
    oddly_named: tuple[Path, Run], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    folder, run = oddly_named
    monkeypatch.chdir(folder / "-rf")
    said = lensmith(capsys, "predict", run.folder, "--json", "--quiet", "--", "-rf0.png")
    assert [entry["path"] for entry in json.loads(said.out)] == ["-rf0.png"]
    assert lensmith(capsys, "predict", run.folder, "./-rf0.png").code == 0


def test_awkward_names_stay_text_in_the_report(oddly_named: tuple[Path, Run]) -> None:
    _, run = oddly_named

    class Page(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: set[str] = set()
            self.attributes: set[str] = set()
            self.text = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.add(tag)
            self.attributes |= {name for name, _ in attrs}

        def handle_data(self, data: str) -> None:
            self.text += data

    page = Page()
    page.feed(run.report.read_text(encoding="utf-8"))
    assert not page.tags & {"script", "iframe", "object", "embed", "base", "form"}
    assert not [name for name in page.attributes if name.startswith("on")]
    shown = " ".join(page.text.split())
    for name in CLASS_NAMES:
        assert " ".join(name.split())[:40] in shown, name
    assert "49" not in re.findall(r"\{\{.*?\}\}|\b49\b", shown)
    card = (run.model_folder / "README.md").read_text(encoding="utf-8")
    assert all(name in card for name in CLASS_NAMES[:3])


def test_name_that_is_no_text_is_passed_over_or_named(
    make_shapes: Callable[..., Path], scratch: Run, tmp_path: Path
) -> None:
    """Bytes that are not UTF-8: every verb goes on, on a real standard output, in any encoding."""
    folder = make_shapes(each=8, size=16)
    try:
        name = os.fsdecode(b"caf\xe9.png")
        shutil.copy(folder / "disc" / "000.png", folder / "disc" / name)
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    run = house.train(folder, recipe="scratch", network=NETWORK, image_size=16, epochs=1, out=tmp_path, quiet=True)
    assert run.document["findings"]["used"] == 24
    assert run.document["findings"]["not_pictures"]["count"] == 1
    commands: list[list[object]] = [
        ["check", folder],
        ["check", folder, "--json"],
        ["predict", scratch.folder, folder / "disc"],
        ["predict", scratch.folder, folder / "disc", "--json"],
        ["predict", scratch.folder, folder / "disc", "--csv"],
        ["predict", scratch.folder, folder / "disc" / name],
        ["evaluate", scratch.folder, folder],
    ]
    ended = drive(commands, "", tmp_path, PYTHONIOENCODING="ascii")
    for command, end in zip(commands, ended, strict=True):
        assert end["code"] == 0, f"{command}: {end['code']}"


def camera_picture(number: int) -> bytes:
    """A JPEG as a telephone writes it: place, owner, comment, preview."""
    exif = Image.Exif()
    exif[0x010E] = "SECRET-WORDS"
    exif[0x013B] = "SECRET-OWNER"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    file = io.BytesIO()
    picture = draw_shape("disc", 900 + number, 48)
    picture.save(
        file, "JPEG", exif=exif, comment=b"SECRET-COMMENT", xmp=b"<x>SECRET-XMP</x>", icc_profile=b"SECRET-ICC"
    )
    return file.getvalue()


def test_nothing_of_a_camera_is_published(make_shapes: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_shapes(each=6, size=48)
    (folder / "photo").mkdir()
    for number in range(12):
        (folder / "photo" / f"{number}.jpg").write_bytes(camera_picture(number))
    run = house.train(
        folder, recipe="scratch", network=NETWORK, image_size=16, epochs=1, out=tmp_path / "runs", quiet=True
    )
    shown = [entry["path"] for entry in json.loads((run.folder / "figures" / "pictures.json").read_text())]
    assert any(path.startswith("photo/") for path in shown)
    page = run.report.read_text(encoding="utf-8")
    inside = [base64.b64decode(part) for part in re.findall(r"base64,([A-Za-z0-9+/=]+)", page)]
    assert len(inside) >= len(shown)
    on_disk = [path.read_bytes() for path in run.folder.rglob("*") if path.is_file()]
    for content in (*inside, *on_disk):
        assert b"SECRET" not in content
        assert b"Exif\0\0" not in content
    for content in inside:
        with Image.open(io.BytesIO(content)) as picture:
            assert not picture.getexif() and "comment" not in picture.info and "icc_profile" not in picture.info
    assert str(folder.parent) not in page  # where the pictures lie is nobody's business when a report is passed on


# Nothing is written beside the data, and what is said is plain.


def test_nothing_is_written_beside_the_data(
    make_shapes: Callable[..., Path], weights: Path, tmp_path: Path, capsys: Any
) -> None:
    folder = make_shapes(each=8, size=16)
    (folder / "disc" / "broken.png").write_bytes(b"broken")
    (folder / "notes.txt").write_text("mine")
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = snapshot(folder)
    out = tmp_path / "runs"
    features = ["--recipe", "features", "--network", NETWORK, "--weights", weights, "--image-size", 16]
    commands: list[list[object]] = [
        ["check", folder],
        ["train", folder, *SMALL, "--epochs", 1, "--out", out, "--name", "scratch"],
        ["train", folder, *features, "--out", out, "--name", "f"],
        ["train", folder, *features[2:], "--budget", "1m", "--out", out, "--name", "ladder"],
        ["evaluate", out / "f"],
        ["evaluate", out / "f", folder],
        ["report", out / "f"],
        ["predict", out / "f", folder / "disc" / "001.png"],
    ]
    for command in commands:
        assert lensmith(capsys, *command).code == 0, command
        assert snapshot(folder) == before, command
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_json_is_all_that_json_prints(scratch: Run, pictures: Path, out: Path, capsys: Any) -> None:
    commands: list[list[object]] = [
        ["check", pictures, "--json"],
        ["train", pictures, *SMALL[:-1], "--epochs", 1, "--out", out, "--name", "as-json", "--json"],
        ["evaluate", scratch.folder, "--json"],
        ["predict", scratch.folder, pictures, "--json"],
        ["networks", "convnet", "--json"],
        ["cache", "--json"],
    ]
    for command in commands:
        said = lensmith(capsys, *command)
        assert said.code == 0, said.err
        # Bare NaN or Infinity would not be JSON.
        json.loads(said.out, parse_constant=lambda word, verb=command[0]: pytest.fail(f"{word} from {verb}"))
        assert ESCAPE not in said.out + said.err


def test_quiet_says_only_what_is_odd_and_lines_are_plain(scratch: Run, pictures: Path, out: Path, capsys: Any) -> None:
    loud = lensmith(capsys, "train", pictures, *SMALL[:-1], "--epochs", 1, "--out", out, "--name", "loud")
    assert "24 pictures with 3 classes" in loud.err
    assert ESCAPE not in loud.out + loud.err and "\r" not in loud.out + loud.err
    assert str(out / "loud" / "report.html") in loud.out and "lensmith predict" in loud.out
    quiet = lensmith(capsys, "train", pictures, *SMALL, "--epochs", 1, "--out", out, "--name", "quiet")
    assert quiet.err == "Fewer than 20 pictures in 3 of 3 classes (cross, disc, square).\n"  # no progress, no summary
    assert lensmith(capsys, "evaluate", scratch.folder, "--quiet").err == ""


@pytest.mark.parametrize(("terminal", "colour"), [("xterm-256color", True), ("xterm-256color", False), ("dumb", True)])
def test_colour_on_a_terminal(terminal: str, colour: bool, scratch: Run, pictures: Path, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    mine, theirs = pty.openpty()
    surroundings = {**os.environ, "TERM": terminal, "NO_COLOR": "" if colour else "1"}
    command = [sys.executable, "-m", "lensmith", "predict", str(scratch.folder), str(pictures)]
    with os.fdopen(theirs, "wb") as screen:
        done = subprocess.run(command, env=surroundings, stdout=subprocess.PIPE, stderr=screen, timeout=60)
    said = b""
    try:
        while part := os.read(mine, 4096):
            said += part
    except OSError:  # the other end is closed
        pass
    os.close(mine)
    assert done.returncode == 0
    assert ESCAPE.encode() not in done.stdout
    assert len(done.stdout.splitlines()) == 24
    coloured = re.search(rb"\x1b\[[0-9;]*[34][0-9]", said) is not None
    assert coloured == (colour and terminal != "dumb"), said
    if terminal == "dumb":
        assert ESCAPE.encode() not in said
