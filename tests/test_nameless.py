"""A file without a name: what was written is read, by many threads at once, and a full disk or a cut file is said."""

from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lensmith.errors import RunError
from lensmith.training.nameless import NamelessFile

COUNT, WIDTH = 64, 5000
BYTES = 4 * WIDTH


def row(number: int) -> np.ndarray:
    return np.full(WIDTH, number + 1, np.float32)


def read(file: NamelessFile, number: int) -> np.ndarray:
    found = np.empty(WIDTH, np.float32)
    file.read(number * BYTES, found)
    return found


def test_what_was_written_is_read_and_the_rest_is_zero(tmp_path: Path) -> None:
    file = NamelessFile(tmp_path, COUNT * BYTES)
    assert file.write(3 * BYTES, row(3)) and file.write(1 * BYTES, row(1)[::-1])
    assert [float(read(file, number).mean()) for number in range(5)] == [0, 2, 0, 4, 0]
    assert not list(tmp_path.iterdir())


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    file = NamelessFile(tmp_path, COUNT * BYTES)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda number: file.write(number * BYTES, row(number)), range(COUNT)))
        for _ in range(5):
            for number, found in enumerate(pool.map(lambda number: read(file, number), range(COUNT))):
                assert np.array_equal(found, row(number)), number


def test_a_row_that_fits_only_in_part_is_not_written(tmp_path: Path) -> None:
    file = NamelessFile(tmp_path, 0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES + BYTES // 2, before[1]))
        assert file.write(0, row(0)) and not file.write(BYTES, row(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert np.array_equal(read(file, 0), row(0))


def test_a_file_cut_short_is_said(tmp_path: Path) -> None:
    file = NamelessFile(tmp_path, COUNT * BYTES)
    file._file.truncate(BYTES + 3)
    with pytest.raises(RunError, match="is its disk failing"):
        read(file, 1)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        NamelessFile(tmp_path / "gone", 1)
