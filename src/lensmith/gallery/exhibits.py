"""Everything that hangs in the gallery, by the name that `lensmith demo --task` takes."""

from __future__ import annotations

from lensmith.errors import UsageError, nearest
from lensmith.gallery.capacity import Capacity
from lensmith.gallery.dropped import Dropped
from lensmith.gallery.exhibit import Exhibit
from lensmith.gallery.initial import Initial
from lensmith.gallery.pooling import Pooling
from lensmith.gallery.rates import Rates
from lensmith.gallery.residual import Residual
from lensmith.gallery.shift import Shift

EXHIBITS: dict[str, type[Exhibit]] = {
    "residual": Residual,
    "capacity": Capacity,
    "rates": Rates,
    "init": Initial,
    "pooling": Pooling,
    "shift": Shift,
    "drop-block": Dropped,
}


def exhibit(name: str) -> type[Exhibit]:
    """Return the exhibit of a name. Raises UsageError with the nearest names."""
    if name not in EXHIBITS:
        raise UsageError(f"task is {name!r}; allowed are {', '.join(EXHIBITS)}.{nearest(name, EXHIBITS)}")
    return EXHIBITS[name]
