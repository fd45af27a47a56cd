"""Image folders: the names of sub-folders are the classes, with or without given splits above them.

Two layouts are known, and the names on disk alone decide between them:

    photos/cat/1.jpg          photos/train/cat/1.jpg
    photos/cat/new/2.jpg      photos/train/dog/2.jpg
    photos/dog/3.jpg          photos/val/cat/3.jpg
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from lensmith.data.dataset import NOT_GIVEN, SPLITS, Dataset
from lensmith.data.formats import PICTURE_SUFFIXES
from lensmith.data.table import TABLE_SUFFIXES
from lensmith.errors import DataError, nearest
from lensmith.files import OURS

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
SET_ASIDE = frozenset(("__macosx", "@eadir", "lost+found", "$recycle.bin", "thumbs.db", "desktop.ini"))
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
RUN_FILE = "run.json"
CLASS_DEPTH = 2  # folders below the root, at most, down to where a class begins
NAMES_SHOWN = 8

Identity = tuple[int, int]  # device and inode: the same folder, whatever link led to it


@dataclass(frozen=True)
class _Found:
    """What lies below a root, as paths relative to it with forward slashes."""

    pictures: tuple[str, ...]
    others: tuple[str, ...]
    folders: tuple[str, ...]  # directly below the root


@dataclass(frozen=True)
class _Labelled:
    """One picture with the name of its class folder and its given split."""

    path: str
    folder: str
    given: str


def open_folder(root: Path, classes: Sequence[str] | None = None) -> Dataset:
    """Return the data set in a folder of class folders; reads names, never pixels.

    classes: those of a trained model, where the folder is to be evaluated with it; each class folder must
    then be one of them, and targets count in their order. Without it the class folders are the classes,
    sorted by code point, and there must be two of them at least.

    Raises DataError, with the fix, where the folder cannot be read as a data set.
    """
    root = Path(root)
    _require_folder(root)
    found = _everything(root)
    labelled, without_class = _labelled(root, found, classes)
    if not labelled:
        raise DataError(_no_class_folders(root, found))
    names, notes = _class_names(root, labelled)
    shown = tuple(names.values())
    if classes is not None:
        _require_known(root, names, classes)
        shown = tuple(classes)
    elif len(names) == 1:
        raise DataError(_one_class(root, shown[0], labelled))
    position = {_same(name): index for index, name in enumerate(shown)}
    labelled.sort(key=lambda picture: picture.path)
    return Dataset(
        root=root,
        task="classification",
        classes=shown,
        paths=tuple(picture.path for picture in labelled),
        targets=np.array([position[_same(picture.folder)] for picture in labelled], np.int64),
        given=tuple(picture.given for picture in labelled),
        not_pictures=tuple(sorted([*found.others, *_without_pictures(found)])),
        without_class=tuple(sorted(without_class)),
        notes=notes,
    )


def _same(name: str) -> str:
    """Return the form in which names are compared: some systems store é as one letter, some as two."""
    return unicodedata.normalize("NFC", name)


def _require_folder(root: Path) -> None:
    """Raise DataError, with the fix for what stands there instead, unless `root` is a folder."""
    try:
        if root.is_dir():
            return
        there = root.exists()
        beside = root.parent.is_dir()
    except OSError as error:
        raise DataError(f"{root} cannot be looked at ({error.strerror}).") from None
    if not there:
        names = [entry.name for entry in _entries(root.parent) if _is_folder(entry)] if beside else []
        raise DataError(f"{root}: no such folder.{nearest(root.name, names)} Check the name and where you are.")
    ending = root.suffix.lower()
    if ending in ARCHIVES:
        fix = f" (`python -m zipfile -e {root.name} {root.stem}`)" if ending == ".zip" else ""
        raise DataError(f"{root} is an archive, not a folder. Unpack it{fix} and give the folder.")
    if ending in PICTURE_SUFFIXES:
        raise DataError(
            f"{root} is one picture; a folder of pictures is needed. "
            f"To ask a trained run what it shows: `lensmith predict RUN {root.name}`."
        )
    raise DataError(
        f"{root} is a file; a folder of pictures is needed, or a table of them ({', '.join(TABLE_SUFFIXES)}). "
        f"{_example(Path('photos'))}"
    )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, by name; raises DataError where the folder may not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        fix = "Allow it (`chmod u+rx` on Linux and macOS), or move the folder away."
        raise DataError(f"{folder} may not be read ({error.strerror}). {fix}") from None


def _everything(root: Path) -> _Found:
    """Return all files below `root`, links followed. A link to a folder that holds it is not followed."""
    above: set[Identity] = set()
    for folder in root.resolve().parents:
        with suppress(OSError):
            above.add(_identity(folder))
    files = list(_walk(root, "", above))
    pictures = (path for path, is_picture in files if is_picture)
    others = (path for path, is_picture in files if not is_picture)
    folders = (entry.name for entry in _entries(root) if _is_folder(entry) and not _set_aside(entry.name))
    return _Found(tuple(pictures), tuple(others), tuple(folders))


def _walk(folder: Path, relative: str, seen: set[Identity]) -> Iterator[tuple[str, bool]]:
    """Yield (path, whether it is named like a picture) of the files below a folder.

    Links can lead in circles, so below one class every folder is read once; two classes may share a folder.
    """
    identity = _identity(folder)
    if identity in seen:
        yield relative, False
        return
    if relative.count("/") <= CLASS_DEPTH:
        seen = {*seen, identity}
    else:
        seen.add(identity)
    entries = _entries(folder)
    if relative and any(entry.name in (RUN_FILE, OURS) for entry in entries):
        yield relative, False  # written by lensmith: the pictures of its reports are nobody's data
        return
    for entry in entries:
        path = relative + _readable(entry.name)
        if _is_folder(entry) and _readable(entry.name) != entry.name:
            raise DataError(f"{path}: the name of this folder is not valid UTF-8. Rename it.")
        if _set_aside(entry.name):
            yield path + "/" * _is_folder(entry), False
        elif _is_folder(entry):
            yield from _walk(Path(entry), path + "/", seen)
        else:  # a link to nothing stays: the decoder will name it
            yield path, Path(entry.name).suffix.lower() in PICTURE_SUFFIXES


def _identity(folder: Path) -> Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _set_aside(name: str) -> bool:
    """Return whether a name is hidden, left behind by a system, or no text, which no table could hold."""
    return name.startswith(".") or name.casefold() in SET_ASIDE or _readable(name) != name


def _readable(name: str) -> str:
    """Return a name from disk as text; bytes that are not UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _labelled(root: Path, found: _Found, classes: Sequence[str] | None) -> tuple[list[_Labelled], list[str]]:
    """Return the pictures with their classes and splits, and the pictures that have no class."""
    tops = sorted({path.partition("/")[0] for path in found.pictures if "/" in path})
    level = 1 if _is_split(root, found, tops, classes) else 0
    labelled, without_class = [], []
    for path in found.pictures:
        parts = path.split("/")
        if len(parts) < level + 2:
            without_class.append(path)
        else:
            given = SPLIT_NAMES[parts[0].casefold()] if level else NOT_GIVEN
            labelled.append(_Labelled(path, parts[level], given))
    return labelled, without_class


