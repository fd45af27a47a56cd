"""A network drawn: its maps as boxes, what each sees of the picture, and where the cost sits.

Everything is drawn from what `lensmith inspect --json` prints. A map is as high as its side and as deep as its channels
(both by their square roots, or the last maps would be specks), a vector is a rod. Maps that everything must pass
through are drawn; what branches in between is told in words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from lensmith.reports import words
from lensmith.reports.draw import TEMPLATES, draw

Layers = Sequence[Mapping[str, Any]]

MOST = 18
"""So many boxes are drawn at most: where there are more, those of one module become one."""
WIDTH, WIDEST, MARGIN, GAP = 1120.0, 1330.0, 84.0, 18.0
TALLEST, LEAST, COLUMN = 132.0, 12.0, 100.0
LEAN, RISE = 0.40, 0.26
"""How far a map leans back to the right and upwards, as shares of its height."""
THUMB, BAR = 44.0, 78.0
LETTER, MOST_LETTERS = 6.7, 19
ALIKE = 4
SHOWN = ("row", "line", "picture", "clip")
UNLISTED = ("batch norm", "layer norm", "group norm", "local response norm", "flatten", "identity", "dropout")


@dataclass(frozen=True)
class Box:
    """A map that comes out of some layers: its shape, its sides (none for vectors and tokens), what made it."""

    name: str
    what: str
    made: tuple[int, ...]
    sides: tuple[int, ...]
    layers: Layers = field(repr=False)

    @property
    def last(self) -> Mapping[str, Any]:
        """The layer whose output it is."""
        return self.layers[-1]

    @property
    def shape(self) -> str:
        """The shape as text."""
        return " × ".join(map(str, self.made))

    @property
    def channels(self) -> int:
        """How many maps there are, or numbers of a vector or token."""
        return math.prod(self.made) // math.prod(self.sides) if self.sides else [1, *self.made][-1]

    def cost(self, name: str) -> int:
        """Return the parameters or multiply_adds of its layers together."""
        return sum(int(layer[name]) for layer in self.layers)


def drawing(found: Mapping[str, Any]) -> str:
    """Return the drawing of an inspection as an SVG file of its own, light or dark as the device is."""
    parts = [found] + ([found["compare"]] if found["compare"] else [])
    pictures = [placed(part) for part in parts]
    top = 0.0
    for picture, part in zip(pictures, parts, strict=True):
        picture["title"], picture["at"] = f"{part['network']}", top
        top += picture["height"] + 64
    width = max(picture["width"] for picture in pictures)
    values = {"style": style(), "width": width, "height": top, "pictures": pictures}
    return str(draw("network.svg", values))


def boxes(layers: Layers, shape: Sequence[int]) -> list[Box]:
    """Return the maps that everything passes through, equal ones after each other as one, at most about eighteen."""
    groups = _at_joints(layers)
    depth = max((layer["name"].count(".") for layer in layers), default=0)
    merged = _merged(groups)
    while len(merged) > MOST and depth >= 0:
        groups = _by_module(groups, depth)
        merged, depth = _merged(groups), depth - 1
    named = _names(merged)
    first = Box(SHOWN[len(shape) - 1], "", tuple(shape), tuple(shape[1:]), [_picture(shape)])
    return [first, *(_box(name, group) for name, group in zip(named, merged, strict=True))]


def _picture(shape: Sequence[int]) -> dict[str, Any]:
    axes = len(shape) - 1
    return {"parameters": 0, "multiply_adds": 0, "field": [1] * axes, "stride": [1] * axes, "whole": False}


def _at_joints(layers: Layers) -> list[Layers]:
    """Return the layers in groups that end where everything passes through; all by themselves if nothing does."""
    if not any(layer["joint"] for layer in layers):
        return [[layer] for layer in layers]
    groups: list[list[Mapping[str, Any]]] = [[]]
    for layer in layers:
        groups[-1].append(layer)
        if layer["joint"]:
            groups.append([])
    return _with_quiet(group for group in groups if group)


def _with_quiet(groups: Iterable[Layers]) -> list[Layers]:
    """Return the groups with those of activations and dropouts alone taken into the one before, or the one after."""
    found: list[list[Mapping[str, Any]]] = []
    waiting: list[Mapping[str, Any]] = []
    for group in groups:
        if not all(layer["quiet"] for layer in group):
            found.append([*waiting, *group])
            waiting = []
        elif found and not waiting and _shape(found[-1][-1]) == _shape(group[-1]):
            found[-1].extend(group)
        else:
            waiting.extend(group)
    return [*found, waiting] if waiting else list(found)


def _by_module(groups: Sequence[Layers], depth: int) -> list[Layers]:
    """Return neighbouring groups as one where their last layers are in the same module, `depth` dots deep."""
    found: list[list[Mapping[str, Any]]] = []
    before = None
    for group in groups:
        path = group[-1]["name"].split(".")
        module = ".".join(path[:depth]) if len(path) > depth else ""
        if found and module and module == before:
            found[-1].extend(group)
        else:
            found.append(list(group))
        before = module
    return list(found)


def _merged(groups: Sequence[Layers]) -> list[Layers]:
    """Return neighbouring groups that end in maps of the same shape as one."""
    found: list[list[Mapping[str, Any]]] = []
    for group in groups:
        if found and _shape(found[-1][-1]) == _shape(group[-1]):
            found[-1].extend(group)
        else:
            found.append(list(group))
    return list(found)


def _shape(layer: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of what comes out; a single position of a map is a vector."""
    return (int(layer["channels"]),) if layer["sides"] and not _sides(layer) else tuple(layer["made"])


