"""What every benchmark shares: running whole processes, and writing benchmarks/results/NAME.json."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lensmith.reproduce import machine, versions

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
LENSMITH = str(Path(sys.executable).parent / "lensmith")


@dataclass(frozen=True)
class Process:
    """A process that ended: wall-clock seconds, the highest resident memory in MB, and what it printed."""

    seconds: float
    megabytes: float
    output: str


def run(command: Sequence[str], *, cache: Path, folder: Path | None = None) -> Process:
    """Run a command to its end with a store of its own and bytecode allowed, as a user would; raise if it fails."""
    environment = {**os.environ, "LENSMITH_CACHE": str(cache), "LENSMITH_OFFLINE": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=errors, env=environment, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        out.seek(0), errors.seek(0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{errors.read().decode()}")
        return Process(round(seconds, 3), round(usage.ru_maxrss / 1024, 1), out.read().decode())


def data() -> Path:
    """Return the folder of real data, or end with a sentence on how to name it."""
    place = os.environ.get("LENSMITH_DATA")
    if not place:
        raise SystemExit("LENSMITH_DATA is not set; name the folder of real pictures and weights by it.")
    return Path(place)


def write(name: str, values: Mapping[str, Any]) -> None:
    """Write the result with commit, versions, machine and date; print it as a table."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    changed = subprocess.run(["git", "status", "--porcelain", "src"], cwd=ROOT, capture_output=True, text=True)
    document = {
        "name": name,
        "commit": commit.stdout.strip() + (" with changes" if changed.stdout.strip() else ""),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        **values,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"\n{name}")
    for key, value in values.items():
        print(f"  {key:<34} {value}")
