"""What can happen to a photograph before a network sees it: noise, blur, another place, size or angle, each by levels.

Amounts are in the picture's own units: grey levels (0 to 255), pixels of the square the network sees, degrees,
factors. Where Hendrycks and Dietterich (2019, section 4) have the same, their name stands beside ours. Every picture
has one draw of noise, one direction and one way to turn, the same at every level: levels differ by strength alone.

A disturbance is given the square with a margin: what the photograph shows around it. What is needed from farther
outside is mirrored at the border of the margin.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from lensmith.data.preprocess import Preprocessing
from lensmith.errors import UsageError, nearest
from lensmith.reproduce import counter, generator

Apply = Callable[[np.ndarray, int, float, Sequence[int | str]], np.ndarray]
"""(wide picture (w, w, 3) uint8, side s of the square in its middle, amount, place of its randomness) -> (s, s, 3)."""

REFERENCE = 224.0  # the side that the amounts in pixels are for
# Blurs of small squares, in pixels: below half a pixel a Gaussian hardly reaches the next one, so it is no blur.
# Those of CIFAR-10-C, for squares of 32, are 0.4 to 1.
LEAST_BLURS = (0.5, 0.75, 1, 1.5, 2)


@dataclass(frozen=True)
class Disturbance:
    """One way of disturbing a picture.

    paper: its name in Hendrycks and Dietterich 2019, "" where they have none. unit: what an amount counts. `usual` are
    five amounts, the mildest first, those in pixels for a square of 224. low, high: the amounts that are allowed.
    said: the sentence with {} for an amount, for people. what: what it does.
    """

    name: str
    paper: str
    unit: str
    usual: tuple[float, ...]
    low: float
    high: float
    said: str
    what: str
    apply: Apply

    def levels(self, side: int) -> tuple[float, ...]:
        """Return the usual amounts for a square of `side` pixels: those in pixels are the same share of every picture,
        but no shift is less than a pixel, and no blur so small that it is none."""
        if self.unit != "pixels":
            return self.usual
        shares = [amount * side / REFERENCE for amount in self.usual]
        if self.apply is not _shifted:
            return tuple(float(f"{max(pair):.2g}") for pair in zip(shares, LEAST_BLURS, strict=True))
        found: list[float] = []
        for share in shares:
            found.append(float(max(round(share), found[-1] + 1 if found else 1)))
        return tuple(found)

    def words(self, amount: float) -> str:
        """Return what was done, in words: "a blur of 2 pixels"."""
        said = self.said.replace(self.unit, self.unit.removesuffix("s")) if amount == 1 else self.said
        return said.format(f"{amount:g}")


@dataclass(frozen=True)
class Series:
    """A disturbance with the amounts it is to be tried at."""

    disturbance: Disturbance
    amounts: tuple[float, ...]


def with_margin(geometry: Preprocessing) -> Preprocessing:
    """Return the geometry that gives the same square with all that the crop cuts off around it."""
    if geometry.resize != "crop":
        return geometry
    margin = int((geometry.image_size / geometry.crop - geometry.image_size) / 2 + 1e-6)
    side = geometry.image_size + 2 * margin
    return replace(geometry, image_size=side, crop=min(1.0, geometry.crop * side / geometry.image_size))


def middle(wide: np.ndarray, side: int) -> np.ndarray:
    """Return the square (side, side, 3) in the middle of a wide picture."""
    start = (len(wide) - side) // 2
    return wide[start : start + side, start : start + side]


def disturbed(wide: np.ndarray, side: int, one: Series, place: Sequence[int | str]) -> Iterator[np.ndarray]:
    """Yield the square (side, side, 3) uint8 at every amount. `place`: seed and name of the picture."""
    for amount in one.amounts:
        yield np.ascontiguousarray(one.disturbance.apply(wide, side, amount, (*place, one.disturbance.name)), np.uint8)


def series(text: str | None, side: int) -> tuple[Series, ...]:
    """Return what `--levels` asks for: "blur rotation=15,30", or everything at its usual amounts for None.

    Raises UsageError for an unknown name, or an amount that is out of range.
    """
    if text is None:
        return tuple(Series(one, one.levels(side)) for one in DISTURBANCES.values())
    found: dict[str, Series] = {}
    for word in text.split():
        name, equals, amounts = word.partition("=")
        if name not in DISTURBANCES:
            near = nearest(name, DISTURBANCES)
            raise UsageError(f"levels names {name!r}; there are {', '.join(DISTURBANCES)}.{near}")
        one = DISTURBANCES[name]
        found[name] = Series(one, _amounts(one, amounts) if equals else one.levels(side))
    if not found:
        raise UsageError("levels names nothing to try. Try blur, or rotation=15,30.")
    return tuple(found.values())


def _amounts(one: Disturbance, text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"levels has {one.name}={text}; amounts are numbers. Try {one.name}={_usual(one)}.") from None
    wrong = [amount for amount in found if not one.low <= amount <= one.high]
    if wrong:
        raise UsageError(
            f"levels has {one.name}={wrong[0]:g}; {one.name} is counted in {one.unit}, from {one.low:g} to "
            f"{one.high:g}. Try {one.name}={_usual(one)}."
        )
    whole = ("jpeg", "shift")
    if one.name in whole and any(amount != int(amount) for amount in found):
        raise UsageError(
            f"levels has {one.name}={text}; {one.name} takes whole {one.unit}. Try {one.name}={_usual(one)}."
        )
    return found


def _usual(one: Disturbance) -> str:
    return ",".join(f"{amount:g}" for amount in one.usual)


def _noisy(wide: np.ndarray, side: int, amount: float, place: Sequence[int | str]) -> np.ndarray:
    """Add Gaussian noise of a standard deviation, to every number by itself."""
    seed, *where = place
    drawn = generator(int(seed), *where).standard_normal((side, side, 3), np.float32)
    return _whole(middle(wide, side) + amount * drawn)


def _blurred(wide: np.ndarray, side: int, amount: float, place: Sequence[int | str]) -> np.ndarray:
    """Blur by a Gaussian of a standard deviation (Pillow's: three boxes of the same variance)."""
    return middle(np.asarray(Image.fromarray(wide).filter(ImageFilter.GaussianBlur(amount))), side)


def _compressed(wide: np.ndarray, side: int, amount: float, place: Sequence[int | str]) -> np.ndarray:
    """Save as a JPEG of a quality and read it again."""
    file = io.BytesIO()
    Image.fromarray(middle(wide, side)).save(file, "JPEG", quality=int(amount))
    return np.asarray(Image.open(file).convert("RGB"))


def _brightened(wide: np.ndarray, side: int, amount: float, place: Sequence[int | str]) -> np.ndarray:
    """Add the same to every number."""
    return _whole(middle(wide, side) + np.float32(amount))


def _shifted(wide: np.ndarray, side: int, amount: float, place: Sequence[int | str]) -> np.ndarray:
    """Move by whole pixels to the right, left, up or down."""
    across, down = ((1, 0), (-1, 0), (0, -1), (0, 1))[_drawn(place) % 4]
    around, start = _around(wide, side + 2 * int(amount))
    x, y = start + int(amount) * (1 - across), start + int(amount) * (1 - down)
    return around[y : y + side, x : x + side]


def _turned(wide: np.ndarray, side: int, amount: float, place: Sequence[int | str]) -> np.ndarray:
    """Turn about the middle, one way or the other."""
    around, _ = _around(wide, int(np.ceil(side * 2**0.5)) + 2)
    angle = np.deg2rad(amount if _drawn(place) % 2 else -amount)
    cosine, sine, half, centre = np.cos(angle), np.sin(angle), side / 2, len(around) / 2
    # Where each pixel comes from: about the middle of the square, then to the middle of what is around it.
    x, y = centre - half * (cosine - sine), centre - half * (sine + cosine)
    turned = Image.fromarray(around).transform(
        (side, side), Image.Transform.AFFINE, (cosine, -sine, x, sine, cosine, y), Image.Resampling.BICUBIC
    )
    return np.asarray(turned)


def _larger(wide: np.ndarray, side: int, amount: float, place: Sequence[int | str]) -> np.ndarray:
    """Make everything larger by a factor, about the middle."""
    return _scaled(wide, side, amount)


def _smaller(wide: np.ndarray, side: int, amount: float, place: Sequence[int | str]) -> np.ndarray:
    """Make everything smaller by a factor, about the middle."""
    return _scaled(wide, side, 1 / amount)


def _scaled(wide: np.ndarray, side: int, factor: float) -> np.ndarray:
    around, _ = _around(wide, int(np.ceil(side / factor)) + 4)
    centre, half = len(around) / 2, side / factor / 2
    box = (centre - half, centre - half, centre + half, centre + half)
    return np.asarray(Image.fromarray(around).resize((side, side), Image.Resampling.BICUBIC, box=box))


def _around(wide: np.ndarray, needed: int) -> tuple[np.ndarray, int]:
    """Return a picture of at least `needed` pixels with the same middle, mirrored beyond the margin, and where in it
    the middle `needed` pixels begin."""
    more = max(0, -(-(needed - len(wide)) // 2))
    grown = np.pad(wide, ((more, more), (more, more), (0, 0)), "symmetric") if more else wide
    return grown, (len(grown) - needed) // 2


def _drawn(place: Sequence[int | str]) -> int:
    """Return random bits that depend on the place alone."""
    seed, *where = place
    return counter(int(seed), *where)


def _whole(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return found


_ALL = (
    Disturbance(
        "noise", "gaussian_noise", "grey levels", (5, 10, 20, 40, 80), 0, 255, "noise of {} grey levels",
        "Gaussian noise on every number; its standard deviation", _noisy,
    ),
    Disturbance(
        "blur", "gaussian_blur", "pixels", (1, 2, 3, 4, 6), 0, 100, "a blur of {} pixels",
        "a Gaussian blur; its standard deviation", _blurred,
    ),
    Disturbance(
        "jpeg", "jpeg_compression", "quality", (80, 50, 25, 15, 7), 1, 95, "JPEG of quality {}",
        "saved as a JPEG and read again; its quality", _compressed,
    ),
    Disturbance(
        "brightness", "brightness", "grey levels", (25, 50, 75, 100, 125), -255, 255, "brightening by {} grey levels",
        "the same added to every number", _brightened,
    ),
    Disturbance(
        "shift", "translate", "pixels", (4, 8, 16, 24, 36), 0, 4096, "a shift by {} pixels",
        "moved to the right, left, up or down", _shifted,
    ),
    Disturbance(
        "rotation", "rotate", "degrees", (5, 10, 15, 30, 45), 0, 180, "a rotation by {} degrees",
        "turned about the middle, one way or the other", _turned,
    ),
    Disturbance(
        "larger", "scale", "times", (1.1, 1.25, 1.5, 1.75, 2), 1, 16, "enlarging {} times",
        "everything larger, about the middle", _larger,
    ),
    Disturbance(
        "smaller", "scale", "times", (1.1, 1.25, 1.5, 1.75, 2), 1, 16, "shrinking {} times",
        "everything smaller, about the middle", _smaller,
    ),
)  # fmt: skip
DISTURBANCES: Mapping[str, Disturbance] = {one.name: one for one in _ALL}
"""Every disturbance by its name, in the order in which they are shown."""
