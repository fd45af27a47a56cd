"""The section on the pictures: how many there were of what, what was left out, and what deserves a look."""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

from lensmith.reports import words
from lensmith.reports.leads import lead_in, target_name
from lensmith.reports.source import Source, listing, mapping, number, text

ENTRIES = 50
NONE = "(none)"  # of pictures without a label
CLASS_ROWS, CLASS_ROWS_OPEN = 60, 12
SPLIT_ORDER = ("train", "stopping", "validation", "test")

Values = dict[str, Any]


class Finding(NamedTuple):
    """Something the audit finds: its key in run.json, what one and what several are called, and what to do."""

    key: str
    one: str
    several: str
    advice: str


# The gravest first. Groups are lists of paths, files are {path, reason}, counted ones {count, examples}.
GROUPS = (
    Finding(
        "contradictions",
        "picture with two labels that contradict",
        "pictures with two labels that contradict",
        "The same file stands there twice, each time as something else. Decide which is right.",
    ),
    Finding(
        "leaks",
        "picture both in train and held out",
        "pictures both in train and held out",
        "A model that has seen the answer scores too well. Keep such pictures on one side.",
    ),
    Finding(
        "copies",
        "group of equal files",
        "groups of equal files",
        "The same file several times. It does no harm on one side of the split, but it counts double.",
    ),
)
FILES = (
    Finding("unreadable", "file could not be read", "files could not be read", "Open, mend or delete."),
    Finding(
        "left_out",
        "picture was left out",
        "pictures were left out",
        "Every picture that was not used, with the reason.",
    ),
)
COUNTED = (
    Finding("not_pictures", "file is not a picture", "files are not pictures", "Passed over."),
    Finding(
        "without_class",
        "picture lies beside the class folders",
        "pictures lie beside the class folders",
        "To use such a picture, move it into a class folder.",
    ),
)


def data(source: Source) -> Values | None:
    """What was in the folder: pictures by class and split, what was left out, and what deserves a look."""
    findings = mapping(source.run.get("findings"))
    counts = counts_of(source)
    if not findings and not counts and not source.spreads:
        return None
    columns = _in_order({name for parts in counts.values() for name, size in parts.items() if name and size})
    sizes = {name: [parts.get(column, 0) for column in columns] for name, parts in counts.items()}
    rows: list[Values] = [{"name": name, "sizes": parts, "all": sum(parts)} for name, parts in sizes.items()]
    many = len(rows) > CLASS_ROWS
    one, several = lead_in(source).groups
    return {
        "pictures": number(findings.get("pictures")),
        "used": number(findings.get("used")),
        "size": [number(side) for side in listing(findings.get("median_size"))],
        "warnings": [text(sentence) for sentence in listing(findings.get("warnings"))],
        "columns": columns,
        "rows": sorted(rows, key=lambda row: int(row["all"]))[:CLASS_ROWS_OPEN] if many else rows,
        "open": len(rows) <= CLASS_ROWS_OPEN,
        "left": len(rows) - CLASS_ROWS_OPEN if many else 0,
        "count": len(rows),
        "group": (one or "class").capitalize(),
        "title": words.plural(len(rows), one or "class", several or "classes"),
        # A picture with several labels counts under each of them, so their sum counts nothing.
        "totals": [] if one == "label" else [sum(column) for column in zip(*sizes.values(), strict=True)],
        "most": max((sum(parts) for parts in sizes.values()), default=0),
        "target": target_name(source.run),
        "spreads": [_spread(name, source.spreads[name]) for name in _in_order(set(source.spreads))],
        "found": _found(findings),
    }


def counts_of(source: Source) -> dict[str, dict[str, int]]:
    """Return pictures by class and split: from splits.csv, else from the findings."""
    if source.counts:
        return {name or NONE: splits for name, splits in source.counts.items()}
    found = mapping(mapping(source.run.get("findings")).get("classes"))
    return {
        name: {split: int(number(size) or 0) for split, size in mapping(parts).items()} for name, parts in found.items()
    }


def _in_order(splits: set[str]) -> list[str]:
    """Return the names of splits in the order of a training, others last."""
    return [name for name in SPLIT_ORDER if name in splits] + sorted(splits - set(SPLIT_ORDER))


def _spread(name: str, numbers: list[float]) -> Values:
    """Return how the numbers of one split are spread."""
    return {
        "name": name,
        "n": len(numbers),
        "lowest": min(numbers),
        "median": statistics.median(numbers),
        "highest": max(numbers),
    }


def _found(findings: Values) -> list[Values]:
    """Return what deserves a look: heading, advice, the first entries, and how many more there are."""
    found = []
    for kind in GROUPS:
        groups = [[text(path) for path in listing(group)] for group in listing(findings.get(kind.key))]
        found.append(_entry(kind, len(groups), [{"paths": group, "reason": ""} for group in groups]))
    for kind in FILES:
        files = [mapping(entry) for entry in listing(findings.get(kind.key))]
        rows = [{"paths": [text(entry.get("path"))], "reason": text(entry.get("reason"))} for entry in files]
        found.append(_entry(kind, len(rows), rows))
    for kind in COUNTED:
        part = mapping(findings.get(kind.key))
        rows = [{"paths": [text(path)], "reason": ""} for path in listing(part.get("examples"))]
        found.append(_entry(kind, int(number(part.get("count")) or 0), rows))
    return [entry for entry in found if entry["count"] > 0]


def _entry(kind: Finding, size: int, rows: list[Values]) -> Values:
    title = words.plural(size, kind.one, kind.several)
    shown = rows[:ENTRIES]
    return {"count": size, "title": title, "advice": kind.advice, "rows": shown, "more": size - len(shown)}
