"""Randomness by counters, and the versions a result depends on.

Every random choice follows from (seed, what it is for, where it stands), never from the state of a shared
generator, so a result does not depend on threads, batches or the order in which work happened to be done.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

import numpy as np

SHOWN_PACKAGES = ("lensmith", "numpy", "openvino", "pillow", "safetensors", "timm", "torch", "torchvision")


def counter(seed: int, *place: int | str) -> int:
    """Return 64 random bits that depend only on `seed` and `place`, e.g. `counter(0, "order", epoch)`."""
    text = "\x1f".join([str(seed), *map(str, place)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(seed: int, *place: int | str) -> np.random.Generator:
    """Return a fresh generator for one place; Philox is counter-based and the same on every platform."""
    return np.random.Generator(np.random.Philox(counter(seed, *place)))


def versions() -> dict[str, str]:
    """Return the versions that decide a result, read from package metadata without importing anything."""
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in SHOWN_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int]:
    """Return the machine in words: system, processor, number of processors this process may use."""
    return {"system": f"{platform.system()} {platform.machine()}", "processor": processor(), "cores": cores()}


def processor() -> str:
    """Return the processor's own name where the system tells it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Return how many processors this process may use (the affinity mask, not the whole machine)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
