"""The one decoder: any picture file becomes upright 8-bit RGB, or is refused with a reason in plain words.

Every verb reads pictures here, so a picture looks the same in training, prediction, explanation and serving.
docs/pictures.md is the table of outcomes; `lensmith.data.awkward` makes a file for each row.

Pillow decodes. It is called through the reader class of the one format that the first bytes name, not through
`Image.open`: suffixes decide nothing, the rare formats with their rarely tested readers are never tried, and
the limit on size is ours (`Image.open` warns, or raises, at a limit that is a global of the process).

All functions may be called from many threads at once.
"""

from __future__ import annotations

import importlib
import io
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from lensmith.data.formats import (
    HEAD,
    PICTURE_SUFFIXES,
    Format,
    ends_early,
    exif_orientation,
    format_of,
    likeness,
    png_exif,
)

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "PICTURE_SUFFIXES",
    "REDUCTIONS",
    "Decoded",
    "Unreadable",
    "decode_picture",
    "decode_reduced",
    "picture_bytes",
    "picture_size",
    "policy",
    "read_picture",
]

MAX_PIXELS = 200_000_000  # width x height; the largest telephone cameras stay just below it
MAX_BYTES = 2_000_000_000  # MAX_PIXELS of 16 bits with alpha, uncompressed, are 1.6 GB
MIN_SIDE = 2  # pixels; placeholders and counting pixels of web pages are 1 x 1
REDUCTIONS = (8, 4, 2, 1)  # what JPEG, coded in blocks of 8 x 8, can be made smaller by while it is decoded
RULES = 1  # raise it when a rule of this file changes, so that nothing decoded by the old rules is reused

# What brings a picture upright, by the value of its EXIF tag 274 (Exif 2.32, section 4.6.4).
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ENDS_LEFT, ENDS_ABOVE = (2, 3, 6, 7), (3, 4, 7, 8)  # where the last column or row as stored comes to lie by a turn


@dataclass(frozen=True)
class Decoded:
    """An upright RGB picture that may be smaller than the one in the file.

    size: (width, height) of the picture in the file, upright. place: where all of it lies in `image`, as (left, top,
    right, bottom) in pixels of `image`; a side that is no multiple of the reduction covers its last pixel, or its
    first one where the picture was turned, in part. `image` may be a reader's own, which still knows the file's tags.
    """

    image: Image.Image
    size: tuple[int, int]
    place: tuple[float, float, float, float]


