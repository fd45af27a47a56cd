"""Writing files so that nothing is ever half there, and saying plainly when the disk will not take them."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lensmith.errors import RunError

NOT_HERE = (
    errno.EEXIST,
    errno.ENOENT,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.EACCES,
    errno.EROFS,
    errno.EPERM,
)

OURS = ".lensmith"
"""The name of a file that marks a folder as written by lensmith: what lies there may be written over."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failure of the disk into a RunError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(
                f"the disk is full: {folder} cannot be written. Free some space, or choose another --out or --save."
            ) from error
        if error.errno in NOT_HERE:
            raise RunError(f"{folder} cannot be written ({error.strerror}). Choose another --out or --save.") from error
        raise


def as_json(value: object, *, plain_letters: bool = False) -> str:
    """Return the text of a JSON file for a value made of dictionaries, sequences, arrays, paths, numbers and text.

    JSON has no numbers that are not finite: they become null. plain_letters: write all others than ASCII as escapes.
    """
    return json.dumps(finite(value), indent=1, ensure_ascii=plain_letters, allow_nan=False) + "\n"


def json_bytes(value: object) -> bytes:
    """Return `as_json` in UTF-8. What a file name holds that is no UTF-8 stays in as an escape that JSON knows."""
    return as_json(value).encode("utf-8", "backslashreplace")


def finite(value: object) -> Any:
    """Return a value as what JSON has: lists for sequences and arrays, text for paths, None for NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if hasattr(value, "tolist"):  # arrays and numbers of numpy, which is not imported for this
        return finite(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one."""
    building = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with building.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        building.replace(path)
    except BaseException:
        with suppress(OSError):
            building.unlink()
        raise
