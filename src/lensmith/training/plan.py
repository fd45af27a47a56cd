"""Which base to use: its network, weights, cut and what it expects; remembered, so that asking again needs no torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from lensmith.data.preprocess import Preprocessing
from lensmith.data.store import Store, digest
from lensmith.errors import UsageError, WeightsError, nearest
from lensmith.files import write_atomic
from lensmith.zoo import names, pretrained
from lensmith.zoo.base import Base, assemble, source_digest
from lensmith.zoo.catalogue import CLIPS
from lensmith.zoo.contract import Contract, contract_from_dict

FORMAT = 2


@dataclass(frozen=True)
class Plan:
    """A base that exists: `shape` is what the cut gives for one picture, (C, h, w) or (F,), `tensors` the names of
    the weights it needs. `weights` is None for random ones. `places` are the names of the cuts on the way there."""

    network: str
    contract: Contract
    weights: Path | None
    licence: str | None
    cut: str
    shape: tuple[int, ...]
    image_size: int
    tensors: tuple[str, ...]
    places: tuple[str, ...] = ()

    def place_below(self, share: float) -> str:
        """Return the place with about `share` of the base's layers above it, the outermost of equal ones; "" for none.

        Layers are counted by their tensors, which a network lists from the picture upwards; a place at which no layer
        with weights ends (an activation, a pooling) is none to begin at.
        """
        found: list[tuple[float, int, str]] = []
        for name in self.places[:-1]:
            inside = [place for place, tensor in enumerate(self.tensors) if tensor.startswith(f"{name}.")]
            if inside:
                above = 1 - (inside[-1] + 1) / len(self.tensors)
                found.append((round(abs(above - share), 6), name.count("."), name))
        return min(found)[2] if found else ""

    def place(self, asked: str) -> str:
        """Return `asked` if a base can be unfrozen there: "all", or a cut before its end. Raises UsageError."""
        before = self.places[:-1]
        if asked == "all" or asked in before:
            return asked
        near = nearest(asked, before) or f" The last are {', '.join(before[-4:]) or 'none'}."
        raise UsageError(f"unfreeze is {asked!r}; must be all, or a cut of {self.network} before {self.cut}.{near}")

    def base(self, pool: str, preprocessing: Preprocessing) -> Base:
        """Return the base with its pretrained weights, read from their file. Raises WeightsError if they changed."""
        assert self.weights is not None
        there = pretrained.read_tensors(self.weights)
        # Old .pth files lack the counters of batch normalisation, which nothing needs once a base is trained.
        missing = [name for name in self.tensors if name not in there and not name.endswith("num_batches_tracked")]
        if missing:
            raise WeightsError(f"{self.weights} no longer holds {missing[0]}; was it replaced? Use the file of before.")
        return Base(
            self.network, self.cut, pool, preprocessing, {name: there[name] for name in self.tensors if name in there}
        )

    def features(self, pool: str) -> int:
        """Return how many numbers a picture becomes."""
        if len(self.shape) == 3:
            return self.shape[0] if pool == "mean" else int(np.prod(self.shape))
        return self.shape[-1]


def plan_pretrained(
    network: str,
    weights: str,
    cut: str | None,
    image_size: int | None,
    store: Store,
    say: Callable[[str], None],
) -> Plan | str:
    """Return the plan of a base with published or given weights, or a sentence on why there are no weights.

    What was found is remembered under the names of the request, the versions of the libraries and the content of
    the weights file. Raises UsageError (unknown network, cut or weights name, impossible size) and WeightsError.
    """
    memory = _memory(store, network, weights, cut, image_size)
    remembered = _remembered(memory, store)
    if remembered is not None:
        return remembered
    name = _for_pictures(names.resolve(network, store.folder))
    found = pretrained.find_weights(name, weights, store.folder, say=say)
    if found.file is None:
        return found.sentence
    contract = found.contract
    size = image_size or contract.image_size
    if cut is None and size != contract.image_size:
        # At another size the last map may shrink to one place; the base still ends where it does at the usual size.
        cut = assemble(str(name), None, contract.image_size)[1].name
    module, place = assemble(str(name), cut, size)
    needed = tuple(module.state_dict())
    pretrained.load_weights(module, found.file, set(needed))
    plan = Plan(
        network=str(name),
        contract=contract,
        weights=found.file.resolve(),
        licence=found.licence,
        cut=place.name,
        shape=place.shape,
        image_size=size,
        tensors=needed,
        places=_places(str(name), place.name, size),
    )
    _remember(memory, plan, store)
    return plan


def plan_random(network: str, cut: str | None, image_size: int, store: Store, *, exact: bool) -> Plan:
    """Return the plan of a base with random weights. `exact` false lets a network of one fixed size have its way.

    Raises UsageError for an unknown network or cut, or an impossible size.
    """
    name = _for_pictures(names.resolve(network, store.folder))
    contract = names.contract(name, store.folder)
    try:
        module, place = assemble(str(name), cut, image_size)
    except UsageError:
        if exact or contract.image_size == image_size:
            raise
        image_size = contract.image_size
        module, place = assemble(str(name), cut, image_size)
    open_statistics = replace(contract, mean=None, std=None)
    tensors = tuple(module.state_dict())
    return Plan(str(name), open_statistics, None, None, place.name, place.shape, image_size, tensors)


def _for_pictures(name: names.NetworkName) -> names.NetworkName:
    """Return the name. Raises UsageError for a network that takes clips."""
    if name.source == "torchvision" and name.name in CLIPS:
        raise UsageError(
            f"network is {str(name)!r}, which takes clips, not pictures. For folders of frames add --frames 16; for "
            f"pictures try resnet18."
        )
    return name


def _places(network: str, cut: str, image_size: int) -> tuple[str, ...]:
    """Return the names of the cuts of a network from the picture up to `cut`."""
    from lensmith.zoo.build import build
    from lensmith.zoo.cut import cuts

    named = [place.name for place in cuts(build(names.canonical(network), image_size=image_size), image_size)]
    return tuple(named[: named.index(cut) + 1]) if cut in named else (cut,)


def _memory(store: Store, network: str, weights: str, cut: str | None, image_size: int | None) -> Path:
    libraries = [metadata.version(name) for name in ("torch", "torchvision", "timm")]
    place = str(Path(weights).resolve()) if Path(weights).exists() else weights
    key = digest(FORMAT, network, source_digest(network), place, cut, image_size, *libraries)
    return store.folder / "plans" / f"{key}.json"


def _remembered(memory: Path, store: Store) -> Plan | None:
    """Return the plan remembered for this request, if its weights file is still the same."""
    try:
        fields: dict[str, Any] = json.loads(memory.read_text(encoding="utf-8"))
        weights = Path(fields["weights"])
        if store.file_sha256(weights) != fields.pop("weights_sha256"):
            return None
    except (OSError, ValueError, KeyError):
        return None
    store.touch(memory)
    fields["contract"] = contract_from_dict(fields["contract"])
    fields |= {name: tuple(fields[name]) for name in ("shape", "tensors", "places")}
    fields["weights"] = weights
    return Plan(**fields)


def _remember(memory: Path, plan: Plan, store: Store) -> None:
    assert plan.weights is not None
    fields = {**asdict(plan), "weights": str(plan.weights), "weights_sha256": store.file_sha256(plan.weights)}
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(memory, json.dumps(fields).encode())
    except OSError:  # a store that cannot be written costs time, not the answer
        return
