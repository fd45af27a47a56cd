"""Image folders: both layouts, what is set aside, what is refused, and links that lead in circles."""

from __future__ import annotations

import os
import sys
import unicodedata
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from lensmith.data.awkward import write_awkward
from lensmith.data.dataset import Dataset
from lensmith.data.folders import open_folder
from lensmith.errors import DataError
from sample_pictures import without_rights

DATA = os.environ.get("LENSMITH_DATA")


def grow(root: Path, *paths: str) -> Path:
    """Make empty files: names are all that is looked at. A path that ends in a slash is a folder."""
    for path in paths:
        if path.endswith("/"):
            (root / path).mkdir(parents=True, exist_ok=True)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
    return root


def labels(dataset: Dataset) -> dict[str, str]:
    return {path: dataset.classes[target] for path, target in zip(dataset.paths, dataset.targets, strict=True)}


def refusal(root: Path, classes: list[str] | None = None) -> str:
    with pytest.raises(DataError) as raised:
        open_folder(root, classes)
    return str(raised.value)


# ---- layouts


def test_folders_are_classes(tmp_path: Path) -> None:
    grow(tmp_path, "dog/b.JPG", "dog/a.png", "cat/deep/er/1.webp", "cat/1.jpeg", "Ant/x.tif")
    dataset = open_folder(tmp_path)
    assert dataset.task == "classification" and dataset.root == tmp_path
    assert dataset.classes == ("Ant", "cat", "dog")
    assert dataset.paths == ("Ant/x.tif", "cat/1.jpeg", "cat/deep/er/1.webp", "dog/a.png", "dog/b.JPG")
    assert dataset.targets.tolist() == [0, 1, 1, 2, 2] and dataset.targets.dtype == np.int64
    assert dataset.given == ("",) * 5 and not dataset.has_given_splits
    assert dataset.counts() == {"Ant": {"": 1}, "cat": {"": 2}, "dog": {"": 2}}
    assert dataset.not_pictures == dataset.without_class == dataset.notes == ()


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Training", "VALID", "Testing"),
        ("TRAIN", "dev", "test"),
        ("train", "validation", "test"),
    ],
)
def test_folders_named_as_splits_hold_the_classes(train: str, validation: str, test: str, tmp_path: Path) -> None:
    grow(tmp_path, f"{train}/cat/1.jpg", f"{train}/dog/1.jpg", f"{validation}/cat/2.jpg", f"{test}/emu/new/3.jpg")
    dataset = open_folder(tmp_path)
    assert dataset.classes == ("cat", "dog", "emu")
    assert dataset.has_given_splits
    assert dataset.counts() == {
        "cat": {"train": 1, "validation": 1, "test": 0},
        "dog": {"train": 1, "validation": 0, "test": 0},
        "emu": {"train": 0, "validation": 0, "test": 1},
    }
    assert labels(dataset)[f"{test}/emu/new/3.jpg"] == "emu"


def test_paths_are_sorted_as_whole_texts(tmp_path: Path) -> None:
    dataset = open_folder(grow(tmp_path, "cat/1.jpg", "cat/1/a.jpg", "cat-2/1.jpg", "Ä/1.jpg", "dog/1.jpg"))
    assert dataset.paths == ("cat-2/1.jpg", "cat/1.jpg", "cat/1/a.jpg", "dog/1.jpg", "Ä/1.jpg")
    assert [dataset.classes[target] for target in dataset.targets] == ["cat-2", "cat", "cat", "dog", "Ä"]


def test_train_among_other_names_is_a_class(tmp_path: Path) -> None:
    dataset = open_folder(grow(tmp_path, "car/1.jpg", "plane/1.jpg", "train/1.jpg", "train/old/2.jpg"))
    assert dataset.classes == ("car", "plane", "train") and not dataset.has_given_splits


def test_a_folder_without_pictures_does_not_decide_the_layout(tmp_path: Path) -> None:
    grow(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "val/cat/1.jpg", "notes/todo.txt", "empty/")
    dataset = open_folder(tmp_path)
    assert dataset.classes == ("cat", "dog") and set(dataset.given) == {"train", "validation"}
    assert dataset.not_pictures == ("empty/", "notes/", "notes/todo.txt")


def test_splits_without_train_are_refused_rather_than_learned_as_classes(tmp_path: Path) -> None:
    said = refusal(grow(tmp_path, "val/cat/1.jpg", "test/cat/1.jpg", "test/dog/1.jpg"))
    assert "'test', 'val'" in said and "none named train" in said
    flat = grow(tmp_path / "flat", "test/1.jpg", "dev/1.jpg")  # two classes with unlucky names
    assert open_folder(flat).classes == ("dev", "test")


