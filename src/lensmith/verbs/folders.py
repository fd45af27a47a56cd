"""Where a verb writes what it has seen: a page, pictures, numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lensmith.errors import UsageError
from lensmith.files import write_atomic, writing
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

        Raises UsageError where it cannot be one.
        """
        path = Path(save).expanduser() if save is not None else (run.folder if run else Path()) / name
        if path.exists() and not path.is_dir():
            raise UsageError(f"save is {str(path)!r}, which is a file; a folder is needed.")
        return cls(path)

    def write(self, name: str, data: bytes) -> None:
        """Write a file. Raises RunError where the disk is full or does not let it."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path / name, data)

    def write_json(self, name: str, value: object) -> None:
        """Write a JSON file."""
        self.write(name, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))
