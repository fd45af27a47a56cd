"""Pictures for the page: read from the run folder only, small, and without what a camera wrote into them."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path

LONGEST = 480
MOST_PIXELS = 16_000_000
QUALITY = 86


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
    written = io.BytesIO()
    bare.save(written, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(written.getvalue()).decode("ascii")
