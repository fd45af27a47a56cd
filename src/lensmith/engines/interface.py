"""What every engine can do: uint8 pictures in, features and the last feature map out, in the order they came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Output:
    """What a base says of one batch: `features` (n, F) float32; `maps` (n, C, h, w) float32 where asked for."""

    features: np.ndarray
    maps: np.ndarray | None


class Engine(Protocol):
    """A base with its normalisation inside, ready to run. Results do not depend on how pictures fall into batches."""

    name: str
    precision: str
    device: str

    def run(self, pictures: Iterable[np.ndarray], *, maps: bool = False) -> Iterator[Output]:
        """Yield outputs batch by batch, in order, for (s, s, 3) uint8 pictures; reads ahead while computing.

        `maps` asks for the last feature map too; an engine whose base ends without a map gives None.
        """
        ...


def batches(pictures: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Yield (size, s, s, 3) arrays; the last one may be shorter."""
    block: list[np.ndarray] = []
    for picture in pictures:
        block.append(picture)
        if len(block) == size:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)


def collect(outputs: Iterable[Output]) -> Output:
    """Return all batches as one Output; raises ValueError when there is none."""
    parts = list(outputs)
    maps: list[Any] = [part.maps for part in parts]
    return Output(
        np.concatenate([part.features for part in parts]),
        None if any(part is None for part in maps) else np.concatenate(maps),
    )
