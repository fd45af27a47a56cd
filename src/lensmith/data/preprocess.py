"""One geometry and one normalisation for training, evaluation, prediction and export.

The geometry turns any picture into a square of `image_size` pixels, uint8; the normalisation happens inside the
engine, so that what is stored and handed around is always plain uint8 pixels. What it subtracts and multiplies by is
found by `lensmith.data.statistics` from the training pictures.

`read_square` is the one way from the bytes of a file to what a network is shown. Of a JPEG much larger than the square
it decodes a smaller picture; docs/pictures.md says how far the pixels may then be from those of the whole.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
from PIL import Image

from lensmith.data import decode
from lensmith.data.store import digest
from lensmith.errors import UsageError, nearest

Resize = Literal["crop", "squash", "pad"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
KINDS = {
    "standardise": "each channel to mean 0 and standard deviation 1",
    "channel-mean": "each channel to mean 0",
    "mean-image": "the mean picture of the training split subtracted",
    "min-max": "each channel's smallest to largest value in the training split to 0..1",
    "pca": "colours turned to their principal components, which are uncorrelated",
    "whiten": "colours turned to their principal components, each of variance 1",
    "zca": "whole pictures whitened: their numbers nearly uncorrelated, and still a picture",
}
ZCA_IMAGE_SIZE = 32  # the largest: the matrix has (3 s s)^2 numbers, 38 MB here, 91 GB at 224 pixels
SPARE = 2  # after a reduced decode a pixel of the square still covers at least so many by so many pixels
PAD_COLOUR = (255, 255, 255)  # the white that transparency is laid over, too


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes numbers.

    resize: "crop" scales the short side to image_size / crop and keeps the centre; "squash" ignores the aspect
    ratio; "pad" scales the long side and fills with white. `mean` and `std` are on the 0..1 scale, one a channel.
    kind: one of KINDS; those that `input_shapes` names use arrays in place of mean and std, which are then 0 and 1.
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop: float = 1.0
    resize: Resize = "crop"
    interpolation: Interpolation = "bilinear"
    kind: str = "standardise"

    def __post_init__(self) -> None:
        if self.resize not in get_args(Resize):
            raise UsageError(f"resize is {self.resize!r}; allowed are {', '.join(get_args(Resize))}.")
        if self.interpolation not in FILTERS:
            raise UsageError(f"interpolation is {self.interpolation!r}; allowed are {', '.join(FILTERS)}.")
        if not 0.01 <= self.crop <= 1:
            raise UsageError(f"crop is {self.crop}; allowed are 0.01 to 1. Try 1.")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise UsageError(
                f"mean and std are {self.mean} and {self.std}; three numbers each, std above 0, are needed."
            )
        if not 1 <= self.image_size <= 4096:
            raise UsageError(f"image_size is {self.image_size}; allowed are 1 to 4096. Try 224.")
        if self.kind not in KINDS:
            near = nearest(self.kind, KINDS)
            raise UsageError(f"preprocessing is {self.kind!r}; allowed are {', '.join(KINDS)}.{near}")
        if self.kind == "zca" and self.image_size > ZCA_IMAGE_SIZE:
            values = 3 * self.image_size**2
            raise UsageError(
                f"preprocessing is 'zca' and image_size is {self.image_size}; zca takes up to {ZCA_IMAGE_SIZE}, since "
                f"it mixes all {values:,} numbers of a picture by a matrix of {values:,} x {values:,}. Try whiten, "
                f"which does the same to colours alone, or a smaller image_size."
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @property
    def geometry(self) -> str:
        """The name of what decides the pixels, part of every key under which pixels or features are stored."""
        parts = (self.image_size, self.crop, self.resize, self.interpolation)
        return digest("geometry", 2, decode.policy(), SPARE, *parts)

    def reduction(self, size: tuple[int, int]) -> int:
        """Return by how much a JPEG of these sides may be made smaller as it is decoded, one of decode.REDUCTIONS.

        The nearest pixel is no mean of others: it is taken from the whole picture.
        """
        if self.interpolation == "nearest":
            return 1
        kept = max(size) if self.resize == "pad" else min(size) * (self.crop if self.resize == "crop" else 1)
        return next((by for by in decode.REDUCTIONS if kept >= by * SPARE * self.image_size), 1)


def from_dict(fields: dict[str, Any]) -> Preprocessing:
    """Return the Preprocessing that `as_dict` wrote."""
    mean, std = (cast("tuple[float, float, float]", tuple(fields[name])) for name in ("mean", "std"))
    return Preprocessing(**{**fields, "mean": mean, "std": std})


def input_shapes(preprocessing: Preprocessing) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of a kind, empty for one that mean and std express.

    Pixels x on the 0..1 scale become (x - mean) @ matrix, over colours (3,) or over whole pictures (s, s, 3), then
    flattened in this order.
    """
    size = preprocessing.image_size
    picture, values = (size, size, 3), 3 * size * size
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "mean-image": {"mean": picture},
        "pca": {"mean": (3,), "matrix": (3, 3)},
        "whiten": {"mean": (3,), "matrix": (3, 3)},
        "zca": {"mean": picture, "matrix": (values, values)},
    }
    return shapes.get(preprocessing.kind, {})


def read_square(data: bytes, preprocessing: Preprocessing) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the square of the picture in the bytes of a file, and the (width, height) of that picture, upright.

    Raises decode.Unreadable.
    """
    decoded = decode.decode_reduced(data, preprocessing.reduction)
    return to_square(decoded.image, preprocessing, decoded.place), decoded.size


def to_square(
    picture: Image.Image, preprocessing: Preprocessing, place: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """Return `(image_size, image_size, 3)` uint8 pixels of an RGB picture of any size.

    place: the part of `picture` (left, top, right, bottom) to take for the whole.
    """
    size, kernel = preprocessing.image_size, FILTERS[preprocessing.interpolation]
    left, top, right, bottom = place = place or (0, 0, *picture.size)
    if preprocessing.resize == "squash":
        return np.asarray(picture.resize((size, size), kernel, box=place))
    if preprocessing.resize == "pad":
        return _padded(picture, size, kernel, place)
    box = crop_box((right - left, bottom - top), preprocessing.crop)
    box = (left + box[0], top + box[1], left + box[2], top + box[3])
    return np.asarray(picture.resize((size, size), kernel, box=box))


def crop_box(size: tuple[float, float], crop: float) -> tuple[float, float, float, float]:
    """Return the centred square (left, top, right, bottom) that keeps `crop` of the short side, in pixels.

    Resizing this box directly equals resizing the picture and cropping, but for half a pixel of rounding, and
    touches only the pixels that are kept.
    """
    width, height = size
    side = min(width, height) * crop
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _padded(
    picture: Image.Image, size: int, kernel: Image.Resampling, place: tuple[float, float, float, float]
) -> np.ndarray:
    sides = (place[2] - place[0], place[3] - place[1])
    width, height = (max(1, round(side * size / max(sides))) for side in sides)
    square = Image.new("RGB", (size, size), PAD_COLOUR)
    square.paste(picture.resize((width, height), kernel, box=place), ((size - width) // 2, (size - height) // 2))
    return np.asarray(square)
