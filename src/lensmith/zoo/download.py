"""Fetching one file over HTTP so that it is either all there and right, or not there."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.request import Request, urlopen

from lensmith import __version__
from lensmith.errors import RunError, WeightsError

SECONDS_OF_SILENCE = 30
CHUNK = 1 << 20


class Unreachable(Exception):
    """A file could not be fetched: no network, no such file, or the line broke."""


def fetch(url: str, file: Path, announce: Callable[[int | None], None], sha256_prefix: str = "") -> None:
    """Fetch `url` into `file`, by a temporary name beside it that is renamed at the end.

    `announce` is called with the size in bytes (None if the server does not tell) before the content is read. Raises
    Unreachable, WeightsError if the content is not what the name promises, RunError if the disk is full.
    """
    building = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        request = Request(url, headers={"User-Agent": f"lensmith/{__version__}"})
        with urlopen(request, timeout=SECONDS_OF_SILENCE) as response:
            length = response.headers.get("Content-Length")
            size = int(length) if length else None
            announce(size)
            file.parent.mkdir(parents=True, exist_ok=True)
            with building.open("wb") as out:
                got, sha256 = _copy(response, out)
        if size is not None and got != size:
            raise Unreachable(f"the line broke after {got} of {size} bytes")
        if not sha256.startswith(sha256_prefix):
            raise WeightsError(
                f"the download of {file.name} is not what was published: its SHA-256 begins {sha256[:8]}, "
                f"it should begin {sha256_prefix}. Try again later, or fetch it yourself and give --weights PATH."
            )
        building.replace(file)
    except (OSError, HTTPException) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(
                f"the disk is full: {file.parent} cannot take {file.name}. "
                "Free some space or point LENSMITH_CACHE somewhere else."
            ) from error
        raise Unreachable(str(getattr(error, "reason", "") or error)) from error
    finally:
        with suppress(OSError):
            building.unlink()


def _copy(response: IO[bytes], out: IO[bytes]) -> tuple[int, str]:
    """Copy all bytes; return their number and SHA-256."""
    got, sha256 = 0, hashlib.sha256()
    while chunk := response.read(CHUNK):
        out.write(chunk)
        sha256.update(chunk)
        got += len(chunk)
    out.flush()
    os.fsync(out.fileno())
    return got, sha256.hexdigest()
