"""What the bytes of a picture file say before anything is decoded: format, EXIF orientation, length."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass
from typing import IO

HEAD = 64  # bytes at the beginning of a file that are looked at

PICTURE_SUFFIXES: frozenset[str] = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".png", ".apng", ".gif", ".webp", ".avif"),
        *(".tif", ".tiff", ".bmp", ".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
        *(".heic", ".heif", ".hif", ".jp2", ".j2k", ".j2c", ".jpx"),
    )
)


@dataclass(frozen=True)
class Format:
    """A file format: its name, the pattern of its first bytes, and the class that reads it."""

    name: str
    start: re.Pattern[bytes]
    module: str
    reader: str


def _format(name: str, start: bytes, module: str, reader: str) -> Format:
    return Format(name, re.compile(start, re.DOTALL), module, reader)


_DIB = rb"[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"  # the lengths that a bitmap header can have
_BOXES = ("AVIF", "HEIC", "JPEG 2000")

FORMATS = (
    _format("JPEG", rb"\xff\xd8\xff", "PIL.JpegImagePlugin", "JpegImageFile"),
    _format("PNG", rb"\x89PNG\r\n\x1a\n", "PIL.PngImagePlugin", "PngImageFile"),
    _format("GIF", rb"GIF8[79]a", "PIL.GifImagePlugin", "GifImageFile"),
    _format("WebP", rb"RIFF....WEBP", "PIL.WebPImagePlugin", "WebPImageFile"),
    _format("TIFF", rb"II[*+]\0|MM\0[*+]", "PIL.TiffImagePlugin", "TiffImageFile"),
    _format("BMP", rb"BM.{12}" + _DIB, "PIL.BmpImagePlugin", "BmpImageFile"),
    _format("DIB", _DIB, "PIL.BmpImagePlugin", "DibImageFile"),
    _format("PNM", rb"P[1-6f][ \t\r\n]", "PIL.PpmImagePlugin", "PpmImageFile"),
    _format("AVIF", rb"....ftyp(avi[fs]|m[is]f1.{4}(....)*?avif)", "PIL.AvifImagePlugin", "AvifImageFile"),
    _format("HEIC", rb"....ftyp(he[iv][cxms]|m[is]f1)", "pillow_heif", "HeifImageFile"),
    _format(
        "JPEG 2000",
        rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
        "PIL.Jpeg2KImagePlugin",
        "Jpeg2KImageFile",
    ),
)

OTHERS = {
    rb"%PDF": "a PDF document",
    rb"PK\x03\x04": "a zip file",
    rb"\x1f\x8b": "a gzip file",
    rb"8BPS": "a Photoshop document",
    rb"....ftyp": "a film or a sound",
    rb"(\xef\xbb\xbf)?\s*(<\?xml.*|<!--.*)?<svg": "an SVG drawing",
    rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head)": "a web page",
}
_OTHERS = tuple((re.compile(start, re.DOTALL | re.IGNORECASE), words) for start, words in OTHERS.items())


def format_of(head: bytes) -> Format | None:
    """Return the format that the first `HEAD` bytes of a file name, whatever the file is called."""
    return next((kind for kind in FORMATS if kind.start.match(head)), None)


def likeness(head: bytes) -> str:
    """Return in words what a file that is no picture looks like, from its first `HEAD` bytes."""
    if not any(head):
        return "it begins with nothing but zeros"
    for start, words in _OTHERS:
        if start.match(head):
            return words
    text = " ".join(head.decode("utf-8", "replace").rstrip("\ufffd").split())  # the cut may go through a letter
    if text and text.isprintable() and "\ufffd" not in text:
        return f"the text begins with '{text[:20].strip()}'"
    return f"it begins with the bytes {head[:4].hex(' ')}"


def exif_orientation(exif: bytes) -> int:
    """Return the orientation (1 to 8) in an EXIF block; 1 where it has none or is broken.

    Pillow can do this, but it warns about broken blocks, of which photographs have many, and one whose other
    tags are broken may well hold a sound orientation.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = "<" if exif[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from(order + "HH", exif, entry)
            if tag == 274:
                (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), exif, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:  # it ends before it should
        pass
    return 1


def png_exif(file: IO[bytes]) -> bytes:
    """Return the EXIF block of a PNG; it may stand behind the pixels, where reading the header misses it."""
    file.seek(8)
    exif = b""
    while len(chunk := file.read(8)) == 8 and chunk[4:] != b"IEND":
        length = int.from_bytes(chunk[:4], "big")
        if chunk[4:] == b"eXIf":
            exif, length = file.read(length), 0
        file.seek(length + 4, io.SEEK_CUR)  # 4 bytes of checksum
    return exif


def ends_early(kind: Format, file: IO[bytes]) -> bool:
    """Return whether the file is shorter than its own container says; False where it does not say.

    The readers of these formats do not tell a file that ends early from one that is damaged.
    """
    file.seek(0)
    head = file.read(8)
    length = file.seek(0, io.SEEK_END)
    if kind.name == "WebP":
        return 8 + int.from_bytes(head[4:], "little") > length
    if kind.name == "TIFF" and b"*" in head[:4]:  # the first directory, which says where the rest is
        return int.from_bytes(head[4:], "little" if head[:2] == b"II" else "big") >= length
    if kind.name in _BOXES and head[:2] != b"\xff\x4f":
        return _end_of_boxes(file, length) > length
    return False


def _end_of_boxes(file: IO[bytes], length: int) -> int:
    """Return where the last box of a file of boxes (each with its length in front) should end."""
    place = 0
    for _ in range(1000):  # a sound picture has a handful
        if place >= length:
            break
        file.seek(place)
        box = file.read(16)
        size = int.from_bytes(box[8:] if box[:4] == b"\0\0\0\1" else box[:4], "big")
        if size < 8:
            break
        place += size
    return place
