"""The sections that say what the model was made from and how: facts, pictures, data, recipe, environment, commands.

One function a section; None where the run folder has nothing to say on it.
"""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import Any, NamedTuple

from lensmith.reports import words
from lensmith.reports.pictures import data_uri
from lensmith.reports.source import Source, listing, mapping, number, text

PICTURES_A_KIND, PICTURES_SHOWN = 12, 4
ENTRIES = 50
CLASS_ROWS, CLASS_ROWS_OPEN = 60, 12
SPLIT_ORDER = ("train", "stopping", "validation", "test")

Values = dict[str, Any]


class Kind(NamedTuple):
    """A kind of example picture, and how many of its cards are open."""

    name: str
    title: str
    meaning: str
    shown: int


class Finding(NamedTuple):
    """Something the audit finds: its key in run.json, what one and what several are called, and what to do."""

    key: str
    one: str
    several: str
    advice: str


KINDS = (
    Kind(
        "mistake",
        "Surest mistakes",
        "The wrong answers it was surest of. Look for wrong labels, and for what these pictures share.",
        PICTURES_SHOWN,
    ),
    Kind(
        "hard",
        "Hardest right answers",
        "Right, but only just: pictures like these may go wrong next time.",
        PICTURES_SHOWN,
    ),
    Kind("typical", "Typical right answers", "Pictures it was sure of and right about.", 0),
)

