"""The same job in lensmith and in four peers: a folder in, a model and its held-out accuracy out; whole processes.

Every row is one process from shell to written model, with the same ImageNet weights of mobilenet_v2, at 224 pixels, on
the processor, one after the other, on the same copy of the pictures. Each peer is a script in benchmarks/peers/ that
does what its own documentation recommends, in an environment of its own that is made here and used again.

Not timed: making environments, one start of each library (its bytecode is then there and its files are in memory, as
after a first use), copying the pictures. A row that takes less than a minute is run three times; its median is shown
and all times are kept.

`benchmarks/peers.py` does all. `--only "keras features" --count 200 --results FOLDER` is a trial.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

import measure
import photographs
from environments import Environment, Within, within
from processes import MEMORY, Ran, run

SCRIPTS = Path(__file__).parent / "peers"
CHECKED = ("keras", "timm")  # scripts that put the weights in place by themselves, and can show it on ImageNet pictures
SHORT, ROUNDS = 60.0, 3  # seconds; rows that take less are repeated
LIMIT = 3 * 3600.0  # seconds after which a row is given up
KEPT = ("bases", "plans")  # what is left of lensmith's store where the base is converted and the pictures are new
PEERS = {  # what is installed, and what shows that it works
    "keras": (("keras", "tensorflow-cpu", "pillow", "safetensors"), "import keras, tensorflow"),
    "fastai": (("fastai", "timm", "safetensors"), "import fastai.vision.all, timm"),
    "timm": (("timm", "torchvision", "safetensors"), "import timm, torchvision"),
    "ultralytics": (("ultralytics", "safetensors"), "import ultralytics.models.yolo.classify, torchvision"),
}


@dataclass(frozen=True)
class Row:
    """One line of the table: whose, which way, and in words what is done. `state` is that of lensmith's store."""

    peer: str
    way: str
    words: str
    state: str = ""

    @property
    def name(self) -> str:
        """Return what `--only` calls it."""
        return f"{self.peer} {self.way}{', ' if self.state else ''}{self.state}"


ROWS = (
    Row("lensmith", "features", "recipe features with nothing stored, so the base is converted too", "first ever"),
    Row("lensmith", "features", "recipe features, the base converted before, the pictures never seen", "new pictures"),
    Row("lensmith", "features", "the same command for the second time", "again"),
    Row("lensmith", "finetune", "recipe finetune, the base converted before, the pictures never seen", "new pictures"),
    Row("keras", "features", "the base once over all pictures, then a dense layer for 20 epochs; batch 32"),
    Row("keras", "frozen", "the frozen base with augmentation for 3 epochs, pictures cached in memory; batch 32"),
    Row("fastai", "frozen", "vision_learner on timm's network, one epoch with the base frozen; batch 64"),
    Row("fastai", "finetune", "vision_learner on timm's network, fine_tune(1): one epoch frozen, one of all; batch 64"),
    Row("timm", "finetune", "a plain loop over all of the network for 3 epochs, timm's augmentation; batch 32"),
    Row("ultralytics", "frozen", "torchvision's base held by freeze=1, its own head for one epoch; batch 16"),
)


@dataclass(frozen=True)
class Place:
    """Where everything lies; `work` is emptied at the end."""

    work: Path
    environments: dict[str, Environment]
    weights: Path
    within: Within

    def run(self, command: Sequence[str]) -> Ran:
        """Run a command to its end, measured, without a network."""
        command = [*self.within.wall, *command]
        return run(command, variables=self.within.variables, folder=self.work, limit=LIMIT)


def main() -> None:
    asked = arguments()
    chosen = [row for row in ROWS if not asked.only or row.name in asked.only]
    made = {name: Environment(asked.environments / name, *parts) for name, parts in PEERS.items()}
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), made, asked.weights, within(Path(folder)))
        place.within.start(sys.executable, "import lensmith.cli, torch, torchvision, timm, openvino")
        peers = [name for name in PEERS if any(row.peer == name for row in chosen)]
        problems = {name: made[name].prepare(place.within) for name in peers}
        check = {name: imagenet(name, place) for name in CHECKED if problems.get(name) == ""}
        rows = []
        for name in asked.data:
            data = pictures(name, place.work, asked)
            for row in chosen:
                problem = problems.get(row.peer)
                found = {"failed": problem} if problem else measured(row, data, place, asked)
                rows.append({"data": name, "row": row.name, "what": row.words, **found})
                print(line(rows[-1]), flush=True)
        versions = {name: made[name].versions() for name in peers if not problems[name]}
    if asked.results:
        measure.RESULTS = asked.results
    if asked.results or not asked.only:
        measure.write(
            "peers",
            {
                "network": "mobilenet_v2 at 224 pixels, ImageNet weights from one file, on the processor",
                "megabytes are": MEMORY,
                "without a network": bool(place.within.wall),
                "ImageNet pictures right by the mapped weights": check,
                "versions of the peers": versions,
                "rows": rows,
            },
        )
    print("\n".join(["", line({}), *map(line, rows)]))


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description="lensmith and its peers at the same job.")
    add: Callable[..., Any] = parser.add_argument
    add("--only", nargs="+", choices=[row.name for row in ROWS], help="some rows; written only where --results says so")
    add("--data", nargs="+", choices=["photographs", "ants-bees"], default=["photographs", "ants-bees"])
    add("--photographs", type=Path, help="a folder that photographs.py made (default: made anew)")
    add("--count", type=int, default=photographs.COUNT, help="how many photographs to make")
    add("--epochs", type=int, help="epochs of all peers, for a trial")
    add("--rounds", type=int, default=ROUNDS, help="how often short rows are run")
    add(
        "--environments",
        type=Path,
        default=user_cache_path("lensmith") / "benchmarks",
        help="where peers are installed",
    )
    add("--weights", type=Path, help="mobilenet_v2 in torchvision's layout (default: that of LENSMITH_DATA)")
    add("--results", type=Path, help="the folder of peers.json (default: benchmarks/results)")
    asked = parser.parse_args()
    asked.weights = (asked.weights or measure.data() / "weights" / "mobilenet_v2.safetensors").resolve()
    asked.environments = asked.environments.resolve()
    return asked


