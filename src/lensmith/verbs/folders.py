"""Where a verb writes what it has seen: a page, pictures, numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lensmith.errors import UsageError
from lensmith.files import OURS, json_bytes, write_atomic, writing
from lensmith.run import Run, open_run
from lensmith.verbs.subject import is_run


def run_of(network: object, out: Path) -> Run | None:
    """Return the run that a user names, None where it is a network."""
    if isinstance(network, Run):
        return network
    return open_run(network, out) if isinstance(network, str | Path) and is_run(str(network), out) else None


@dataclass(frozen=True)
class Folder:
    """A folder that is made when the first file is written to it; each file is there whole or not at all."""

    path: Path

    @classmethod
    def of(cls, save: str | Path | None, run: Run | None, name: str) -> Folder:
        """Return the folder asked for, or one of this name in the run's folder, or in the current one.

        Raises UsageError where it is a file, or a folder with files that are not ours, which might be written over;
        RunError where the disk does not let us look.
        """
        path = Path(save).expanduser() if save is not None else (run.folder if run else Path()) / name
        with writing(path):
            if path.exists() and not path.is_dir():
                raise UsageError(f"save is {str(path)!r}, which is a file; a folder is needed.")
            if path.is_dir() and any(path.iterdir()) and not (path / OURS).exists():
                raise UsageError(
                    f"save is {str(path)!r}, which holds files of others, that might be written over. Name a new or "
                    "an empty folder."
                )
        return cls(path)

    def write(self, name: str, data: bytes) -> None:
        """Write a file. Raises RunError where the disk is full or does not let it."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / OURS).exists():
                write_atomic(self.path / OURS, b"Written by lensmith: what lies here may be written over by it.\n")
            write_atomic(self.path / name, data)

    def write_json(self, name: str, value: object) -> None:
        """Write a JSON file."""
        self.write(name, json_bytes(value))

    def require_apart(self, paths: Sequence[str], names: Sequence[str]) -> None:
        """Raise UsageError where one of the files to be written is one of the user's own pictures."""
        place, own = self.path.resolve(), {Path(path).resolve() for path in paths}
        mine = {one.name.casefold(): one for one in own if one.parent == place}
        for name in names:
            if name.casefold() in mine:
                raise UsageError(
                    f"save is {str(self.path)!r}, where your {mine[name.casefold()].name} lies: it would be written "
                    "over. Choose another folder."
                )


def stems(paths: Sequence[str]) -> list[str]:
    """Return what the names of the files made of each picture begin with: its own letters and digits, with
    a number from 2 on where another one has them already."""
    taken: set[str] = set()
    return [_stem(path, taken) for path in paths]


def _stem(path: str, taken: set[str]) -> str:
    plain = re.sub(r"[^\w.-]+", "_", Path(path).stem)[:50].strip("._-") or "picture"
    number, found = 1, plain
    while found.lower() in taken:
        number += 1
        found = f"{plain}-{number}"
    taken.add(found.lower())
    return found
