"""How much of a picture the numbers of a map see: the arithmetic of receptive fields, one axis at a time.

Along one axis, position i of a map sees the pixels first + i * stride to last + i * stride. A window of k positions,
moved s positions at a time, makes the field larger by (k - 1) * stride and the stride s times as large (Araujo, Norris
and Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks", equations 1 and 2). Everything here is that
rule, and the book-keeping of which dimension of a tensor counts the positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

Shape = tuple[int, ...]


class Blind(Exception):
    """No rule says what the numbers of a tensor see."""


@dataclass(frozen=True)
class Sight:
    """What the numbers of a tensor see along one axis of the picture.

    `first` and `last`: the pixels that position 0 sees, which may lie beyond the border; `stride`: the pixels from one
    position to the next, a fraction where maps were enlarged. `count` positions are counted by dimension `dim` of the
    tensor, and it counts nothing else where `alone` (tokens count the positions of two axes). Where `dim` is None all
    numbers see the same. `whole`: they see all of the axis, however large the picture is.
    """

    first: Fraction
    last: Fraction
    stride: Fraction
    count: int
    dim: int | None
    alone: bool = True
    whole: bool = False

    @property
    def size(self) -> int:
        """The receptive field in pixels; the largest of a map where positions differ."""
        return math.ceil(self.last - self.first + 1)


Sights = tuple[Sight, ...]


def of_picture(axes: Sequence[int], begin: int) -> Sights:
    """Return what the pixels of a picture see: themselves. `begin` is the dimension of the first axis."""
    one, nought = Fraction(1), Fraction(0)
    return tuple(Sight(nought, nought, one, count, begin + axis) for axis, count in enumerate(axes))


def window(sight: Sight, size: int, step: int | Fraction, before: int, dilation: int = 1) -> Sight:
    """Return what is seen through a window of `size` positions, moved by `step`, `before` of them before the map."""
    first = sight.first - before * sight.stride
    last = sight.last + ((size - 1) * dilation - before) * sight.stride
    return replace(sight, first=first, last=last, stride=sight.stride * step)


def spread(sight: Sight, size: int, step: int, before: int, dilation: int = 1) -> Sight:
    """Return what is seen after a transposed convolution: each position is made from ceil(size / step) others.

    Output o gathers the inputs t with 0 <= o + before - t * step <= span, where span = (size - 1) * dilation.
    """
    span = (size - 1) * dilation
    nearest, gathered = math.ceil(Fraction(before - span, step)), span // step
    first = sight.first + nearest * sight.stride
    last = sight.last + (nearest + gathered) * sight.stride
    return replace(sight, first=first, last=last, stride=sight.stride / step)


def resampled(sight: Sight, count: int, taps: int) -> Sight:
    """Return what is seen by a map enlarged to `count` positions, each made from `taps` neighbours."""
    if count == sight.count:
        return sight
    return window(sight, taps, Fraction(sight.count, count), (taps - 1) // 2)


def pooled_to(sight: Sight, count: int) -> tuple[Sight, int, Fraction]:
    """Return what is seen after adaptive pooling to `count` > 1 positions, its largest window and its step.

    Position i is made from floor(i n / count) to ceil((i + 1) n / count) - 1 of n positions.
    """
    n = sight.count
    ends = [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
    size, step = max(end - start for start, end in ends), Fraction(n, count)
    return window(sight, size, step, 0), size, step


def hull(sight: Sight) -> Sight:
    """Return what is seen by numbers made from all positions of a map of this size."""
    if sight.dim is None:
        return sight
    return replace(sight, last=sight.last + (sight.count - 1) * sight.stride, dim=None, alone=True)


def everything(sight: Sight, side: int) -> Sight:
    """Return what is seen by numbers made from all positions of a map, whatever its size."""
    return replace(sight, first=Fraction(0), last=Fraction(side - 1), dim=None, alone=True, whole=True)


def union(some: Sequence[Sight]) -> Sight:
    """Return what is seen by numbers made from corresponding positions; the largest field wins. Raises Blind."""
    found = some[0]
    for other in some[1:]:
        found = _both(found, other)
    return found


def _both(one: Sight, other: Sight) -> Sight:
    if one.whole or other.whole:
        return one if one.whole else other
    same = (one.dim, one.alone, one.count) == (other.dim, other.alone, other.count)
    if not same or one.dim is None:
        # What has a single position is added to all positions of the other.
        single = [sight for sight in (one, other) if sight.dim is None or sight.count == 1]
        if not single:
            raise Blind("positions of two maps that do not correspond")
        one, other = hull(one), hull(other)
    elif one.stride != other.stride:
        return max(one, other, key=lambda sight: sight.size)
    return replace(one, first=min(one.first, other.first), last=max(one.last, other.last))


def cropped(sight: Sight, start: int, step: int = 1) -> Sight:
    """Return what is seen where the first `start` positions are left out (added, if negative), then every `step`-th."""
    return window(sight, 1, step, -start)


def viewed(sights: Sights, before: Shape, after: Shape) -> Sights:
    """Return what is seen when a tensor of shape `before` is read as one of shape `after`. Raises Blind.

    Two axes that are read as one become tokens; tokens become two axes again where their counts are the same.
    """
    groups = list(regrouped(before, after))
    return tuple(
        sight if sight.dim is None else _moved(axis, sights, groups, before, after) for axis, sight in enumerate(sights)
    )


def _moved(
    axis: int, sights: Sights, groups: Iterable[tuple[list[int], list[int]]], before: Shape, after: Shape
) -> Sight:
    sight = sights[axis]
    here, there = next((old, new) for old, new in groups if sight.dim in old)
    if len(here) == len(there) == 1:
        return replace(sight, dim=there[0])
    here = [dim for dim in here if before[dim] != 1]
    there = [dim for dim in there if after[dim] != 1]
    if sight.dim not in here:  # a single position, which belongs to all that is left
        return replace(sight, dim=None)
    if len(there) == 1:
        return replace(sight, dim=there[0], alone=sight.alone and len(here) == 1)
    together = {
        number: other.count for number, other in enumerate(sights) if other.dim == sight.dim and other.count != 1
    }
    if len(here) == 1 and not sight.alone and [after[dim] for dim in there] == list(together.values()):
        return replace(sight, dim=there[list(together).index(axis)], alone=True)
    raise Blind("positions split into parts")


def regrouped(before: Shape, after: Shape) -> Iterator[tuple[list[int], list[int]]]:
    """Yield which dimensions of one shape hold the numbers of which dimensions of the other, in order."""
    here, there = 0, 0
    while here < len(before) or there < len(after):
        old, new = [], []
        if here < len(before) and there < len(after) and before[here] != after[there]:
            if before[here] == 1:
                old.append(here)
            elif after[there] == 1:
                new.append(there)
            else:
                old, new = _until_equal(before, after, here, there)
        else:
            old.extend([here] if here < len(before) else [])
            new.extend([there] if there < len(after) else [])
        here, there = here + len(old), there + len(new)
        yield old, new


def _until_equal(before: Shape, after: Shape, here: int, there: int) -> tuple[list[int], list[int]]:
    old, new = [here], [there]
    left, right = before[here], after[there]
    while left != right:
        if left < right:
            old.append(old[-1] + 1)
            left *= before[old[-1]]
        else:
            new.append(new[-1] + 1)
            right *= after[new[-1]]
    return old, new


def recounted(sights: Sights, shape: Shape) -> Sights:
    """Return the sights of a tensor with the counts of its shape."""
    return tuple(
        replace(sight, count=shape[sight.dim]) if sight.dim is not None and sight.alone else sight for sight in sights
    )


def shifted(sights: Sights, by: int) -> Sights:
    """Return the sights of a tensor whose dimensions have `by` others before them."""
    return tuple(sight if sight.dim is None else replace(sight, dim=sight.dim + by) for sight in sights)
