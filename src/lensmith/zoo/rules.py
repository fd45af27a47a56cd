"""What each operation of torch does to receptive fields: one table, and a short function a line.

Networks are written in a thousand ways, but all of them come down to the same few dozen operations. `RULES` says what
the result of each sees. Operations that work number by number need no line: torch marks them so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction

from torch import Tensor

from lensmith.zoo.sight import (
    Blind,
    Sights,
    cropped,
    everything,
    hull,
    pooled_to,
    resampled,
    shifted,
    spread,
    union,
    viewed,
    window,
)
from lensmith.zoo.steps import CONVOLUTIONS, POOLS, PRODUCTS, Step, each, window_of

REDUCTIONS = (
    *("mean", "sum", "prod", "amax", "amin", "max", "min", "argmax", "argmin", "logsumexp", "median", "norm"),
    *("var", "std", "var_mean", "std_mean", "linalg_vector_norm"),
)
SOFTMAXES = ("_softmax", "_log_softmax", "_safe_softmax", "softmax", "log_softmax")
VIEWS = ("view", "_unsafe_view", "_reshape_alias", "_reshape_copy", "reshape", "unsqueeze", "squeeze")
# Number by number, though torch does not mark them so. The mean and variance by which a normalisation divides are
# taken for constants: they carry how bright and how busy a picture is, not what is where.
NUMBER_BY_NUMBER = (
    *("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"),
    *("_batch_norm_with_update", "native_layer_norm", "native_group_norm", "_fused_rms_norm", "rms_norm"),
    *("hardswish", "_prelu_kernel", "prelu", "log_sigmoid_forward", "native_dropout", "_to_copy", "rsub", "glu"),
    *("detach", "alias", "lift_fresh", "contiguous", "masked_fill", "threshold", "rrelu_with_noise", "copy"),
)
NOT_NUMBER_BY_NUMBER = ("index_put", "scatter", "masked_scatter", "index_copy", "index_add", "sort")


def sees(step: Step) -> Sights:
    """Return what the result of an operation sees. Raises Blind where no rule says so."""
    rule = RULES.get(step.name)
    if rule is not None and not (step.pointwise and step.name in REDUCTIONS):  # max(a, b) is no reduction
        return rule(step)
    if step.pointwise and step.name not in NOT_NUMBER_BY_NUMBER:
        return _number_by_number(step)
    raise Blind(step.name)


def _windowed(step: Step) -> Sights:
    seen, shape = step.sights, step.first.shape
    look = window_of(step)
    assert look is not None
    begin = len(shape) - len(look.size)
    moved = []
    for sight in seen:
        if sight.dim is None or sight.dim < begin - 1 or (sight.dim == begin - 1 and not look.kind.endswith("conv")):
            moved.append(sight)
            continue
        if sight.dim == begin - 1:  # positions read as channels: every filter has weights for all of them
            moved.append(hull(sight))
            continue
        size, move, before, dilation = (
            numbers[sight.dim - begin] for numbers in (look.size, look.step, look.before, look.dilation)
        )
        if not sight.alone and (size, move) != (1, 1):
            raise Blind("a window over tokens")
        # Pooling may pad less than it was told to at the end; the beginning is what fixes the place of a position.
        moved.append((spread if look.kind == "up-conv" else window)(sight, size, move, before, dilation))
    return _joined(step, tuple(moved))


def _joined(step: Step, found: Sights) -> Sights:
    """Return the union with what the other arguments see, as weights that were made from the picture do."""
    others = [step.of(tensor) for tensor in step.carriers() if tensor is not step.first]
    for other in others:
        if any(sight.dim is not None for sight in other):
            raise Blind("weights made from single positions")
        found = tuple(union((sight, more)) for sight, more in zip(found, other, strict=True))
    return found


def _adaptive(step: Step) -> Sights:
    target = each(step.values["output_size"], 3 if "3d" in step.name else 2)
    begin = len(step.output) - len(target)
    found = []
    for axis, sight in enumerate(step.sights):
        if sight.dim is None or sight.dim < begin:
            found.append(sight)
        elif not sight.alone:
            raise Blind("pooling over tokens")
        elif target[sight.dim - begin] == 1:
            found.append(everything(sight, step.picture[axis]))
        else:
            found.append(pooled_to(sight, target[sight.dim - begin])[0])
    return tuple(found)


def _product(step: Step) -> Sights:
    one, other = (step.values[name] for name in PRODUCTS[step.name])
    if id(one) in step.seen and id(other) in step.seen:
        return _compared(step, (one, other), range(one.ndim - 2))
    seen = step.of(one) if id(one) in step.seen else step.of(other)
    inner = one.ndim - 1 if id(one) in step.seen else max(other.ndim - 2, 0)
    found = tuple(hull(sight) if sight.dim == inner else sight for sight in seen)
    extra = [tensor for tensor in step.carriers() if tensor is not one and tensor is not other]
    return _unions([found, *(shifted(step.of(tensor), len(step.output) - tensor.ndim) for tensor in extra)])


def _attention(step: Step) -> Sights:
    some = [step.values[name] for name in ("query", "key", "value")]
    return _compared(step, [tensor for tensor in some if id(tensor) in step.seen], range(some[0].ndim - 2))


def _compared(step: Step, some: Iterable[Tensor], apart: range) -> Sights:
    """Return what is seen where every position is compared with every other, but those of dimensions `apart`."""
    found = []
    for axis, seen in enumerate(zip(*(step.of(tensor) for tensor in some), strict=True)):
        dims = {sight.dim for sight in seen}
        kept = len(dims) == 1 and (dims == {None} or dims <= set(apart))
        found.append(union(seen) if kept else everything(seen[0], step.picture[axis]))
    return tuple(found)


def _number_by_number(step: Step) -> Sights:
    return _unions([shifted(step.of(tensor), len(step.output) - tensor.ndim) for tensor in step.carriers()])


def _unions(some: list[Sights]) -> Sights:
    return tuple(union(seen) for seen in zip(*some, strict=True))


def _dims(step: Step) -> set[int]:
    """Return the dimensions that an operation works over, all if it names none."""
    dims, ndim = step.values.get("dim"), step.first.ndim
    named = [dims] if isinstance(dims, int) else list(dims or range(ndim))
    return {dim % ndim for dim in named}


def _reduced(step: Step) -> Sights:
    over, kept = _dims(step), len(step.output) == step.first.ndim
    found = []
    for axis, sight in enumerate(step.sights):
        if sight.dim in over:
            found.append(everything(sight, step.picture[axis]))
        elif sight.dim is None or kept:
            found.append(sight)
        else:
            found.append(replace(sight, dim=sight.dim - sum(dim < sight.dim for dim in over)))
    return tuple(found)


def _softmax(step: Step) -> Sights:
    over = _dims(step)
    return tuple(
        everything(sight, step.picture[axis]) if sight.dim in over else sight for axis, sight in enumerate(step.sights)
    )


def _viewed(step: Step) -> Sights:
    return viewed(step.sights, tuple(step.first.shape), step.output)


def _permuted(step: Step) -> Sights:
    ndim = step.first.ndim
    order = list(range(ndim))
    if step.name == "permute":
        order = [dim % ndim for dim in step.values["dims"]]
    else:
        one, other = (step.values.get(name, default) % ndim for name, default in (("dim0", 0), ("dim1", ndim - 1)))
        order[one], order[other] = order[other], order[one]
    return tuple(sight if sight.dim is None else replace(sight, dim=order.index(sight.dim)) for sight in step.sights)


def _expanded(step: Step) -> Sights:
    moved = shifted(step.sights, len(step.output) - step.first.ndim)
    return tuple(
        hull(sight) if sight.dim is not None and sight.alone and step.output[sight.dim] != sight.count else sight
        for sight in moved
    )


def _selected(step: Step) -> Sights:
    """Return what is seen where one place of a dimension is taken (select) or each by itself (unbind)."""
    dim = step.values["dim"] % step.first.ndim
    found = []
    for sight in step.sights:
        if sight.dim == dim:
            if not sight.alone or step.name == "unbind":
                raise Blind("one position out of many")
            place = step.values["index"] % sight.count
            found.append(replace(cropped(sight, place), dim=None, count=1))
        else:
            found.append(sight if sight.dim is None or sight.dim < dim else replace(sight, dim=sight.dim - 1))
    return tuple(found)


def _sliced(step: Step) -> Sights:
    dim, start = step.values["dim"] % step.first.ndim, step.values["start"] or 0
    if start < 0:
        start = max(0, start + step.first.shape[dim])
    return tuple(
        cropped(sight, start, step.values["step"]) if sight.dim == dim and sight.alone else sight
        for sight in step.sights
    )


def _split(step: Step) -> Sights:
    dim = step.values["dim"] % step.first.ndim
    if any(sight.dim == dim for sight in step.sights):
        raise Blind("a map split into parts")
    return step.sights


def _concatenated(step: Step) -> Sights:
    some = step.carriers()
    dim = step.values["dim"] % (some[0].ndim + (step.name == "stack"))
    if step.name == "stack":
        found = _unions([step.of(tensor) for tensor in some])
        return tuple(
            sight if sight.dim is None or sight.dim < dim else replace(sight, dim=sight.dim + 1) for sight in found
        )
    along = [tensor for tensor in some if any(sight.dim == dim for sight in step.of(tensor))]
    if len(along) > 1 or any(sight.dim == dim and sight.alone for tensor in along for sight in step.of(tensor)):
        raise Blind("maps put side by side")
    return _unions([step.of(tensor) for tensor in some])


def _padded(step: Step) -> Sights:
    """Return what is seen with rows added, or taken away, before and behind; the last dimension comes first."""
    pad, ndim = list(step.values.get("pad") or step.values["padding"]), step.first.ndim
    before = {ndim - 1 - place: amount for place, amount in enumerate(pad[::2])}
    return tuple(
        window(sight, 1, 1, before.get(sight.dim, 0)) if sight.dim is not None and sight.alone else sight
        for sight in step.sights
    )


def _enlarged(step: Step) -> Sights:
    taps = 1 if "nearest" in step.name else 4 if "bicubic" in step.name else 2
    return tuple(
        sight if sight.dim is None or not sight.alone else resampled(sight, step.output[sight.dim], taps)
        for sight in step.sights
    )


def _shuffled(step: Step) -> Sights:
    if step.name == "pixel_shuffle":
        factor = step.values["upscale_factor"]
        return tuple(replace(sight, stride=sight.stride * Fraction(1, factor)) for sight in step.sights)
    factor = step.values["downscale_factor"]
    return tuple(sight if sight.dim is None else window(sight, factor, factor, 0) for sight in step.sights)


def _rolled(step: Step) -> Sights:
    if any(
        sight.dim in _dims(replace(step, values={**step.values, "dim": step.values["dims"]})) for sight in step.sights
    ):
        raise Blind("positions moved around")
    return step.sights


Rule = Callable[[Step], Sights]
RULES: dict[str, Rule] = {
    **dict.fromkeys((*CONVOLUTIONS, *POOLS), _windowed),
    **dict.fromkeys(PRODUCTS, _product),
    **dict.fromkeys(REDUCTIONS, _reduced),
    **dict.fromkeys(SOFTMAXES, _softmax),
    **dict.fromkeys(VIEWS, _viewed),
    **dict.fromkeys(NUMBER_BY_NUMBER, _number_by_number),
    **dict.fromkeys(("permute", "transpose", "t"), _permuted),
    **dict.fromkeys(("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool2d"), _adaptive),
    **dict.fromkeys(("adaptive_max_pool2d", "adaptive_max_pool3d", "adaptive_avg_pool3d"), _adaptive),
    **dict.fromkeys(("select", "unbind"), _selected),
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), _split),
    **dict.fromkeys(("cat", "stack"), _concatenated),
    **dict.fromkeys(("constant_pad_nd", "pad"), _padded),
    **{f"{kind}_pad{axes}d": _padded for kind in ("reflection", "replication") for axes in (1, 2, 3)},
    **{f"{mark}upsample_{kind}": _enlarged for mark in ("", "_") for kind in ("nearest1d", "nearest2d", "nearest3d")},
    **{f"_upsample_nearest_exact{axes}d": _enlarged for axes in (1, 2, 3)},
    **dict.fromkeys(
        ("upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d"), _enlarged
    ),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), _shuffled),
    **dict.fromkeys(("roll", "flip"), _rolled),
    **dict.fromkeys(("slice",), _sliced),
    "expand": _expanded,
    "embedding": lambda step: step.of(step.values["indices"]),
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "scaled_dot_product_attention": _attention,
}
