"""The sections that say what the model was made from and how: facts, pictures, recipe, environment, commands.

One function a section; None where the run folder has nothing to say on it.
"""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import Any, NamedTuple

from lensmith.reports import words
from lensmith.reports.inventory import NONE, counts_of
from lensmith.reports.leads import lead_in, target_name
from lensmith.reports.pictures import data_uri
from lensmith.reports.source import LABELS_JOINED_BY, Source, listing, mapping, number, text
from lensmith.run import Run

PICTURES_A_KIND, PICTURES_SHOWN, LABELS_A_CARD = 12, 4, 12

Values = dict[str, Any]


class Kind(NamedTuple):
    """A kind of example picture, and how many of its cards are open."""

    name: str
    title: str
    meaning: str
    shown: int


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
# What some of them are called where labels or numbers are answered, by the measure that leads.
OTHER_KINDS = {
    "map": {
        "typical": ("Typical answers", "Pictures it was about as good at as at most others."),
    },
    "mae": {
        "mistake": ("Largest errors", "Look for wrong numbers in the table, and for what these pictures share."),
        "typical": ("Typical answers", "Pictures that it was off by about as much as by most others."),
    },
}

# Settings that say nothing where no pictures are.
OF_PICTURES = (
    "weights",
    "weights_licence",
    "cut",
    "unfreeze",
    "pool",
    "init",
    "augment",
    "mixup",
    "cutmix",
    "image_size",
    "resize",
    "interpolation",
    "crop",
    "preprocessing",
    "label_smoothing",
    "ema",
    "budget",
)

# What predict and evaluate are given, by the kind of example.
NEW = {
    "picture": ("new.jpg", "folder"),
    "clip": ("new.mp4", "folder"),
    "row": ("new.csv", "more.csv"),
    "sentence": ('"a sentence"', "folder"),
}
SHEET_SIDE = 1600  # pixels, the longer side of the sheet of augmented pictures


def facts(source: Source) -> list[Values]:
    """A few small facts under the verdict; those the run does not tell are left out."""
    recipe, times = mapping(source.run.get("recipe")), mapping(source.run.get("times"))
    findings, machine = mapping(source.run.get("findings")), mapping(source.run.get("machine"))
    used = number(findings.get("used")) or number(findings.get("pictures"))
    kinds, cores, spent = (
        len([name for name in counts_of(source) if name != NONE]),
        number(machine.get("cores")),
        number(times.get("seconds")),
    )
    size = number(recipe.get("image_size"))
    # "torchvision/resnet18" and "lensmith/convnet/32-64/128" name their library first; "module:factory" has none.
    library, slash, network = text(recipe.get("network")).partition("/")
    library, network = (library, network) if slash else ("", library)
    one, several = lead_in(source).groups
    among = f"{'with' if one == 'label' else 'in'} {words.plural(kinds, one, several)}" if kinds and one else ""
    if not one and target_name(source.run):
        among = f"each with its {target_name(source.run)}"
    rows = [
        ("Pictures", "" if used is None else words.count(used), among),
        ("Time", "" if spent is None else words.seconds(spent), _on(cores)),
        ("Network", network, ", ".join(part for part in (library, _trained(source)) if part)),
        ("Seen at", "" if not size else f"{size:g} pixels", "the side of a picture"),
    ]
    return [{"name": name, "value": value, "note": note} for name, value, note in rows if value]


def examples(source: Source) -> list[Values]:
    """Kinds of example pictures, each with cards that hold a picture and, where there is one, its map."""
    found: list[Values] = []
    lead = lead_in(source).key
    for kind in KINDS:
        title, meaning = OTHER_KINDS.get(lead, {}).get(kind.name, (kind.title, kind.meaning))
        entries = [entry for entry in source.pictures if entry.get("kind") == kind.name][:PICTURES_A_KIND]
        cards = [card for card in (_card(source, entry, lead) for entry in entries) if card is not None]
        if cards:
            # Where there is nothing else to see, the typical ones are open.
            shown = kind.shown or (0 if found else PICTURES_SHOWN)
            mapped = any(card["map"] for card in cards)
            parts = {"shown": cards[:shown], "rest": cards[shown:], "mapped": mapped}
            found.append({"title": title, "meaning": meaning, **parts})
    return found


def sentences(source: Source) -> list[Values]:
    """Kinds of example sentences, each word with how much it spoke for the answer or against it."""
    found: list[Values] = []
    lead = lead_in(source).key
    for kind in KINDS:
        title, meaning = OTHER_KINDS.get(lead, {}).get(kind.name, (kind.title, kind.meaning))
        entries = [entry for entry in source.sentences if entry.get("kind") == kind.name]
        if entries:
            found.append({"title": title, "meaning": meaning, "shown": [_line(entry) for entry in entries]})
    return found


