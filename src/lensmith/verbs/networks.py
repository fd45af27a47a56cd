"""`lensmith networks`: what can be built by name."""

from __future__ import annotations

from fnmatch import fnmatch

from lensmith.data.store import Store
from lensmith.zoo.names import known_names


def networks(pattern: str = "") -> list[str]:
    """Return the full names of the networks that can be built, those holding `pattern` (text, or * and ? as wildcards).

    The first call of an installation imports torchvision and timm to list them; later calls read the list.
    """
    names = [
        name if source == "lensmith" else f"{source}/{name}"
        for source, found in known_names(Store().folder).items()
        for name in found
    ]
    if not pattern:
        return names
    wanted = pattern.lower() if any(mark in pattern for mark in "*?[") else f"*{pattern.lower()}*"
    return [name for name in names if fnmatch(name.lower(), wanted)]
