"""The section that `lensmith report --deep` adds: a few pictures, explained in several ways, each with its verdict."""

from __future__ import annotations

from typing import Any

from lensmith.reports.pictures import data_uri
from lensmith.reports.source import Source, listing, mapping, text

Values = dict[str, Any]

GROUPS = (
    ("worst", "The worst answers"),
    ("best", "The best answers"),
    ("typical", "Typical answers"),
)
MOST = 12  # pictures, and ways a picture: what comes from a file may be any number


def deep(source: Source) -> Values | None:
    """The pictures of figures/deep.json in their groups; None where there are none."""
    cards = [
        card
        for card in (_card(source, mapping(entry)) for entry in listing(source.deep.get("pictures"))[:MOST])
        if card
    ]
    groups = [
        {"title": title, "pictures": found}
        for kind, title in GROUPS
        if (found := [card for card in cards if card["kind"] == kind])
    ]
    every = [way for card in cards for way in card["ways"]]
    if not groups or not every:
        return None
    return {
        "groups": groups,
        "ways": list({way["way"]: {"way": way["way"], "what": way["what"]} for way in every}.values()),
        "left": [(text(way), text(reason)) for way, reason in mapping(source.deep.get("left")).items()],
        "passed": sum(way["passed"] for way in every),
        "count": len(every),
    }


def _card(source: Source, entry: Values) -> Values | None:
    """Return one picture with its ways; None where the picture is missing."""
    picture = data_uri(source.folder, entry.get("picture"))
    if picture is None:
        return None
    ways = [
        {
            "way": text(way.get("way")),
            "what": text(way.get("what")),
            "map": data_uri(source.folder, way.get("map")),
            "verdict": text(way.get("verdict")),
            "passed": way.get("passed") is True,
            "sentence": text(way.get("sentence")),
        }
        for way in map(mapping, listing(entry.get("ways"))[:MOST])
    ]
    return {
        "kind": text(entry.get("kind")),
        "picture": picture,
        "path": text(entry.get("path")),
        "target": text(entry.get("target")),
        "predicted": text(entry.get("predicted")),
        "ways": ways,
    }
