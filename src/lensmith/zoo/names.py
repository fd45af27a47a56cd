"""Which network a name means. No torch: a name is resolved against the lists kept in the cache."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, cast

from lensmith.errors import UsageError, nearest
from lensmith.zoo import catalogue, own
from lensmith.zoo.contract import Contract, Published

Source = Literal["torchvision", "timm", "lensmith", "python"]


@dataclass(frozen=True)
class NetworkName:
    """A network that exists: where it comes from and what it is called there. `str()` gives the full name."""

    source: Source
    name: str

    def __str__(self) -> str:
        return self.name if self.source == "python" else f"{self.source}/{self.name}"


def resolve(name: str, cache: Path | None = None) -> NetworkName:
    """Return the network that `name` means.

    `torchvision/NAME` and `timm/NAME` (timm's `NAME.TAG` too, with the tag of the weights) say where to look; the
    names in `own.OWN`, such as `resnet20`, `lenet5/1998` and `convnet/32-64/128`, are lensmith's own;
    `module:factory` is the user's own, imported only when it is built; any other bare name is looked up in
    torchvision, then in timm. Raises UsageError with the nearest names if there is none. Torch stays unimported where
    `cache` holds the lists.
    """
    asked = name.strip()
    if ":" in asked:
        return _of_the_user(asked)
    source, slash, rest = asked.partition("/")
    if source == "lensmith" and slash:
        return _own(rest)
    if own.is_own(asked):
        return _own(asked)
    if source in catalogue.LIBRARIES and slash:
        return _listed(source, rest, cache) or _unknown(asked, cache)
    return _listed("torchvision", asked, cache) or _listed("timm", asked, cache) or _unknown(asked, cache)


def canonical(text: str) -> NetworkName:
    """Return the network of a full name that `resolve` once gave, without looking it up again."""
    if ":" in text:
        return _of_the_user(text)
    source, _, name = text.partition("/")
    if source not in ("lensmith", *catalogue.LIBRARIES):
        raise UsageError(f"there is no network {text!r}. `lensmith networks` lists them all.")
    return _own(name) if source == "lensmith" else NetworkName(cast("Source", source), name)


def look_here() -> None:
    """Let `module:factory` be found in the current folder, as it is under `python -m`."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def known_names(cache: Path | None = None) -> dict[str, list[str]]:
    """Return every network that can be built by name: `{"lensmith": [...], "torchvision": [...], "timm": [...]}`.

    The lists are kept in `cache` for the installed versions; the first call imports both libraries (seconds).
    """
    return {"lensmith": list(own.OWN)} | {
        library: list(catalogue.entries(library, cache)) for library in catalogue.LIBRARIES
    }


def published(name: NetworkName, cache: Path | None = None) -> tuple[Published, ...]:
    """Return the weights known for a network, the default first; always at least one entry, perhaps without a file."""
    if name.source == "lensmith":
        return (Published("", own.contract(name.name)),)
    if name.source == "python":
        return (Published("", Contract(image_size=224)),)
    network, _, tag = name.name.partition(".")
    found = catalogue.published(name.source, network, cache)
    return tuple(sorted(found, key=lambda entry: bool(tag) and entry.name != tag))


def contract(name: NetworkName, cache: Path | None = None) -> Contract:
    """Return what the network expects of its pictures, with its default weights where it has some."""
    return published(name, cache)[0].contract


def _of_the_user(asked: str) -> NetworkName:
    """Return the name of a factory in the user's code, which is not run here."""
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", asked):
        raise UsageError(
            f"network is {asked!r}; a network of your own is written module:factory, for example my_networks:small."
        )
    return NetworkName("python", asked)


def _own(asked: str) -> NetworkName:
    """Return one of lensmith's own networks by its full name. Raises UsageError."""
    return NetworkName("lensmith", own.full_name(asked))


def _listed(source: str, asked: str, cache: Path | None) -> NetworkName | None:
    """Return the name if the library lists it, and its tag if it has one; None if not."""
    network, dot, tag = asked.partition(".")
    known = catalogue.entries(source, cache)
    if network not in known:
        return None
    if source == "torchvision":
        return None if dot else NetworkName("torchvision", network)
    tags = [entry["name"] for entry in known[network]]
    if dot and tag not in tags:
        raise UsageError(
            f"timm has no weights {tag!r} for {network}; it has {', '.join(filter(None, tags)) or 'none'}."
            f"{nearest(tag, tags)}"
        )
    return NetworkName("timm", asked)


def _unknown(asked: str, cache: Path | None) -> NoReturn:
    """Raise UsageError for a network that does not exist, with the nearest names of all sources."""
    names = {name: None for known in known_names(cache).values() for name in known}
    close = nearest(asked.rpartition("/")[2], names)
    raise UsageError(f"there is no network {asked!r}.{close} `lensmith networks` lists them all.")
