"""Awkward pictures of some forty kinds, made by code, each with the one outcome that every verb gives it.

`write_awkward` is how `lensmith check` can be tried out without waiting for broken files to turn up, and what
the tests of every verb use. docs/pictures.md holds the same list as a table.

All of them show one scene of four flat colours, 96 x 64, so that the corners give away a picture that was
turned, mirrored, clipped or read in the wrong colours.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

Colour = tuple[int, int, int]
Corners = tuple[Colour, Colour, Colour, Colour]  # top left, top right, bottom left, bottom right

WIDTH, HEIGHT = 96, 64
COLOURS: Corners = ((200, 40, 40), (40, 160, 60), (50, 70, 200), (230, 220, 120))
GREYS: Corners = ((30, 30, 30), (100, 100, 100), (170, 170, 170), (240, 240, 240))
WHITE: Colour = (255, 255, 255)
ORIENTATION = 274  # the EXIF and TIFF tag

# A whole HEIC file of the scene; writing one takes an encoder that few machines have.
HEIC = """
AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAVZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA
ACJpbG9jAAAAAERAAAEAAQAAAAABegABAAAAAAAAADwAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt
AAAAAAABAAAA1mlwcnAAAAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA
AAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDCBBZbqSSmubgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNjb2xy
bmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABgAAAAQAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAAERt
ZGF0AAAAOCgBrxmA93yFN//3Dmf9TYv+F4LtPhczSJD/OIUAYc/9mZjxrxv3d0Mfr6L9BiXtD368I07u5c+A
"""


@dataclass(frozen=True)
class Awkward:
    """One awkward file and what becomes of it."""

    name: str  # of the file
    kind: str  # what it is, in words; the first column of docs/pictures.md
    outcome: Literal["read", "left out"]
    why: str  # what is done to read it, or the reason it is left out, word for word
    expected: Corners | None  # the upright picture's colours in its corners, to within 8 of 255; None: left out


Made = tuple[Awkward, bytes]


def write_awkward(folder: Path) -> tuple[Awkward, ...]:
    """Write the awkward pictures into `folder` (made if need be), the same ones each time, and list them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [
        *_turned(),
        *_colours(),
        *_transparent(),
        *_deep(),
        *_first_of_several(),
        *_formats(),
        *_left_out(),
    ]
    for picture, data in made:
        (folder / picture.name).write_bytes(data)
    return tuple(picture for picture, _ in made)


def corners(image: Image.Image) -> Corners:
    """Return the colours four pixels in from the corners of an RGB picture, to hold against `expected`."""
    right, bottom = image.width - 5, image.height - 5
    colours = [image.getpixel(place) for place in ((4, 4), (right, 4), (4, bottom), (right, bottom))]
    return tuple(colours)  # type: ignore[return-value]


def scene(colours: Corners = COLOURS) -> Image.Image:
    """Return the scene: four flat colours, 96 x 64, RGB."""
    return Image.fromarray(_quarters(colours).astype(np.uint8))