def _sides(layer: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the sides of a map, none where a single position is left."""
    sides = tuple(layer["sides"])
    return sides if set(sides) != {1} else ()


def _box(name: str, group: Layers) -> Box:
    return Box(name, _what(group), _shape(group[-1]), _sides(group[-1]), group)


def _names(groups: Sequence[Layers]) -> list[str]:
    """Return what each group is called: the module that all its layers are in if no other group is in it.

    Otherwise its first and last parts, without what their names begin with alike: `features.8 to 10`.
    """
    loud = [[layer for layer in group if not layer["quiet"]] or group for group in groups]
    paths = [[layer["name"].split(".") for layer in group] for group in loud]
    found = []
    for place, group in enumerate(paths):
        same = 0
        while all(len(path) > same and path[same] == group[0][same] for path in group):
            same += 1
        module = group[0][:same]
        others = [path[:same] for number, other in enumerate(paths) for path in other if number != place]
        if len(group) == 1 or (module and module not in others):
            found.append(".".join(module))
            continue
        first, last = (".".join(path[same : same + 1]) for path in (group[0], group[-1]))
        alike = next((n for n, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
        last = last[alike:] if ALIKE <= alike < len(last) else last
        found.append(f"{'.'.join([*module, first])} to {last}")
    return found


def _what(group: Layers) -> str:
    """Return what a group does in a few words: `3 residual blocks`, `2 of conv 3x3`, `max pool 2x2/2`."""
    joins = Counter(layer["kind"] for layer in group if layer["joint"] and not layer["parameters"])
    for kind, block in (("add", "residual block"), ("concatenate", "branching block")):
        if joins[kind]:
            return words.plural(joins[kind], block)
    kinds = [layer["kind"] for layer in group if not layer["quiet"] and layer["kind"] not in UNLISTED]
    if not kinds:
        return str(group[-1]["kind"])
    if len(set(kinds)) == 1:
        return kinds[0] if len(kinds) == 1 else f"{len(kinds)} of {kinds[0]}"
    both = ", ".join(kinds)
    return both if len(both) <= MOST_LETTERS else words.plural(len(kinds), "layer")


def placed(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return where everything of a drawing stands, line by line, the lines about equally long."""
    some = boxes(found["layers"], found["shape"])
    largest = max((side for box in some for side in box.sides[-2:]), default=1)
    columns = [_column(box, found, largest) for box in some]
    columns[0]["first"] = True
    whole = sum(column["width"] + GAP for column in columns)
    # A little too long is made to fit; more than that is broken.
    number = 1 if whole <= WIDEST - MARGIN else math.ceil(whole / (WIDTH - MARGIN))
    lines: list[dict[str, Any]] = [{"columns": [], "end": MARGIN}]
    for column in columns:
        line = lines[-1]
        if line["columns"] and line["end"] + column["width"] / 2 > MARGIN + whole / number and len(lines) < number:
            line = {"columns": [], "end": MARGIN}
            lines.append(line)
        column["x"] = line["end"]
        line["columns"].append(column)
        line["end"] += column["width"] + GAP
    top = 8.0
    for line in lines:
        rise = max(column["height"] / 2 + column["rise"] for column in line["columns"])
        fall = max(column["height"] / 2 for column in line["columns"])
        line["end"] -= GAP
        line["axis"], line["text"] = top + rise, top + rise + fall + 26
        top = line["text"] + 172
    width = max(WIDTH, *(line["end"] for line in lines))
    return {"lines": lines, "height": top - 28, "width": width, "thumb": THUMB, "looks": len(found["shape"]) > 1}


def _column(box: Box, found: Mapping[str, Any], largest: int) -> dict[str, Any]:
    """Return one map: its size on paper, its texts, how much of the picture it sees, and its shares of the cost."""
    if box.sides:
        # A line has one side, a clip's first is time: the last two are those of the picture.
        faces = box.sides[-2:] if len(box.sides) > 1 else (*box.sides, 0)
        height, across = (LEAST + TALLEST * math.sqrt(side / largest) for side in faces)
        depth, lean, rise = 2 + 2.3 * math.sqrt(box.channels), LEAN * across, RISE * across
    else:
        height, depth, lean, rise = LEAST + 1.55 * math.sqrt(min(box.channels, 8192)), 7.0, 0.0, 0.0
    name, what = _fitting(box.name), _fitting(box.what)
    sees = field_text(box.last)
    sees += words.THIN + "px" if sees[:1].isdigit() else ""
    written = max(len(text) for text in (name, what, box.shape))
    rods = [12 * rod for rod in range(1 if len(box.made) == 1 else min(6, box.made[0]))]
    return {
        "box": box,
        "first": False,
        "height": round(height, 1),
        "depth": round(depth, 1),
        "lean": round(lean, 1),
        "rise": round(rise, 1),
        "width": max(COLUMN, depth + lean, LETTER * written, THUMB + 7 + LETTER * len(sees)),
        "rods": [] if box.sides else rods,
        "name": name,
        "what": what,
        "seen": _seen(box, found["shape"]),
        "field": sees,
        "stride": stride_text(box.last),
        "parameters": share(box.cost("parameters"), found["parameters"]),
        "multiply_adds": share(box.cost("multiply_adds"), found["multiply_adds"]),
    }


def _fitting(text: str) -> str:
    """Return a name that fits under its box: without the outer modules, and if that is not enough, without its end."""
    while len(text) > MOST_LETTERS and "." in text.partition(" ")[0]:
        text = text.partition(".")[2]
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def _seen(box: Box, shape: Sequence[int]) -> tuple[float, float] | None:
    """Return the height and width of what is seen as parts of the picture, at most 1; None where it is unknown."""
    if not box.last["field"]:
        return None
    sizes = shape[1:] if box.last["whole"] else box.last["field"]
    parts = [min(1.0, size / side) for size, side in zip(sizes, shape[1:], strict=True)]
    return parts[-2 if len(parts) > 1 else 0], parts[-1]


def field_text(layer: Mapping[str, Any]) -> str:
    """Return how many pixels a number of a layer sees: `163`, `3 × 5`, `all`, or a question mark."""
    if layer["field"] is None:
        return "?"
    return "all" if layer["whole"] else apart(layer["field"]) or "–"


def stride_text(layer: Mapping[str, Any]) -> str:
    """Return the pixels from one position of a map to the next, empty where there are none."""
    return apart(layer["stride"] or ())


def apart(numbers: Iterable[float]) -> str:
    """Return a number an axis, one where they are the same."""
    some = list(numbers)
    return " × ".join(f"{number:,g}" for number in (some if len(set(some)) > 1 else some[:1]))


def share(part: int, whole: int) -> dict[str, Any]:
    """Return a part of a whole as a share of 1, in per cent as text, and as the length of a bar."""
    found = part / whole if whole else 0.0
    said = "" if not part else "<1" if found < 0.005 else f"{100 * found:.0f}"
    return {"share": found, "said": said, "bar": round(max(1.2, BAR * found), 1) if part else 0}


def style(*sheets: str) -> Markup:
    """Return our own style sheets, the only text that enters unescaped; the palette alone if none is named."""
    text = "".join((TEMPLATES / sheet).read_text(encoding="utf-8") for sheet in sheets)
    if not sheets:
        text = (TEMPLATES / "style.css").read_text(encoding="utf-8").partition("* { box-sizing")[0]
    return Markup(text + (TEMPLATES / "network.css").read_text(encoding="utf-8"))
