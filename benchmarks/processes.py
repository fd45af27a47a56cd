"""Whole processes, measured: seconds from start to end, and the memory of all processes that belong to one.

Memory is the highest sum of the proportional set sizes over the tree, looked at about ten times a second, or the most
that one process held (which is never missed), whichever is more. A page that several processes share counts once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOKS = 0.1  # seconds between two looks at the memory, or LOOK_SHARE times what a look takes
LOOK_SHARE = 25
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # what ru_maxrss counts in, bytes
PROC = Path("/proc")
MEMORY = (
    "the highest sum of proportional set sizes over all processes of the row, or the most that one of them held"
    if PROC.is_dir()
    else "the most that one process of the row held; its workers are not counted here"
)


@dataclass(frozen=True)
class Ran:
    """A process that ended: exit status, seconds, the highest memory of its tree in MB, what it printed."""

    status: int
    seconds: float
    megabytes: float
    output: str
    errors: str

    @property
    def last_words(self) -> str:
        """Return the last line of what it complained about."""
        if self.status == -signal.SIGKILL:
            return f"killed after {self.seconds:.0f} s"
        return last_line(self.errors or self.output) or f"exit status {self.status} without a word"


def last_line(text: str) -> str:
    """Return the last line of a text that is not empty, cut to what fits into a table."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def run(command: Sequence[str], *, variables: Mapping[str, str], folder: Path, limit: float) -> Ran:
    """Run a command to its end, or kill it and all it started after `limit` seconds."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=errors,
            env=variables,
            cwd=folder,
            start_new_session=True,  # by which all its processes can be found, and killed
        )
        watch = Watch(process.pid)
        watch.start()
        overdue = threading.Timer(limit, lambda: os.killpg(process.pid, signal.SIGKILL))
        overdue.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            seconds = time.perf_counter() - begun
            overdue.cancel()
            watch.ended.set()
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.join()
        out.seek(0), errors.seek(0)
        return Ran(
            status=process.returncode,
            seconds=seconds,
            megabytes=max(watch.highest, usage.ru_maxrss * RSS_UNIT) / 2**20,
            output=out.read().decode(errors="replace"),
            errors=errors.read().decode(errors="replace"),
        )


class Watch(threading.Thread):
    """Looks at the memory of all processes of a session until `ended` is set; `highest` is in bytes."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self.session, self.highest, self.ended = session, 0, threading.Event()

    def run(self) -> None:
        """Look, and wait long enough between two looks for them not to be felt."""
        wait = LOOKS
        while PROC.is_dir() and not self.ended.wait(wait):
            begun = time.perf_counter()
            self.highest = max(self.highest, sum(held(process) for process in processes(self.session)))
            wait = max(LOOKS, LOOK_SHARE * (time.perf_counter() - begun))


def processes(session: int) -> Iterator[Path]:
    """Yield the folders of all processes of a session."""
    for process in PROC.glob("[0-9]*"):
        try:
            # The name is in brackets and may hold anything; state, parent, group and session follow it.
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                yield process
        except (OSError, ValueError):
            continue  # it has just ended


def held(process: Path) -> int:
    """Return the bytes a process holds: all that is its own, and its share of what it shares with others."""
    try:
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0
