"""Every kind of example by the word for one of them, as data sets and run.json hold it."""

from __future__ import annotations

from lensmith.verbs.kinds import clips, pictures, rows, sentences
from lensmith.verbs.kinds.kind import Kind

PICTURE = "picture"
KINDS: dict[str, Kind] = {PICTURE: pictures, "row": rows, "sentence": sentences, "clip": clips}


def kind_of(example: str) -> Kind:
    """Return the kind of an example; runs of before there were several are of pictures."""
    return KINDS[example or PICTURE]