def _line(entry: Values) -> Values:
    """Return one example sentence for its template; the weightiest word has `much` 1."""
    words_in = [(text(word), number(weight) or 0.0) for word, weight in _pairs(entry.get("words"))]
    most = max((abs(weight) for _, weight in words_in), default=0.0) or 1.0
    return {
        "words": [
            {"text": word, "way": "for" if weight > 0 else "against", "much": abs(weight) / most}
            for word, weight in words_in
        ],
        "target": text(entry.get("target")),
        "predicted": text(entry.get("predicted")),
        "right": bool(entry.get("right")),
        "confidence": number(entry.get("confidence")),
        "path": text(entry.get("path")),
    }


def _pairs(value: object) -> list[tuple[object, object]]:
    return [(pair[0], pair[1]) for pair in listing(value) if isinstance(pair, list) and len(pair) == 2]


def recipe(source: Source) -> Values | None:
    """The settings chosen for the user with the reason for each, then all the others."""
    settings, reasons = dict(mapping(source.run.get("recipe"))), mapping(source.run.get("reasons"))
    # Without a word on the licence it is unknown, which is not the same as none.
    if "weights_licence" in settings and not settings["weights_licence"]:
        settings["weights_licence"] = "not known" if settings.get("weights") else "no weights"
    if not settings and not reasons:
        return None
    if text(source.run.get("example")) not in ("", "picture"):
        settings = {name: value for name, value in settings.items() if name not in OF_PICTURES}
    explained = [
        {
            "name": words.label(key),
            "value": words.setting_of(key, settings[key]) if key in settings else "",
            "reason": why,
        }
        for key, why in reasons.items()
    ]
    plain = [
        {"name": words.label(key), "value": words.setting_of(key, value)}
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
    folder = source.folder.resolve()
    run = shlex.quote(str(PurePath(folder.parent.name) / folder.name))
    if source.run.get("status") == "done":
        example = text(source.run.get("example")) or "picture"
        pictures, (new, more) = example == "picture", NEW.get(example, NEW["row"])
        return [
            {"text": f"lensmith predict {run} {new}", "meaning": "Ask it about a new picture."},
            {"text": f"lensmith evaluate {run} {more}", "meaning": "Score it on other labelled pictures."},
            *([{"text": f"lensmith explain {run} {new}", "meaning": "See why it answers so."}] if pictures else []),
        ]
    found = []
    if Run(folder).resumable:
        found.append({"text": f"lensmith train --resume {run}", "meaning": "Go on where it ended."})
    name = _data_folder(source)
    if name:
        found.append({"text": f"lensmith train {shlex.quote(name)}", "meaning": "Train again."})
    return found


def _on(cores: float | None) -> str:
    return "" if cores is None else "on " + words.plural(int(cores), "core")


def _trained(source: Source) -> str:
    """Return how many weights were trained, where run.json tells; in older runs all of scratch, else the head."""
    told = number(mapping(source.run.get("frozen")).get("trained"))
    result = mapping(source.run.get("result"))
    sizes, stage = mapping(result.get("parameters")), result.get("stage")
    scratch = (stage or mapping(source.run.get("recipe")).get("recipe")) == "scratch"
    found = [told] if told is not None else [number(sizes.get(part)) for part in ("base", "head")[not scratch :]]
    known = [size for size in found if size is not None]
    return f"{words.millions(sum(known))} trained weights" if known else ""


def _data_folder(source: Source) -> str:
    return PurePath(text(mapping(source.run.get("request")).get("data"))).name


def _card(source: Source, entry: Values, lead: str) -> Values | None:
    """Return one example picture for its template; None where the picture is missing."""
    picture = data_uri(source.folder, entry.get("picture"))
    if picture is None:
        return None
    target, predicted, right = text(entry.get("target")), text(entry.get("predicted")), entry.get("right")
    return {
        "picture": picture,
        "map": data_uri(source.folder, entry.get("map")),
        "without_map": text(entry.get("without_map")) or "no map",
        "path": text(entry.get("path")),
        "target": target,
        "predicted": predicted,
        "confidence": number(entry.get("confidence")),
        "right": right if isinstance(right, bool) else target == predicted,
        # Digits that no network can tell are left out of its number.
        "number": None if number(predicted) is None else words.told(number(predicted) or 0.0),
        "form": {"map": "labels", "mae": "number"}.get(lead, "class"),
        "labels": _compared(target, predicted) if lead == "map" else {},
    }


def _compared(target: str, predicted: str) -> dict[str, Values]:
    """Return the labels that a picture has and was given, was not given, and was given without having them.

    Each with the first names and the number of the others.
    """
    true, said = ([label for label in joined.split(LABELS_JOINED_BY) if label] for joined in (target, predicted))
    kinds = {
        "found": [label for label in true if label in said],
        "missed": [label for label in true if label not in said],
        "added": [label for label in said if label not in true],
    }
    return {
        kind: {"names": labels[:LABELS_A_CARD], "more": max(0, len(labels) - LABELS_A_CARD)}
        for kind, labels in kinds.items()
    }
