"""Small planes as text, next to each other: to see with one look what an operation did."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from lensmith.ops.windows import Array, numbers

GAP = " " * 4


def side_by_side(planes: Mapping[str, ArrayLike]) -> str:
    """Return planes of one or two axes as text, each under its name; a zero is a dot.

    Floats are shown to three digits. Planes of fewer rows stand in the middle of the others' height.
    """
    drawn = {name: _rows(numbers(plane, name), name) for name, plane in planes.items()}
    height = max(map(len, drawn.values()), default=0)
    columns = []
    for name, rows in drawn.items():
        above = (height - len(rows)) // 2
        lines = [name, "", *[""] * above, *rows, *[""] * (height - len(rows) - above)]
        width = max(map(len, lines))
        columns.append([line.ljust(width) for line in lines])
    return "\n".join(GAP.join(line).rstrip() for line in zip(*columns, strict=True))


def _rows(plane: Array, name: str) -> list[str]:
    """Return the lines of a plane, its numbers in columns. Raises ValueError where it is no plane."""
    if plane.ndim not in (1, 2):
        raise ValueError(f"{name} is {plane.shape}; must have one or two axes to be shown. Pick one plane.")
    words = [[_word(number) for number in row] for row in np.atleast_2d(plane).tolist()]
    width = max((len(word) for row in words for word in row), default=0)
    return [" ".join(word.rjust(width) for word in row) for row in words]


def _word(number: float) -> str:
    if number == 0:
        return "."
    return str(number) if isinstance(number, int) else f"{number:.3g}"
