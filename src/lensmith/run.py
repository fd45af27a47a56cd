"""A run on disk: the only file that knows the names in a run folder (format 1).

Every file appears whole or not at all (written beside its place, synced, renamed); history.csv alone grows line by
line. An older format stays readable here; a newer one is refused.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lensmith.errors import RunError, UsageError, nearest
from lensmith.files import json_bytes, write_atomic, writing

FORMAT = 1
CHECKPOINT = "checkpoint"
HALF_WRITTEN = re.compile(r"\..+\.(\d+)")  # what a file is called while it is written; the number is a process
LONGEST_NAME = 200  # bytes; file systems take 255, and temporary names need some
HISTORY = (
    "stage",
    "epoch",
    "l2",
    "train_loss",
    "validation_loss",
    "train_metric",
    "validation_metric",
    "learning_rate",
    "gradient",
    "change",
    "seconds",
)


@dataclass(frozen=True)
class Run:
    """A run folder. `lensmith.train` gives one, `open_run` finds one; every verb takes it or its path."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def document(self) -> dict[str, Any]:
        """What run.json says. Raises RunError if it is missing, damaged or of a newer format."""
        return _read_document(self.folder / "run.json")

    def field(self, name: str) -> Any:
        """Return one top-level field of run.json. Raises RunError if it is not there."""
        document = self.document
        if name not in document:
            raise RunError(f"{self.folder / 'run.json'} is damaged (it has no {name}). Train again.")
        return document[name]

    @property
    def metrics(self) -> dict[str, Any]:
        """What metrics.json says; empty until the run has been scored."""
        path = self.folder / "metrics.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    @property
    def model_folder(self) -> Path:
        """Where the model lies."""
        return self.folder / "model"

    @property
    def report(self) -> Path:
        """Where the report lies."""
        return self.folder / "report.html"

    def update(self, **fields: object) -> None:
        """Replace top-level fields of run.json."""
        self.write_json("run.json", {**self.document, **fields})

    def write_json(self, name: str, value: object) -> None:
        """Write one JSON file; numbers that are not finite become null."""
        self.write_bytes(name, json_bytes(value))

    def write_text(self, name: str, text: str) -> None:
        """Write one text file, whole or not at all."""
        self.write_bytes(name, text.encode("utf-8", "surrogateescape"))

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write one file, whole or not at all. Raises RunError where the disk is full or cannot be written."""
        with writing(self.folder):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data)

    def write_table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a CSV file with a header."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
        self.write_text(name, text.getvalue())

    def read_table(self, name: str, columns: Sequence[str] = ()) -> list[dict[str, str]]:
        """Return the rows of a CSV file as dictionaries. Raises RunError if it or one of the columns is missing."""
        path = self.folder / name
        if not path.exists():
            raise RunError(f"{self.folder} has no {name}: the run did not get that far. Train again.")
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = list(csv.DictReader(file))
        if not rows or any(row.get(column) is None for row in rows for column in columns):
            raise RunError(f"{path} is damaged (it must have rows of {', '.join(columns)}). Train again.")
        return rows

    def begin_history(self) -> None:
        """Forget the epochs written so far; a resumed run writes those it builds on again."""
        (self.folder / "history.csv").unlink(missing_ok=True)

    def append_history(self, row: Mapping[str, object]) -> None:
        """Add one epoch to history.csv."""
        path = self.folder / "history.csv"
        with writing(self.folder), path.open("a", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, HISTORY, lineterminator="\n", extrasaction="ignore")
            if file.tell() == 0:
                table.writeheader()
            table.writerow(row)

    def write_splits(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Write splits.csv of (path, target, split, sha256); copies share a group, the number of the first of them."""
        first: dict[str, int] = {}
        groups = (first.setdefault(row[3] or row[0], index) for index, row in enumerate(rows))
        table = ((*row, group) for row, group in zip(rows, groups, strict=True))
        self.write_table("splits.csv", ("path", "target", "split", "sha256", "group"), table)

    def write_checkpoint(self, name: str, tensors: Mapping[str, np.ndarray], document: Mapping[str, object]) -> None:
        """Write what is needed to go on, tensors and numbers in one file: the one of before, or this, never a mixture.

        Numbers are written so that they are read back bit for bit. Raises RunError where the disk is full.
        """
        from safetensors.numpy import save

        arrays = {key: np.asarray(value, order="C") for key, value in tensors.items()}
        said = json.dumps(document)
        data = save(arrays, {"document": said, "digest": _digest(arrays, said)})
        self.write_bytes(f"{CHECKPOINT}/{name}.safetensors", data)

    def read_checkpoint(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return what `write_checkpoint` wrote, None if there is nothing.

        Raises RunError if it is damaged, be it in a single bit: training must not go on from other numbers.
        """
        from safetensors import SafetensorError, safe_open

        path = self.folder / CHECKPOINT / f"{name}.safetensors"
        if not path.exists():
            return None
        try:
            with safe_open(path, "numpy") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                said = file.metadata() or {}
            if said.get("digest") != _digest(tensors, said.get("document", "")):
                raise ValueError("what it holds is not what was written")
            return tensors, json.loads(said["document"])
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged ({error}). Remove it to begin this stage again.") from error

    def clear_checkpoints(self) -> None:
        """Remove what only an unfinished run needs."""
        shutil.rmtree(self.folder / CHECKPOINT, ignore_errors=True)

    @property
    def resumable(self) -> bool:
        """Whether there is work in the run that would be lost with it."""
        return any((self.folder / CHECKPOINT).glob("*.safetensors"))

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other processes from training the same run; the claim ends with the process, however it ends.

        Raises RunError if another one has it. Systems and disks without such locks are trusted.
        """
        try:
            import fcntl
        except ImportError:
            yield
            return
        place = os.open(self.folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"{self.folder} is being trained by another process. Wait for it, or end it.") from None
            except OSError:
                pass  # some network disks know no locks
            self._sweep()
            yield
        finally:
            os.close(place)

    def _sweep(self) -> None:
        """Remove what processes that are no more had begun to write."""
        for path in self.folder.rglob(".*"):
            written = HALF_WRITTEN.fullmatch(path.name)
            if written and not _lives(int(written[1])):
                with suppress(OSError):
                    path.unlink()


def _digest(tensors: Mapping[str, np.ndarray], said: str) -> str:
    """Return a hash of all that a checkpoint holds."""
    found = hashlib.blake2b(said.encode(), digest_size=32)
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tensor.shape} ".encode())
        found.update(np.ravel(tensor).data)
    return found.hexdigest()


