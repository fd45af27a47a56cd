"""Which pictures are trained on, which decide when to stop, and which are held out to be scored once.

Every split takes its share of every stratum: a class, the pictures with one rarest label, a range of numbers. The
order within one follows from a counter over the picture's content, so a split does not depend on file names or on the
order of the disk, and new pictures leave most of the old ones where they were.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lensmith.data.audit import Findings
from lensmith.data.dataset import Dataset
from lensmith.errors import DataError
from lensmith.reproduce import counter

HELD_OUT_SHARE = 0.20
STOPPING_SHARE = 0.20
FEWEST_NUMBERS = 2  # pictures of a part, where numbers are to be told: below that no spread can be scored
LEFT_OUT = ""


@dataclass(frozen=True)
class Splits:
    """The split of every picture of a data set: "train", `stopping`, `held_out` or "" (left out).

    Without given splits the names are train, validation (stops the training) and test (held out). Data that
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
    """Return the splits: those given with the data, completed where one is missing. Copies stay together.

    Raises DataError where a split stays empty, or a class or label occurs in no training picture.
    """
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
    """Move `share` of every stratum from train to `part`, in place; one of everything stays in train."""
    members = dataset.members()
    left = members[names == "train"].sum(0)
    for groups in _strata(np.flatnonzero(names == "train"), dataset.strata, findings.sha256):
        size = sum(len(group) for group in groups)
        wanted = min(max(1, round(share * size)), size - 1)
        moved = 0
        for group in sorted(groups, key=lambda group: counter(seed, part, findings.sha256[group[0]])):
            marks = members[group].sum(0)
            if moved + len(group) > wanted or np.any((marks > 0) & (marks == left)):
                continue
            names[group] = part
            moved += len(group)
            left -= marks


def _strata(chosen: np.ndarray, strata: np.ndarray, sha256: tuple[str, ...]) -> list[list[list[int]]]:
    """Return the chosen positions as groups of equal files, gathered by the stratum of each group's first one."""
    copies: dict[str, list[int]] = {}
    for index in chosen.tolist():
        copies.setdefault(sha256[index], []).append(index)
    gathered: dict[int, list[list[int]]] = {}
    for group in copies.values():
        gathered.setdefault(int(strata[group[0]]), []).append(group)
    return [gathered[stratum] for stratum in sorted(gathered)]


def _checked(splits: Splits, dataset: Dataset, findings: Findings) -> Splits:
    fewest = FEWEST_NUMBERS if dataset.task == "regression" else 1
    for name in ("train", splits.stopping, splits.held_out):
        size = len(splits.indices(name))
        if size < fewest:
            raise DataError(_too_small(name, size, fewest, dataset, findings))
    missing = np.flatnonzero(~dataset.members()[splits.indices("train")].any(0))
    if len(missing):
        named = ", ".join(sorted(dataset.classes[index] for index in missing)[:5])
        place = "rows of the split train" if dataset.table else "train folder"
        raise DataError(f"no training pictures for: {named}. Add some to the {place}, or remove the {dataset.noun}.")
    return splits


def _too_small(name: str, size: int, fewest: int, dataset: Dataset, findings: Findings) -> str:
    copies = len(findings.left_out) - len(findings.unreadable)
    why = f" {copies} were left out, being copies of held-out pictures or under two labels." if copies else ""
    seen = f"1 picture is left for the split {name!r}" if size else f"no pictures are left for the split {name!r}"
    if fewest > 1:
        seen += f"; {fewest} are needed at least"
    who = "Numbers need" if dataset.task == "regression" else f"Every {dataset.noun} needs"
    how = "a column split with train, validation and test" if dataset.table else "train, validation and test folders"
    return (
        f"{seen}.{why} {who} a few pictures that differ from each other. Add pictures to {dataset.source.name}, or "
        f"give {how}."
    )
