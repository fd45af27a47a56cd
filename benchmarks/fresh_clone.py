"""A fresh clone in an empty folder: both README commands, timed, with nothing installed before.

What pip keeps between downloads is used as it is; the first number includes downloading what it does not have.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import measure


def main() -> None:
    values: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as place:
        clone = Path(place) / "lensmith"
        subprocess.run(["git", "clone", "--quiet", str(measure.ROOT), str(clone)], check=True)
        environment = {**os.environ, "LENSMITH_CACHE": str(Path(place) / "cache")}
        for command in ("demo", "test"):
            start = time.perf_counter()
            done = subprocess.run(["make", command], cwd=clone, env=environment, capture_output=True, text=True)
            values[f"make {command}, seconds"] = round(time.perf_counter() - start, 1)
            values[f"make {command}, last line"] = (done.stdout.strip().splitlines() or [""])[-1]
            if done.returncode:
                raise SystemExit(f"make {command} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    measure.write("fresh_clone", values)


if __name__ == "__main__":
    main()
