"""The model card: what lies in the model folder, for the person who is handed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined

from lensmith.reports import words
from lensmith.reports.leads import Lead, lead_of, target_name
from lensmith.reports.source import Measure, mapping, measure, number

NAMES_SHOWN = 20
INSIDE = {
    "classification": "classes, preprocessing, threshold",
    "multilabel": "labels, preprocessing, thresholds",
    "regression": "preprocessing, name of the number",
}

# Markdown, not HTML: names are put into code marks and line breaks in them are taken out.
CARD = """\
# {{ name }}

{{ verdict }}

| | |
|---|---|
| task | {{ task }} |
| network | {{ recipe.network }}{{ " up to `" ~ recipe.cut ~ "`" if pictures }}, {{ parameters }} parameters |
| recipe | {{ recipe.recipe }} |
{% if trained %}
| trained | {{ trained }} |
{% endif %}
| weights it started from | {{ recipe.weights or "random" }}{{ licence }} |
{% if pictures %}
| pictures it sees | {{ size }} x {{ size }} pixels, {{ recipe.resize }}, {{ recipe.interpolation }} |
{% endif %}
| {{ measure }} on {{ held_out }} | {{ value }} |
{% if baseline %}
| {{ guess }} | {{ baseline }} |
{% endif %}
| made by | lensmith {{ lensmith }}, {{ started }}, seed {{ seed }} |

Files: `model.safetensors` (weights, `base.*` and `head.*`), `config.json` ({{ inside }}).
Nothing in them is executed when they are read.

Use it:

    lensmith predict {{ run }} {{ "new.jpg" if pictures else "new.csv" }}
    lensmith evaluate {{ run }} {{ "other-pictures/" if pictures else "others.csv" }}

{% if pictures %}
It was scored on pictures like those it learned from. On pictures of another kind (another camera, place or season)
expect less, and measure it with `lensmith evaluate` before you rely on it.
{% else %}
It was scored on {{ example }}s like those it learned from. On others (another source, place or season) expect less, and
measure it with `lensmith evaluate` before you rely on it.
{% endif %}
"""


def model_card(document: Mapping[str, Any], scores: Mapping[str, Any], held_out: str) -> str:
    """Return the text of model/README.md from what run.json and metrics.json hold."""
    lead = lead_of(scores, document.get("task"))
    baseline = measure(scores.get(lead.baseline)).value
    licence, example = document["recipe"]["weights_licence"], str(document.get("example", "picture"))
    environment = Environment(
        autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(CARD).render(
        name=plain(document["name"]),
        run=plain(document["name"]),
        verdict=plain(" ".join(document["verdict"])),
        task=_task(document),
        inside=INSIDE.get(document["task"], INSIDE["classification"]),
        size=document["recipe"]["image_size"],
        example=example,
        pictures=example == "picture",
        licence=f", licence {plain(licence)}" if licence else "",
        recipe=document["recipe"],
        trained=_trained(document),
        parameters=f"{sum(document['result']['parameters'].values()):,}",
        held_out=held_out,
        measure=lead.name.lower(),
        value=_value(measure(scores.get(lead.key)), _count(scores), lead),
        guess=lead.guess,
        baseline="" if baseline is None else _number(baseline, lead),
        lensmith=document["lensmith"],
        started=document["started"],
        seed=document["seed"],
    )


def plain(text: str) -> str:
    """Return text without the marks that would end a code span, a table cell or a line."""
    return " ".join(text.split()).replace("`", "'").replace("|", "/")


def _task(document: Mapping[str, Any]) -> str:
    """Return what is answered: the classes or labels, or the name of the number."""
    classes = list(document["findings"]["classes"])
    _, several = lead_of({}, document["task"]).groups
    if not several:
        name = plain(target_name(document))
        return f"{document['task']}, a number for each {document.get('example', 'picture')}" + (
            f": `{name}`" if name else ""
        )
    shown = ", ".join(f"`{plain(name)}`" for name in classes[:NAMES_SHOWN])
    rest = " and others" if len(classes) > NAMES_SHOWN else ""
    return f"{document['task']}, {len(classes)} {several}: {shown}{rest}"


def _trained(document: Mapping[str, Any]) -> str:
    """Return how many weights were trained and how many not; nothing where the run does not tell."""
    said = mapping(document.get("frozen"))
    trained, frozen = number(said.get("trained")), number(said.get("frozen"))
    return "" if trained is None or frozen is None else f"{trained:,.0f} parameters; {frozen:,.0f} stayed as they came"


def _value(found: Measure, n: int | None, lead: Lead) -> str:
    """Return a measure with its interval and the number of pictures, as far as they are known."""
    if found.value is None:
        return "not known"
    said = [] if None in (found.low, found.high) else [f"95 % interval {_ends(found, lead)}"]
    pictures = n if found.n is None else found.n
    said += [] if pictures is None else [f"{pictures} pictures"]
    return _number(found.value, lead) + (f" ({', '.join(said)})" if said else "")


def _ends(found: Measure, lead: Lead) -> str:
    return " to ".join(_number(end, lead) for end in (found.low, found.high) if end is not None)


def _number(value: float, lead: Lead) -> str:
    return f"{value:.3f}" if lead.share else words.quantity(value)


def _count(scores: Mapping[str, Any]) -> int | None:
    n = number(scores.get("n"))
    return None if n is None else int(n)
