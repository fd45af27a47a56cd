"""Store, reading, audit and split: what is kept, what is left out, and who stands where."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lensmith.data import awkward
from lensmith.data.audit import Findings, audit, require_enough
from lensmith.data.dataset import Dataset
from lensmith.data.folders import open_folder
from lensmith.data.preprocess import Preprocessing, crop_box, from_dict, to_square
from lensmith.data.read import Files, Record, read_pictures
from lensmith.data.source import open_data
from lensmith.data.split import Splits, split
from lensmith.data.store import Store, file_digest, remove, tensors_digest
from lensmith.errors import DataError, UsageError
from sample_pictures import noise, saved

GREY = Preprocessing(image_size=16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def read_all(folder: Path, store: Store, known: tuple[str, ...] = ()) -> list[tuple[Record, bool]]:
    dataset = open_folder(folder)
    files = Files(dataset.root, dataset.paths, store)
    return [(picture.record, picture.pixels is not None) for picture in read_pictures(files, GREY, known=known)]


def records_of(folder: Path, store: Store) -> list[Record]:
    return [record for record, _ in read_all(folder, store)]


def test_reading_keeps_order_and_remembers(shapes: Path, tmp_path: Path) -> None:
    store, dataset = Store(tmp_path), open_folder(shapes)
    first = read_all(shapes, store)
    assert [record.path for record, _ in first] == list(dataset.paths)
    assert all(pixels for _, pixels in first)
    assert first[5][0].sha256 == file_digest(shapes / first[5][0].path)
    hashes = tuple(record.sha256 for record, _ in first)
    again = read_all(shapes, store, known=hashes)
    assert [record for record, _ in again] == [record for record, _ in first]
    assert not any(pixels for _, pixels in again), "nothing had to be opened"


def test_a_changed_file_is_read_again(make_shapes: Callable[..., Path], tmp_path: Path) -> None:
    folder, store = make_shapes(each=3), Store(tmp_path / "store")
    hashes = tuple(record.sha256 for record in records_of(folder, store))
    changed = folder / "cross" / "001.png"
    Image.new("RGB", (32, 32), "red").save(changed)
    os.utime(changed, ns=(1, 1))
    found = read_all(folder, store, known=hashes)
    assert [record.path for record, pixels in found if pixels] == ["cross/001.png"]


def test_an_unwritable_store_only_costs_time(shapes: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert len(records_of(shapes, Store(blocked / "below"))) == 90


def test_a_damaged_store_only_costs_time(shapes: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    before = records_of(shapes, store)
    for path in (tmp_path / "files").glob("*.sqlite*"):
        path.write_bytes(b"not a database at all" * 100)
    assert records_of(shapes, Store(tmp_path)) == before


def test_store_trims_the_oldest_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for age, name in enumerate(("new", "middle", "old")):
        with store.new_folder("bases", name) as building:
            (building / "blob").write_bytes(bytes(1000))
        os.utime(tmp_path / "bases" / name, (10_000 - age, 10_000 - age))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mine.safetensors").write_bytes(bytes(5000))
    assert [entry.name for entry in store.trim(2000)] == ["old"]
    assert {entry.name for entry in store.entries()} == {"new", "middle", "mine.safetensors"}
    for entry in store.entries():
        remove(entry)
    assert store.entries() == []


def test_new_folder_is_whole_or_absent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.new_folder("bases", "x") as building:
        (building / "half").write_text("half")
        raise RuntimeError
    assert store.entries() == []
    assert list((tmp_path / "bases").iterdir()) == []


def test_tensors_digest_sees_names_shapes_and_bytes() -> None:
    base = {"a": np.zeros((2, 3), np.float32)}
    others = [
        {"b": np.zeros((2, 3), np.float32)},
        {"a": np.zeros((3, 2), np.float32)},
        {"a": np.zeros((2, 3), np.float16)},
        {"a": np.ones((2, 3), np.float32)},
    ]
    assert len({tensors_digest(tensors) for tensors in (base, *others)}) == 5
    assert tensors_digest(base) == tensors_digest({"a": np.zeros((3, 2), np.float32).T.copy().reshape(2, 3)})


@pytest.mark.parametrize("size", [(100, 60), (60, 100), (31, 31), (16, 400)])
def test_resize_of_a_box_equals_resize_then_crop(size: tuple[int, int]) -> None:
    """The one-step geometry against the usual two steps, within the rounding of half a pixel."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    smooth = np.stack([128 + 100 * np.sin(x / 17), 128 + 100 * np.cos(y / 13), x * 0 + 90], -1)
    picture = Image.fromarray(np.clip(smooth, 0, 255).astype(np.uint8))
    ours = to_square(picture, Preprocessing(28, (0, 0, 0), (1, 1, 1), crop=0.875)).astype(int)
    scale = 32 / min(size)
    resized = picture.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.BILINEAR)
    left, top = (resized.width - 28) // 2, (resized.height - 28) // 2
    theirs = np.asarray(resized.crop((left, top, left + 28, top + 28))).astype(int)
    assert np.abs(ours - theirs).mean() < 8
    assert crop_box((100, 60), 1.0) == (20, 0, 80, 60)