def pictures(name: str, work: Path, asked: argparse.Namespace) -> Path:
    """Return a copy of the pictures, beside which peers may leave files."""
    copy = work / name
    if name == "photographs" and not asked.photographs:
        copy.mkdir()
        return photographs.make(copy, asked.count)
    return Path(shutil.copytree(asked.photographs if name == "photographs" else measure.data() / name, copy))


def measured(row: Row, data: Path, place: Place, asked: argparse.Namespace) -> dict[str, Any]:
    """Return seconds, memory, accuracy and the number of pictures of a row, or why it failed."""
    runs: list[Ran] = []
    answer: dict[str, Any] = {}
    while len(runs) < asked.rounds and not any(ran.seconds > SHORT for ran in runs):
        ran, found = once(row, data, place, asked.epochs)
        if found is None:
            return {"failed": ran.last_words, "seconds": round(ran.seconds, 2)}
        runs.append(ran)
        answer = found
    return {
        "seconds": round(statistics.median(ran.seconds for ran in runs), 2),
        "megabytes": round(max(ran.megabytes for ran in runs)),
        **answer,
        "all seconds": [round(ran.seconds, 2) for ran in runs],
    }


def once(row: Row, data: Path, place: Place, epochs: int | None) -> tuple[Ran, dict[str, Any] | None]:
    """Run a row once, with nothing there that an earlier one left; return the process and its answer."""
    out = place.work / "out"
    for left in [out, *data.glob("*.cache")]:  # Ultralytics leaves what it found beside the pictures
        remove(left)
    out.mkdir()
    if row.peer == "lensmith":
        return ours(row, data, place)
    command = script(row.peer, place, "--way", row.way, str(data), str(place.weights), str(out))
    ran = place.run([*command, "--epochs", str(epochs)] if epochs else command)
    return ran, answer_of(ran)


def script(peer: str, place: Place, *arguments: str) -> list[str]:
    """Return the command that runs a peer's script in its environment."""
    return [place.environments[peer].python, str(SCRIPTS / f"with_{peer}.py"), *arguments]


def ours(row: Row, data: Path, place: Place) -> tuple[Ran, dict[str, Any] | None]:
    """Run lensmith once, with its store in the state that the row asks for."""
    command = [measure.LENSMITH, "train", str(data), "--weights", str(place.weights), "--out", str(place.work / "out")]
    command += ["--json", "--quiet", "--recipe"]
    cache = place.work / "cache"
    if row.state == "first ever":
        remove(cache)
    elif row.state == "again":
        place.run([*command, row.way])
    else:
        if not (cache / "bases").is_dir():
            place.run([*command, "features"])
        for there in cache.iterdir():
            if there.name not in KEPT:
                remove(there)
    ran = place.run([*command, row.way])
    found = answer_of(ran)
    if found is None:
        return ran, None
    held_out = found["metrics"].get("test") or found["metrics"]["validation"]
    return ran, {"accuracy": held_out["accuracy"]["value"], "pictures": len(list(data.glob("*/*/*")))}


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that it holds, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def answer_of(ran: Ran) -> dict[str, Any] | None:
    """Return the object that a process printed, alone or on its last line; None if it failed."""
    if ran.status != 0:
        return None
    for text in (ran.output, ran.output.strip().rpartition("\n")[2]):
        try:
            return dict(json.loads(text))
        except ValueError:
            continue
    return None


def imagenet(peer: str, place: Place) -> float | str:
    """Return the share of ImageNet pictures that the mapped weights name right, which shows that they lie right."""
    ran = place.run(script(peer, place, "--way", "check", str(measure.data() / "photos"), str(place.weights)))
    found = answer_of(ran)
    return ran.last_words if found is None else round(found["accuracy"], 4)


def line(found: dict[str, Any]) -> str:
    """Return a row of the table; its head for nothing."""
    if not found:
        return f"{'data':<12} {'row':<32} {'seconds':>9} {'peak MB':>8} {'accuracy':>9}"
    if "failed" in found:
        return f"{found['data']:<12} {found['row']:<32} failed: {found['failed']}"
    numbers = f"{found['seconds']:>9.2f} {found['megabytes']:>8} {found['accuracy']:>9.4f}"
    return f"{found['data']:<12} {found['row']:<32} {numbers}"


if __name__ == "__main__":
    main()