class Unreadable(Exception):
    """A file that cannot be read as a picture; keep `.reason` (a few plain words), let the exception go."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_picture(path: Path) -> Image.Image:
    """Return the picture in a file as upright RGB; raises `Unreadable`."""
    return decode_picture(picture_bytes(path))


def picture_bytes(path: Path) -> bytes:
    """Return the bytes of a picture file, for callers who also hash them; raises `Unreadable`."""
    with _opened(path) as file:
        return file.read()


def picture_size(path: Path) -> tuple[int, int]:
    """Return (width, height) of the upright picture, from the header alone; raises `Unreadable`."""
    with _opened(path) as file:
        kind = _recognised(file.read(HEAD))
        with _in_plain_words(kind, file):
            picture = _header(kind, file)
            width, height = picture.size
            turned = _orientation(kind, picture, file) >= 5
    return (height, width) if turned else (width, height)


def decode_picture(data: bytes) -> Image.Image:
    """Return the picture in the bytes of a file as upright RGB without metadata; raises `Unreadable`.

    Transparent parts lie over white. Of animations and documents with pages this is the first picture. Colour
    profiles are ignored: the numbers are taken as sRGB.
    """
    return _decoded(data, None).image


def decode_reduced(data: bytes, reduction: Callable[[tuple[int, int]], int]) -> Decoded:
    """Return what `decode_picture` does, or that made smaller, where the file is a JPEG; raises `Unreadable`.

    `reduction` is told the sides of the picture as it lies in the file, perhaps turned, and says how much smaller it
    may become, one of REDUCTIONS. A pixel of the smaller picture is the mean of a block of the larger one (libjpeg,
    jidctred.c). What is left out, and for which reason, does not depend on the reduction.
    """
    return _decoded(data, reduction)


def _decoded(data: bytes, reduction: Callable[[tuple[int, int]], int] | None) -> Decoded:
    kind = _recognised(data[:HEAD])
    file = io.BytesIO(data)
    with _in_plain_words(kind, file):
        picture = _header(kind, file)
        stored, by = picture.size, 1
        if reduction is not None and kind.name == "JPEG":
            by = _reduce(picture, reduction(stored))
        key = picture.info.get("transparency")
        if isinstance(key, tuple) and data[24] == 16:  # a PNG; of 16 bits a colour Pillow keeps the upper 8
            picture.info["transparency"] = tuple(part >> 8 for part in key)
        picture.load()
        orientation = _orientation(kind, picture, file)
        # Fresh memory for a copy can cost as much as decoding: only those who keep the picture get one.
        in_place = reduction is not None and picture.mode == "RGB" and not picture.has_transparency_data
        image = picture if in_place else _rgb(picture)
        if orientation in TURNS:
            image = image.transpose(TURNS[orientation])
    image.info.clear()  # nothing downstream may turn it a second time, or publish where it was taken
    return Decoded(image, image.size, (0, 0, *image.size)) if by == 1 else _placed(image, stored, by, orientation)


def _placed(image: Image.Image, stored: tuple[int, int], by: int, orientation: int) -> Decoded:
    """Return where in an upright image reduced by `by` the picture lies whose sides were `stored` in the file."""
    width, height = stored[::-1] if orientation >= 5 else stored
    left = image.width - width / by if orientation in ENDS_LEFT else 0
    top = image.height - height / by if orientation in ENDS_ABOVE else 0
    return Decoded(image, (width, height), (left, top, left + width / by, top + height / by))


def policy() -> str:
    """Return what decides the pixels (our rules, the libraries) as a word that is fit for file names."""
    versions = [f"rules{RULES}", f"pillow{metadata.version('pillow')}"]
    try:
        versions.append(f"heif{metadata.version('pillow-heif')}")
    except metadata.PackageNotFoundError:
        versions.append("noheif")
    return "-".join(versions)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open an ordinary file of a sensible length; what the system says against it becomes `Unreadable`."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise Unreadable("a folder, not a picture")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise Unreadable("not an ordinary file")
        if status.st_size > MAX_BYTES:
            raise Unreadable(f"{status.st_size / 1e9:.1f} GB: more than the {MAX_BYTES / 1e9:.0f} GB allowed")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise Unreadable("a link to nothing" if path.is_symlink() else "no such file") from None
    except PermissionError:
        raise Unreadable("may not be read (permission denied)") from None
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror or error})") from None


def _recognised(head: bytes) -> Format:
    if not head:
        raise Unreadable("the file is empty")
    kind = format_of(head)
    if kind is None:
        raise Unreadable(f"not a picture ({likeness(head)})")
    return kind


def _header(kind: Format, file: IO[bytes]) -> ImageFile.ImageFile:
    """Read the header, and refuse the picture by its size before a pixel is decoded."""
    try:
        reader = getattr(importlib.import_module(kind.module), kind.reader)
    except ImportError:
        raise Unreadable('HEIC needs a plug-in: pip install "lensmith[heic]"') from None
    file.seek(0)
    picture: ImageFile.ImageFile = reader(file)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise Unreadable(f"{width} x {height} pixels: more than the {MAX_PIXELS // 1_000_000} million allowed")
    if min(width, height) < MIN_SIDE:
        raise Unreadable(f"{width} x {height} pixels: too small to show anything")
    return picture


def _reduce(picture: ImageFile.ImageFile, by: int) -> int:
    """Have a JPEG decoded smaller by at most one of REDUCTIONS; return by how much.

    libjpeg reduces the blocks of all components alike in both directions. Colours sampled more coarsely than
    lightness in one direction only (4:2:2) would so come out more coarsely still: the reduction makes up for it.
    """
    layers = getattr(picture, "layer", ())
    shapes = [(across or 1) / (down or 1) for _, across, down, _ in layers]  # a broken file may say 0
    by = int(by * min(shapes) / max(shapes)) if shapes else by
    if by < 2:
        return 1
    width, height = picture.size
    # It is asked for a size, and takes the largest reduction that leaves as much: these quotients name `by` exactly.
    granted = picture.draft(None, (max(1, width // by), max(1, height // by)))
    return 1 if granted is None else round(width / granted[1][2])


def _orientation(kind: Format, picture: ImageFile.ImageFile, file: IO[bytes]) -> int:
    """Return the EXIF orientation that is still to be honoured, 1 to 8."""
    if kind.name == "TIFF":  # its reader turns the picture itself
        return 1
    exif = png_exif(file) if kind.name == "PNG" else picture.info.get("exif")
    return exif_orientation(exif) if isinstance(exif, bytes) else 1


def _rgb(picture: ImageFile.ImageFile) -> Image.Image:
    """Return a decoded picture of any mode as a new RGB image, over white where it is transparent."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        return Image.fromarray(_grey(picture)).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    image = picture.convert("LA") if picture.mode == "La" else picture
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image)
    return white


