"""The floor: how fast a bare script goes from a folder of photographs to a tested head, and how near lensmith comes.

The bare script below does only what cannot be left out: Pillow decodes in two threads, OpenVINO runs the converted
base meanwhile, numpy trains a linear head. No audit, no intervals, no store, no run folder, no report; one try, one
penalty. Both run as whole processes, turn by turn, on the folder of benchmarks/photographs.py (`--count` for another
size) with the base converted and the pictures never seen; and lensmith once more with everything in its store.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import measure
import photographs

ROUNDS = 3


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=photographs.COUNT)
    options.add_argument("--name", default="floor")
    options.add_argument("--bare", nargs=2, type=Path, metavar=("FOLDER", "BASE"), help="run the bare script alone")
    asked = options.parse_args()
    if asked.bare:
        print(json.dumps(bare(*asked.bare)))
        return
    weights = measure.data() / "weights" / "mobilenet_v2.safetensors"
    found: dict[str, list[measure.Process]] = {"bare": [], "lensmith": [], "lensmith again": []}
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place) / "cache"
        folder = photographs.make(Path(place) / "photographs", asked.count)
        train = [measure.LENSMITH, "train", str(folder), "--recipe", "features", "--weights", str(weights)]
        train += ["--json", "--quiet"]
        measure.run(train, cache=cache, folder=Path(place))  # converts the base, and warms the disk's cache for both
        (base,) = (cache / "bases").glob("*/base.xml")
        script = [sys.executable, __file__, "--bare", str(folder), str(base)]
        for _ in range(ROUNDS):
            for name in ("features", "files"):
                shutil.rmtree(cache / name)
            found["bare"].append(measure.run(script, cache=cache))
            for state in ("lensmith", "lensmith again"):
                found[state].append(measure.run(train, cache=cache, folder=Path(place)))
    values: dict[str, object] = {"pictures": asked.count}
    for state, runs in found.items():
        values[f"seconds, {state}"] = statistics.median(run.seconds for run in runs)
        values[f"seconds, {state}, all"] = [run.seconds for run in runs]
        values[f"peak MB, {state}"] = max(run.megabytes for run in runs)
    pairs = list(zip(found["lensmith"], found["bare"], found["lensmith again"], strict=True))
    values["lensmith / bare, by round"] = [round(one.seconds / other.seconds, 2) for one, other, _ in pairs]
    values["first / second run, by round"] = [round(one.seconds / again.seconds, 2) for one, _, again in pairs]
    values["accuracy, bare"] = round(json.loads(found["bare"][0].output)["accuracy"], 4)
    said = json.loads(found["lensmith"][0].output)
    values["accuracy, lensmith"] = round(said["metrics"]["test"]["accuracy"]["value"], 4)
    values["steps of lensmith, seconds"] = json.loads(found["lensmith"][-1].output)["times"]["steps"]
    measure.write(asked.name, values)


def bare(folder: Path, base: Path) -> dict[str, float]:
    """Return the accuracy on folder/test of a linear head trained on folder/train."""
    from concurrent.futures import ThreadPoolExecutor

    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import numpy as np
    import openvino
    from PIL import Image

    paths = sorted(folder.glob("*/*/*.jpg"))
    classes = sorted({path.parent.name for path in paths})
    targets = np.array([classes.index(path.parent.name) for path in paths])
    held = np.array([path.parent.parent.name == "test" for path in paths])

    def read(path: Path) -> np.ndarray:
        with Image.open(path) as picture:
            side = 0.875 * min(picture.size)
            left, top = (picture.width - side) / 2, (picture.height - side) / 2
            box = (left, top, left + side, top + side)
            return np.asarray(picture.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR, box=box))

    core = openvino.Core()
    graph = core.read_model(base)
    for result in graph.get_results()[1:]:
        graph.remove_result(result)
    graph.reshape([4, 224, 224, 3])
    options = {"INFERENCE_PRECISION_HINT": "bf16", "NUM_STREAMS": 2, "INFERENCE_NUM_THREADS": 2}
    compiled = core.compile_model(graph, "CPU", options)
    features = np.empty((len(paths), compiled.output(0).shape[1]), np.float32)

    def done(request: openvino.InferRequest, begin: int) -> None:
        part = features[begin : begin + 4]
        part[:] = request.get_output_tensor(0).data[: len(part)]

    queue = openvino.AsyncInferQueue(compiled, 2)
    queue.set_callback(done)
    with ThreadPoolExecutor(2) as pool:
        pictures = pool.map(read, paths)
        for begin in range(0, len(paths), 4):
            batch = np.stack([next(pictures) for _ in range(min(4, len(paths) - begin))])
            queue.start_async([np.resize(batch, (4, 224, 224, 3))], begin)
        queue.wait_all()

    x = features[~held]
    mean, scale = x.mean(0), 1 / ((x.std(0) + 0.05) * np.sqrt(x.shape[1]))
    x, y = (x - mean) * scale, np.eye(len(classes), dtype=np.float32)[targets[~held]]
    weight, bias = np.zeros((x.shape[1], len(classes)), np.float32), np.zeros(len(classes), np.float32)
    moments = [np.zeros_like(weight), np.zeros_like(weight), np.zeros_like(bias), np.zeros_like(bias)]
    random, step = np.random.default_rng(0), 0
    for _ in range(40):
        order = random.permutation(len(x))
        for begin in range(0, len(x), 64):
            rows, step = order[begin : begin + 64], step + 1
            logits = x[rows] @ weight + bias
            share = np.exp(logits - logits.max(1, keepdims=True))
            error = (share / share.sum(1, keepdims=True) - y[rows]) / len(rows)
            for place, gradient in enumerate((x[rows].T @ error + 1e-4 * weight, error.sum(0))):
                first, second = moments[2 * place : 2 * place + 2]
                first += 0.1 * (gradient - first)
                second += 0.001 * (gradient * gradient - second)
                change = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
                (weight, bias)[place][...] -= (0.01 * change).astype(np.float32)
    answers = ((features[held] - mean) * scale @ weight + bias).argmax(1)
    return {"accuracy": float((answers == targets[held]).mean())}


if __name__ == "__main__":
    main()