def _quarters(values: tuple[Any, ...]) -> np.ndarray[Any, np.dtype[Any]]:
    """Lay four values (numbers, or colours as tuples) out over the four quarters of the scene."""
    four = np.asarray(values).reshape(2, 2, *np.shape(values[0]))
    return four.repeat(HEIGHT // 2, axis=0).repeat(WIDTH // 2, axis=1)


def _saved(image: Image.Image, form: str, options: Mapping[str, Any] | None = None) -> bytes:
    """Return the bytes of an image saved in a format of Pillow's, with Pillow's options."""
    file = io.BytesIO()
    image.save(file, form, **(options or {}))
    return file.getvalue()


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


def _chunk(name: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG file: length, name, data, checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(width: int, height: int, bits: int, colour_type: int, rows: bytes) -> bytes:
    """Return a PNG file of rows that each begin with their filter byte; for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _read(name: str, kind: str, why: str, expected: Corners, data: bytes) -> Made:
    return Awkward(name, kind, "read", why, expected), data


def _out(name: str, kind: str, why: str, data: bytes) -> Made:
    return Awkward(name, kind, "left out", why, None), data


def _turned() -> Iterator[Made]:
    """Yield pictures stored lying on their side or mirrored."""
    upright = scene()
    # What a camera stores for each value: the inverse of what brings it upright.
    stored = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }
    for value, image in stored.items():
        data = _saved(image, "JPEG", {"exif": _exif(value), "quality": 95})
        kind = "JPEG turned or mirrored by its EXIF tag (all 8 values)"
        yield _read(f"turned-{value}.jpg", kind, "brought upright", COLOURS, data)
    png = _saved(stored[6], "PNG")
    end = png.rindex(b"IEND") - 4
    data = png[:end] + _chunk(b"eXIf", _exif(6).removeprefix(b"Exif\0\0")) + png[end:]
    kind = "PNG turned by an EXIF block behind its pixels"
    yield _read("turned.png", kind, "brought upright", COLOURS, data)
    data = _saved(stored[8], "TIFF", {"tiffinfo": {ORIENTATION: 8}, "compression": "tiff_lzw"})
    yield _read("turned.tif", "TIFF turned by its own tag", "brought upright", COLOURS, data)
    data = _saved(stored[5], "WEBP", {"exif": _exif(5), "quality": 95})
    yield _read("turned.webp", "WebP turned by its EXIF tag", "brought upright", COLOURS, data)
    broken = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x34" * 20
    data = _saved(upright, "JPEG", {"exif": broken, "quality": 95})
    yield _read("broken-exif.jpg", "JPEG with a broken EXIF block", "the block is passed over", COLOURS, data)


def _colours() -> Iterator[Made]:
    """Yield pictures whose colours are not plain 8-bit RGB."""
    data = _saved(scene(), "JPEG", {"progressive": True, "quality": 95})
    yield _read("progressive.jpg", "JPEG, progressive", "nothing special", COLOURS, data)
    cmyk = scene().convert("CMYK")
    data = _saved(cmyk, "JPEG", {"quality": 95})
    yield _read("cmyk.jpg", "JPEG in print colours (CMYK)", "converted by arithmetic", COLOURS, data)
    # YCCK stores the first three inks as a JPEG stores colours; byte 11 of its Adobe segment says so.
    *inks, black_ink = cmyk.split()
    stored = Image.merge("RGB", inks).convert("YCbCr").point(lambda value: 255 - value).split()
    data = _saved(Image.merge("CMYK", [*stored, black_ink]), "JPEG", {"quality": 95})
    flag = data.index(b"Adobe") + 11
    data = data[:flag] + b"\x02" + data[flag + 1 :]
    yield _read("ycck.jpg", "JPEG in print colours (YCCK)", "converted by arithmetic", COLOURS, data)
    data = _saved(scene(), "JPEG", {"icc_profile": b"a profile" * 20, "quality": 95})
    why = "the profile is ignored; the numbers are taken as sRGB"
    yield _read("profile.jpg", "JPEG with a colour profile (ICC)", why, COLOURS, data)
    grey = scene(GREYS).convert("L")
    data = _saved(grey, "JPEG", {"quality": 95})
    yield _read("grey.jpg", "JPEG in grey", "grey becomes three equal colours", GREYS, data)
    data = _saved(scene().quantize(4), "PNG")
    yield _read("palette.png", "PNG with a palette", "the palette is looked up", COLOURS, data)
    black, white = (0, 0, 0), WHITE
    board = (white, black, black, white)
    data = _saved(scene(board).convert("1"), "PNG")
    yield _read("one-bit.png", "PNG of 1 bit, black and white", "0 and 255", board, data)


def _transparent() -> Iterator[Made]:
    """Yield pictures one can see through: left nothing, top right solid, bottom right half."""
    alpha = Image.fromarray(_quarters((0, 255, 0, 128)).astype(np.uint8))
    clear = scene()
    clear.putalpha(alpha)
    why = "laid over white"
    seen: Corners = (WHITE, COLOURS[1], WHITE, (242, 237, 187))  # the last: (128 * colour + 127 * 255) / 255
    yield _read("alpha.png", "PNG with transparency", why, seen, _saved(clear, "PNG"))
    data = _saved(clear, "WEBP", {"lossless": True})
    yield _read("alpha.webp", "WebP, lossless, with transparency", why, seen, data)
    grey = scene(GREYS).convert("L")
    grey.putalpha(alpha)
    seen = (WHITE, GREYS[1], WHITE, (247, 247, 247))
    yield _read("grey-alpha.png", "PNG in grey with transparency", why, seen, _saved(grey, "PNG"))
    palette = Image.fromarray(_quarters((0, 1, 2, 3)).astype(np.uint8), "P")
    palette.putpalette([part for colour in COLOURS for part in colour])
    data = _saved(palette, "PNG", {"transparency": bytes((0, 255, 0, 255))})
    seen = (WHITE, COLOURS[1], WHITE, COLOURS[3])
    yield _read("palette-alpha.png", "PNG with a palette and transparency", why, seen, data)
    data = _saved(palette, "GIF", {"transparency": 2})
    seen = (COLOURS[0], COLOURS[1], WHITE, COLOURS[3])
    yield _read("alpha.gif", "GIF with a transparent colour", why, seen, data)


def _deep() -> Iterator[Made]:
    """Yield pictures of more than 8 bits."""
    deep = _quarters(tuple(grey[0] * 257 for grey in GREYS)).astype(np.uint16)
    why = "divided by 257, never clipped"
    data = _saved(Image.fromarray(deep), "PNG")
    yield _read("grey-16.png", "PNG, 16-bit grey", why, GREYS, data)
    colours = _quarters(COLOURS).astype(">u2") * np.uint16(257)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    data = _png(WIDTH, HEIGHT, 16, 2, rows)
    yield _read("colour-16.png", "PNG, 16 bits a colour", "the upper 8 bits are kept", COLOURS, data)
    data = _saved(Image.fromarray(deep), "TIFF", {"compression": "tiff_lzw"})
    yield _read("grey-16-little.tif", "TIFF, 16-bit grey, little-endian", why, GREYS, data)
    big = Image.frombytes("I;16B", (WIDTH, HEIGHT), deep.astype(">u2").tobytes())
    yield _read("grey-16-big.tif", "TIFF, 16-bit grey, big-endian", why, GREYS, _saved(big, "TIFF"))
    data = b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + deep.astype(">u2").tobytes()
    yield _read("grey-16.pgm", "PGM, 16-bit grey", why, GREYS, data)
    decimals = _quarters(tuple(grey[0] / 255 for grey in GREYS)).astype(np.float32)
    data = _saved(Image.fromarray(decimals), "TIFF")
    yield _read("decimals.tif", "TIFF of decimal numbers from 0 to 1", "multiplied by 255", GREYS, data)
    why = "decimal numbers from 30 to 240: only 0 to 1 have a known brightness"
    data = _saved(Image.fromarray(decimals * 255), "TIFF")
    yield _out("measurements.tif", "TIFF of other decimal numbers", why, data)
    why = "whole numbers from -30 to 240: only 0 to 65535 have a known brightness"
    data = _saved(Image.fromarray(_quarters((-30, 0, 100, 240)).astype(np.int32)), "TIFF")
    yield _out("whole-numbers.tif", "TIFF of 32-bit whole numbers, some out of range", why, data)


def _first_of_several() -> Iterator[Made]:
    """Yield files that hold more than one picture."""
    second = scene(GREYS)
    several = {"save_all": True, "append_images": [second]}
    data = _saved(scene().quantize(4), "GIF", {"save_all": True, "append_images": [second.quantize(4)]})
    yield _read("animated.gif", "GIF, animated", "the first picture", COLOURS, data)
    data = _saved(scene(), "PNG", several)
    yield _read("animated.png", "PNG, animated", "the first picture", COLOURS, data)
    data = _saved(scene(), "WEBP", {**several, "quality": 95})
    yield _read("animated.webp", "WebP, animated", "the first picture", COLOURS, data)
    data = _saved(scene(), "TIFF", several)
    yield _read("pages.tif", "TIFF with several pages", "the first page", COLOURS, data)


def _formats() -> Iterator[Made]:
    """Yield the less common formats, and names that promise another."""
    data = _saved(scene(), "AVIF", {"quality": 95})
    yield _read("scene.avif", "AVIF", "nothing special", COLOURS, data)
    data = _saved(scene(), "JPEG2000")
    yield _read("scene.jp2", "JPEG 2000", "nothing special", COLOURS, data)
    yield _read("scene.bmp", "BMP", "nothing special", COLOURS, _saved(scene(), "BMP"))
    numbers = " ".join(str(part) for part in _quarters(COLOURS).ravel())
    data = f"P3\n# a comment\n{WIDTH} {HEIGHT} 255\n{numbers}\n".encode()
    yield _read("scene.ppm", "PPM written as text", "nothing special", COLOURS, data)
    why = "the bytes decide, not the name"
    yield _read("png-inside.jpg", "PNG named .jpg", why, COLOURS, _saved(scene(), "PNG"))
    data = base64.b64decode(HEIC)
    if importlib.util.find_spec("pillow_heif"):
        yield _read("scene.heic", "HEIC, plug-in installed", "nothing special", COLOURS, data)
    else:
        why = 'HEIC needs a plug-in: pip install "lensmith[heic]"'
        yield _out("scene.heic", "HEIC, plug-in missing", why, data)


def _left_out() -> Iterator[Made]:
    """Yield what is named like a picture and shows nothing."""
    yield _out("empty.jpg", "an empty file", "the file is empty", b"")
    why = "not a picture (it begins with nothing but zeros)"
    yield _out("zeros.jpg", "a file of zeros, as a full disk leaves behind", why, bytes(4096))
    yield _out("text.jpg", "text named .jpg", "not a picture (the text begins with 'hello')", b"hello\n")
    page = b"<!DOCTYPE html>\n<html><title>404 Not Found</title></html>\n"
    yield _out("page.jpg", "a web page saved in place of the picture", "not a picture (a web page)", page)
    drawing = b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>\n"
    yield _out("drawing.png", "an SVG drawing named .png", "not a picture (an SVG drawing)", drawing)
    why = "not a picture (it begins with the bytes 00 00 00 01)"
    yield _out(".DS_Store", "what a desktop leaves in folders (.DS_Store)", why, b"\0\0\0\1Bud1" + bytes(40))
    for name, form in (("cut.jpg", "JPEG"), ("cut.png", "PNG"), ("cut.webp", "WEBP"), ("cut.tif", "TIFF")):
        whole = _saved(scene(), form)
        kind = "JPEG, PNG, WebP or TIFF that ends half-way"
        yield _out(name, kind, "cut off in the middle", whole[: len(whole) // 2])
    png = _saved(scene(), "PNG")
    place = png.index(b"IDAT") + 8
    data = png[:place] + bytes(byte ^ 0x55 for byte in png[place : place + 20]) + png[place + 20 :]
    why = "this PNG cannot be decoded (broken data stream when reading image file)"
    yield _out("damaged.png", "PNG with damaged pixels", why, data)
    why = "20000 x 20000 pixels: more than the 200 million allowed"
    bomb = _png(20_000, 20_000, 1, 0, bytes(1000))
    yield _out("bomb.png", "PNG of 400 million pixels in a small file", why, bomb)
    why = "1 x 1 pixels: too small to show anything"
    pixel = _saved(Image.new("P", (1, 1)), "GIF")
    yield _out("pixel.gif", "GIF of a single pixel, a web page's placeholder", why, pixel)
