"""The numbers an augmentation draws: a row for each picture of the data set, a table for each epoch."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from lensmith.errors import UsageError
from lensmith.reproduce import generator
from lensmith.training.augmentation import Augmentation

WARP_CELLS = 4  # the warp's coarse grid has this many cells a side
WARP_KNOTS = WARP_CELLS + 3  # a cubic spline reaches one knot beyond the first cell and two beyond the last


@dataclass(frozen=True)
class Draws:
    """What happens to n pictures, row by row; `draws[chosen]` are the rows of a batch.

    rotation, shear: degrees (n,). shift: place within the allowed range, x and y from 0 to 1 (n, 2). stretch: width to
    height (n,). zoom: factor (n,). flip: bool (n,). crop: side of the window as a share, x and y of its centre from -1
    to 1 (n, 3). warp: knots in shares of the side (n, 2, WARP_KNOTS, WARP_KNOTS), x and y. brightness, contrast,
    saturation: factors (n,). hue: turns (n,). pca: what is added to red, green and blue on the 0..1 scale (n, 3).
    """

    rotation: np.ndarray
    shift: np.ndarray
    shear: np.ndarray
    stretch: np.ndarray
    zoom: np.ndarray
    flip: np.ndarray
    crop: np.ndarray
    warp: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    saturation: np.ndarray
    hue: np.ndarray
    pca: np.ndarray

    def __getitem__(self, chosen: np.ndarray | slice) -> Draws:
        """Return the rows of the chosen pictures."""
        return Draws(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def __len__(self) -> int:
        return len(self.rotation)


def draws(
    augmentation: Augmentation,
    seed: int,
    epoch: int,
    count: int,
    components: tuple[np.ndarray, np.ndarray] | None = None,
) -> Draws:
    """Draw what happens to each of `count` pictures in one epoch.

    A row follows from (seed, epoch, its number) alone: it depends neither on `count` nor on the batch, and each kind
    draws from a generator of its own, so that switching one on leaves the others as they were. `components` are the
    eigenvalues and eigenvectors of colour.principal_components, which pca_colour needs: the colour added is
    [p1 p2 p3] [alpha1 lambda1, alpha2 lambda2, alpha3 lambda3] (Krizhevsky et al. 2012, section 4.1), with pixels on
    the 0..1 scale. Raises UsageError where they are missing.
    """

    def even(kind: str, low: float, high: float, *shape: int) -> np.ndarray:
        """Return (count, *shape) between low and high; a view of one number where nothing can vary."""
        if low == high:
            return np.broadcast_to(np.float64(low), (count, *shape))
        return generator(seed, "augment", kind, epoch).uniform(low, high, (count, *shape))

    def either(kind: str, most: float, *shape: int) -> np.ndarray:
        return even(kind, -most, most, *shape)

    a = augmentation
    # What makes twice as wide must be as likely as what makes half as wide: factors are even on the logarithmic scale.
    most_stretch, (smallest, largest) = np.log1p(a.stretch), np.log(a.zoom)
    side = np.sqrt(even("crop", a.crop, 1.0))
    return Draws(
        rotation=either("rotation", a.rotation),
        shift=even("shift", 0.0, 1.0, 2) if a.shifts else np.broadcast_to(np.float64(0), (count, 2)),
        shear=either("shear", a.shear),
        stretch=np.exp(either("stretch", most_stretch)),
        zoom=np.exp(even("zoom", smallest, largest)),
        flip=even("flip", 0.0, 1.0) < 0.5 if a.flip else np.broadcast_to(np.False_, count),
        crop=np.column_stack([side, (1 - side)[:, None] * either("window", float(a.crop < 1), 2)]),
        warp=either("warp", a.warp, 2, WARP_KNOTS, WARP_KNOTS),
        brightness=1 + either("brightness", a.brightness),
        contrast=1 + either("contrast", a.contrast),
        saturation=1 + either("saturation", a.saturation),
        hue=either("hue", a.hue),
        pca=_pca(a, generator(seed, "augment", "pca", epoch), count, components),
    )


def _pca(
    augmentation: Augmentation,
    random: np.random.Generator,
    count: int,
    components: tuple[np.ndarray, np.ndarray] | None,
) -> np.ndarray:
    if augmentation.pca_colour == 0:
        return np.broadcast_to(np.float64(0), (count, 3))
    if components is None:
        raise UsageError(
            f"pca_colour is {augmentation.pca_colour:g}, but no components were given; must be those of the training "
            "pictures. Try components=principal_components(pictures, chosen), or pca_colour=0."
        )
    values, vectors = components
    added: np.ndarray = (random.normal(0, augmentation.pca_colour, (count, 3)) * values) @ vectors.T
    return added
