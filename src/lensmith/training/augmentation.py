"""What may happen to a picture each time it is shown to a network: the values, the presets, and their spelling."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from lensmith.errors import UsageError, nearest

FILLS = ("edge", "reflect", "mean", "white", "black")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
COLOUR = re.compile(r"#[0-9a-f]{6}")
WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
SMALLEST_ZOOM, LARGEST_ZOOM = 0.1, 10.0


class Limits(NamedTuple):
    """The smallest and largest value of a number, what it counts, and a good one to try."""

    low: float
    high: float
    unit: str
    trial: float


# Above a warp of 0.05 the picture could fold over itself (see geometry.displacement), and a box would lose its place.
LIMITS = {
    "rotation": Limits(0, 180, "degrees either way", 15),
    "shift_x": Limits(0, 1, "share of the side", 0.1),
    "shift_y": Limits(0, 1, "share of the side", 0.1),
    "shear": Limits(0, 60, "degrees either way", 8),
    "stretch": Limits(0, 3, "largest change of width to height", 0.2),
    "crop": Limits(0.01, 1, "smallest share of the area kept", 0.5),
    "warp": Limits(0, 0.05, "share of the side", 0.03),
    "brightness": Limits(0, 1, "largest change of the factor", 0.2),
    "contrast": Limits(0, 1, "largest change of the factor", 0.2),
    "saturation": Limits(0, 1, "largest change of the factor", 0.2),
    "hue": Limits(0, 0.5, "turns of the colour circle", 0.03),
    "pca_colour": Limits(0, 1, "standard deviation of alpha", 0.1),
}


@dataclass(frozen=True)
class Augmentation:
    """How far a picture may be changed; every amount is drawn anew for each picture and epoch. All off by default.

    Space (a picture's side is 1): rotation and shear, degrees either way; shift_x and shift_y, share of the side
    either way, in whole pixels; stretch, 0.2 makes width : height up to 1.2 times larger or smaller; zoom, smallest
    and largest factor; flip, left to right in half of the cases; crop, the smallest share of the area a random square
    window keeps before it fills the picture again (1: no crop); warp, the farthest a local elastic warp moves a point.
    What comes in from outside is `fill`: edge, reflect, mean (of the picture), white, black or a colour like #808080.

    Colour: brightness, contrast and saturation, 0.2 is a factor from 0.8 to 1.2; hue, turns of the colour circle
    either way (0.5 is all of it); pca_colour, the standard deviation of alpha in Krizhevsky et al. 2012, section 4.1
    (0.1 there). Raises UsageError for a value outside its range.
    """

    rotation: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    shear: float = 0.0
    stretch: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    crop: float = 1.0
    warp: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    pca_colour: float = 0.0
    fill: str = "edge"
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        for name, limits in LIMITS.items():
            _check_number(name, getattr(self, name), limits)
        object.__setattr__(self, "zoom", _zoom(self.zoom))  # JSON hands back a list
        if not isinstance(self.flip, bool):
            raise UsageError(f"flip is {self.flip!r}; allowed are true and false. Try true.")
        if self.fill not in FILLS and not (isinstance(self.fill, str) and COLOUR.fullmatch(self.fill)):
            allowed = f"{', '.join(FILLS)}, or a colour such as #808080"
            raise UsageError(f"fill is {self.fill!r}; allowed are {allowed}.{nearest(str(self.fill), FILLS)} Try edge.")
        if self.interpolation not in INTERPOLATIONS:
            raise UsageError(
                f"interpolation is {self.interpolation!r}; allowed are {', '.join(INTERPOLATIONS)}."
                f"{nearest(str(self.interpolation), INTERPOLATIONS)} Try bilinear."
            )

    @property
    def moves(self) -> bool:
        """Whether any pixel may change its place."""
        return self.shifts or self.flip or self.reshapes

    @property
    def shifts(self) -> bool:
        """Whether the picture may be moved as a whole."""
        return self.shift_x > 0 or self.shift_y > 0

    @property
    def reshapes(self) -> bool:
        """Whether pixels may land between pixels, so that the picture has to be sampled."""
        turned = self.rotation > 0 or self.shear > 0 or self.stretch > 0 or self.warp > 0
        return turned or self.zoom != (1.0, 1.0) or self.crop < 1

    @property
    def recolours(self) -> bool:
        """Whether any colour may change."""
        return max(self.brightness, self.contrast, self.saturation, self.hue, self.pca_colour) > 0


def _check_number(name: str, seen: object, limits: Limits) -> None:
    number = isinstance(seen, int | float) and not isinstance(seen, bool)
    if not number or not limits.low <= seen <= limits.high:  # type: ignore[operator]
        allowed = f"{limits.low:g} to {limits.high:g} ({limits.unit})"
        raise UsageError(f"{name} is {_shown(seen)}; allowed is {allowed}. Try {limits.trial:g}.")


def _zoom(seen: object) -> tuple[float, float]:
    """Return zoom as a pair, checked."""
    pair = tuple(seen) if isinstance(seen, tuple | list) else ()
    numbers = len(pair) == 2 and all(isinstance(end, int | float) and not isinstance(end, bool) for end in pair)
    if not numbers or not SMALLEST_ZOOM <= pair[0] <= pair[1] <= LARGEST_ZOOM:
        raise UsageError(
            f"zoom is {_shown(seen)}; allowed are a smallest and a largest factor, "
            f"{SMALLEST_ZOOM:g} to {LARGEST_ZOOM:g}, the smaller first. Try 0.8:1.25."
        )
    return pair[0], pair[1]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


NAMES = tuple(field.name for field in fields(Augmentation))

PRESETS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "shift": Augmentation(shift_x=1 / 8, shift_y=1 / 8),
    "small-data": Augmentation(
        rotation=15,
        shift_x=0.08,
        shift_y=0.08,
        zoom=(0.85, 1.2),
        flip=True,
        brightness=0.15,
        contrast=0.15,
        saturation=0.15,
        fill="reflect",
    ),
    "strong": Augmentation(
        rotation=25,
        shift_x=0.1,
        shift_y=0.1,
        shear=10,
        stretch=0.25,
        zoom=(0.75, 1.2),
        flip=True,
        crop=0.5,
        warp=0.03,
        brightness=0.3,
        contrast=0.3,
        saturation=0.4,
        hue=0.03,
        pca_colour=0.1,
        fill="reflect",
    ),
}


def parse(text: str) -> Augmentation:
    """Return what `small-data`, `small-data,rotation=30,flip=false` or `zoom=0.8:1.25` spells.

    The first word may be a preset, without one everything else is off. `zoom=1.25` is short for `zoom=0.8:1.25`.
    Raises UsageError, with the nearest names.
    """
    first, *rest = [part.strip() for part in text.split(",")]
    if "=" in first:
        preset, rest = "none", [first, *rest]
    else:
        preset = first
    if preset not in PRESETS:
        allowed = f"{', '.join(PRESETS)}, then name=value. Try small-data,rotation=30"
        raise UsageError(
            f"augmentation begins with {preset!r}; allowed are {allowed}.{nearest(preset, [*PRESETS, *NAMES])}"
        )
    found: dict[str, float | bool | str | tuple[float, float]] = {}
    for part in rest:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in NAMES:
            raise UsageError(f"augmentation has {name!r}; allowed are {', '.join(NAMES)}.{nearest(name, NAMES)}")
        if not equals or not value:
            raise UsageError(f"augmentation has {part!r}; must be {name}=value. Try {name}={_trial(name)}.")
        if name in found:
            raise UsageError(f"augmentation has {name} twice; must have it once. Leave {part} out.")
        found[name] = _value(name, value)
    return replace(PRESETS[preset], **found)  # type: ignore[arg-type]


def spelled(augmentation: Augmentation) -> str:
    """Return the shortest text that `parse` turns into this augmentation: the nearest preset and what differs."""
    changes = {
        preset: [name for name in NAMES if getattr(values, name) != getattr(augmentation, name)]
        for preset, values in PRESETS.items()
    }
    preset = min(changes, key=lambda name: len(changes[name]))
    return ",".join([preset, *(f"{name}={_spelled(getattr(augmentation, name))}" for name in changes[preset])])


def in_words(augmentation: Augmentation) -> list[str]:
    """Return what may happen to a picture, in a few words each; an empty list if nothing does."""
    a = augmentation
    across, down = (f"{share:.3g}" for share in (a.shift_x * 100, a.shift_y * 100))
    said = {
        f"turned by up to {a.rotation:g}°": a.rotation,
        f"moved by up to {across} %" + (f" across, {down} % down" if across != down else ""): a.shifts,
        f"slanted by up to {a.shear:g}°": a.shear,
        f"stretched by up to {a.stretch * 100:.3g} %": a.stretch,
        f"zoomed {a.zoom[0]:.3g} to {a.zoom[1]:.3g} times": a.zoom != (1.0, 1.0),
        "mirrored": a.flip,
        f"cropped to {a.crop * 100:.3g} % or more": a.crop < 1,
        f"warped by up to {a.warp * 100:.3g} %": a.warp,
        f"brightness ± {a.brightness * 100:.3g} %": a.brightness,
        f"contrast ± {a.contrast * 100:.3g} %": a.contrast,
        f"saturation ± {a.saturation * 100:.3g} %": a.saturation,
        f"hue ± {a.hue * 360:.3g}°": a.hue,
        "colour along its principal components": a.pca_colour,
    }
    return [words for words, happens in said.items() if happens]


def _value(name: str, text: str) -> float | bool | str | tuple[float, float]:
    """Return the value that `name=text` gives; its range is checked by Augmentation itself."""
    if name in ("fill", "interpolation"):
        return text.lower()
    if name == "flip":
        if text.lower() not in WORDS:
            raise UsageError(f"flip is {text!r}; allowed are true and false. Try flip=true.")
        return WORDS[text.lower()]
    try:
        numbers = [float(number) for number in text.split(":")]
    except ValueError:
        raise UsageError(f"{name} is {text!r}; must be a number. Try {name}={_trial(name)}.") from None
    if name == "zoom":
        if len(numbers) == 1 and numbers[0] > 0:
            numbers = sorted((numbers[0], 1 / numbers[0]))
        return _zoom(tuple(numbers))
    if len(numbers) != 1:
        raise UsageError(f"{name} is {text!r}; must be one number. Try {name}={_trial(name)}.")
    return numbers[0]


def _trial(name: str) -> str:
    others = {"zoom": "0.8:1.25", "flip": "true", "fill": "reflect", "interpolation": "bilinear"}
    return others.get(name) or f"{LIMITS[name].trial:g}"


def _spelled(value: object) -> str:
    """Return a value as `parse` reads it back, without losing a digit."""
    if isinstance(value, tuple):
        return ":".join(map(_spelled, value))
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value).lower()
