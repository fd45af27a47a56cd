"""The rules of the arithmetic with the numbers of a layer filled in: `floor((227 + 2*0 - 11)/4) + 1 = 55`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import prod

from lensmith.zoo.follow import Done, Visit
from lensmith.zoo.rules import REDUCTIONS
from lensmith.zoo.sight import Shape, Sight
from lensmith.zoo.steps import ATTENTION, CONVOLUTIONS, PRODUCTS, Window, count

KINDS = {
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "BatchNormAct2d"), "batch norm"),
    **dict.fromkeys(("LayerNorm", "LayerNorm2d"), "layer norm"),
    "GroupNorm": "group norm",
    "LocalResponseNorm": "local response norm",
    "Dropout": "dropout",
    "Embedding": "embedding",
    **{name: name for name in ("LSTM", "GRU", "RNN")},
    "Flatten": "flatten",
    "Identity": "identity",
}
OPERATIONS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "cat": "concatenate",
    "stack": "stack",
    "where": "choose",
    "maximum": "maximum",
}


def kind_of(visit: Visit) -> str:
    """Return what a layer is in a few words: `conv 3x3/2`, `max pool 2x2/2`, `dense`, `batch norm`, `add`."""
    module = type(visit.module).__name__ if visit.module is not None else ""
    windows = [done for done in visit.steps if done.window is not None]
    if module == "MultiheadAttention":
        return "attention"
    if len(windows) == 1 and (visit.module is None or module not in KINDS):
        return _window_words(windows[0])
    by_name = next((words for done in visit.steps if (words := _operation_words(done))), "")
    if visit.module is None:
        return by_name or visit.steps[0].name.strip("_").replace("_", " ")
    return KINDS.get(module) or (by_name if not module.endswith("Norm") else "") or module


def _operation_words(done: Done) -> str:
    if done.name in PRODUCTS:
        weighted = done.joins < 2
        return "dense" if weighted else "matrix product"
    if ATTENTION in done.name:
        return "attention"
    if done.target:
        kind = "max" if "max" in done.name else "mean" if "pool" in done.name else ""
        to = "x".join(map(str, done.target))
        return f"{kind} pool to {to}" if kind else f"enlarge to {to}"
    if done.name in REDUCTIONS:
        whole = done.after is not None and any(sight.whole for sight in done.after)
        plain = {"amax": "max", "amin": "min"}.get(done.name, done.name)
        return f"global {plain}" if whole else plain
    return OPERATIONS.get(done.name, "")


def _window_words(done: Done) -> str:
    look = done.window
    assert look is not None
    given, made = done.given[0][1] if len(done.given[0]) > 1 else 1, done.made[1] if len(done.made) > 1 else 1
    size = _times(look.size)
    name = {"conv": "conv", "up-conv": "up-conv", "max": "max pool", "mean": "mean pool"}[look.kind]
    if look.groups > 1 and look.groups == given and made % given == 0:
        name = "depthwise"
    words = f"{name} {size}" + (f"/{_short(look.step)}" if set(look.step) != {1} else "")
    if set(look.dilation) != {1}:
        words += f" dilated {_short(look.dilation)}"
    if look.groups > 1 and name != "depthwise":
        words += f", {look.groups} groups"
    return words


def _times(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def _short(numbers: Sequence[int]) -> str:
    """Return a number an axis, one where they are the same."""
    return _times(numbers if len(set(numbers)) > 1 else numbers[:1])


def formulas_of(visit: Visit) -> dict[str, str]:
    """Return the formulas of a layer by what they give: output, parameters, multiply_adds, field, stride."""
    # A normalisation is one layer, whichever windows its code moves to get there.
    moving = [] if type(visit.module).__name__ in KINDS else visit.steps
    found = {
        "output": "; ".join(filter(None, (_sides(done) for done in moving))),
        "parameters": _parameters([shape for done in visit.steps for _, shape in done.weights], visit.steps),
        "multiply_adds": _multiply_adds([term for done in visit.steps for term in done.terms]),
        "field": "; ".join(filter(None, (_field(done) for done in moving))),
        "stride": "; ".join(filter(None, (_stride(done) for done in moving))),
    }
    return {name: text for name, text in found.items() if text}


def _sides(done: Done) -> str:
    """Return how the sides of a map follow from the window."""
    look = done.window
    if look is None:
        return ""
    axes = len(look.size)
    given, made = done.given[0][-axes:], done.made[-axes:]
    return _once(_side(look, axis, given[axis], made[axis]) for axis in range(axes))


def _side(look: Window, axis: int, given: int, made: int) -> str:
    size, step, before, dilation = look.size[axis], look.step[axis], look.before[axis], look.dilation[axis]
    span = f"{size}" if dilation == 1 else f"({dilation}*({size} - 1) + 1)"
    if look.kind == "up-conv":
        extra = f" + {look.extra[axis]}" if look.extra and look.extra[axis] else ""
        return f"({given} - 1)*{step} - 2*{before} + {span}{extra} = {made}"
    rounding = "ceil" if look.ceil else "floor"
    return f"{rounding}(({given} + 2*{before} - {span})/{step}) + 1 = {made}"


def _parameters(shapes: Sequence[Shape], steps: Sequence[Done]) -> str:
    """Return how many weights there are; a convolution or dense layer with a bias as (inputs of one + 1)*outputs."""
    total = sum(map(prod, shapes))
    if not total:
        return ""
    plain = any(done.name in (*CONVOLUTIONS, *PRODUCTS) and not _turned(done) for done in steps)
    if plain and len(shapes) in (1, 2) and len(shapes[0]) > 1:
        outputs, inputs, *window = shapes[0]
        one = "*".join(map(str, (*window, inputs)))
        if len(shapes) == 1:
            return f"{one}*{outputs} = {total:,}"
        if shapes[1] == (outputs,):
            return f"({one} + 1)*{outputs} = {total:,}"
    terms = []
    for shape, times in Counter(shapes).items():
        factors = ((times,) if times > 1 else ()) + (shape or (1,))
        terms.append("*".join(map(str, factors)))
    return f"{' + '.join(terms)} = {total:,}"


def _turned(done: Done) -> bool:
    return done.window is not None and done.window.kind == "up-conv"


def _multiply_adds(terms: Sequence[tuple[Shape, Shape]]) -> str:
    if not terms:
        return ""
    parts = Counter(f"{'*'.join(map(str, made))} * {'*'.join(map(str, each))}" for made, each in terms)
    said = " + ".join(f"{times} * {part}" if times > 1 else part for part, times in parts.items())
    return f"{said} = {count(terms):,}"


def _field(done: Done) -> str:
    """Return how the receptive field of an operation follows from those before it, where it changes or might have."""
    if done.after is None:
        return ""
    return _once(
        _field_of(done, axis, [sights[axis] for sights in done.before], after) for axis, after in enumerate(done.after)
    )


def _field_of(done: Done, axis: int, before: Sequence[Sight], after: Sight) -> str:
    first = before[0]
    if after.whole:
        return "" if any(sight.whole for sight in before) else "the whole picture"
    if len(before) > 1:
        sizes = [sight.size for sight in before]
        if len(set(sizes)) == 1 and after.size == sizes[0]:
            return ""
        return f"max({', '.join(map(str, sizes))}) = {after.size}" if after.size == max(sizes) else f"{after.size}"
    if first.dim is not None and after.dim is None and after.size != first.size:
        return f"{first.size} + ({first.count} - 1)*{first.stride} = {after.size}"
    look = done.window
    if look is None or first.dim is None:
        return f"{after.size}" if after.size != first.size else ""
    place = first.dim - (len(done.given[0]) - len(look.size))
    if place < 0:
        return ""
    size, dilation = look.size[place], look.dilation[place]
    if look.kind == "up-conv":
        gathered = (size - 1) * dilation // look.step[place] + 1
        return f"{first.size} + ({gathered} - 1)*{first.stride} = {after.size}"
    spread = f"{dilation}*" if dilation > 1 else ""
    return f"{first.size} + {spread}({size} - 1)*{first.stride} = {after.size}"


def _stride(done: Done) -> str:
    if done.after is None or len(done.before) != 1:
        return ""
    pairs = zip(done.before[0], done.after, strict=True)
    return _once(
        f"{before.stride}{_by(after.stride / before.stride)} = {after.stride}"
        for before, after in pairs
        if after.dim is not None and after.stride != before.stride
    )


def _by(factor: Fraction) -> str:
    return f"*{factor}" if factor >= 1 else f"/{1 / factor}"


def _once(texts: Iterable[str]) -> str:
    """Return the texts of the axes, one where they are the same."""
    return ", ".join(dict.fromkeys(filter(None, texts)))
