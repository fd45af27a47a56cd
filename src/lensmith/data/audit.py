"""What is wrong with a data set, found before anything is trained on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from lensmith.data.dataset import Dataset, spoken
from lensmith.data.read import Record
from lensmith.errors import DataError

MOST_UNREADABLE = 0.10
FEWEST_A_CLASS = 2
FEW_A_CLASS = 20
FEWEST_NUMBERS = 10  # pictures with a number each
UNEVEN = 10
SAME_NUMBER = 1e-6  # relative: what is left of a number written in decimals and kept as float32
EXAMPLES = 20
# What a contradiction is called, by task: the reason a picture is left out, and what is said of all of them.
CONTRADICTIONS = {
    "classification": (
        "the same picture also stands under another class",
        "under two classes at once: left out. Decide which class is right.",
    ),
    "multilabel": (
        "the same picture also stands with other labels",
        "with two sets of labels at once: left out. Decide which set is right.",
    ),
    "regression": (
        "the same picture also stands with another number",
        "with two numbers at once: left out. Decide which number is right.",
    ),
}


@dataclass(frozen=True)
class Findings:
    """The outcome of an audit; indices are positions in the data set, `keep` says which pictures are used.

    copies: groups of equal files. contradictions: equal files under different classes, labels or numbers (all left
    out, since nobody can say which is right). leaks: equal files in the given training and held-out splits (the
    training copy is left out). left_out: every picture not used, with the reason.
    """

    keep: np.ndarray
    sha256: tuple[str, ...]
    unreadable: tuple[tuple[int, str], ...]
    copies: tuple[tuple[int, ...], ...]
    contradictions: tuple[tuple[int, ...], ...]
    leaks: tuple[tuple[int, ...], ...]
    left_out: tuple[tuple[int, str], ...]
    warnings: tuple[str, ...]
    median_size: tuple[int, int]

    def require_sound(self, dataset: Dataset) -> None:
        """Raise DataError if too much is unreadable or a class is too small to learn from."""
        share = len(self.unreadable) / len(dataset.paths)
        if share > MOST_UNREADABLE:
            first = "; ".join(f"{dataset.paths[index]}: {reason}" for index, reason in self.unreadable[:3])
            raise DataError(
                f"{len(self.unreadable)} of {len(dataset.paths)} pictures cannot be read ({share:.0%}); up to "
                f"{MOST_UNREADABLE:.0%} are left out by themselves. First: {first}. Mend or remove them; "
                f"`lensmith check` lists them all."
            )
        require_enough(dataset, self.keep, "usable picture")

    def as_dict(self, dataset: Dataset) -> dict[str, Any]:
        """Return the JSON-ready form written into run.json, with paths in place of positions."""
        path = dataset.paths

        def groups(found: Sequence[Sequence[int]]) -> list[list[str]]:
            return [[path[index] for index in group] for group in found]

        def reasons(found: Sequence[tuple[int, str]]) -> list[dict[str, str]]:
            return [{"path": path[index], "reason": reason} for index, reason in found]

        return {
            "pictures": len(path),
            "used": int(self.keep.sum()),
            "classes": dataset.counts(),
            "median_size": list(self.median_size),
            "unreadable": reasons(self.unreadable),
            "copies": groups(self.copies),
            "contradictions": groups(self.contradictions),
            "leaks": groups(self.leaks),
            "left_out": reasons(self.left_out),
            "not_pictures": {
                "count": len(dataset.not_pictures),
                "examples": list(dataset.not_pictures[:EXAMPLES]),
            },
            "without_class": {
                "count": len(dataset.without_class),
                "examples": list(dataset.without_class[:EXAMPLES]),
            },
            "warnings": list(self.warnings),
        }


def require_enough(dataset: Dataset, keep: np.ndarray, word: str = "picture") -> None:
    """Raise DataError if too few pictures are kept (a bool each), of any class or label, to learn from and test on."""
    if dataset.task == "regression":
        kept = int(keep.sum())
        if kept < FEWEST_NUMBERS:
            raise DataError(
                f"{dataset.source.name} has {_number(kept, word)} with a number; at least {FEWEST_NUMBERS} are needed, "
                f"100 or more are better. Add pictures."
            )
        return
    fix = "leave its rows out" if dataset.table else "remove the folder"
    if dataset.task == "multilabel":
        fix = "take the label out of the table"
    for name, number in zip(dataset.classes, dataset.members()[keep].sum(0).tolist(), strict=True):
        if number < FEWEST_A_CLASS:
            raise DataError(
                f"{dataset.noun} {name!r} has {_number(number, word)}; at least {FEWEST_A_CLASS} are needed, "
                f"{FEW_A_CLASS} or more are better. Add pictures or {fix}."
            )


def audit(dataset: Dataset, records: Sequence[Record]) -> Findings:
    """Return the findings for a data set whose files have been read (`records[i]` belongs to `dataset.paths[i]`)."""
    unreadable = tuple((index, record.reason) for index, record in enumerate(records) if record.reason)
    copies = _copies(records)
    # Two rows may measure the same and turn out differently; that is chance, not a mistake.
    rows = dataset.example == "row"
    contradictions = () if rows else tuple(group for group in copies if not _agree(dataset, group))
    against = set(contradictions)
    leaks = tuple(group for group in copies if group not in against and _leaks(dataset, group))
    left_out = dict(unreadable)
    for group in contradictions:
        left_out |= dict.fromkeys(group, spoken(CONTRADICTIONS[dataset.task][0], dataset.example))
    for group in leaks:
        train = [index for index in group if dataset.given[index] == "train"]
        left_out |= dict.fromkeys(train, spoken("a copy of it is among the held-out pictures", dataset.example))
    keep = np.ones(len(dataset.paths), bool)
    keep[list(left_out)] = False
    sizes = [(record.width, record.height) for record in records if not record.reason]
    return Findings(
        keep=keep,
        sha256=tuple(record.sha256 for record in records),
        unreadable=unreadable,
        copies=copies,
        contradictions=contradictions,
        leaks=leaks,
        left_out=tuple(sorted(left_out.items())),
        warnings=tuple(
            spoken(said, dataset.example) for said in _warnings(dataset, keep, copies, contradictions, leaks)
        ),
        median_size=(round(median(w for w, _ in sizes)), round(median(h for _, h in sizes))) if sizes else (0, 0),
    )


def _copies(records: Sequence[Record]) -> tuple[tuple[int, ...], ...]:
    groups: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        if not record.reason:
            groups[record.sha256].append(index)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _agree(dataset: Dataset, group: Sequence[int]) -> bool:
    """Return whether equal files are told to be the same thing."""
    targets = dataset.targets[list(group)]
    if dataset.task != "regression":
        return bool((targets == targets[0]).all())
    numbers = targets.astype(np.float64)
    return bool(np.ptp(numbers) <= SAME_NUMBER * np.abs(numbers).max())


def _leaks(dataset: Dataset, group: Sequence[int]) -> bool:
    splits = {dataset.given[index] for index in group}
    return "train" in splits and len(splits) > 1


def _warnings(
    dataset: Dataset,
    keep: np.ndarray,
    copies: Sequence[Sequence[int]],
    contradictions: Sequence[Sequence[int]],
    leaks: Sequence[Sequence[int]],
) -> list[str]:
    said = [
        *dataset.notes,
        *_repeated(dataset, copies),
        *(_of_numbers if dataset.task == "regression" else _of_classes)(dataset, keep),
    ]
    if contradictions:
        said.append(f"{_pictures(len(contradictions))} {CONTRADICTIONS[dataset.task][1]}")
    if leaks:
        said.append(
            f"{_pictures(len(leaks))} both in the held-out split and in the training split: the training copies are "
            f"left out, so that the score is honest."
        )
    if dataset.without_class:
        lie = "1 picture lies" if len(dataset.without_class) == 1 else f"{len(dataset.without_class)} pictures lie"
        said.append(f"{lie} beside the class folders, in no class.")
    return said


def _repeated(dataset: Dataset, copies: Sequence[Sequence[int]]) -> list[str]:
    """Return what is to be known of rows that are there more than once."""
    if dataset.example != "row" or not copies:
        return []
    more, apart = sum(len(group) - 1 for group in copies), sum(not _agree(dataset, group) for group in copies)
    differ = f" {apart} of the groups have different values of {dataset.target_name}." if apart else ""
    return [
        f"{_number(more, 'row')} repeat{'s' * (more == 1)} another one; equal rows stay in one split, so that the "
        f"score is honest.{differ}"
    ]


def _of_classes(dataset: Dataset, keep: np.ndarray) -> list[str]:
    sizes = dataset.members()[keep].sum(0)
    plural = "labels" if dataset.task == "multilabel" else "classes"
    small = [name for name, size in zip(dataset.classes, sizes, strict=True) if size < FEW_A_CLASS]
    said = []
    if small:
        named = ", ".join(small[:5]) + (" and others" if len(small) > 5 else "")
        said.append(f"Fewer than {FEW_A_CLASS} pictures in {len(small)} of {len(sizes)} {plural} ({named}).")
    if sizes.min() > 0 and sizes.max() >= UNEVEN * sizes.min():
        large, rare = dataset.classes[int(sizes.argmax())], dataset.classes[int(sizes.argmin())]
        look = "macro F1" if dataset.task == "multilabel" else "balanced accuracy"
        said.append(
            f"Uneven {plural}: {large} has {sizes.max()} pictures, {rare} has {sizes.min()}. Look at the {look}, "
            f"which counts every {dataset.noun} alike."
        )
    if dataset.task == "multilabel":
        always = [name for name, size in zip(dataset.classes, sizes, strict=True) if size == keep.sum()]
        said += [f"Every picture has the label {name}: there is nothing to tell apart." for name in always]
    return said


def _of_numbers(dataset: Dataset, keep: np.ndarray) -> list[str]:
    values, times = np.unique(dataset.targets[keep], return_counts=True)
    if not len(values) or 2 * times.max() <= times.sum():
        return []
    share = times.max() / times.sum()
    return [
        f"{share:.0%} of the pictures have one number of {dataset.target_name}, {values[times.argmax()]:g}: an answer "
        f"that never changes will look good. Compare with the baseline."
    ]


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def _pictures(count: int) -> str:
    return "1 picture stands" if count == 1 else f"{count} pictures stand"