# The gravest first. Groups are lists of paths, files are {path, reason}, counted ones {count, examples}.
GROUPS = (
    Finding(
        "contradictions",
        "picture under two classes",
        "pictures under two classes",
        "The same file stands in two class folders: one of the labels is wrong. Decide which.",
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


SHEET_SIDE = 1600  # pixels, the longer side of the sheet of augmented pictures


def facts(source: Source) -> list[Values]:
    """A few small facts under the verdict; those the run does not tell are left out."""
    recipe, times = mapping(source.run.get("recipe")), mapping(source.run.get("times"))
    findings, machine = mapping(source.run.get("findings")), mapping(source.run.get("machine"))
    used = number(findings.get("used")) or number(findings.get("pictures"))
    kinds, cores, spent = len(_counts(source)), number(machine.get("cores")), number(times.get("seconds"))
    size = number(recipe.get("image_size"))
    # "torchvision/resnet18" and "lensmith/convnet/32-64/128" name their library first; "module:factory" has none.
    library, slash, network = text(recipe.get("network")).partition("/")
    library, network = (library, network) if slash else ("", library)
    among = f"in {words.plural(kinds, 'class', 'classes')}" if kinds else ""
    rows = [
        ("Pictures", "" if used is None else words.count(used), among),
        ("Time", "" if spent is None else words.seconds(spent), _on(cores)),
        ("Network", network, ", ".join(part for part in (library, _trained(source)) if part)),
        ("Seen at", "" if size is None else f"{size:g} pixels", "the side of a picture"),
    ]
    return [{"name": name, "value": value, "note": note} for name, value, note in rows if value]


def examples(source: Source) -> list[Values]:
    """Kinds of example pictures, each with cards that hold a picture and, where there is one, its map."""
    found = []
    for kind in KINDS:
        entries = [entry for entry in source.pictures if entry.get("kind") == kind.name][:PICTURES_A_KIND]
        cards = [card for card in (_card(source, entry) for entry in entries) if card is not None]
        if cards:
            shown, rest = cards[: kind.shown], cards[kind.shown :]
            found.append({"title": kind.title, "meaning": kind.meaning, "shown": shown, "rest": rest})
    return found


def data(source: Source) -> Values | None:
    """What was in the folder: pictures by class and split, what was left out, and what deserves a look."""
    findings = mapping(source.run.get("findings"))
    counts = _counts(source)
    if not findings and not counts:
        return None
    splits = {name for parts in counts.values() for name, size in parts.items() if name and size}
    columns = [name for name in SPLIT_ORDER if name in splits] + sorted(splits - set(SPLIT_ORDER))
    sizes = {name: [parts.get(column, 0) for column in columns] for name, parts in counts.items()}
    rows: list[Values] = [{"name": name, "sizes": parts, "all": sum(parts)} for name, parts in sizes.items()]
    many = len(rows) > CLASS_ROWS
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
        "totals": [sum(column) for column in zip(*sizes.values(), strict=True)],
        "most": max((sum(parts) for parts in sizes.values()), default=0),
        "found": _found(findings),
    }


def recipe(source: Source) -> Values | None:
    """The settings chosen for the user with the reason for each, then all the others."""
    settings, reasons = dict(mapping(source.run.get("recipe"))), mapping(source.run.get("reasons"))
    # Without a word on the licence it is unknown, which is not the same as none.
    if "weights_licence" in settings and not settings["weights_licence"]:
        settings["weights_licence"] = "not known" if settings.get("weights") else "no weights"
    if not settings and not reasons:
        return None
    explained = [
        {"name": words.label(key), "value": words.setting(settings[key]) if key in settings else "", "reason": why}
        for key, why in reasons.items()
    ]
    plain = [
        {"name": words.label(key), "value": words.setting(value)}
        for key, value in settings.items()
        if key not in reasons
    ]
    # The last part of the path names the folder; the rest is nobody's business when a report is passed on.
    sheet = data_uri(source.folder, "figures/augmented.png", SHEET_SIDE)
    return {"explained": explained, "plain": plain, "folder": _data_folder(source), "sheet": sheet}


def environment(source: Source) -> Values | None:
    """Engine, machine, versions and where the time went."""
    run, times = source.run, mapping(source.run.get("times"))
    engine, machine = mapping(run.get("engine")), mapping(run.get("machine"))
    rows = [
        ("Engine", ", ".join(text(engine[key]) for key in ("name", "precision", "device") if engine.get(key))),
        ("Checked", text(engine.get("check"))),
        ("Machine", text(machine.get("system"))),
        ("Processor", text(machine.get("processor"))),
        ("Cores", text(machine.get("cores"))),
        ("Seed", text(run.get("seed"))),
        ("Started", words.date(source.started) if source.started else ""),
        ("Versions", ", ".join(f"{name} {version}" for name, version in mapping(run.get("versions")).items())),
    ]
    spent = {name: number(taken) or 0.0 for name, taken in mapping(times.get("steps")).items()}
    longest = max(spent.values(), default=0.0) or 1.0
    steps = [{"name": words.label(name), "seconds": taken, "share": taken / longest} for name, taken in spent.items()]
    shown = [{"name": name, "value": value} for name, value in rows if value]
    return {"rows": shown, "steps": steps, "total": number(times.get("seconds"))} if shown or steps else None


def commands(source: Source) -> list[Values]:
    """The commands that come next, with the run's own name in them."""
    if source.run.get("status") == "done":
        folder = source.folder.resolve()
        run = shlex.quote(str(PurePath(folder.parent.name) / folder.name))
        return [
            {"text": f"lensmith predict {run} new.jpg", "meaning": "Name a new picture."},
            {"text": f"lensmith evaluate {run} folder", "meaning": "Score it on other labelled pictures."},
        ]
    name = _data_folder(source)
    return [{"text": f"lensmith train {shlex.quote(name)}", "meaning": "Train again."}] if name else []


def _on(cores: float | None) -> str:
    return "" if cores is None else "on " + words.plural(int(cores), "core")


def _trained(source: Source) -> str:
    """Return how many weights were trained: all of them from scratch, else the head's."""
    sizes = mapping(mapping(source.run.get("result")).get("parameters"))
    scratch = mapping(source.run.get("recipe")).get("recipe") == "scratch"
    found = [number(sizes.get(part)) for part in (("base", "head") if scratch else ("head",))]
    known = [size for size in found if size is not None]
    return f"{words.millions(sum(known))} trained weights" if known else ""


def _data_folder(source: Source) -> str:
    return PurePath(text(mapping(source.run.get("request")).get("data"))).name


def _card(source: Source, entry: Values) -> Values | None:
    """Return one example picture for its template; None where the picture is missing."""
    picture = data_uri(source.folder, entry.get("picture"))
    if picture is None:
        return None
    target, predicted = text(entry.get("target")), text(entry.get("predicted"))
    return {
        "picture": picture,
        "map": data_uri(source.folder, entry.get("map")),
        "path": text(entry.get("path")),
        "target": target,
        "predicted": predicted,
        "confidence": number(entry.get("confidence")),
        "right": target == predicted,
    }


def _counts(source: Source) -> dict[str, dict[str, int]]:
    """Return pictures by class and split: from splits.csv, else from the findings."""
    if source.counts:
        return source.counts
    found = mapping(mapping(source.run.get("findings")).get("classes"))
    return {
        name: {split: int(number(size) or 0) for split, size in mapping(parts).items()} for name, parts in found.items()
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
