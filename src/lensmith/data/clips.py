"""Short clips: a folder of frames or a video file each, in one folder a class.

moves/wave/anna/0001.jpg 0002.jpg ...      moves/wave/anna.mp4
moves/jump/anna/0001.jpg 0002.jpg ...      moves/jump/anna.mp4

Of every clip the same number of frames is seen, evenly spread over its length, each turned into a square as pictures
are.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lensmith.data import decode
from lensmith.data.dataset import NOT_GIVEN, Dataset
from lensmith.data.folders import SPLIT_NAMES
from lensmith.data.formats import PICTURE_SUFFIXES
from lensmith.data.preprocess import Preprocessing, from_dict, read_square, to_square
from lensmith.data.read import Record
from lensmith.data.target import require_classes
from lensmith.errors import DataError
from lensmith.reproduce import cores

FRAMES = 16
VIDEOS = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"))
FILES_MET = 8  # of a folder tell what it holds
FEWEST = 2  # frames; with one there is nothing that moves
DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Moving:
    """How a clip becomes numbers: so many frames, each by the preprocessing of pictures."""

    frames: int
    picture: Preprocessing
    kind: str = "frames"

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {"kind": self.kind, "frames": self.frames, "picture": self.picture.as_dict()}


def moving_from_dict(fields: dict[str, Any]) -> Moving:
    """Return what `Moving.as_dict` wrote."""
    return Moving(int(fields["frames"]), from_dict(fields["picture"]))


def holds_videos(folder: Path) -> bool:
    """Return whether a folder is one of videos: most files that are met first in it and in its folders are.

    A video among photographs does not make clips of them, and no folder is read to its end.
    """
    places = [folder, *_folders(folder)]
    places += [inside for place in places[1:] for inside in _folders(place)]
    met = [path.suffix.lower() for place in places for path in islice(place.iterdir(), FILES_MET)]
    return sum(suffix in VIDEOS for suffix in met) > sum(suffix in PICTURE_SUFFIXES for suffix in met)


def open_clips(root: Path, classes: Sequence[str] | None = None) -> Dataset:
    """Return the data set of a folder of class folders with clips in them, below train, validation and test or not.

    classes: those of a trained model that it is to be evaluated with. Raises DataError for no clips, one class, or one
    that the model does not know.
    """
    below = _folders(root)
    given = {folder: SPLIT_NAMES[folder.name.casefold()] for folder in below if folder.name.casefold() in SPLIT_NAMES}
    places = [(split, folder) for top, split in given.items() for folder in _folders(top)]
    if not given or len(given) < len(below):
        places = [(NOT_GIVEN, folder) for folder in below]
    found = [(clip, folder.name, split) for split, folder in places for clip in clips_in(folder)]
    names = sorted({name for _, name, _ in found})
    if classes is not None:
        require_classes(root, names, classes, "folder")
        names = list(classes)
    if not found or len(names) < 2:
        seen = f"one class of clips, {names[0]!r}" if names else "no clips"
        raise DataError(
            f"{root} has {seen}; two classes are needed at least. Put each class into a folder, and each clip into it "
            f"as a folder of frames or a video file: {root.name}/wave/anna/0001.jpg, {root.name}/wave/ben.mp4."
        )
    found.sort()
    return Dataset(
        root=root,
        task="classification",
        classes=tuple(names),
        paths=tuple(clip.relative_to(root).as_posix() for clip, _, _ in found),
        targets=np.array([names.index(name) for _, name, _ in found], np.int64),
        given=tuple(split for _, _, split in found),
        example="clip",
    )


def clips_in(folder: Path) -> list[Path]:
    """Return the clips that lie in a folder: its folders of frames and its video files, in the order of names."""
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    clips = [path for path in inside if path.suffix.lower() in VIDEOS or (path.is_dir() and frames_in(path))]
    return sorted(clips)


def frames_in(folder: Path) -> list[Path]:
    """Return the pictures in a folder in the order of their names, 2 before 10."""
    pictures = (path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.name[0] != ".")
    return sorted(pictures, key=_in_order)


def _in_order(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in DIGITS.split(path.name)]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_clips(root: Path, paths: Sequence[str], moving: Moving) -> Iterator[tuple[Record, np.ndarray | None]]:
    """Yield a record of each clip and its frames (t, s, s, 3) uint8; None, and the reason, where it cannot be read."""
    with ThreadPoolExecutor(cores(), thread_name_prefix="clips") as pool:
        for begin in range(0, len(paths), 2 * cores()):  # so many clips at once are in memory
            yield from pool.map(lambda path: _read(root, path, moving), paths[begin : begin + 2 * cores()])


def _read(root: Path, path: str, moving: Moving) -> tuple[Record, np.ndarray | None]:
    place, sha = root / path, hashlib.sha256()
    try:
        squares, size = (_from_frames if place.is_dir() else _from_video)(place, moving, sha.update)
    except decode.Unreadable as unreadable:
        return Record(path, sha.hexdigest(), 0, 0, unreadable.reason), None
    return Record(path, sha.hexdigest(), *size, ""), np.stack(squares)


def _spread(count: int, frames: int) -> list[int]:
    """Return which of `count` frames are seen, evenly spread; frames of a shorter clip are seen more than once."""
    if count < FEWEST:
        raise decode.Unreadable(f"{'one frame' if count else 'no frames'}: a clip needs {FEWEST} at least")
    return [round(place) for place in np.linspace(0, count - 1, frames)]


def _from_frames(
    folder: Path, moving: Moving, learn: Callable[[bytes], None]
) -> tuple[list[np.ndarray], tuple[int, int]]:
    files = frames_in(folder)
    seen = _spread(len(files), moving.frames)
    squares: dict[int, np.ndarray] = {}
    size = (0, 0)
    for number in sorted(set(seen)):
        data = decode.picture_bytes(files[number])
        learn(data)
        squares[number], size = read_square(data, moving.picture)
    return [squares[number] for number in seen], size


def _from_video(file: Path, moving: Moving, learn: Callable[[bytes], None]) -> tuple[list[np.ndarray], tuple[int, int]]:
    try:
        import av
    except ImportError:
        raise decode.Unreadable('video files need a plug-in: pip install "lensmith[video]"') from None
    try:
        learn(file.read_bytes())
        with av.open(str(file)) as container:
            pictures = [frame.to_image() for frame in container.decode(video=0)]
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        raise decode.Unreadable(f"this video cannot be decoded ({type(error).__name__})") from error
    seen = _spread(len(pictures), moving.frames)
    squares = {number: to_square(pictures[number], moving.picture) for number in set(seen)}
    return [squares[number] for number in seen], pictures[0].size


def kept(
    clips: Iterator[tuple[Record, np.ndarray | None]], count: int, moving: Moving
) -> tuple[list[Record], np.ndarray]:
    """Return the records of all clips and their frames (n, t, s, s, 3), in a nameless file that goes with the array."""
    side = moving.picture.image_size
    shape = (count, moving.frames, side, side, 3)
    with tempfile.TemporaryFile() as file:  # the mapping keeps it
        frames = np.memmap(file, np.uint8, "w+", shape=shape)
    records = list[Record]()
    for record, clip in clips:
        if clip is not None:
            frames[len(records)] = clip
        records.append(record)
    return records, frames
