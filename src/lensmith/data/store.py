"""What is kept between runs: hashes of files, decode outcomes, pixels, features, converted bases.

The store lives in $LENSMITH_CACHE or the platform's cache folder, never beside the data. Everything in it can be
made again, so a store that cannot be written (full or read-only disk) slows the work down and never stops it.
Every file is a unit of eviction; the one used longest ago goes first. SQLite does the crash-safe part.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

MOST_BYTES = 10 * 2**30
MOST_SHARE_OF_FREE_DISK = 0.20
KEYS_A_QUERY = 500
DAY = 24 * 3600.0
FORMAT = 1


def cache_folder() -> Path:
    """Return the folder of the store: $LENSMITH_CACHE, else the platform's cache folder."""
    given = os.environ.get("LENSMITH_CACHE")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("lensmith", appauthor=False))


def digest(*parts: object) -> str:
    """Return a short stable name for a combination of values (64 bits of BLAKE2b, as hex)."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def tensors_digest(tensors: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 over names, kinds, shapes and bytes, in the order of names."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.asarray(tensors[name], order="C")
        sha.update(f"{name}|{tensor.dtype.str}|{tensor.shape}|".encode())
        sha.update(tensor.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Table:
    """One SQLite file holding one table of `key -> columns`; a failing disk turns it into an empty table.

    large: rows of kilobytes, which SQLite writes in a third of the time where they have numbers of its own.
    """

    def __init__(self, path: Path, columns: str, *, large: bool = False) -> None:
        self._names = [column.split()[0] for column in columns.split(",")]
        self._connection: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=30)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            order = "" if large else " WITHOUT ROWID"
            self._connection.execute(f"CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, {columns}){order}")
            os.utime(path)
        except (sqlite3.Error, OSError):
            self.close()

    def get(self, keys: Sequence[str]) -> dict[str, tuple[object, ...]]:
        """Return the rows that are there, by key."""
        found: dict[str, tuple[object, ...]] = {}
        if self._connection is None:
            return found
        names = ", ".join(["key", *self._names])
        try:
            for start in range(0, len(keys), KEYS_A_QUERY):
                part = keys[start : start + KEYS_A_QUERY]
                marks = ",".join("?" * len(part))
                for row in self._connection.execute(f"SELECT {names} FROM rows WHERE key IN ({marks})", list(part)):
                    found[row[0]] = row[1:]
        except sqlite3.Error:
            self.close()
        return found

    def put(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Write rows (key first), all or none; replaces those that are there."""
        if self._connection is None:
            return
        marks = ",".join("?" * (len(self._names) + 1))
        try:
            with self._connection:
                self._connection.executemany(f"INSERT OR REPLACE INTO rows VALUES ({marks})", rows)
        except (sqlite3.Error, OSError):
            self.close()

    def close(self) -> None:
        """Let go of the file; afterwards the table is empty and takes nothing in."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None


@dataclass(frozen=True)
class Entry:
    """One unit of the store: `kind` is the folder it lies in, `used` seconds since the epoch."""

    kind: str
    name: str
    bytes: int
    used: float
    path: Path

    @property
    def can_be_made_again(self) -> bool:
        """Whether removing it costs only time; downloaded weights, and those put there by hand, are kept."""
        return self.kind != "weights"


class Store:
    """The store in one folder; see the module's docstring."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            os.utime(self.folder)
        except OSError:
            # Nothing can be kept here: work in a folder that goes when the process ends.
            self.folder = Path(tempfile.mkdtemp(prefix="lensmith-"))
            atexit.register(shutil.rmtree, self.folder, ignore_errors=True)

    def touch(self, path: Path) -> None:
        """Mark an entry as just used, so that others go first."""
        with suppress(OSError):
            os.utime(path)

    def files(self) -> Table:
        """Return the table `path -> size, mtime_ns, sha256`: hashing is remembered while size and time stand."""
        return Table(self.folder / "files" / f"hashes-{FORMAT}.sqlite", "size INTEGER, mtime_ns INTEGER, sha256 TEXT")

    def outcomes(self, policy: str) -> Table:
        """Return the table `sha256 -> width, height, reason` of what decoding said (reason is empty if readable)."""
        return Table(self.folder / "files" / f"outcomes-{policy}.sqlite", "width INTEGER, height INTEGER, reason TEXT")

    def rows(self, kind: str, key: str) -> Table:
        """Return a table `sha256 -> data` of equally long float32 rows, such as the features of one base."""
        return Table(self.folder / kind / f"{key}.sqlite", "data BLOB", large=True)

    def file_sha256(self, path: Path) -> str:
        """Return the SHA-256 of a file, remembered by size and modification time. Raises OSError."""
        status, key = path.stat(), str(path.resolve())
        table = self.files()
        try:
            row = table.get([key]).get(key)
            if row is not None and row[:2] == (status.st_size, status.st_mtime_ns):
                return str(row[2])
            sha256 = file_digest(path)
            table.put([(key, status.st_size, status.st_mtime_ns, sha256)])
            return sha256
        finally:
            table.close()

    def entries(self) -> list[Entry]:
        """Return what is stored, the most recently used first."""
        found = []
        for path in sorted(self.folder.glob("*/*")):
            if path.name.endswith(("-wal", "-shm")) or path.name.startswith("."):
                continue
            with suppress(FileNotFoundError):  # another process may be removing it
                found.append(Entry(path.parent.name, path.name, _bytes(path), path.stat().st_mtime, path))
        return sorted(found, key=lambda entry: -entry.used)

    def bound(self) -> int:
        """Return how many bytes may be stored: 10 GB, or 20 % of what the disk could give, if that is less.

        The disk could give what is free and what the store takes up itself.
        """
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError:
            return 0
        held = sum(entry.bytes for entry in self.entries() if entry.can_be_made_again)
        return min(MOST_BYTES, int(MOST_SHARE_OF_FREE_DISK * (free + held)))

    def trim(self, most_bytes: int | None = None) -> list[Entry]:
        """Remove the entries used longest ago until the rest fits the bound; return what was removed."""
        self.sweep(older_than=DAY)
        entries = [entry for entry in self.entries() if entry.can_be_made_again]
        total = sum(entry.bytes for entry in entries)
        most_bytes = self.bound() if most_bytes is None else most_bytes
        removed = []
        for entry in reversed(entries):
            if total <= most_bytes:
                break
            remove(entry)
            total -= entry.bytes
            removed.append(entry)
        return removed

    def sweep(self, older_than: float = 0.0) -> None:
        """Remove what killed processes had begun to write more than `older_than` seconds ago."""
        for path in self.folder.glob("*/.*"):
            with suppress(OSError):
                if path.is_dir() and time.time() - path.stat().st_mtime >= older_than:
                    shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def new_folder(self, kind: str, name: str) -> Iterator[Path]:
        """Yield a temporary folder that becomes `kind/name` when the block ends well, and vanishes otherwise."""
        final = self.folder / kind / name
        building = final.with_name(f".{name}.{os.getpid()}.{time.monotonic_ns()}")
        building.mkdir(parents=True)
        try:
            yield building
            if final.exists():  # another process was first; its result is the same
                return
            building.rename(final)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def remove(entry: Entry) -> None:
    """Delete one entry with the side files SQLite keeps for it."""
    if entry.path.is_dir():
        shutil.rmtree(entry.path, ignore_errors=True)
        return
    for suffix in ("", "-wal", "-shm"):
        entry.path.with_name(entry.path.name + suffix).unlink(missing_ok=True)


def _bytes(path: Path) -> int:
    if path.is_dir():
        return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
    side = path.with_name(path.name + "-wal")
    return path.stat().st_size + (side.stat().st_size if side.exists() else 0)
