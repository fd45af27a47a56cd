"""The base of rows, sentences and clips: how they become numbers, and the network that reads those."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lensmith.data.clips import Moving
from lensmith.data.encoding import Encoding
from lensmith.data.store import Store, digest, tensors_digest
from lensmith.data.vocabulary import Vocabulary
from lensmith.engines.choose import Chosen, resolve_device
from lensmith.engines.given import GivenEngine
from lensmith.engines.interface import Engine
from lensmith.engines.reading import ReadingEngine
from lensmith.zoo.catalogue import CLIPS

Reading = Encoding | Vocabulary | Moving
"""How what is no picture becomes numbers."""
DENSE, TEXT = "lensmith/dense", "lensmith/textcnn"
CUTS = {DENSE: "columns", TEXT: "filters"} | {f"torchvision/{name}": "layer4" for name in CLIPS}


@dataclass(frozen=True)
class Measured:
    """What `Base` is to pictures. Of rows the numbers of their columns are the features; sentences are read by a text
    CNN with these tensors, clips by a network that sees time."""

    preprocessing: Reading
    network: str = DENSE
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    pool: str = "flatten"

    @property
    def cut(self) -> str:
        """Where the base ends, in a word."""
        return CUTS[self.network]

    @cached_property
    def key(self) -> str:
        """What it is made of, in short."""
        return digest(
            "measured", json.dumps(self.preprocessing.as_dict(), sort_keys=True), tensors_digest(self.tensors)
        )

    def engine(self, store: Store, *, engine: str = "auto", device: str = "auto", precision: str = "") -> Chosen:
        """Return what runs it; there is nothing to choose but a device for clips."""
        if isinstance(self.preprocessing, Moving):
            return Chosen(self._clip_engine(resolve_device(device)), "torch in float32 is the reference itself")
        if self.network == TEXT:
            return Chosen(ReadingEngine(self.tensors), "numpy in float32, as exact as torch")
        return Chosen(GivenEngine(), "the columns are the features, so there is nothing to run")

    def _clip_engine(self, device: str) -> Engine:
        import torch

        from lensmith.engines.pytorch import Normalise, TorchEngine, WithNormalisation
        from lensmith.zoo.clips import ClipBase
        from lensmith.zoo.tensors import load_tensors

        assert isinstance(self.preprocessing, Moving)
        base = ClipBase(self.network.rpartition("/")[2])
        load_tensors(base, {name: torch.from_numpy(np.array(tensor)) for name, tensor in self.tensors.items()})
        picture = self.preprocessing.picture
        return TorchEngine(WithNormalisation(base, Normalise(picture.mean, picture.std, {}), "mean"), device)
