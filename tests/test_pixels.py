"""Decoded pictures that are kept: built as they are asked for, and never another picture, whatever happens to them."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np
import pytest

from conftest import write_shapes
from lensmith.data.folders import open_folder
from lensmith.data.pack import RECORD_BYTES, Pack
from lensmith.data.pixels import StoredPixels, look_at, open_pack
from lensmith.data.preprocess import Preprocessing, to_square
from lensmith.data.read import Files, Record, read_pictures
from lensmith.data.source import open_data
from lensmith.data.store import Store
from lensmith.errors import DataError
from lensmith.reproduce import generator
from lensmith.training.recipe import resolve
from lensmith.training.request import Request
from lensmith.verbs.console import Console, Stopwatch
from lensmith.verbs.kinds import pictures
from lensmith.verbs.kinds.kind import Material

SIZE = 24
ROW = 3 * SIZE * SIZE
SQUARE = Preprocessing(SIZE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
EVERY = slice(None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_shapes(tmp_path / "pictures", each=10, size=40)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def records_of(folder: Path) -> tuple[Record, ...]:
    """What the files are, found without a store that anything else uses."""
    paths = open_folder(folder).paths
    apart = Store(folder.parent / f"apart-{time.monotonic_ns()}")
    return tuple(picture.record for picture in read_pictures(Files(folder, paths, apart), SQUARE))


def decoded(folder: Path) -> np.ndarray:
    from PIL import Image

    pictures = [Image.open(folder / path) for path in open_folder(folder).paths]
    return np.stack([to_square(picture.convert("RGB"), SQUARE) for picture in pictures])


def stored(folder: Path, store: Store, records: tuple[Record, ...]) -> StoredPixels:
    """The pictures as another process would open them."""
    return StoredPixels(folder, records, SQUARE, open_pack(store, folder, SQUARE))


def spoil(folder: Path) -> None:
    """Make every picture one that cannot be decoded, so that what is still shown was not; size and time stay."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def entry_of(store: Store) -> Path:
    (entry,) = [entry for entry in store.entries() if entry.kind == "pixels"]
    return entry.path


def test_pictures_are_indexed_as_an_array_is(folder: Path, store: Store) -> None:
    array, pictures = decoded(folder), stored(folder, store, records_of(folder))
    assert (pictures.shape, len(pictures)) == (array.shape, len(array))
    for positions in (np.array([7, 2, 2, -1]), slice(3, 20, 4), np.zeros(0, int), np.arange(6).reshape(2, 3)):
        for _ in ("decoded", "stored"):
            found = pictures[positions]
            assert found.dtype == np.uint8
            assert np.array_equal(found, array[positions])
    with pytest.raises(IndexError):
        pictures[np.array([len(array)])]


def test_what_was_asked_for_once_is_not_decoded_again(folder: Path, store: Store) -> None:
    array, records = decoded(folder), records_of(folder)
    stored(folder, store, records)[np.array([4, 9, 1])]
    spoil(folder)
    pictures = stored(folder, store, records)
    assert np.array_equal(pictures[np.array([1, 4, 9])], array[[1, 4, 9]])
    with pytest.raises(DataError, match=rf"{records[5].path} has changed"):
        pictures[np.array([1, 5])]


def test_a_grown_and_renamed_folder_is_found_by_content(folder: Path, store: Store) -> None:
    records = records_of(folder)
    kept = dict(zip((record.sha256 for record in records), stored(folder, store, records)[EVERY], strict=True))
    write_shapes(folder, each=12, size=40)
    (folder / "cross").rename(folder / "sword")
    new = records_of(folder)
    added = [place for place, record in enumerate(new) if record.sha256 not in kept]
    assert len(added) == 6
    stored(folder, store, new)[np.array(added)]
    spoil(folder)
    pictures = stored(folder, store, new)[EVERY]
    assert all(np.array_equal(kept[new[i].sha256], pictures[i]) for i in range(len(new)) if i not in added)