@pytest.mark.skipif(DATA is None, reason="LENSMITH_DATA is not set")
def test_real_folders() -> None:
    dataset = open_folder(Path(str(DATA)) / "ants-bees")
    assert dataset.classes == ("ants", "bees") and len(dataset) == 396
    assert {split for count in dataset.counts().values() for split in count} == {"train", "validation"}
    dataset = open_folder(Path(str(DATA)) / "objects32")
    assert all(count == {"train": 500, "test": 100} for count in dataset.counts().values())
    assert len(dataset.classes) == 10


# ---- what is set aside


def test_what_is_not_a_picture_is_named_and_set_aside(tmp_path: Path) -> None:
    aside = ["Thumbs.db", "cat/.hidden.jpg", "cat/._1.jpg", "cat/notes.txt", "cat/noending", "dog/.DS_Store"]
    grow(tmp_path, *aside, "__MACOSX/cat/1.jpg", ".git/objects/1.jpg", "dog/@eaDir/1.jpg", "cat/1.jpg", "dog/1.jpg")
    dataset = open_folder(tmp_path)
    assert dataset.paths == ("cat/1.jpg", "dog/1.jpg")
    assert dataset.not_pictures == tuple(sorted([*aside, "__MACOSX/", ".git/", "dog/@eaDir/"]))


def test_folders_that_lensmith_wrote_are_no_classes(tmp_path: Path) -> None:
    grow(
        tmp_path, "ants/1.jpg", "ants/2.jpg", "bees/1.jpg", "explained/1.png", "explained/.lensmith", "runs/a/run.json"
    )
    grow(tmp_path, "runs/a/figures/1.jpg")
    found = open_folder(tmp_path)
    assert found.classes == ("ants", "bees") and len(found.paths) == 3


def test_pictures_beside_the_class_folders_have_no_class(tmp_path: Path) -> None:
    assert open_folder(grow(tmp_path, "cat/1.jpg", "dog/1.jpg", "loose.png")).without_class == ("loose.png",)
    grow(tmp_path / "b", "train/cat/1.jpg", "train/dog/1.jpg", "test/1.jpg", "loose.png")
    dataset = open_folder(tmp_path / "b")
    assert dataset.without_class == ("loose.png", "test/1.jpg")
    assert dataset.paths == ("train/cat/1.jpg", "train/dog/1.jpg")


def test_awkward_pictures_are_all_accounted_for(tmp_path: Path) -> None:
    awkward = write_awkward(tmp_path / "cat")
    grow(tmp_path, "dog/1.jpg")
    dataset = open_folder(tmp_path)
    assert dataset.not_pictures == ("cat/.DS_Store",)
    assert len(dataset) == len(awkward)  # less one set aside, and one dog


# ---- links


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_are_followed_and_circles_survive(tmp_path: Path) -> None:
    grow(tmp_path, "store/many/1.jpg", "store/2.jpg", "photos/cat/3.jpg", "photos/dog/4.jpg")
    photos = tmp_path / "photos"
    (photos / "cat" / "linked").symlink_to(tmp_path / "store" / "many")
    (photos / "emu").symlink_to(tmp_path / "store")
    (photos / "dog" / "5.jpg").symlink_to(tmp_path / "store" / "2.jpg")
    (photos / "dog" / "gone.jpg").symlink_to(tmp_path / "gone.jpg")
    (photos / "dog" / "self.jpg").symlink_to(photos / "dog" / "self.jpg")
    (photos / "cat" / "up").symlink_to(photos)
    (photos / "cat" / "everything").symlink_to("/")
    (tmp_path / "store" / "many" / "round").symlink_to(tmp_path / "store")
    (photos / "again").symlink_to(photos)
    dataset = open_folder(photos)
    assert dataset.paths == (
        "cat/3.jpg",
        "cat/linked/1.jpg",
        "cat/linked/round/2.jpg",
        "dog/4.jpg",
        "dog/5.jpg",
        "dog/gone.jpg",  # no pixel is read here: the decoder will say what is wrong with these two
        "dog/self.jpg",
        "emu/2.jpg",
        "emu/many/1.jpg",
    )
    assert {"again/", "cat/up/", "cat/everything/", "emu/many/round/"} < set(dataset.not_pictures)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_folders_that_all_link_to_each_other_take_no_time(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(12)]
    for name in names:
        grow(tmp_path, f"{name}/own.jpg")
        for other in names:
            if other != name:
                (tmp_path / name / other).symlink_to(tmp_path / other)
    dataset = open_folder(tmp_path)
    assert len(dataset.classes) == 12 and 12 * 12 <= len(dataset) <= 12**3


# ---- names


