"""`lensmith networks`: what can be built by name, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from typing import Any

from lensmith.data.store import Store
from lensmith.zoo import catalogue, own
from lensmith.zoo.contract import Published, published_from_dict
from lensmith.zoo.names import known_names
from lensmith.zoo.papers import PAPER_OF, Numbers, Paper


@dataclass(frozen=True)
class Network:
    """What is known of a network. `paper` and `numbers` are None for those of no paper in `papers.PAPERS`; `weights`
    are all that are published, the library's own choice first; `image_size` is what its pictures usually have."""

    name: str
    image_size: int
    paper: Paper | None
    numbers: Numbers | None
    weights: tuple[Published, ...]

    @property
    def bare(self) -> str:
        """The name without its library."""
        library, _, rest = self.name.partition("/")
        return rest if library in catalogue.LIBRARIES else self.name

    @property
    def licence(self) -> str:
        """The licence of the library's own choice of weights, without its remarks; "" where there are none."""
        return str(self.weights[0].contract.licence).partition(" (")[0] if self.weights else ""

    def as_dict(self) -> dict[str, Any]:
        """Return what `networks --json` prints of it; what is not known is null."""
        paper, numbers = self.paper, self.numbers
        return {
            "network": self.name,
            "year": paper.year if paper else None,
            "authors": paper.authors if paper else None,
            "idea": paper.idea if paper else None,
            **(
                asdict(numbers)
                if numbers
                else {"image_size": self.image_size, "parameters": None, "multiply_adds": None}
            ),
            "weights": [
                {"name": entry.name, "licence": entry.contract.licence, "megabytes": entry.megabytes}
                for entry in self.weights
            ],
        }


def networks(pattern: str = "") -> list[str]:
    """Return the full names of the networks that can be built, those holding `pattern` (text, or * and ? as wildcards).

    The first call of an installation imports torchvision and timm to list them; later calls read the list. `facts`
    says what is known of them.
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


def facts(names: Iterable[str]) -> list[Network]:
    """Return what is known of networks, by the names that `networks` gives."""
    lists = {library: catalogue.entries(library, Store().folder) for library in catalogue.LIBRARIES}
    found = []
    for name in names:
        library, _, network = name.partition("/")
        if library in lists:
            known = tuple(published_from_dict(entry) for entry in lists[library][network])
            size = known[0].contract.image_size
        else:
            known, size = (), own.contract(own.full_name(name)).image_size
        paper = PAPER_OF.get(name)
        numbers = paper.networks[name] if paper else None
        found.append(Network(name, size, paper, numbers, tuple(entry for entry in known if entry.exists)))
    return found
