"""The pass over the pictures: what is computed, what comes from the store, in which order, and in how much memory."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from conftest import write_shapes
from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files
from lensmith.data.store import Store
from lensmith.data.synthetic import check_pictures
from lensmith.engines.pytorch import Normalise, TorchEngine, WithNormalisation
from lensmith.training.features import Features, extract, gathered

SIZE = 32
PREPROCESSING = Preprocessing(SIZE, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def engine() -> TorchEngine:
    torch.manual_seed(0)
    normalise = Normalise(PREPROCESSING.mean, PREPROCESSING.std, {})
    return TorchEngine(WithNormalisation(nn.Conv2d(3, 8, 3), normalise, "mean"), "cpu")


class Folder:
    """Pictures, a store, and passes over them."""

    def __init__(self, place: Path) -> None:
        self.root, self.store, self.kept = write_shapes(place / "shapes", each=25), Store(place / "store"), list[str]()
        self.paths = sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*.png"))

    def read(self) -> Features:
        self.kept = []
        files = Files(self.root, self.paths, self.store)
        keep = lambda sha256, pixels: self.kept.append(sha256)  # noqa: E731
        return extract(files, PREPROCESSING, "base", engine(), self.store, keep=keep)

    def stored(self) -> sqlite3.Connection:
        (file,) = (self.store.folder / "features").glob("*.sqlite")
        return sqlite3.connect(file)


@pytest.fixture(params=["memory", "file"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    if request.param == "file":
        monkeypatch.setattr("lensmith.training.rows.SMALL", 0)
    monkeypatch.setattr("lensmith.training.features.ROWS_AT_ONCE", 10)
    return Folder(tmp_path)


def test_features_are_in_the_order_of_the_files_and_come_from_the_store(folder: Folder) -> None:
    first = folder.read()
    assert first.computed == len(folder.paths) == len(folder.kept) == 75
    assert [record.path for record in first.records] == folder.paths
    for place in (0, 31, 74):
        alone = extract(
            Files(folder.root, [folder.paths[place]], Store(folder.root.parent / "other")),
            PREPROCESSING,
            "base",
            engine(),
            Store(folder.root.parent / f"none {place}"),
        )
        np.testing.assert_allclose(alone.values[:][0], first.values[:][place], rtol=1e-5)
    folder.paths.reverse()
    again = folder.read()
    assert (again.computed, folder.kept) == (0, [])
    assert np.array_equal(again.values[:][::-1], first.values[:])


def test_copies_unreadable_changed_and_new_files(folder: Folder) -> None:
    one, two, three, four, *_ = (folder.root / path for path in folder.paths)
    shutil.copy(one, two)
    three.write_bytes(b"no picture")
    first = folder.read()
    assert first.computed == 74 and first.records[2].reason
    assert np.array_equal(first.values[:][0], first.values[:][1])
    assert not first.values[:][2].any()
    shutil.copy(folder.root / folder.paths[9], four)
    os.utime(four, ns=(1, 1))
    shutil.copy(folder.root / folder.paths[5], folder.root / "new.png")
    folder.paths = ["new.png", *folder.paths]
    again = folder.read()
    wanted = np.concatenate([first.values[:][5:6], first.values[:]])
    wanted[4] = wanted[10]
    assert np.array_equal(again.values[:], wanted)
    assert set(folder.kept) <= {again.records[0].sha256, again.records[4].sha256}


def test_a_damaged_row_is_computed_again(folder: Folder) -> None:
    first = folder.read()
    with folder.stored() as table:
        changed = table.execute(
            "UPDATE rows SET data = x'00000000' WHERE key IN (?, ?)",
            [first.records[40].sha256, first.records[50].sha256],
        )
        assert changed.rowcount == 2
    again = folder.read()
    assert (again.computed, len(folder.kept)) == (2, 2)
    assert np.array_equal(again.values[:], first.values[:])


def test_what_an_interruption_left_is_used(folder: Folder) -> None:
    class Interrupted(RuntimeError):
        pass

    def stop(done: int) -> None:
        if done == 70:
            raise Interrupted

    files = Files(folder.root, folder.paths, folder.store)
    with pytest.raises(Interrupted):
        extract(files, PREPROCESSING, "base", engine(), folder.store, advance=stop)
    with folder.stored() as table:
        (there,) = table.execute("SELECT count(*) FROM rows").fetchone()
    assert there > 0
    assert folder.read().computed == 75 - there


def test_gathered_features_are_those_of_the_batches(tmp_path: Path) -> None:
    pictures = check_pictures(5, SIZE)
    found = gathered(engine().run(pictures), 5, tmp_path)
    alone = np.concatenate([output.features for picture in pictures for output in engine().run([picture])])
    np.testing.assert_allclose(found[:], alone, rtol=1e-5)
