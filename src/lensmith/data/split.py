"""Which pictures are trained on, which decide when to stop, and which are held out to be scored once.

The order within a class follows from a counter over the picture's content, so a split does not depend on file
names or on the order of the disk, and new pictures leave most of the old ones where they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lensmith.data.audit import Findings
from lensmith.data.dataset import Dataset
from lensmith.errors import DataError
from lensmith.reproduce import counter

HELD_OUT_SHARE = 0.20
STOPPING_SHARE = 0.20
LEFT_OUT = ""


@dataclass(frozen=True)
class Splits:
    """The split of every picture of a data set: "train", `stopping`, `held_out` or "" (left out).

    Without given splits the names are train, validation (stops the training) and test (held out). A folder that
    comes with train and validation only keeps its validation as the held-out split; training then stops by a
    part of train that is called "stopping".
    """

    names: np.ndarray
    stopping: str
    held_out: str

    def indices(self, split: str) -> np.ndarray:
        """Return the positions of the pictures of one split, in order."""
        return np.flatnonzero(self.names == split)


def split(dataset: Dataset, findings: Findings, seed: int) -> Splits:
    """Return the splits: those given with the folder, completed where one is missing. Copies stay together."""
    if not dataset.has_given_splits:
        names = np.where(findings.keep, "train", LEFT_OUT).astype("<U10")
        _carve(names, "test", HELD_OUT_SHARE, dataset, findings, seed)
        _carve(names, "validation", STOPPING_SHARE, dataset, findings, seed)
        return _checked(Splits(names, "validation", "test"), dataset, findings)
    names = np.where(findings.keep, np.array(dataset.given), LEFT_OUT).astype("<U10")
    given = set(dataset.given)
    if given == {"train"}:
        _carve(names, "test", HELD_OUT_SHARE, dataset, findings, seed)
    held_out = "validation" if given == {"train", "validation"} else "test"
    stopping = "stopping" if held_out == "validation" else "validation"
    if "validation" not in given or held_out == "validation":
        _carve(names, stopping, STOPPING_SHARE, dataset, findings, seed)
    return _checked(Splits(names, stopping, held_out), dataset, findings)


def _carve(names: np.ndarray, part: str, share: float, dataset: Dataset, findings: Findings, seed: int) -> None:
    """Move `share` of every class from train to `part`, in place; a class of one stays in train."""
    for target in range(len(dataset.classes)):
        members = np.flatnonzero((names == "train") & (dataset.targets == target))
        groups = _groups(members, findings.sha256)
        wanted = min(max(1, round(share * len(members))), len(members) - 1)
        moved = 0
        for group in sorted(groups, key=lambda group: counter(seed, part, findings.sha256[group[0]])):
            if moved + len(group) > wanted:
                continue
            names[group] = part
            moved += len(group)


def _groups(members: Iterable[int], sha256: tuple[str, ...]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for index in members:
        groups.setdefault(sha256[index], []).append(int(index))
    return list(groups.values())


def _checked(splits: Splits, dataset: Dataset, findings: Findings) -> Splits:
    for name in ("train", splits.stopping, splits.held_out):
        if len(splits.indices(name)) == 0:
            copies = len(findings.left_out) - len(findings.unreadable)
            why = f" {copies} were left out, being copies of held-out pictures or of two classes." if copies else ""
            raise DataError(
                f"no pictures are left for the split {name!r}.{why} Every class needs a few pictures that differ from "
                f"each other. Add pictures to {dataset.root.name}, or give train, validation and test folders."
            )
    missing = set(range(len(dataset.classes))) - set(dataset.targets[splits.indices("train")].tolist())
    if missing:
        named = ", ".join(sorted(dataset.classes[index] for index in missing)[:5])
        raise DataError(f"no training pictures for: {named}. Add some to the train folder, or remove the class.")
    return splits
