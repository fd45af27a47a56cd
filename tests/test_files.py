"""JSON as every other program reads it, whoever writes it; and words for disks that do not take it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lensmith import flags
from lensmith.errors import RunError
from lensmith.files import as_json, writing
from lensmith.run import Run
from lensmith.verbs.folders import Folder

ODD = {
    "nothing": float("nan"),
    "numbers": (1.5, -np.inf, np.float32("nan"), np.int64(3)),
    "array": np.array([[1.0, np.nan]]),
    "place": Path("a/b"),
    "name": "caf\udce9 \u1234",
    7: True,
}
PLAIN = {
    "nothing": None,
    "numbers": [1.5, None, None, 3],
    "array": [[1.0, None]],
    "place": "a/b",
    "name": "caf\udce9 \u1234",
    "7": True,
}


def printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    flags.print_json({**ODD, "name": "\u1234"})
    return capsys.readouterr().out.replace("\u1234", "caf\\udce9 \u1234")


def in_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    Run(folder).write_json("odd.json", ODD)
    return (folder / "odd.json").read_text("utf-8")


def in_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    Folder(folder).write_json("odd.json", ODD)
    return (folder / "odd.json").read_text("utf-8")


@pytest.mark.parametrize("write", [printed, in_a_run, in_a_folder])
def test_json_is_json(write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def no(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    text = write(tmp_path, capsys)
    assert json.loads(text, parse_constant=no) == PLAIN and text.endswith("}\n")
    assert as_json("\u1234", plain_letters=True) == '"\\u1234"\n'


@pytest.mark.parametrize("name", ["no/way", "x" * 300, "loop"])
def test_a_place_that_cannot_be_written_is_told_in_words(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(RunError, match="cannot be written"), writing(tmp_path / name):
        (tmp_path / name).open("wb")
    if name != "no/way":
        with pytest.raises(RunError, match="cannot be written"):
            Folder.of(tmp_path / name, None, "explained").write("a", b"")
