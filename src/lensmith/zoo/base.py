"""A base: a network up to a cut, with its normalisation and its weights. What every engine is made from."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lensmith.data.preprocess import Preprocessing
from lensmith.data.statistics import check_inputs
from lensmith.data.store import Store, digest, tensors_digest
from lensmith.engines.choose import Chosen, choose_engine
from lensmith.zoo.names import canonical, look_here

if TYPE_CHECKING:
    from torch import nn

    from lensmith.engines.pytorch import WithNormalisation
    from lensmith.zoo.cut import Cut

FORMAT = 1


@dataclass(frozen=True)
class Base:
    """`tensors` are named as in the network; nothing of torch is imported before an engine has to be built from it.

    `inputs` are the arrays of its preprocessing, as `fitted` gives them; WeightsError if they are not those it needs.
    """

    network: str
    cut: str
    pool: str
    preprocessing: Preprocessing
    tensors: Mapping[str, np.ndarray]
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_inputs(self.preprocessing, self.inputs)

    @cached_property
    def key(self) -> str:
        """The name under which the converted base and its features are stored."""
        size, mean, std = self.preprocessing.image_size, self.preprocessing.mean, self.preprocessing.std
        code, content = source_digest(self.network), tensors_digest(self.tensors)
        # Without arrays the key is what it was before there were any, so that what is stored stays found.
        arrays = [tensors_digest(self.inputs)] if self.inputs else []
        return digest(FORMAT, self.network, code, self.cut, self.pool, size, mean, std, content, *arrays)

    def engine(self, store: Store, *, engine: str = "auto", device: str = "auto", precision: str = "") -> Chosen:
        """Return the engine that runs this base; see `choose_engine`."""
        size = self.preprocessing.image_size
        return choose_engine(self.key, size, store, self._build, engine=engine, device=device, precision=precision)

    def _build(self) -> WithNormalisation:
        import torch

        from lensmith.engines.pytorch import Normalise, WithNormalisation
        from lensmith.zoo.pretrained import load_tensors

        module, _ = assemble(self.network, self.cut, self.preprocessing.image_size)
        load_tensors(module, {name: torch.from_numpy(np.array(tensor)) for name, tensor in self.tensors.items()})
        normalise = Normalise(self.preprocessing.mean, self.preprocessing.std, self.inputs)
        return WithNormalisation(module, normalise, self.pool)


def assemble(network: str, cut: str | None, image_size: int) -> tuple[nn.Module, Cut]:
    """Return a network up to a cut (None: its default cut) with random weights, and where it was cut.

    `network` is a full name, as `resolve` gives it. Raises UsageError for an unknown cut or an impossible size.
    """
    from lensmith.zoo import cut as cutting
    from lensmith.zoo.build import build

    return cutting.base(build(canonical(network), image_size=image_size), cut, image_size)


def assemble_top(network: str, start: str, cut: str, image_size: int) -> nn.Module | None:
    """Return the part of a network between two cuts, with random weights; None where it cannot be had alone."""
    from lensmith.zoo import cut as cutting
    from lensmith.zoo.build import build

    return cutting.top(build(canonical(network), image_size=image_size), start, cut, image_size)


def source_digest(network: str) -> str:
    """Return the SHA-256 of the file behind `module:factory`, since the user may edit it; empty for other names."""
    if ":" not in network:
        return ""
    look_here()
    try:
        found = importlib.util.find_spec(network.partition(":")[0])
    except (ImportError, ValueError):
        return ""
    if found is None or not found.origin or not Path(found.origin).is_file():
        return ""
    return hashlib.sha256(Path(found.origin).read_bytes()).hexdigest()