def test_names_are_shown_as_they_are_and_compared_in_one_form(tmp_path: Path) -> None:
    composed, decomposed = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    grow(tmp_path, f"train/{decomposed}/1.jpg", "train/<b>a & b</b>/1.jpg".replace("/b", "-b"), "train/長い 名前/1.jpg")
    grow(tmp_path, f"val/{composed}/2.jpg")
    dataset = open_folder(tmp_path)
    assert dataset.classes == ("<b>a & b<-b>", decomposed, "長い 名前")
    assert dataset.counts()[decomposed] == {"train": 1, "validation": 1}
    assert open_folder(tmp_path, classes=[composed, "<b>a & b<-b>", "長い 名前"]).targets.tolist() == [1, 0, 2, 0]


def test_classes_that_differ_in_capitals_are_kept_and_noted(tmp_path: Path) -> None:
    grow(tmp_path, "Cat/1.jpg", "cat/2.jpg", "dog/1.jpg")
    if len(list(tmp_path.iterdir())) == 2:
        pytest.skip("this file system does not tell capitals apart")
    dataset = open_folder(tmp_path)
    assert dataset.classes == ("Cat", "cat", "dog")
    assert len(dataset.notes) == 1 and "'Cat', 'cat'" in dataset.notes[0]
    said = refusal(grow(tmp_path / "b", "train/Cat/1.jpg", "train/dog/1.jpg", "val/cat/1.jpg"))
    assert "'Cat', 'cat'" in said and "one name" in said


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all names are text")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    grow(tmp_path, "cat/1.jpg", "dog/1.jpg", os.fsdecode(b"cat/caf\xe9.jpg"))
    dataset = open_folder(tmp_path)
    assert dataset.not_pictures == ("cat/caf\\xe9.jpg",) and len(dataset) == 2
    grow(tmp_path, os.fsdecode(b"caf\xe9/1.jpg"))
    assert "caf\\xe9: the name of this folder is not valid UTF-8" in refusal(tmp_path)


# ---- the classes of a trained model


def test_classes_of_a_model_give_the_order(tmp_path: Path) -> None:
    dataset = open_folder(grow(tmp_path, "cat/1.jpg", "ant/1.jpg"), classes=["emu", "cat", "ant"])
    assert dataset.classes == ("emu", "cat", "ant") and dataset.targets.tolist() == [2, 1]
    assert open_folder(grow(tmp_path / "one", "cat/1.jpg"), classes=["emu", "cat"]).targets.tolist() == [1]


def test_a_folder_that_is_no_class_of_the_model_is_refused(tmp_path: Path) -> None:
    said = refusal(grow(tmp_path, "cats/1.jpg", "dog/1.jpg"), ["cat", "dog"])
    assert "'cats'" in said and "'cat', 'dog'" in said and "Nearest: cat." in said


def test_splits_are_known_under_a_model_too(tmp_path: Path) -> None:
    grow(tmp_path, "test/cat/1.jpg", "test/dog/1.jpg")
    dataset = open_folder(tmp_path, classes=["cat", "dog"])
    assert dataset.given == ("test", "test") and dataset.targets.tolist() == [0, 1]
    vehicles = open_folder(grow(tmp_path / "v", "train/1.jpg"), classes=["car", "train"])
    assert vehicles.given == ("",) and vehicles.targets.tolist() == [1]
    assert "'bird'" in refusal(grow(tmp_path / "b", "test/bird/1.jpg"), ["cat", "dog"])


# ---- refusals


def test_what_is_no_data_set_is_refused_with_the_fix(tmp_path: Path) -> None:
    grow(tmp_path, "photos/cat/1.jpg", "empty/", "hollow/cat/", "texts/a.txt", "texts/b/c.txt", "texts/d.csv")
    grow(tmp_path, "beside/1.jpg", "beside/labels.csv")
    grow(tmp_path, "flat/1.jpg", "flat/2.jpg", "single/cat/1.jpg", "single/.x", "list.csv", "one.jpg", "data.tar.gz")
    grow(tmp_path, "wrap/photos/cat/1.jpg", "wrap/photos/dog/1.jpg", "unlabelled/train/1.jpg", "unlabelled/test/1.jpg")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("cat/1.jpg", b"")
    layout = "{0}/cat/1.jpg\n  {0}/cat/2.jpg\n  {0}/dog/1.jpg"
    expected = {
        "photo": ["no such folder", "Nearest: photos"],
        "nowhere/photos": ["no such folder"],
        "photos.zip": ["archive", "python -m zipfile -e photos.zip photos"],
        "data.tar.gz": ["archive", "Unpack"],
        "one.jpg": ["one picture", "lensmith predict RUN one.jpg"],
        "list.csv": ["is a file", "a table of them (.csv", layout.format("photos")],
        "empty": ["holds nothing", layout.format("empty")],
        "hollow": ["holds only empty folders"],
        "texts": ["no pictures", ".txt (2), .csv (1)"],
        "flat": ["2 pictures", "no class folders", layout.format("flat")],
        "beside": ["1 picture", "no class folders", f"give {tmp_path / 'beside' / 'labels.csv'}"],
        "single": ["one class only: 'cat' (1 picture)", layout.format("single")],
        "wrap": ["one class only: 'photos'", f"Is {tmp_path / 'wrap' / 'photos'} the folder to give?", "'cat', 'dog'"],
        "unlabelled": ["2 pictures", "no class folders"],
    }
    for name, parts in expected.items():
        said = refusal(tmp_path / name)
        assert str(tmp_path / name) in said
        for part in parts:
            assert part in said, (name, said)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of this kind are POSIX")
