"""Pictures for pages: as the bytes of a file, as a data URI, or read from a run folder, small and without metadata."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

LONGEST = 480
MOST_PIXELS = 16_000_000
QUALITY = 86


def png(picture: Image.Image) -> bytes:
    """Return a picture as a PNG, every pixel kept."""
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


def jpeg(picture: Image.Image, quality: int = QUALITY, *, full_colour: bool = False) -> bytes:
    """Return a picture as a JPEG without metadata; `full_colour` keeps colours as fine as brightness."""
    written = io.BytesIO()
    # Not optimize=True: libjpeg then wants all of it in a buffer that noise does not fit into.
    picture.save(written, "JPEG", quality=quality, subsampling=0 if full_colour else -1)
    return written.getvalue()


def as_uri(data: bytes, kind: str) -> str:
    """Return the bytes of a picture as a data URI; `kind` is png, jpeg or webp."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def data_uri(folder: Path, name: object, longest: int = LONGEST) -> str | None:
    """Return a picture below `folder` as a data URI: a JPEG of at most `longest` pixels a side without metadata.

    None where `name` is not text, points out of the folder, or names no JPEG or PNG of a sane size.
    """
    from PIL import Image, ImageOps

    if not isinstance(name, str) or not name or "\0" in name:
        return None
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("JPEG", "PNG")) as opened:
                if opened.width * opened.height > MOST_PIXELS:
                    return None
                # The orientation lives in the metadata, so it is applied before that is dropped.
                picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    picture.thumbnail((longest, longest))
    bare = Image.new("RGB", picture.size)
    bare.paste(picture)
    return as_uri(jpeg(bare), "jpeg")
