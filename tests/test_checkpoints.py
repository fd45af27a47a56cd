"""Checkpoints as files: read back bit for bit, and what killed processes left of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from lensmith.run import Run


def test_a_checkpoint_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    run = Run(tmp_path)
    numbers = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, float("inf"), -0.0]
    tensors = {
        "one": np.array(7, np.int64), "none": np.zeros((0, 3), np.float32),
        "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T, "nan": np.array([np.nan, -0.0], np.float64),
    }  # fmt: skip
    run.write_checkpoint("x", tensors, {"numbers": numbers, "word": "ä"})
    found = run.read_checkpoint("x")
    assert found is not None and found[1] == {"numbers": numbers, "word": "ä"}
    for name, tensor in tensors.items():
        assert found[0][name].dtype == tensor.dtype and found[0][name].shape == tensor.shape
        assert found[0][name].tobytes() == tensor.tobytes()
    assert run.read_checkpoint("y") is None


def test_only_what_dead_processes_left_is_swept(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    kept = [f".metrics.json.{os.getppid()}", ".hidden", ".notes.txt", "plain.123"]
    swept = [f".run.json.{gone.pid}", f"model/.model.safetensors.{os.getpid()}", f".a.{10**30}"]
    (tmp_path / "model").mkdir()
    for name in (*kept, *swept):
        (tmp_path / name).write_text("")
    with Run(tmp_path).claimed():
        pass
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {"model", *kept}