def test_a_folder_that_may_not_be_read_is_refused() -> None:
    with TemporaryDirectory() as name:
        root = grow(Path(name) / "photos", "cat/1.jpg", "dog/1.jpg")
        Path(name).chmod(0o755)
        with without_rights():
            assert len(open_folder(root)) == 2
        (root / "dog").chmod(0)
        with without_rights():
            said = refusal(root)
        assert f"{root / 'dog'} may not be read" in said and "chmod" in said
        (root / "dog").chmod(0o755)


# ---- the values


def made(tmp_path: Path, task: str, classes: str, targets: np.ndarray, given: tuple[str, ...] = ()) -> Dataset:
    paths = tuple(f"{number:03d}.jpg" for number in range(len(targets)))
    return Dataset(tmp_path, task, tuple(classes), paths, targets, given or ("",) * len(targets))


def test_strata_are_classes_rarest_labels_and_ranges_of_numbers(tmp_path: Path) -> None:
    assert made(tmp_path, "classification", "abc", np.array([2, 0, 2])).strata.tolist() == [2, 0, 2]
    rows = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1]], np.uint8)
    assert rows.sum(0).tolist() == [5, 2, 4]  # so b is the rarest, then c
    assert made(tmp_path, "multilabel", "abc", rows).strata.tolist() == [1, 2, 2, 0, 3, 1, 2]
    everywhere = np.ones((3, 1), np.uint8)
    assert made(tmp_path, "multilabel", "a", everywhere).strata.tolist() == [0, 0, 0]
    numbers = np.arange(200, dtype=np.float32)[::-1]
    strata = made(tmp_path, "regression", "", numbers).strata
    assert np.bincount(strata).tolist() == [20] * 10 and (np.diff(strata) <= 0).all()
    assert np.bincount(made(tmp_path, "regression", "", numbers[:37]).strata).tolist() == [12, 12, 13]
    assert set(made(tmp_path, "regression", "", numbers[:9]).strata.tolist()) == {0}
    few = np.repeat(np.array([3, 7], np.float32), [150, 50])
    assert len(set(made(tmp_path, "regression", "", few).strata.tolist())) == 2
    for dataset in (made(tmp_path, "multilabel", "ab", rows[:, :2]), made(tmp_path, "regression", "", numbers)):
        assert dataset.strata.dtype == np.int64


def test_each_label_is_counted_and_numbers_are_not(tmp_path: Path) -> None:
    rows = np.array([[1, 1], [1, 0], [0, 0]], np.uint8)
    dataset = made(tmp_path, "multilabel", "ab", rows, ("train", "test", "train"))
    assert dataset.counts() == {"a": {"train": 1, "test": 1}, "b": {"train": 1, "test": 0}}
    assert made(tmp_path, "regression", "", np.zeros(3, np.float32)).counts() == {}
    assert dataset.noun == "label" and dataset.source == tmp_path and dataset.name == tmp_path.name


def test_fields_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    assert len(made(tmp_path, "classification", "ab", np.array([0, 1]))) == 2
    for wrong in ([0, 2], [-1, 0], [0.0, 1.0], [[0], [1]]):
        with pytest.raises(ValueError, match="target"):
            made(tmp_path, "classification", "ab", np.array(wrong))
    for rows in (np.array([[2, 0]], np.uint8), np.array([[1, 0]]), np.array([[1]], np.uint8)):
        with pytest.raises(ValueError, match="target"):
            made(tmp_path, "multilabel", "ab", rows)
    for numbers in (np.array([np.nan], np.float32), np.array([1.0])):
        with pytest.raises(ValueError, match="target"):
            made(tmp_path, "regression", "", numbers)
    with pytest.raises(ValueError, match="regression has none"):
        made(tmp_path, "regression", "ab", np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="'boxes'; allowed are"):
        made(tmp_path, "boxes", "ab", np.array([0]))
    with pytest.raises(ValueError, match="'held'"):
        made(tmp_path, "classification", "ab", np.array([0, 1]), ("", "held"))
    with pytest.raises(ValueError, match="one given split a path"):
        made(tmp_path, "classification", "ab", np.array([0, 1]), ("",))
