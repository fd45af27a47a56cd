"""Keeping memory between the steps of a training, where the system would take it back after each.

The maps of a step are large, and glibc asks the system for every large piece anew and returns it at once; the system
hands it out filled with zeros, page by page. That took two thirds of a step (LOG.md). Kept in the process the pages are
there already.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

# Parameters of mallopt, from malloc.h of glibc.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = 2**31 - 1


@cache
def keep_memory() -> bool:
    """Let this process keep what it frees, from now on; return whether the system's allocator can be told so."""
    libc = _glibc()
    return libc is not None and bool(libc.mallopt(M_MMAP_MAX, 0)) and bool(libc.mallopt(M_TRIM_THRESHOLD, NEVER))


def give_back() -> None:
    """Return to the system what is free now."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> Any:
    """Return the C library of this process, None where it is another."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