def _grey(picture: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """Return grey of more than 8 bits as (height, width) uint8: scaled, never clipped, over white."""
    values = np.asarray(picture)
    tags: dict[int, Any] = getattr(picture, "tag_v2", {})  # of a TIFF
    if picture.mode == "F":
        grey = _from_decimals(values)
    else:
        grey = _from_whole_numbers(values, bits=tags.get(258, (16,))[0] if picture.mode == "I;16" else 16)
    if tags.get(262, 1) == 0:  # white is zero; Pillow heeds this tag up to 8 bits
        grey = 255 - grey
    transparent = picture.info.get("transparency")
    return grey if transparent is None else np.where(values == transparent, np.uint8(255), grey)


def _from_whole_numbers(values: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Scale whole numbers of 12 or 16 bits to 8, rounded; for 16 bits this divides by 257."""
    full = 2**bits - 1
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > full:
        raise Unreadable(f"whole numbers from {low} to {high}: only 0 to {full} have a known brightness")
    wide = values.astype(np.uint32)
    wide *= 255
    wide += full // 2
    wide //= full
    return wide.astype(np.uint8)


def _from_decimals(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale decimal numbers of 0 to 1 to 0 to 255, rounded."""
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # so written, it also catches what is not a number
        raise Unreadable(f"decimal numbers from {low:.4g} to {high:.4g}: only 0 to 1 have a known brightness")
    scaled: NDArray[Any] = np.rint(values * 255)
    return scaled.astype(np.uint8)


class _WhileDecoding:
    """Takes the place of the module pattern in a warnings filter; matches while this thread decodes."""

    def match(self, module: str) -> bool:
        """Return whether the warning comes out of the decoder."""
        return getattr(_thread, "decoding", False)


_thread = threading.local()
_lock = threading.Lock()
_SILENCE: Any = ("ignore", None, Warning, _WhileDecoding(), 0)
_CUT_OFF = re.compile("truncated|not enough|incomplete|unexpected eof", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z][\w ,.:/()-]{4,59}", re.ASCII)  # no bytes, no half sentences


def _keep_silence() -> None:
    """Put our filter in front of the warnings filters, unless it stands there.

    Pillow warns of damage that it can live with, broken EXIF blocks above all. Whether a picture is read must
    not hang on the filters of the process, and `warnings.catch_warnings` swaps them for all threads at once.
    This filter matches only warnings from inside the decoder, so the rest of the process keeps its own.
    """
    with _lock:
        filters: Any = warnings.filters
        if filters[:1] != [_SILENCE]:
            filters.insert(0, _SILENCE)


@contextmanager
def _in_plain_words(kind: Format, file: IO[bytes]) -> Iterator[None]:
    """Turn whatever a reader raises into `Unreadable`, and keep its warnings to itself."""
    _keep_silence()
    _thread.decoding = True
    try:
        yield
    except Unreadable:
        raise
    except Image.DecompressionBombError:  # a WebP or a GIF: their readers have a limit of their own
        raise Unreadable(f"more pixels than a {kind.name} may have") from None
    except MemoryError:
        raise Unreadable("more pixels than the memory holds") from None
    # Readers raise anything on broken files: OSError, SyntaxError, ValueError, KeyError, struct.error, ...
    except Exception as error:
        said = str(error)
        if _CUT_OFF.search(said) or ends_early(kind, file):
            raise Unreadable("cut off in the middle") from None
        detail = f" ({said[0].lower()}{said[1:]})" if _PLAIN.fullmatch(said) else ""
        raise Unreadable(f"this {kind.name} cannot be decoded{detail}") from None
    finally:
        _thread.decoding = False
