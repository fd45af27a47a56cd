"""How long `lensmith --help` takes with bytecode, whole processes, median of fifteen."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import measure


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        command = [measure.LENSMITH, "--help"]
        measure.run(command, cache=Path(cache))
        seconds = sorted(measure.run(command, cache=Path(cache)).seconds for _ in range(15))
    measure.write("help", {"seconds, median": statistics.median(seconds), "seconds, all": seconds})


if __name__ == "__main__":
    main()
