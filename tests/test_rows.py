"""Rows of numbers: the same in memory and in a file, whatever is asked for, and where the disk is full."""

from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lensmith.reproduce import generator
from lensmith.training.rows import GAP, Rows

COUNT, WIDTH = 200, 6


@pytest.fixture(params=["memory", "file"])
def rows(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rows:
    if request.param == "file":
        monkeypatch.setattr("lensmith.training.rows.SMALL", 0)
    return Rows(COUNT, tmp_path)


def filled(rows: Rows, but: tuple[int, ...] = ()) -> np.ndarray:
    """Fill all rows but some, in random order, and return what they must hold."""
    random = generator(0, "rows")
    wanted = random.normal(size=(COUNT, WIDTH)).astype(np.float32)
    wanted[list(but)] = 0
    for position in random.permutation(COUNT).tolist():
        if position not in but:
            rows[position] = wanted[position]
    return wanted


def test_any_rows_can_be_asked_for(rows: Rows) -> None:
    assert (len(rows), rows.shape) == (COUNT, (COUNT, 0))
    wanted = filled(rows, but=(0, 7, COUNT - 1))
    assert rows.shape == wanted.shape
    random = generator(1, "rows")
    asked: list[np.ndarray | slice] = [slice(None), slice(3, 9), slice(150, 999), slice(None, None, 3), slice(5, 5)]
    asked += [random.integers(0, COUNT, 50), random.permutation(COUNT), np.arange(COUNT)[::-1], np.zeros(0, int)]
    asked += [np.arange(0, COUNT, step) for step in (2, GAP, GAP + 1)]
    asked += [np.array([0]), np.array([-1, 3, 3, 4]), random.random(COUNT) < 0.6]
    for positions in asked:
        assert np.array_equal(rows[positions], wanted[positions]), positions


def test_a_row_of_another_width_is_refused(rows: Rows) -> None:
    rows[3] = np.ones(WIDTH, np.float32)
    with pytest.raises(ValueError, match="row 4 holds 5 numbers; must hold 6"):
        rows[4] = np.ones(WIDTH - 1, np.float32)


def open_files() -> int:
    place = Path("/proc/self/fd")
    return len(list(place.iterdir())) if place.is_dir() else 0


def test_the_file_has_no_name_and_goes_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lensmith.training.rows.SMALL", 0)
    before = open_files()
    rows = Rows(COUNT, tmp_path)
    filled(rows)
    assert not list(tmp_path.iterdir())
    assert open_files() == before + bool(before)
    del rows
    assert open_files() == before


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_full_disk_is_made_up_for_by_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    monkeypatch.setattr("lensmith.training.rows.SMALL", 0)
    rows = Rows(COUNT, tmp_path)
    if when == "later":
        rows[0] = np.ones(WIDTH, np.float32)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40 * 4 * WIDTH + 3, before[1]))
        wanted = filled(rows, but=(9,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert np.array_equal(rows[:], wanted)


def test_a_folder_that_is_not_there_is_made_up_for_by_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lensmith.training.rows.SMALL", 0)
    rows = Rows(COUNT, tmp_path / "gone")
    assert np.array_equal(filled(rows), rows[:])


def test_rows_are_read_by_many_threads_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lensmith.training.rows.SMALL", 0)
    rows = Rows(COUNT, tmp_path)
    wanted = filled(rows)
    order = [generator(number, "threads").permutation(COUNT) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for asked, found in zip(order, pool.map(rows.__getitem__, order), strict=True):
            assert np.array_equal(found, wanted[asked])