def _is_split(root: Path, found: _Found, tops: list[str], classes: Sequence[str] | None) -> bool:
    """Return whether the folders below the root are splits rather than classes."""
    if not tops or not all(top.casefold() in SPLIT_NAMES for top in tops):
        return False
    if classes is not None:
        known = {_same(name) for name in classes}
        return not any(_same(top) in known for top in tops)
    if any(SPLIT_NAMES[top.casefold()] == "train" for top in tops):
        return True
    if all(path.count("/") >= 2 for path in found.pictures if "/" in path):
        raise DataError(
            f"{root} has folders named as splits ({_listed(tops)}) but none named train. "
            f"Name the folder to learn from train, or give a folder whose sub-folders are the classes."
        )
    return False


def _class_names(root: Path, labelled: list[_Labelled]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return {form for comparing: name as on disk}, sorted, and what is odd about the names."""
    names: dict[str, str] = {}
    splits: dict[str, set[str]] = defaultdict(set)
    for picture in sorted(labelled, key=lambda picture: (_rank(picture.given), picture.path)):
        names.setdefault(_same(picture.folder), picture.folder)
        splits[_same(picture.folder)].add(picture.given)
    notes = []
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        alike[name.casefold()].append(name)
    for group in (group for group in alike.values() if len(group) > 1):
        if not set.intersection(*(splits[name] for name in group)):
            raise DataError(
                f"{root}: the splits write one class in several ways ({_listed(group)}). Give its folders one name."
            )
        notes.append(f"Two classes differ only in capital letters: {_listed(group)}. Is it one class?")
    return {name: names[name] for name in sorted(names)}, tuple(notes)


def _rank(given: str) -> int:
    return (NOT_GIVEN, *SPLITS).index(given)


def _require_known(root: Path, names: dict[str, str], classes: Sequence[str]) -> None:
    known = {_same(name) for name in classes}
    for name, shown in names.items():
        if name not in known:
            raise DataError(
                f"{root}: the folder {shown!r} is none of the {len(classes)} classes of the model "
                f"({_listed(classes)}).{nearest(shown, classes)} Rename it, or move it away."
            )


def _without_pictures(found: _Found) -> Iterable[str]:
    """Return the folders directly below the root that hold no picture, each with a slash at its end."""
    holding = {path.partition("/")[0] for path in found.pictures}
    listed = set(found.others)
    return (f"{name}/" for name in found.folders if name not in holding and f"{name}/" not in listed)


def _no_class_folders(root: Path, found: _Found) -> str:
    if found.pictures:
        seen = f"{root} holds {_number(len(found.pictures), 'picture')} but no class folders."
        tables = [path for path in found.others if "/" not in path and path.lower().endswith(TABLE_SUFFIXES)]
        if tables:
            return f"{seen} If {tables[0]} lists them with their labels, give {root / tables[0]}."
        return f"{seen} {_example(root)}"
    if not found.others:
        seen = "only empty folders" if found.folders else "nothing"
        return f"{root} holds {seen}. {_example(root)}"
    endings = Counter(PurePosixPath(path).suffix.lower() or "none" for path in found.others)
    seen = ", ".join(f"{ending} ({count})" for ending, count in endings.most_common(NAMES_SHOWN))
    return f"{root} holds no pictures; the endings seen are {seen}. {_example(root)}"


def _one_class(root: Path, name: str, labelled: list[_Labelled]) -> str:
    said = f"{root} holds one class only: {name!r} ({_number(len(labelled), 'picture')}); two are needed. "
    inner = {picture.path.split("/")[1] for picture in labelled if picture.path.count("/") >= 2}
    if len(inner) > 1 and not labelled[0].given:
        return said + f"Is {root / name} the folder to give? It holds {_listed(sorted(inner))}."
    return said + f"Add a folder with pictures of something else. {_example(root)}"


def _example(root: Path) -> str:
    """Return three lines that show how a folder is laid out."""
    name = root.name or "photos"
    return f"Each class is a folder:\n  {name}/cat/1.jpg\n  {name}/cat/2.jpg\n  {name}/dog/1.jpg"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(repr(name) for name in names[:NAMES_SHOWN]) + more
