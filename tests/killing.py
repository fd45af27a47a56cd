"""Trainings that are killed, interrupted or run out of disk, at places drawn beforehand, and gone on with.

`live` runs this file as a program: it imports everything once, then forks a child a training. Nothing is computed
before the fork, for threads do not survive it. What happens to a child it does to itself, at an exact place between two
statements of lensmith's: inside a step, or before, amid or after what a write is made of. Nothing of lensmith is
replaced; its calls to files and optimisers are counted as they pass.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

STEP, ROW = "step", "row"
WRITING = ("opened", "half", "written", "synced", "renamed")  # where in a write, in the order in which it happens
FILLER = "filler"


@dataclass(frozen=True)
class Incident:
    """What happens at the `number`th `place`, counted from when the epoch `after` of its stage stands in history.csv.

    place: inside a STEP; amid a ROW of the history; or one of WRITING, of a file of the name `file`.
    act: kill (SIGKILL), interrupt (SIGINT), or fill the disk that the process works on.
    """

    place: str
    file: str = ""
    after: tuple[str, int] | None = None
    number: int = 1
    act: str = "kill"


@dataclass(frozen=True)
class Life:
    """One process: words of the command line, what happens to it, and after how many seconds it is killed, if at all.

    folder: where it works; what filled the disk there is removed first. often: every epoch leaves a checkpoint, also
    where epochs are so short that many would go without.
    """

    words: tuple[str, ...]
    incident: Incident | None = None
    seconds: float | None = None
    folder: str = "."
    often: bool = True


@dataclass(frozen=True)
class End:
    """How a process ended: its exit code (-9 by SIGKILL), what it said, and how long it lived."""

    code: int
    said: str
    seconds: float


def live(
    lives: Mapping[str, Sequence[Life]], folder: Path, *, before: Sequence[str] = (), at_once: int = 2
) -> dict[str, list[End]]:
    """Live each sequence of lives, one after another, in `folder`; `at_once` sequences go on side by side.

    before: words in front of the program's command line.
    """
    asked = json.dumps([at_once, {name: [asdict(life) for life in each] for name, each in lives.items()}])
    # One thread each: for networks this small more of them only wait for each other.
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    command = [*before, sys.executable, __file__]
    done = subprocess.run(command, input=asked, cwd=folder, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name: [End(**end) for end in ends] for name, ends in json.loads(done.stdout).items()}


# The program.


def main() -> None:
    """Read what `live` asks from standard input, and answer on standard output."""
    at_once, asked = json.loads(sys.stdin.read())
    _import_everything()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    waiting, running = list(asked), dict[int, tuple[str, float, float]]()
    ends: dict[str, list[dict[str, Any]]] = {name: [] for name in asked}
    while waiting or running:
        while waiting and len(running) < at_once:
            name = waiting.pop(0)
            life = asked[name][len(ends[name])]
            begun = time.monotonic()
            limit = begun + life["seconds"] if life["seconds"] is not None else float("inf")
            running[_born(life, _log(name, ends))] = (name, begun, limit)
        now = time.monotonic()
        for pid in [pid for pid, (_, _, limit) in running.items() if limit <= now]:
            os.kill(pid, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, min(1.0, *(max(limit - now, 0.0) for _, _, limit in running.values())))
        for pid in list(running):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                name, begun, _ = running.pop(pid)
                said = _log(name, ends).read_text(encoding="utf-8")
                code = os.waitstatus_to_exitcode(status)
                ends[name].append({"code": code, "said": said, "seconds": time.monotonic() - begun})
                if len(ends[name]) < len(asked[name]):
                    waiting.insert(0, name)
    print(json.dumps(ends))


def _log(name: str, ends: Mapping[str, Sequence[object]]) -> Path:
    return Path(f"{name}-{len(ends[name])}.log").absolute()


def _import_everything() -> None:
    """Do once what every child would do before it begins, as long as it computes nothing."""
    import gc
    import importlib
    import pkgutil

    import lensmith

    for name in (
        "safetensors.numpy",
        "torch._dynamo",
        "typer.main",
        "pydantic.main",
        "pydantic.type_adapter",
        "numpy.ma",
        "PIL.ImageOps",
    ):
        importlib.import_module(name)
    for name in ("Bmp", "Gif", "Jpeg", "Png", "Ppm"):
        importlib.import_module(f"PIL.{name}ImagePlugin")
    for module in pkgutil.walk_packages(lensmith.__path__, "lensmith."):
        if module.name not in ("lensmith.__main__", "lensmith.engines.openvino"):
            importlib.import_module(module.name)
    from lensmith.reports import draw

    for template in draw._environment().list_templates(["html", "svg"]):
        draw._environment().get_template(template)
    gc.freeze()


def _born(life: Mapping[str, Any], log: Path) -> int:
    """Fork a child that lives `life`; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1), os.dup2(file, 2)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        code = _lived(life)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def _lived(life: Mapping[str, Any]) -> int:
    from lensmith import cli
    from lensmith.verbs import keeper

    os.chdir(life["folder"])
    Path(FILLER).unlink(missing_ok=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if life["often"]:
        keeper.CHECKPOINT_SHARE = float("inf")
    if life["incident"]:
        _Watch(Incident(**life["incident"])).begin()
    sys.argv = ["lensmith", *life["words"]]
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


class _Watch:
    """Counts how often a place is come to, and makes the incident happen when it is time."""

    def __init__(self, incident: Incident) -> None:
        self.incident, self.count, self.armed = incident, 0, incident.after is None

    def at(self, place: str, file: str = "") -> bool:
        """Return whether this is where it happens."""
        if not self.armed or place != self.incident.place or file != self.incident.file:
            return False
        self.count += 1
        return self.count == self.incident.number

    def come(self, place: str, file: str = "") -> None:
        """Make it happen, if this is where."""
        if self.at(place, file):
            self.act()

    def act(self) -> None:
        if self.incident.act == "fill":
            _fill()
        else:
            os.kill(os.getpid(), {"kill": signal.SIGKILL, "interrupt": signal.SIGINT}[self.incident.act])

    def begin(self) -> None:
        """Make every place one that is counted."""
        from torch.optim.optimizer import register_optimizer_step_pre_hook

        from lensmith.run import Run
        from lensmith.training import head

        register_optimizer_step_pre_hook(lambda *_: self.come(STEP))
        head._adam = _after(head._adam, lambda *_: self.come(STEP))
        Run.append_history = _after(Run.append_history, self._wrote_row)  # type: ignore[method-assign]
        Path.replace = _after(Path.replace, lambda old, new: self.come("renamed", Path(new).name))  # type: ignore
        Path.open = self._opening(Path.open)  # type: ignore[method-assign]

    def _wrote_row(self, run: object, row: Mapping[str, Any]) -> None:
        if self.incident.after is not None and [row["stage"], row["epoch"]] == list(self.incident.after):
            self.armed = True

    def _opening(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        def opened(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            file = plain(path, mode, *arguments, **options)
            own = f".{os.getpid()}"  # what a file is called while it is written: .name.process
            if mode == "a" and self.incident.place == ROW and path.name == "history.csv":
                return _Written(file, self, "")
            if mode == "wb" and path.name.startswith(".") and path.name.endswith(own):
                return _Written(file, self, path.name[1 : -len(own)])
            return file

        return opened


class _Written:
    """A file whose writing is watched."""

    def __init__(self, file: Any, watch: _Watch, name: str) -> None:
        self.file, self.watch, self.name = file, watch, name

    def write(self, data: Any) -> int:
        self.watch.come("opened", self.name)
        if self.watch.at("half" if self.name else ROW, self.name):
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            self.watch.act()
            return int(self.file.write(data[len(data) // 2 :]))
        return int(self.file.write(data))

    def flush(self) -> None:
        self.file.flush()
        self.watch.come("written", self.name)

    def __enter__(self) -> _Written:
        return self

    def __exit__(self, *raised: object) -> None:
        if raised[0] is None:
            self.watch.come("synced", self.name)
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def _after(plain: Callable[..., Any], come: Callable[..., None]) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        found = plain(*arguments)
        come(*arguments)
        return found

    return called


def _fill() -> None:
    """Leave not a byte on the disk of the current folder."""
    with open(FILLER, "wb", buffering=0) as file:  # noqa: PTH123 (Path.open is watched)
        for size in (1 << 16, 1 << 10, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


if __name__ == "__main__":
    main()