def test_squash_and_pad() -> None:
    picture = Image.new("RGB", (40, 20), (10, 20, 30))
    assert (to_square(picture, Preprocessing(8, (0, 0, 0), (1, 1, 1), resize="squash")) == (10, 20, 30)).all()
    padded = to_square(picture, Preprocessing(8, (0, 0, 0), (1, 1, 1), resize="pad"))
    assert (padded[:2] == 255).all() and (padded[2:6] == (10, 20, 30)).all() and (padded[6:] == 255).all()


def test_preprocessing_there_and_back_and_errors() -> None:
    assert from_dict(GREY.as_dict()) == GREY
    with pytest.raises(UsageError, match="allowed are crop, squash, pad"):
        Preprocessing(8, (0, 0, 0), (1, 1, 1), resize="stretch")  # type: ignore[arg-type]


def test_audit_names_what_is_wrong(make_shapes: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_shapes(each=12)
    shutil.copy(folder / "disc" / "000.png", folder / "disc" / "copy.png")
    shutil.copy(folder / "disc" / "001.png", folder / "cross" / "double.png")
    (folder / "square" / "broken.jpg").write_text("hello")
    (folder / "square" / ".DS_Store").write_bytes(b"x")
    dataset = open_folder(folder)
    found = audit(dataset, records_of(folder, Store(tmp_path / "store")))
    named = found.as_dict(dataset)
    assert named["copies"] == [["cross/double.png", "disc/001.png"], ["disc/000.png", "disc/copy.png"]]
    assert named["contradictions"] == [["cross/double.png", "disc/001.png"]]
    assert [item["path"] for item in named["unreadable"]] == ["square/broken.jpg"]
    left_out = {item["path"] for item in named["left_out"]}
    assert left_out == {"square/broken.jpg", "cross/double.png", "disc/001.png"}
    assert named["not_pictures"]["count"] == 1
    found.require_sound(dataset)


def test_too_many_broken_pictures_stop(make_shapes: Callable[..., Path], tmp_path: Path) -> None:
    folder, store = make_shapes(each=3), Store(tmp_path / "store")
    (folder / "square" / "broken.jpg").write_text("hello")
    dataset = open_folder(folder)
    audit(dataset, records_of(folder, store)).require_sound(dataset)  # one in ten is left out and no more
    (folder / "disc" / "broken.png").write_bytes(b"")
    dataset = open_folder(folder)
    with pytest.raises(DataError, match=r"2 of 11 pictures cannot be read .*disc/broken\.png"):
        audit(dataset, records_of(folder, store)).require_sound(dataset)


def test_a_class_with_one_picture_stops(make_shapes: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_shapes(each=4)
    for number in range(1, 4):
        (folder / "disc" / f"{number:03d}.png").unlink()
    dataset = open_folder(folder)
    with pytest.raises(DataError, match="class 'disc' has 1 usable picture;"):
        audit(dataset, records_of(folder, Store(tmp_path / "store"))).require_sound(dataset)


def test_awkward_pictures_come_out_as_documented(tmp_path: Path) -> None:
    """The forty through the reader that every verb uses: what can be read has pixels, the rest a reason."""
    made = awkward.write_awkward(tmp_path / "all" / "odd")
    (tmp_path / "all" / "even").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "all" / "even" / "a.png")
    outcomes = {made_one.name: made_one.outcome for made_one in made}
    for record, pixels in read_all(tmp_path / "all", Store(tmp_path / "store")):
        if record.path.startswith("odd/") and (name := record.path.removeprefix("odd/")) in outcomes:
            assert (outcomes[name] == "read") == pixels, (name, record.reason)
            assert bool(record.reason) != pixels


def split_of(folder: Path, tmp_path: Path, seed: int = 0) -> tuple[dict[str, str], object]:
    dataset = open_folder(folder)
    found = split(dataset, audit(dataset, records_of(folder, Store(tmp_path / "store"))), seed)
    return dict(zip(dataset.paths, found.names.tolist(), strict=True)), found


def test_split_is_stratified_seeded_and_keeps_copies_together(make_shapes: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_shapes(each=20)
    for number in range(8):
        shutil.copy(folder / "disc" / f"{number:03d}.png", folder / "disc" / f"copy{number}.png")
    names, _ = split_of(folder, tmp_path)
    for kind in ("cross", "square"):
        parts = [part for path, part in names.items() if path.startswith(kind)]
        assert sorted(set(parts)) == ["test", "train", "validation"]
        assert parts.count("test") == 4 and parts.count("validation") == 3
    for number in range(8):
        assert names[f"disc/{number:03d}.png"] == names[f"disc/copy{number}.png"]
    assert split_of(folder, tmp_path)[0] == names
    assert split_of(folder, tmp_path, seed=1)[0] != names


def test_new_and_renamed_pictures_leave_the_others_in_place(make_shapes: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_shapes(each=40)
    before, _ = split_of(folder, tmp_path)
    (folder / "disc" / "000.png").rename(folder / "disc" / "zzz.png")
    after, _ = split_of(folder, tmp_path)
    assert after["disc/zzz.png"] == before["disc/000.png"]
    assert all(after[path] == part for path, part in before.items() if path in after)


@pytest.mark.parametrize(
    ("given", "held_out", "stopping"),
    [
        (("train", "val", "test"), "test", "validation"),
        (("train", "valid"), "validation", "stopping"),
        (("training", "test"), "test", "validation"),
        (("train",), "test", "validation"),
    ],
)
def test_given_splits_are_kept(
    given: tuple[str, ...], held_out: str, stopping: str, make_shapes: Callable[..., Path], tmp_path: Path
) -> None:
    for number, part in enumerate(given):
        whole = make_shapes(f"source{number}", each=10)
        (tmp_path / "data").mkdir(exist_ok=True)
        for picture in sorted(whole.rglob("*.png")):  # a picture is part of one split only
            if int(picture.stem) % len(given) != number:
                picture.unlink()
        whole.rename(tmp_path / "data" / part)
    names, found = split_of(tmp_path / "data", tmp_path)
    assert (found.held_out, found.stopping) == (held_out, stopping)  # type: ignore[attr-defined]
    assert {"train", held_out, stopping} == set(names.values())
    if held_out in ("test", "validation") and len(given) > 1:
        held = {path for path, part in names.items() if part == held_out}
        folder = given[-1]
        assert held == {path for path in names if path.startswith(f"{folder}/")}


def test_training_copies_of_held_out_pictures_are_left_out(make_shapes: Callable[..., Path], tmp_path: Path) -> None:
    make_shapes("data/train", each=8), make_shapes("data/test", each=2)
    names, _ = split_of(tmp_path / "data", tmp_path)
    assert all(part == "test" for path, part in names.items() if path.startswith("test/"))
    assert [path for path, part in names.items() if not part] == [
        f"train/{kind}/{number:03d}.png" for kind in ("cross", "disc", "square") for number in range(2)
    ]


# Tables: several labels a picture, or a number. The pictures are real, small, and all different but for copies.


def audited(folder: Path, rows: list[str], copies: dict[int, int] | None = None) -> tuple[Dataset, Findings]:
    """Write a table with one picture a row, `copies[i]` being the row whose picture row i repeats."""
    (folder / "p").mkdir(parents=True)
    header = "label,split" if "," in rows[0] else "label"
    lines = [f"path,{header}", *(f"p/{number:03d}.png,{row}" for number, row in enumerate(rows))]
    (folder / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    for number in range(len(rows)):
        shown = noise(4, 4, 3 + 3 * (copies or {}).get(number, number))[:, :, -3:]
        (folder / "p" / f"{number:03d}.png").write_bytes(saved(Image.fromarray(shown), "PNG"))
    dataset = open_data(folder / "table.csv")
    files = Files(dataset.root, dataset.paths, Store(folder / "store"))
    return dataset, audit(dataset, [picture.record for picture in read_pictures(files, GREY)])


def shares(dataset: Dataset, found: Splits) -> dict[str, int]:
    return {part: len(found.indices(part)) for part in ("train", found.stopping, found.held_out)}


def test_labels_are_split_by_the_rarest_a_picture_has(tmp_path: Path) -> None:
    rows = ["rare;often"] * 10 + ["often"] * 40 + ["other;often"] * 20 + [""] * 30
    dataset, findings = audited(tmp_path, rows)
    found = split(dataset, findings, seed=0)
    assert dataset.task == "multilabel" and shares(dataset, found) == {"train": 64, "validation": 16, "test": 20}
    for stratum, size in enumerate((8, 4, 2, 6)):  # often alone, other, rare, none
        assert int((found.names[dataset.strata == stratum] == "test").sum()) == size
    assert (split(dataset, findings, seed=0).names == found.names).all()
    assert (split(dataset, findings, seed=1).names != found.names).any()


def test_a_label_never_leaves_training_as_a_whole(tmp_path: Path) -> None:
    """The two pictures of `l` lie in two strata of two, each of which gives one picture to the test part."""
    dataset, findings = audited(tmp_path, ["a;l", "a;m", "b;l", "b;m", *["m;z"] * 8])
    for seed in range(40):  # a quarter of which would draw both
        train = split(dataset, findings, seed).indices("train")
        assert dataset.targets[train].any(0).all(), seed


def test_a_label_without_training_pictures_stops(tmp_path: Path) -> None:
    rows = ["a;b,train", "a,train", "b,train", "a,train", "b,train", "a;c,test", "c,test", "b,test"]
    dataset, findings = audited(tmp_path, rows)
    with pytest.raises(DataError, match=r"no training pictures for: c\. Add some to the rows of the split train"):
        split(dataset, findings, seed=0)


def test_numbers_are_split_over_their_whole_range(tmp_path: Path) -> None:
    dataset, findings = audited(tmp_path, [f"{number}" for number in range(100)])
    found = split(dataset, findings, seed=3)
    assert dataset.task == "regression" and shares(dataset, found) == {"train": 60, "validation": 20, "test": 20}
    for part in ("validation", "test"):
        assert np.bincount(dataset.targets[found.indices(part)].astype(int) // 10).tolist() == [2] * 10


def test_a_part_needs_more_than_one_number(tmp_path: Path) -> None:
    rows = [f"{number}.5,{'test' if number == 3 else 'train'}" for number in range(15)]
    dataset, findings = audited(tmp_path, rows)
    with pytest.raises(DataError, match=r"1 picture is left for the split 'test'; 2 are needed .* a column split with"):
        split(dataset, findings, seed=0)


def test_copies_with_other_labels_or_numbers_contradict_each_other(tmp_path: Path) -> None:
    rows = ["a;b", "b;a", "a", "b", "a;b", "", *["a", "b"] * 4]
    dataset, findings = audited(tmp_path / "labels", rows, {1: 0, 4: 3})
    assert findings.copies == ((0, 1), (3, 4)) and findings.contradictions == ((3, 4),)
    assert findings.left_out == tuple((index, "the same picture also stands with other labels") for index in (3, 4))
    assert any("with two sets of labels at once" in warning for warning in findings.warnings)
    assert split(dataset, findings, 0).names[0] == split(dataset, findings, 0).names[1] != ""
    numbers = ["1000.0", "1000.0005", "1000.0", "1000.5", "0", "0", *(f"{number}.5" for number in range(14))]
    _, findings = audited(tmp_path / "numbers", numbers, {1: 0, 3: 2, 5: 4})
    assert findings.copies == ((0, 1), (2, 3), (4, 5)) and findings.contradictions == ((2, 3),)
    assert {reason for _, reason in findings.left_out} == {"the same picture also stands with another number"}


def test_a_picture_given_to_two_splits_is_a_leak(tmp_path: Path) -> None:
    dataset, _ = audited(tmp_path, ["a,train", "b,train", "a,train", "b,train", "a,test", "b,test"])
    with (tmp_path / "table.csv").open("a") as table:
        table.write("\np/000.png,a,test\n")
    dataset = open_data(tmp_path / "table.csv")
    files = Files(dataset.root, dataset.paths, Store(tmp_path / "store"))
    findings = audit(dataset, [picture.record for picture in read_pictures(files, GREY)])
    assert dataset.paths[:2] == ("p/000.png",) * 2 and findings.leaks == ((0, 1),)
    assert [split(dataset, findings, 0).names[index] for index in (0, 1)] == ["", "test"]


def test_too_little_of_a_label_or_of_numbers_stops(tmp_path: Path) -> None:
    dataset, findings = audited(tmp_path / "labels", ["a;b", "a", "a", "", "a;c", "c"])
    with pytest.raises(DataError, match=r"label 'b' has 1 usable picture; .* take the label out of the table"):
        findings.require_sound(dataset)
    dataset, _ = audited(tmp_path / "classes", ["a", "a", "b"])
    with pytest.raises(DataError, match=r"class 'b' has 1 picture; .* or leave its rows out"):
        require_enough(dataset, np.ones(3, bool))
    dataset, findings = audited(tmp_path / "numbers", [f"{number}.5" for number in range(10)])
    findings.require_sound(dataset)
    assert shares(dataset, split(dataset, findings, 0)) == {"train": 6, "validation": 2, "test": 2}
    with pytest.raises(DataError, match=r"table\.csv has 9 pictures with a number; at least 10"):
        require_enough(dataset, np.arange(10) > 0)


def test_warnings_of_labels_and_numbers(tmp_path: Path) -> None:
    _, findings = audited(tmp_path / "labels", ["a;b"] * 2 + ["a"] * 20)
    said = " ".join(findings.warnings)
    assert "Fewer than 20 pictures in 1 of 2 labels (b)." in said
    assert "Uneven labels: a has 22 pictures, b has 2. Look at the macro F1, which counts every label alike." in said
    assert "Every picture has the label a: there is nothing to tell apart." in said
    numbers = ["0.5"] * 11 + [f"{number}.25" for number in range(10)]
    _, findings = audited(tmp_path / "half", numbers)
    assert any("52% of the pictures have one number of label, 0.5" in warning for warning in findings.warnings)
    _, findings = audited(tmp_path / "less", numbers[1:])
    assert not any("one number" in warning for warning in findings.warnings)
