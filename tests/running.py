"""Running lensmith in tests: the real command line in this process, and in a process of its own."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from lensmith import cli
from lensmith.files import OURS

ESCAPE = "\x1b"


@dataclass(frozen=True)
class Said:
    """What a command ended with: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def lensmith(capsys: pytest.CaptureFixture[str], *arguments: object) -> Said:
    """Run one command in this process, by the very function behind the console script."""
    with _arguments(arguments), _signals_kept():
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except Exception:  # what the interpreter does with it
            traceback.print_exc(limit=-3)
            code = 1
    said = capsys.readouterr()
    return Said(code, said.out, said.err)


def process(
    arguments: Sequence[object],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    timeout: float = 120,
) -> Said:
    """Run Python with `arguments` in a process of its own, in `folder`; `before` are words in front of it."""
    command = [*before, sys.executable, *map(str, arguments)]
    surroundings = {**os.environ, **(environment or {})}
    done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, timeout=timeout)
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def refused(said: Said, code: int, *words: str) -> None:
    """Check that a command failed the way DESIGN asks: exit code, one message with these words, no traceback."""
    assert said.code == code, f"{said.code}\n{said.out}\n{said.err}"
    for word in words:
        assert word in said.err, f"{word!r} is not in: {said.err}"
    assert "Traceback" not in said.err and ESCAPE not in said.err
    assert not re.search(r"\b(KeyError|TypeError|ValueError|Errno)\b", said.err.splitlines()[-1]), said.err


@cache
def can_unshare(flags: str) -> bool:
    """Return whether this system lets us make namespaces, e.g. `-rn` for one without a network."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", flags, "true"], capture_output=True).returncode == 0


def table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file, each with exactly the columns of the header."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert None not in row and None not in row.values(), f"{path}: {row}"
    return rows


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return everything below a folder, and the folder, with mode, size and time of change."""
    found = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        status = path.lstat()
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_size, status.st_mtime_ns)
    return found


def leftovers(folder: Path) -> list[str]:
    """Return the hidden (temporary) files and folders below a folder, but for the mark of those that lensmith wrote."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*") if path.name != OURS)


@contextlib.contextmanager
def _arguments(arguments: Sequence[object]) -> Iterator[None]:
    before = sys.argv
    sys.argv = ["lensmith", *map(str, arguments)]
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Put back what the command line changes for its own process."""
    numbers = [signal.SIGTERM, *([signal.SIGPIPE] if hasattr(signal, "SIGPIPE") else [])]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
