"""Runs killed at drawn times and gone on with: are the weights those of a run that nothing happened to, bit for bit?

Runs of real size are killed by their parent after a drawn time, wherever that is. Small ones, many more, kill
themselves at drawn places inside steps and inside writes of checkpoints, as the tests do with other seeds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import measure
from lensmith.reproduce import generator

sys.path.insert(0, str(measure.ROOT / "tests"))

from killing import Life, live
from sample_trainings import RECIPES, differences, drawn_kills, prepare, words

SEED = 0
KILLS = 5  # of each real recipe: 20 together
SEEDS, SMALL_KILLS = 8, 6  # of the small ones: 8 seeds x 5 recipes x (6 + 1) kills
LATEST = 0.9  # of the time that the undisturbed run takes


def main() -> None:
    folder = measure.data()
    weights = ["--weights", str(folder / "weights" / "mobilenet_v2.safetensors"), "--image-size", "96"]
    bees = [str(folder / "ants-bees"), *weights]
    commands = {
        "scratch, objects32": [str(folder / "objects32"), "--recipe", "scratch", "--epochs", "4", "--ema", "0.99"],
        "frozen, ants-bees": [*bees, "--recipe", "frozen", "--epochs", "8", "--dense", "32", "--augment", "small-data"],
        "finetune, ants-bees": [*bees, "--recipe", "finetune", "--epochs", "5", "--mixup", "0.2"],
        "auto, ants-bees": [*bees, "--recipe", "auto", "--budget", "2h", "--epochs", "2"],
    }
    values: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as place:
        for name, command in commands.items():
            values |= {f"{name}: {key}": value for key, value in real(name, command, Path(place)).items()}
        values |= small(Path(place))
    measure.write("resume", values)
    if any(value for key, value in values.items() if key.endswith("differences")):
        raise SystemExit("a run that was killed differs from one that was not")


def real(name: str, command: list[str], place: Path) -> dict[str, object]:
    """Kill runs of one recipe after drawn times until there were KILLS kills; a run that ends is compared."""
    recipe = name.partition(",")[0]
    for one in ("first", "whole"):  # the first fills the store, from which every later run takes its features
        _, whole = lived([*command, "--name", f"{recipe}-{one}"], place)
    random, kills, found, runs = generator(SEED, name), 0, list[str](), 0
    while kills < KILLS:
        runs += 1
        one = f"{recipe}-{runs}"
        while True:
            if not (begun := (place / "runs" / one / "run.json").exists()):
                shutil.rmtree(place / "runs" / one, ignore_errors=True)
            limit = float(random.uniform(0, LATEST)) * whole if kills < KILLS else None
            code, _ = lived(["--resume", one] if begun else [*command, "--name", one], place, limit)
            if code == 0:
                break
            kills += 1
        found += differences(place / "runs" / one, place / "runs" / f"{recipe}-whole")
    return {
        "seconds undisturbed": round(whole, 1),
        "kills": kills,
        "runs gone on with": runs,
        "differences": sorted(set(found)),
    }


def lived(arguments: list[str], place: Path, limit: float | None = None) -> tuple[int, float]:
    """Train with these arguments, kill that after `limit` seconds; return the exit code and the seconds."""
    command = [measure.LENSMITH, "train", *arguments, "--quiet"]
    surroundings = {**os.environ, "LENSMITH_CACHE": str(place / "store"), "LENSMITH_OFFLINE": "1"}
    begun = time.perf_counter()
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=surroundings, cwd=place)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"{' '.join(command)} failed:\n{(place / 'log').read_text(encoding='utf-8')}")
    return process.returncode, time.perf_counter() - begun


def small(place: Path) -> dict[str, object]:
    """Kill small runs at drawn places, by every recipe and from many seeds."""
    os.environ["LENSMITH_CACHE"] = str(place / "store")
    folder = place / "small"
    folder.mkdir()
    prepare(folder)
    lives = {f"{name}-whole": [Life(words(folder, name, f"{name}-whole"))] for name in RECIPES}
    for name in RECIPES:
        for seed in range(SEEDS):
            run = f"{name}-{seed}"
            on = Life(("train", "--resume", run))
            kills = [replace(on, incident=each) for each in drawn_kills(name, SMALL_KILLS, seed)]
            lives[run] = [replace(kills[0], words=words(folder, name, run)), *kills[1:], on]
    ends = live(lives, folder)
    found, kills = list[str](), dict[str, int]()
    for run, there in ends.items():
        name = run.rpartition("-")[0]
        if there[-1].code != 0:
            found.append(f"{run} ended with {there[-1].code}: {there[-1].said[-300:]}")
        else:
            found += [f"{run}: {each}" for each in differences(*(folder / "runs" / e for e in (run, f"{name}-whole")))]
        for life, end in zip(lives[run], there, strict=True):
            if life.incident is not None and end.code == -signal.SIGKILL:
                kills[life.incident.place] = kills.get(life.incident.place, 0) + 1
    return {
        "small: kills": sum(kills.values()),
        "small: kills by place": json.dumps(kills),
        "small: runs gone on with": SEEDS * len(RECIPES),
        "small: differences": found,
    }


if __name__ == "__main__":
    main()
