"""What a verb says while it works, all on stderr: bars on a terminal, plain lines elsewhere, no progress when quiet."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lensmith.verbs.cells import plain

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def if_stopped(what: str | Callable[[], str]) -> Iterator[None]:
    """Note on an interruption of the block what is kept or how to go on; the command line says it."""
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(what if isinstance(what, str) else what())
        raise


@dataclass
class Stopwatch:
    """Seconds by step, for run.json."""

    started: float = field(default_factory=time.perf_counter)
    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of the block to a step."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.steps[name] = round(self.steps.get(name, 0.0) + time.perf_counter() - start, 3)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    def as_dict(self) -> dict[str, Any]:
        """Return the seconds since the start, and those of the steps."""
        return {"seconds": round(self.seconds, 3), "steps": self.steps}


class Console:
    """Says lines and shows progress. NO_COLOR and a stream that is no terminal are honoured."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def say(self, line: str) -> None:
        """Print one line."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def note(self, line: str) -> None:
        """Print a line, if there is one, even when quiet: what is odd in the data, or was chosen for the user."""
        if line:
            print(plain(line), file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[..., None]]:
        """Yield `advance(done, note="")`; the bar or the lines end with the block."""
        if self.quiet:
            yield _silent
        elif self._terminal:
            with _bar(what, total) as advance:
                yield advance
        else:
            yield _lines(what, total)


def _silent(done: int, note: str = "") -> None:
    pass


def _lines(what: str, total: int) -> Callable[..., None]:
    start = said = time.monotonic()

    def advance(done: int, note: str = "") -> None:
        nonlocal said
        now = time.monotonic()
        if done >= total or now - said >= SECONDS_BETWEEN_LINES:
            said = now
            print(
                f"{what} {done}/{total} {note} {now - start:.1f} s".replace("  ", " "),
                file=sys.stderr,
                flush=True,
            )

    return advance


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[..., None]]:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=RichConsole(stderr=True), transient=False) as bars:
        task = bars.add_task(what, total=total, note="")
        yield lambda done, note="": bars.update(task, completed=done, note=note)
