"""One seed, two runs, each with an empty store: metrics and weights must be equal, bit for bit."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import measure


def main() -> None:
    folder = measure.data()
    weights = str(folder / "weights" / "mobilenet_v2.safetensors")
    commands = {
        "features, ants-bees": ["train", str(folder / "ants-bees"), "--weights", weights],
        "features, dense head, ants-bees": ["train", str(folder / "ants-bees"), "--weights", weights, "--dense", "64"],
        "scratch, digits": ["demo"],
    }
    values: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as place:
        for name, command in commands.items():
            ends = [one_run([measure.LENSMITH, *command], Path(place), number) for number in range(2)]
            values[f"{name}: metrics equal"] = ends[0][0] == ends[1][0]
            values[f"{name}: weights equal"] = ends[0][1] == ends[1][1]
            values[f"{name}: sha256 of the weights"] = ends[0][1]
    measure.write("repeat", values)
    if not all(value for key, value in values.items() if key.endswith("equal")):
        raise SystemExit("two runs of one seed differ")


def one_run(command: list[str], place: Path, number: int) -> tuple[object, str]:
    """Return the metrics and the hash of the weights of a run with a store of its own."""
    cache = Path(tempfile.mkdtemp(dir=place))
    done = json.loads(measure.run([*command, "--json", "--quiet"], cache=cache, folder=place).output)
    weights = place / done["run"] / "model" / "model.safetensors"
    return done["metrics"], hashlib.sha256(weights.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