def _lives(process: int) -> bool:
    """Return whether another process has this number; our own was somebody else's when the file was left."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)  # sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def create_run(
    out: Path, name: str | None, stem: str, document: Mapping[str, object], splits: Sequence[tuple[str, ...]] = ()
) -> Run:
    """Make a new run folder holding splits.csv and run.json; a free name `stem-N` is made where none is given.

    run.json comes last: a folder that has one holds all that a run begins with.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        folder = _claim(out, name, stem)
    run = Run(folder)
    started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    try:
        if splits:
            run.write_splits(splits)
        run.write_json("run.json", {"format": FORMAT, "name": folder.name, "started": started, **document})
    except BaseException:
        discard(run)
        raise
    return run


def require_free(out: Path, name: str | None) -> None:
    """Raise UsageError early if `name` is impossible or a run of that name exists."""
    if name is None:
        return
    if not name.strip() or Path(name).name != name or name in (".", "..") or "\0" in name:
        raise UsageError(f"name is {name!r}; it must be a plain folder name. Try --name first-run.")
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise UsageError(f"name has {len(name)} letters; at most {LONGEST_NAME} bytes fit. Try --name first-run.")
    if (out / name).exists():
        raise UsageError(f"a run named {name!r} already exists in {out}. Choose another --name, or remove it.")


def _claim(out: Path, name: str | None, stem: str) -> Path:
    """Make the folder; making it is what decides between two runs that want the same name."""
    if name is not None:
        require_free(out, name)
        (out / name).mkdir()
        return out / name
    number = 1
    while True:
        try:
            (out / f"{stem}-{number}").mkdir()
        except FileExistsError:
            number += 1
        else:
            return out / f"{stem}-{number}"


def discard(run: Run) -> None:
    """Remove a run that holds nothing worth keeping."""
    shutil.rmtree(run.folder, ignore_errors=True)


def open_run(place: Run | str | Path, out: Path = Path("runs")) -> Run:
    """Return the run at a path, or of that name in `out`. Raises RunError naming near ones if there is none."""
    if isinstance(place, Run):
        return place
    for folder in (Path(place), out / place):
        if (folder / "run.json").is_file():
            return Run(folder)
    there = [run.name for run in list_runs(out)]
    known = f" Runs in {out}: {', '.join(there[:8])}." if there else f" There are no runs in {out}."
    raise RunError(f"no run at {str(place)!r} (no run.json there).{nearest(str(place), there) or known}")


def list_runs(out: Path) -> list[Run]:
    """Return the runs in a folder, the newest first."""
    found = [Run(path.parent) for path in out.glob("*/run.json")]
    return sorted(found, key=lambda run: (run.folder / "run.json").stat().st_mtime, reverse=True)


def _read_document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing: {path.parent} is no run folder.") from None
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}). Train again.") from error
    number = document.get("format") if isinstance(document, dict) else None
    if not isinstance(number, int):
        raise RunError(f"{path} is damaged (it names no format). Train again.")
    if number > FORMAT:
        raise RunError(f"{path} has format {number}; this lensmith reads up to {FORMAT}. Install a newer lensmith.")
    return dict(document)
