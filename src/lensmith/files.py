"""Writing files so that nothing is ever half there, and saying plainly when the disk will not take them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lensmith.errors import RunError

NOT_HERE = (
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.EACCES,
    errno.EROFS,
    errno.EPERM,
)


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
