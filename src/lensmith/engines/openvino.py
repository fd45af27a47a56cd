"""The OpenVINO engine: the fastest way over a CPU that we measured (LOG.md), without torch.

A converted base is a folder: base.xml and base.bin (the graph, normalisation inside, outputs `features` and, if the
base ends in a map, `maps`), check.npz (pictures and what torch made of them in float32), base.json (what was found).
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lensmith.engines.interface import Output, batches
from lensmith.reproduce import cores

BATCH = 4  # the fastest of 1, 4, 8, 16, 32 for mobilenet_v2 in bfloat16 on two cores; see LOG.md
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine:
    """Runs a converted base from its folder, `precision` being "float32" or "bfloat16"."""

    name = "openvino"
    device = "cpu"

    def __init__(self, folder: Path, precision: str) -> None:
        self.precision = precision
        self._folder = folder
        self._compiled: dict[bool, Any] = {}

    def run(self, pictures: Iterable[np.ndarray], *, maps: bool = False) -> Iterator[Output]:
        """Yield outputs in order; see Engine. One batch a core is in flight while the next ones are read."""
        compiled = self._compile(maps)
        with_maps = len(compiled.outputs) > 1
        idle = deque(compiled.create_infer_request() for _ in range(cores()))
        busy: deque[tuple[Any, int]] = deque()
        for batch in batches(pictures, BATCH):
            if not idle:
                yield _finish(busy, idle, with_maps)
            request = idle.popleft()
            # A short last batch runs in a full one: what stands in the other places does not touch its results.
            request.get_input_tensor().data[: len(batch)] = batch
            request.start_async()
            busy.append((request, len(batch)))
        while busy:
            yield _finish(busy, idle, with_maps)

    def _compile(self, maps: bool) -> Any:
        if maps not in self._compiled:
            core = load_openvino().Core()
            graph = core.read_model(self._folder / "base.xml")
            if not maps:
                for result in graph.get_results()[1:]:
                    graph.remove_result(result)
            graph.reshape(_with_batch(graph))
            options = {
                "INFERENCE_PRECISION_HINT": PRECISIONS[self.precision],
                "NUM_STREAMS": cores(),
                "INFERENCE_NUM_THREADS": cores(),
                "CACHE_DIR": "",
            }
            self._compiled[maps] = core.compile_model(graph, "CPU", options)
        return self._compiled[maps]


def _with_batch(graph: Any) -> list[int]:
    shape = graph.input(0).partial_shape
    return [BATCH, *(shape[axis].get_length() for axis in range(1, len(shape)))]


def _finish(busy: deque[tuple[Any, int]], idle: deque[Any], with_maps: bool) -> Output:
    request, count = busy.popleft()
    request.wait()
    features = request.get_output_tensor(0).data[:count].astype(np.float32)
    maps = request.get_output_tensor(1).data[:count].astype(np.float32) if with_maps else None
    idle.append(request)
    return Output(features, maps)


def load_openvino() -> Any:
    """Return the module openvino. Its mere import reports to its makers over the network, unless that is prevented."""
    with without_telemetry():
        import openvino
    return openvino


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Hide the package by which OpenVINO reports usage; where its parts hold it already, they are given their stub."""
    name = "openvino_telemetry"
    was_there, before = name in sys.modules, sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        for part in [part for place, part in sys.modules.items() if place.startswith("openvino.tools.ovc")]:
            if getattr(getattr(part, "tm", None), "__name__", "").startswith(name):
                setattr(part, "tm", import_module("openvino.tools.ovc.telemetry_stub"))  # noqa: B010
        yield
    finally:
        sys.modules.pop(name, None)
        if was_there:
            sys.modules[name] = before  # type: ignore[assignment]


def has_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 matrices by itself."""
    return "BF16" in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
