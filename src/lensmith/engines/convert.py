"""Converting a torch base to OpenVINO, once."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from lensmith.data.synthetic import check_pictures
from lensmith.engines.interface import collect
from lensmith.engines.openvino import load_openvino, without_telemetry
from lensmith.engines.pytorch import TorchEngine, WithNormalisation
from lensmith.engines.trust import CHECKED_PICTURES, check, write_trust


def convert(module: WithNormalisation, image_size: int, folder: Path) -> None:
    """Write the converted base into an existing empty folder, with what the check found.

    Raises whatever OpenVINO raises if it cannot take the network; the caller then stays with torch.
    """
    pictures = check_pictures(CHECKED_PICTURES, image_size)
    with _held_back(), without_telemetry(), _without_fused_attention(), warnings.catch_warnings():
        # OpenVINO traces with torch.jit, which says of itself that it is old; the check below is what counts.
        warnings.simplefilter("ignore")
        openvino = load_openvino()
        example = torch.from_numpy(np.stack(pictures[:2]))
        shape = openvino.PartialShape([-1, image_size, image_size, 3])
        graph = openvino.convert_model(module.eval(), example_input=example, input=[shape])
        openvino.save_model(graph, folder / "base.xml", compress_to_fp16=False)
    reference = collect(TorchEngine(module, "cpu").run(pictures)).features
    np.savez(folder / "check.npz", reference=reference)
    write_trust(folder, check(folder, image_size))


@contextmanager
def _held_back() -> Iterator[None]:
    """Let an interruption wait for the end of the block.

    Thrown through the converter's C++ it would end the process, or be taken for a fault of the network.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, signal.SIG_DFL if action is None else action)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    """The fused attention of torch's own transformer layers cannot be traced."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
