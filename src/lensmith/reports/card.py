"""The model card: what lies in the model folder, for the person who is handed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined

# Markdown, not HTML: names are put into code marks and line breaks in them are taken out.
CARD = """\
# {{ name }}

{{ verdict }}

| | |
|---|---|
| task | {{ task }}, {{ count }} classes: {{ shown | join(", ") }}{{ " and others" if count > 20 }} |
| network | {{ recipe.network }} up to `{{ recipe.cut }}`, {{ parameters }} parameters |
| recipe | {{ recipe.recipe }} |
| weights it started from | {{ recipe.weights or "random" }}{{ licence }} |
| pictures it sees | {{ size }} x {{ size }} pixels, {{ recipe.resize }}, {{ recipe.interpolation }} |
| accuracy on {{ held_out }} | {{ accuracy }} |
| made by | lensmith {{ lensmith }}, {{ started }}, seed {{ seed }} |

Files: `model.safetensors` (weights, `base.*` and `head.*`), `config.json` (classes, preprocessing, threshold).
Nothing in them is executed when they are read.

Use it:

    lensmith predict {{ run }} new.jpg
    lensmith evaluate {{ run }} other-pictures/

It was scored on pictures like those it learned from. On pictures of another kind (another camera, place or season)
expect less, and measure it with `lensmith evaluate` before you rely on it.
"""


def model_card(document: Mapping[str, Any], scores: Mapping[str, Any], held_out: str) -> str:
    """Return the text of model/README.md from what run.json and metrics.json hold."""
    accuracy = scores["accuracy"]
    classes = list(document["findings"]["classes"])
    licence = document["recipe"]["weights_licence"]
    interval = f"95 % interval {accuracy['low']:.3f} to {accuracy['high']:.3f}"
    words = Environment(autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True).from_string(CARD)
    return words.render(
        name=plain(document["name"]),
        run=plain(document["name"]),
        verdict=plain(" ".join(document["verdict"])),
        task=document["task"],
        count=len(classes),
        size=document["recipe"]["image_size"],
        licence=f", licence {plain(licence)}" if licence else "",
        shown=[f"`{plain(name)}`" for name in classes[:20]],
        recipe=document["recipe"],
        parameters=f"{sum(document['result']['parameters'].values()):,}",
        held_out=held_out,
        accuracy=f"{accuracy['value']:.3f} ({interval}, {accuracy['n']} pictures)",
        lensmith=document["lensmith"],
        started=document["started"],
        seed=document["seed"],
    )


def plain(text: str) -> str:
    """Return text without the marks that would end a code span, a table cell or a line."""
    return " ".join(text.split()).replace("`", "'").replace("|", "/")
