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
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lensmith.engines.interface import Output
from lensmith.reproduce import cores

BATCH = 4  # of 1 to 32 the fastest or within a few per cent of it for four kinds of networks; see LOG.md
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
        """Yield outputs in order; see Engine. Batches are computed while the next ones are read."""
        coming = iter(pictures)
        first = next(coming, None)
        if first is None:  # everything was in the store: nothing has to be compiled
            return
        compiled = self._compile(maps)
        # Two requests a core: when one is computed, the next is full already. One each costs a tenth of the time.
        idle = deque(_Request(compiled) for _ in range(2 * cores()))
        busy: deque[_Request] = deque()
        filling: _Request | None = None
        for picture in chain([first], coming):
            if filling is None:
                if not idle:
                    yield _finish(busy, idle)
                filling = idle.popleft()
            if filling.take(picture):
                busy.append(filling)
                filling = None
        if filling is not None:
            filling.start()
            busy.append(filling)
        while busy:
            yield _finish(busy, idle)

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


class _Request:
    """One batch on its way: pictures are written where the graph reads them."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._pixels = self._request.get_input_tensor().data
        self._outputs = len(compiled.outputs)
        self._count = 0

    def take(self, picture: np.ndarray) -> bool:
        """Take a picture in; a full batch is started. Return whether it is."""
        self._pixels[self._count] = picture
        self._count += 1
        if self._count == len(self._pixels):
            self.start()
            return True
        return False

    def start(self) -> None:
        """Compute; what stands in the unused places of a short last batch does not touch its results."""
        self._request.start_async()

    def answer(self) -> Output:
        """Wait for the outputs, return copies of them, and be ready for other pictures."""
        self._request.wait()
        found = [self._request.get_output_tensor(place).data[: self._count] for place in range(self._outputs)]
        self._count = 0
        features, *maps = (np.array(each, np.float32) for each in found)
        return Output(features, maps[0] if maps else None)


def _finish(busy: deque[_Request], idle: deque[_Request]) -> Output:
    request = busy.popleft()
    idle.append(request)
    return request.answer()


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
