"""The page of `lensmith inspect`: the drawing of a network, where its cost sits, and every layer with its formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lensmith.reports.diagram import SHOWN, apart, field_text, placed, share, stride_text, style
from lensmith.reports.draw import draw


def page(found: Mapping[str, Any]) -> str:
    """Return a page that opens anywhere, from what `lensmith inspect --json` prints."""
    parts = [_part(part, letter) for part, letter in ((found, "A"), (found["compare"], "B")) if part]
    values = {"style": style("style.css"), "parts": parts, "compared": len(parts) > 1, "rows": _beside(parts)}
    return str(draw("network.html", values))


def _part(found: Mapping[str, Any], letter: str) -> dict[str, Any]:
    """Return what a page tells of one network."""
    stages = [
        {
            **stage,
            "parameter": share(stage["parameters"], found["parameters"]),
            "multiply_add": share(stage["multiply_adds"], found["multiply_adds"]),
        }
        for stage in found["stages"]
    ]
    layers = [
        {**layer, "output": " × ".join(map(str, layer["made"])), "sees": field_text(layer), "steps": stride_text(layer)}
        for layer in found["layers"]
    ]
    shape = " × ".join(map(str, found["shape"]))
    return {
        "letter": letter,
        "name": found["network"],
        "shape": shape,
        "noun": SHOWN[len(found["shape"]) - 1],
        "found": found,
        "field": apart(found["receptive_field"] or ()) or "–",
        "stages": stages,
        "layers": layers,
        "drawing": placed(found),
        "classes": found["classes"] or [],
    }


def _beside(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that compare two networks, () for one."""
    if len(parts) < 2:
        return []
    rows = []
    for label, key in (("Parameters", "parameters"), ("Multiply-adds", "multiply_adds")):
        one, other = (part["found"][key] for part in parts)
        rows.append({"label": label, "one": f"{one:,}", "other": f"{other:,}", "ratio": one / other if other else None})
    rows.append({"label": "Receptive field", "one": parts[0]["field"], "other": parts[1]["field"], "ratio": None})
    return rows