def test_looking_keeps_what_it_decodes(folder: Path, store: Store) -> None:
    (folder / "disc" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    paths = open_folder(folder).paths
    first = look_at(Files(folder, paths, store), SQUARE, open_pack(store, folder, SQUARE))
    array = stored(folder, store, first)[EVERY]
    spoil(folder)
    assert look_at(Files(folder, paths, store), SQUARE, open_pack(store, folder, SQUARE)) == first
    assert np.array_equal(stored(folder, store, first)[EVERY], array)
    broken = [record.reason != "" for record in first]
    assert sum(broken) == 1
    assert np.array_equal(~array.any((1, 2, 3)), broken), "what cannot be read is black, and nothing else is"


def test_a_picture_that_was_replaced_is_refused(folder: Path, store: Store) -> None:
    records = records_of(folder)
    shutil.copy(folder / records[0].path, folder / records[1].path)
    (folder / records[2].path).unlink()
    pictures = stored(folder, store, records)
    with pytest.raises(DataError, match=r"another picture.*Train again"):
        pictures[np.array([1])]
    with pytest.raises(DataError, match="no such file"):
        pictures[np.array([2])]


def test_a_damaged_row_is_decoded_again_and_put_right(folder: Path, store: Store) -> None:
    array, records = decoded(folder), records_of(folder)
    stored(folder, store, records)[EVERY]
    rows = entry_of(store) / "rows"
    data = bytearray(rows.read_bytes())
    data[7 * ROW + 100] ^= 1
    rows.write_bytes(data)
    assert np.array_equal(stored(folder, store, records)[EVERY], array)
    spoil(folder)
    assert np.array_equal(stored(folder, store, records)[EVERY], array)


def test_whatever_is_left_of_the_files_gives_no_other_picture(folder: Path, store: Store) -> None:
    """Both files cut anywhere, rows swapped, an index that belongs to other rows, noise."""
    array, records, random = decoded(folder), records_of(folder), generator(0, "left")
    stored(folder, store, records)[EVERY]
    rows, index = (entry_of(store) / name for name in ("rows", "index"))
    for _ in range(12):
        left = {path: path.read_bytes()[: int(random.integers(path.stat().st_size))] for path in (rows, index)}
        for path, data in left.items():
            path.write_bytes(data)
        assert np.array_equal(stored(folder, store, records)[EVERY], array)
        assert rows.stat().st_size == len(records) * ROW
        assert index.stat().st_size == len(records) * RECORD_BYTES
    whole = np.fromfile(rows, np.uint8).reshape(-1, ROW)
    for other in (whole[::-1], random.integers(0, 256, whole.shape, np.uint8)):
        other.tofile(rows)
        assert np.array_equal(stored(folder, store, records)[EVERY], array)


FILL = """
import sys
from pathlib import Path
import numpy as np
from lensmith.data.pack import Pack
rows, pack = np.load(sys.argv[1]), Pack(Path(sys.argv[2]), int(sys.argv[3]), 2**30)
print("open", flush=True)
sys.stdin.readline()
for number in np.random.default_rng(int(sys.argv[4])).permutation(len(rows)):
    pack.follow()
    pack.keep(f"{number:064x}", rows[number])
"""


@contextmanager
def filling(folder: Path, rows: np.ndarray, seeds: range) -> Iterator[list[Popen[bytes]]]:
    """Let processes fill one pack at once, each in an order of its own."""
    np.save(folder / "rows.npy", rows)
    words = [sys.executable, "-c", FILL, str(folder / "rows.npy"), str(folder / "pack"), str(rows[0].size)]
    with ExitStack() as stack:
        begun = [stack.enter_context(Popen([*words, str(seed)], stdin=PIPE, stdout=PIPE, bufsize=0)) for seed in seeds]
        for child in begun:
            assert child.stdout is not None
            assert child.stdout.readline() == b"open\n"
        for child in begun:
            assert child.stdin is not None
            child.stdin.write(b"go\n")
        yield begun


def sound(folder: Path, rows: np.ndarray) -> int:
    """Count the rows that are there; each must be what was written."""
    pack, row, count = Pack(folder / "pack", rows[0].size, 2**30), np.empty_like(rows[0]), 0
    for number, whole in enumerate(rows):
        if pack.read(f"{number:064x}", row):
            assert np.array_equal(row, whole)
            count += 1
    return count


def test_kills_at_any_moment_and_two_at_once(tmp_path: Path) -> None:
    random = generator(0, "kills")
    rows, counts = random.integers(0, 256, (400, 3 * 128 * 128), np.uint8), []
    for number in range(4):
        with filling(tmp_path, rows, range(2 * number, 2 * number + 2)) as children:
            time.sleep(random.uniform(0, 0.02))
            for child in children:
                child.kill()
        counts.append(sound(tmp_path, rows))
    assert counts == sorted(counts)
    assert counts[0] < len(rows), "they were killed too late to show anything"
    with filling(tmp_path, rows, range(2)) as children:
        assert [child.wait() for child in children] == [0, 0]
    assert sound(tmp_path, rows) == len(rows)
    assert (tmp_path / "pack" / "rows").stat().st_size == rows.size


def test_one_writes_and_the_other_follows(tmp_path: Path) -> None:
    rows, row = np.arange(30, dtype=np.uint8).reshape(3, 10), np.empty(10, np.uint8)
    first, second = Pack(tmp_path, 10, 2**20), Pack(tmp_path, 10, 2**20)
    second.keep("a" * 64, rows[1])
    first.keep("a" * 64, rows[0])
    assert not second.read("a" * 64, row)
    assert second.follow()
    assert second.read("a" * 64, row)
    assert np.array_equal(row, rows[0])
    assert not second.follow()
    del first
    second.follow()
    second.keep("b" * 64, rows[2])
    assert Pack(tmp_path, 10, 2**20).read("b" * 64, row)
    assert np.array_equal(row, rows[2])


def test_what_another_process_decodes_is_not_decoded_again(folder: Path, store: Store) -> None:
    array, records = decoded(folder), records_of(folder)
    one, other = stored(folder, store, records), stored(folder, store, records)
    one[EVERY]
    spoil(folder)
    assert np.array_equal(other[EVERY], array)


def test_folders_and_geometries_are_entries_of_their_own(folder: Path, store: Store) -> None:
    for place in (folder, folder / os.fsdecode(b"n\xe4me")):
        for preprocessing in (SQUARE, replace(SQUARE, crop=0.5), replace(SQUARE, mean=(0.5, 0.5, 0.5))):
            open_pack(store, place, preprocessing)
    assert [entry.kind for entry in store.entries()] == 4 * ["pixels"]


def test_a_full_pack_takes_no_more_but_for_pictures_that_are_gone(tmp_path: Path) -> None:
    rows = generator(0, "full").integers(0, 256, (6, 1000), np.uint8)
    names = [digit * 64 for digit in "abcdef"]
    room = 4 * (1000 + RECORD_BYTES)

    def there() -> list[bool]:
        pack, row = Pack(tmp_path, 1000, room), np.empty(1000, np.uint8)
        found = [pack.read(name, row) and np.array_equal(row, rows[number]) for number, name in enumerate(names)]
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= room
        return found

    pack = Pack(tmp_path, 1000, room)
    for name, row in zip(names, rows, strict=True):
        pack.keep(name, row)
    del pack
    assert there() == [True, True, True, True, False, False]
    pack = Pack(tmp_path, 1000, room)
    pack.give_way({names[0], names[2], names[3], names[4], names[5]})
    pack.keep(names[4], rows[4])
    pack.keep(names[5], rows[5])
    del pack
    assert there() == [True, False, True, True, True, False]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: writes then fail as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_only_costs_time(folder: Path, store: Store) -> None:
    array, records = decoded(folder), records_of(folder)
    with largest_file(10 * ROW + 100):
        pictures = stored(folder, store, records)
        for _ in range(2):
            assert np.array_equal(pictures[EVERY], array)
    assert (entry_of(store) / "index").stat().st_size == 10 * RECORD_BYTES
    assert np.array_equal(stored(folder, store, records)[EVERY], array)


def test_a_store_that_takes_nothing_only_costs_time(folder: Path, store: Store) -> None:
    (store.folder / "pixels").write_text("in the way")
    array, pictures = decoded(folder), stored(folder, store, records_of(folder))
    for _ in range(2):
        assert np.array_equal(pictures[EVERY], array)


def test_an_entry_may_go_while_it_is_used(folder: Path, store: Store) -> None:
    array, records = decoded(folder), records_of(folder)
    pictures = stored(folder, store, records)
    pictures[np.arange(10)]
    (entry,) = store.trim(0)[-1:]
    assert (entry.kind, entry.bytes) == ("pixels", 10 * (ROW + RECORD_BYTES))
    assert np.array_equal(pictures[EVERY], array)
    assert np.array_equal(stored(folder, store, records)[EVERY], array)


@pytest.mark.parametrize("options", [{}, {"recipe": "finetune"}, {"recipe": "features"}], ids=str)
def test_training_decodes_a_picture_once(tmp_path: Path, store: Store, options: dict[str, str]) -> None:
    """By the pass that every training begins with; where no recipe needs pixels again, none are kept."""
    from safetensors.torch import save_file

    from lensmith.zoo.convnet import Convnet

    folder = write_shapes(tmp_path / "pictures", each=5, size=40)
    save_file(Convnet((4,)).state_dict(), tmp_path / "drawn.safetensors")
    weights = str(tmp_path / "drawn.safetensors") if options else "none"
    request = Request(
        str(folder), network="convnet/4", weights=weights, image_size=SIZE, crop=1.0, engine="torch", **options
    )

    def read() -> Material:
        dataset = open_data(folder)
        return pictures.read(resolve(request, dataset, store, print), dataset, store, Console(quiet=True), Stopwatch())

    first = read()
    if options.get("recipe") == "features":
        assert "pixels" not in {entry.kind for entry in store.entries()}
        return
    array = decoded(folder)
    spoil(folder)
    again = read()
    assert again.records == first.records
    assert np.array_equal(first.pixels()[EVERY], array)
    assert np.array_equal(again.pixels()[EVERY], array)
    if first.features is not None:
        assert np.array_equal(np.asarray(again.features), first.features)
