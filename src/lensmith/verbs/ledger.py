"""The arithmetic of a network as it is printed: a table that fits a terminal, shares as bars, formulas in full."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lensmith.verbs.inspect import Inspection
    from lensmith.zoo.arithmetic import Arithmetic, Layer

LONGEST_BLOCK = 96
WORTH_FOLDING = 3
BAR = 20
# What a network is shown, by the number of sides.
SHOWN = ("a row", "a line", "a picture", "a clip")
EIGHTHS = " ▏▎▍▌▋▊▉"
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


@dataclass(frozen=True)
class Rows:
    """Layers in a row of the table each, and `more` blocks of layers like these that are not written out."""

    shown: Sequence[Layer]
    more: Sequence[Sequence[Layer]] = ()


@dataclass(frozen=True)
class Columns:
    """How many letters the columns of the table have; the others are as wide in all."""

    name: int = 25
    output: int = 16
    field: int = 8

    @property
    def numbers(self) -> int:
        """Where the first column of numbers begins."""
        return 2 + self.name + 1 + 22 + self.output


# Maps of clips have a side more, and fields and strides three numbers.
PICTURES, CLIPS = Columns(), Columns(name=19, output=18, field=12)


def inspection(found: Inspection, *, every: bool = False, formulas: bool = False) -> None:
    """Print an inspection; `every` writes out activations and repeated blocks, `formulas` how each number is made."""
    if found.other is not None:
        _side_by_side(found, found.other)
        return
    arithmetic = found.arithmetic
    print(f"{found.name}, {SHOWN[len(arithmetic.shape) - 1]} of {_by(arithmetic.shape)}")
    if found.classes:
        some = ", ".join(found.classes[:6]) + (", …" if len(found.classes) > 6 else "")
        print(f"classes: {some}")
    print()
    shown = [layer for layer in arithmetic.layers if every or not layer.quiet]
    groups = [Rows(shown)] if every else list(folded(shown))
    width = PICTURES if len(arithmetic.shape) < 4 else CLIPS
    _table(groups, width)
    _sums(arithmetic, len(arithmetic.layers) - len(shown), width)
    _shares(arithmetic)
    if formulas:
        _formulas(groups)
    for note in arithmetic.notes:
        print(f"\nnote: {note}")


def folded(layers: Sequence[Layer]) -> Iterator[Rows]:
    """Yield layers, with blocks that repeat one after the other, under names of their own, written out once."""
    known: dict[object, int] = {}
    marks = [
        known.setdefault((one.kind, one.given, one.made, one.parameters, one.multiply_adds), len(known))
        for one in layers
    ]
    start = place = 0
    while place < len(layers):
        length, times = _repeated(layers, marks, place)
        if length * (times - 1) < WORTH_FOLDING:
            place += 1
            continue
        if start < place:
            yield Rows(layers[start:place])
        blocks = [layers[place + length * n : place + length * (n + 1)] for n in range(times)]
        yield Rows(blocks[0], blocks[1:])
        start = place = place + length * times
    if start < len(layers):
        yield Rows(layers[start:])


def _repeated(layers: Sequence[Layer], marks: Sequence[int], place: int) -> tuple[int, int]:
    """Return the length and the number of equal blocks that begin at a place and save most rows."""
    best = (1, 1)
    for length in range(1, min(LONGEST_BLOCK, (len(marks) - place) // 2) + 1):
        first, times = marks[place : place + length], 1
        names = {_common(layers[place : place + length])}
        while marks[place + length * times : place + length * (times + 1)] == first:
            name = _common(layers[place + length * times : place + length * (times + 1)])
            if name in names or "" in names:
                break
            names.add(name)
            times += 1
        if length * (times - 1) > best[0] * (best[1] - 1):
            best = length, times
    return best


def _common(block: Sequence[Layer]) -> str:
    """Return the module that all layers of a block are in, empty if there is none."""
    parts = [layer.name.split(".") for layer in block]
    if len(parts) == 1:
        return block[0].name
    same = 0
    while all(len(one) > same and one[same] == parts[0][same] for one in parts):
        same += 1
    return ".".join(parts[0][:same])


def _table(groups: Sequence[Rows], width: Columns) -> None:
    titles = f"{'output':>{width.output}}{'parameters':>13}{'multiply-adds':>15}{'field':>{width.field}}{'stride':>8}"
    print(f"  {'layer':<{width.name}} {'what':<22}{titles}")
    for group in groups:
        for layer in group.shown:
            begin = f"  {_short(layer.name, width.name):<{width.name}} {_short(layer.kind, 22):<22}"
            _row(f"{begin}{_by(layer.made):>{width.output}}", [layer], width)
        if group.more:
            names = [_common(block) for block in group.more]
            these = "it" if len(group.shown) == 1 else "these"
            named = " to ".join(_short(name, 22) for name in dict.fromkeys((names[0], names[-1])))
            rest = [layer for block in group.more for layer in block]
            _row(f"  and {len(names)} more like {these}: {named}", rest, width)


def _row(begin: str, layers: Sequence[Layer], width: Columns) -> None:
    """Print a row: what some layers cost together, and what the last of them sees."""
    costs = (sum(layer.parameters for layer in layers), sum(layer.multiply_adds for layer in layers))
    said = [f"{cost:,}" if cost else "" for cost in costs]
    sees = f"{field_of(layers[-1]):>{width.field}}{stride_of(layers[-1]):>8}"
    print(f"{begin:<{width.numbers}}{said[0]:>13}{said[1]:>15}{sees}".rstrip())


def _sums(arithmetic: Arithmetic, hidden: int, width: Columns) -> None:
    totals = arithmetic.totals
    print(f"{'  all':<{width.numbers}}{totals.parameters:>13,}{totals.multiply_adds:>15,}")
    if hidden:
        print(f"  layers that cost nothing (activations, dropouts) are left out: {hidden} (--all shows them)")
    print()
    print(f"{totals.parameters:,} parameters ({_bytes(4 * totals.parameters)} as float32)")
    print(f"{short(totals.multiply_adds)} multiply-adds for {SHOWN[len(arithmetic.shape) - 1]}")
    if len(arithmetic.shape) > 1:
        print(seen(arithmetic))


def seen(arithmetic: Arithmetic) -> str:
    """Return what the last map and the answer see, as a sentence."""
    last, before = arithmetic.ends()
    unit = "pixels" if len(arithmetic.shape) > 2 else "positions"
    if last is None or not last.field:
        return "receptive field unknown"
    said = ""
    if before is not None and before.field:
        said = f"receptive field {_apart(before.field)} {unit} at {before.name}"
    if last is before:
        return said
    ends = (
        f"the whole {SHOWN[len(arithmetic.shape) - 1].removeprefix('a ')}"
        if last.whole
        else f"{_apart(last.field)} {unit}"
    )
    return f"{said}, {ends} at {last.name}" if said else f"receptive field: {ends} at {last.name}"


def _shares(arithmetic: Arithmetic) -> None:
    """Print where the cost sits: by the size of the maps, and the most expensive layers."""
    totals = arithmetic.totals
    print(f"\n  {'maps of':<18}{'layers':>7}   {'parameters':<32}multiply-adds")
    for stage in arithmetic.stages():
        bars = [
            f"{_percent(part, whole):>8} {bar(part, whole):<{BAR}}"
            for part, whole in ((stage.parameters, totals.parameters), (stage.multiply_adds, totals.multiply_adds))
        ]
        print(f"  {stage.name:<18}{stage.layers:>7}{bars[0]}   {bars[1]}".rstrip())
    print()
    for name, whole in (("parameters", totals.parameters), ("multiply_adds", totals.multiply_adds)):
        most = sorted(arithmetic.layers, key=lambda layer: -getattr(layer, name))[:3]
        named = ", ".join(
            f"{_short(one.name, 25)} {_percent(getattr(one, name), whole)}" for one in most if getattr(one, name)
        )
        if named:
            print(f"most {name.replace('_', '-')}: {named}")


def _formulas(groups: Sequence[Rows]) -> None:
    for group in groups:
        for layer in group.shown:
            if not layer.formulas:
                continue
            print(f"\n{layer.name}: {layer.kind}, {_by(layer.given)} to {_by(layer.made)}")
            for name, formula in layer.formulas.items():
                print(f"  {name.replace('_', '-'):<14} {formula}")
        if group.more:
            names = [_common(block) for block in group.more]
            print(f"\nthe same {len(names)} more times: {names[0]}{f' to {names[-1]}' if len(names) > 1 else ''}")


def _side_by_side(one: Inspection, other: Inspection) -> None:
    pair = (one.arithmetic, other.arithmetic)
    print(f"A  {one.name}, {_by(pair[0].shape)}")
    print(f"B  {other.name}, {_by(pair[1].shape)}\n")
    print(f"  {'':<24}{'A':>17}{'B':>17}{'A / B':>9}")
    for label, numbers in (
        ("parameters", [arithmetic.totals.parameters for arithmetic in pair]),
        ("multiply-adds", [arithmetic.totals.multiply_adds for arithmetic in pair]),
        ("layers", [sum(not layer.quiet for layer in arithmetic.layers) for arithmetic in pair]),
    ):
        print(f"  {label:<24}{numbers[0]:>17,}{numbers[1]:>17,}{_ratio(*numbers):>9}")
    fields = [arithmetic.ends() for arithmetic in pair]
    print(f"  {'field of the last map':<24}{''.join(f'{field_of(before):>17}' for _, before in fields)}")
    print(f"  {'field of the answer':<24}{''.join(f'{field_of(last):>17}' for last, _ in fields)}")
    print("\n  multiply-adds by maps of\n")
    stages = [{stage.name: stage for stage in arithmetic.stages()} for arithmetic in pair]
    for name in dict.fromkeys((*stages[0], *stages[1])):
        costs = [some[name].multiply_adds if name in some else 0 for some in stages]
        if any(costs):
            most = max(arithmetic.totals.multiply_adds for arithmetic in pair)
            bars = [f"{short(cost):>9} {bar(cost, most):<{BAR}}" for cost in costs]
            print(f"  {name:<24}{bars[0]}  {bars[1]}".rstrip())
    for label, inspected in (("A", one), ("B", other)):
        for note in inspected.arithmetic.notes:
            print(f"\nnote on {label}: {note}")


def field_of(layer: Layer | None) -> str:
    """Return a receptive field as text: `35`, `7x35`, `whole`, or `?` where it is unknown."""
    if layer is None:
        return "-"
    if layer.field is None:
        return "?"
    return "whole" if layer.whole else _apart(layer.field) or "-"


def stride_of(layer: Layer) -> str:
    """Return the pixels from one position of a map to the next as text, empty where there are no positions."""
    return _apart(layer.stride or ())


def bar(part: float, whole: float) -> str:
    """Return a bar of at most 20 characters; whatever is not nothing is seen."""
    if not part or not whole:
        return ""
    eighths = max(1, round(8 * BAR * part / whole))
    drawn = "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
    try:
        drawn.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#" * max(1, round(BAR * part / whole))
    return drawn


def short(number: float) -> str:
    """Return a large number as `1.814 G`, a small one in full."""
    for size, unit in UNITS:
        if number >= size:
            return f"{number / size:.3f} {unit}"
    return f"{number:,.0f}"


def _apart(numbers: Sequence[object]) -> str:
    """Return a number an axis, one where they are the same."""
    return "x".join(map(str, numbers if len(set(numbers)) > 1 else numbers[:1]))


def _ratio(one: float, other: float) -> str:
    return f"{one / other:.2f}" if other else ""


def _percent(part: float, whole: float) -> str:
    if not part or not whole:
        return "-"
    share = 100 * part / whole
    return "<0.1 %" if share < 0.1 else f"{share:.1f} %"


def _bytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MB"


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "1"


def _short(text: str, most: int) -> str:
    """Return a name in at most so many letters; its end says most."""
    return text if len(text) <= most else f"…{text[1 - most :]}"
