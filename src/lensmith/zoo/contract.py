"""What a network expects of its pictures, and where its published weights are. Plain values: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Contract:
    """What goes into a network and what its default head is.

    `image_size`: side in pixels it was trained at, or is usually given; `smallest`: the smallest side known to work;
    `fixed`: True if it takes only the size it was built for. `mean` and `std` (red, green, blue; pixels scaled to
    0..1) are None where no weights fix them: then the statistics of the training split are used. `crop`: the
    fraction of the short side kept by the centre crop. `licence` is that of the weights, None if there are none.
    `pool` says how the base's map (C, h, w) becomes a vector, "mean" or "flatten", and `dense` gives the widths of
    the hidden layers between it and the classes. `slower`: what an optimiser's usual learning rate is divided by
    where it is trained from random weights.
    """

    image_size: int
    smallest: int = 1
    fixed: bool = False
    mean: Triple | None = None
    std: Triple | None = None
    crop: float = 1.0
    interpolation: str = "bilinear"
    licence: str | None = None
    pool: str = "mean"
    dense: tuple[int, ...] = ()
    slower: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return the contract as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True)
class Published:
    """One set of weights that the library of a network knows of: its first is the library's own choice.

    `name` is what `--weights` calls it ("IMAGENET1K_V2", "a1_in1k"; "" where the library names none). The file is at
    `url`, or in the Hugging Face repository `hub`, or nowhere (both None). `megabytes` is None where unknown.
    """

    name: str
    contract: Contract
    url: str | None = None
    hub: str | None = None
    megabytes: float | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a file to load."""
        return bool(self.url or self.hub)

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as JSON-able values, without what is at its default."""
        kept = {key: value for key, value in asdict(self).items() if value is not None}
        defaults = asdict(Contract(image_size=0))
        kept["contract"] = {key: value for key, value in kept["contract"].items() if value != defaults[key]}
        return kept


def contract_from_dict(values: Mapping[str, Any]) -> Contract:
    """Return the contract that `Contract.as_dict` wrote; JSON's lists become tuples again."""
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return Contract(**fields)


def published_from_dict(values: Mapping[str, Any]) -> Published:
    """Return the entry that `Published.as_dict` wrote."""
    return Published(**{**values, "contract": contract_from_dict(values["contract"])})
