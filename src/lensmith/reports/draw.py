"""Templates to text: everything put into a template is escaped, figures included."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from lensmith.reports import words

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"


def draw(template: str, values: Mapping[str, object]) -> Markup:
    """Return a template filled in; a value it needs and does not get is an error, never an empty spot."""
    return Markup(_environment().get_template(template).render(values))


def prepare() -> None:
    """Compile all templates, a quarter of a second: a thread can do it while pictures are read."""
    environment = _environment()
    for name in environment.list_templates(extensions=["html", "svg"]):
        environment.get_template(name)


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        # `finalize` sees every value on its way into the page, so no name can get past it.
        finalize=words.clean,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    for name in (
        "percent",
        "count",
        "decimal",
        "plural",
        "seconds",
        "shorten",
        "label",
        "setting",
        "quantity",
        "told",
        "breaking",
    ):
        environment.filters[name] = getattr(words, name)
    return environment
