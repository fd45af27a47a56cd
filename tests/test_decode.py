"""The decoder against the table of outcomes and against independent references."""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from lensmith.data import decode
from lensmith.data.awkward import Awkward, corners, write_awkward
from lensmith.data.decode import Unreadable, decode_picture, picture_size, read_picture
from lensmith.data.formats import FORMATS, exif_orientation
from sample_pictures import chunk, noise, reason, saved

DOCS = Path(__file__).parent.parent / "docs" / "pictures.md"
DATA = os.environ.get("LENSMITH_DATA")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("awkward")


@pytest.fixture(scope="module")
def awkward(folder: Path) -> tuple[Awkward, ...]:
    return write_awkward(folder)


def png(bits: int, colour_type: int, values: np.ndarray, *more: bytes) -> bytes:
    """A PNG of `(height, width, ...)` big-endian values, written without Pillow."""
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in values))
    chunks = [chunk(b"IHDR", header), *more, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiff(width: int, height: int, bits: int, photometric: int, form: int, pixels: bytes) -> bytes:
    """A little-endian TIFF of one strip, written without Pillow; form: 1 whole numbers, 3 decimal."""
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height}
    tags |= {279: len(pixels), 339: form}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory


def values(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


# ---- the table of outcomes


def test_every_awkward_picture_has_its_outcome(folder: Path, awkward: tuple[Awkward, ...]) -> None:
    for picture in awkward:
        path = folder / picture.name
        if picture.outcome == "read":
            image = read_picture(path)
            assert (image.mode, image.size, image.info) == ("RGB", (96, 64), {}), picture.name
            assert picture.expected is not None
            gap = np.abs(np.subtract(corners(image), picture.expected)).max()
            assert gap <= 8, (picture.name, corners(image))
            assert picture_size(path) == image.size, picture.name
        else:
            with pytest.raises(Unreadable) as raised:
                read_picture(path)
            assert raised.value.reason == picture.why, picture.name


def test_the_awkward_pictures_are_the_same_each_time(
    folder: Path, awkward: tuple[Awkward, ...], tmp_path: Path
) -> None:
    assert write_awkward(tmp_path) == awkward
    for picture in awkward:
        assert (tmp_path / picture.name).read_bytes() == (folder / picture.name).read_bytes()
    assert len({picture.name for picture in awkward}) == len(awkward)
    assert 40 <= len({picture.kind for picture in awkward}) <= 50


def test_the_page_and_the_generator_agree(awkward: tuple[Awkward, ...]) -> None:
    table = DOCS.read_text(encoding="utf-8").partition("| kind of file |")[2].partition("\n\n")[0]
    rows = [tuple(cell.strip() for cell in line.strip("| ").split(" | ")) for line in table.splitlines()[2:]]
    made = {(picture.kind, picture.outcome, picture.why) for picture in awkward}
    assert len(rows) == len(set(rows))
    assert {row for row in rows if not row[0].startswith("HEIC")} == {
        row for row in made if not row[0].startswith("HEIC")
    }
    assert made <= set(rows)
    for suffix in decode.PICTURE_SUFFIXES:
        assert re.search(rf"{re.escape(suffix)}[ `\n]", DOCS.read_text(encoding="utf-8")), suffix


def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = DOCS.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    exec(compile(code, "docs/pictures.md", "exec"), {})
    assert "empty.jpg | left out | the file is empty\n" in capsys.readouterr().out


# ---- against references


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_orientation_is_what_pillow_makes_of_it(form: str, value: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = value
    image = Image.fromarray(noise(5, 9, 3)).resize((36, 20))
    options = {"tiffinfo": {274: value}} if form == "TIFF" else {"exif": exif}
    path = tmp_path / "picture"
    path.write_bytes(saved(image, form, **options))
    with Image.open(path) as opened:
        expected = ImageOps.exif_transpose(opened).convert("RGB")
    assert expected.size == ((20, 36) if value >= 5 else (36, 20))
    assert np.array_equal(values(read_picture(path)), values(expected))
    assert picture_size(path) == expected.size


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("value", [0, 1, 6, 8, 9])
def test_exif_orientation_by_hand(order: str, kind: int, value: int) -> None:
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    held = struct.pack(order + "HHI", 274, kind, 1) + struct.pack(
        order + {3: "HH", 4: "I"}[kind], value, *[0] * (4 - kind)
    )
    other = struct.pack(order + "HHII", 256, 4, 1, 6)
    block = mark + struct.pack(order + "IH", 8, 2) + other + held
    assert exif_orientation(b"Exif\0\0" + block) == exif_orientation(block) == (value if 1 <= value <= 8 else 1)
    for cut in range(len(block)):
        assert exif_orientation(block[:cut]) in (1, value)


def test_sixteen_bit_grey_is_scaled_and_never_clipped() -> None:
    grey = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(grey / 257)
    big = Image.frombytes("I;16B", (256, 256), grey.astype(">u2").tobytes())
    files = {
        "png": png(16, 0, grey.astype(">u2")),
        "little": saved(Image.fromarray(grey), "TIFF"),
        "little, compressed": saved(Image.fromarray(grey), "TIFF", compression="tiff_adobe_deflate"),
        "big": saved(big, "TIFF"),
        "big, compressed": saved(big, "TIFF", compression="tiff_lzw"),
        "pgm": b"P5 256 256 65535\n" + grey.astype(">u2").tobytes(),
        "32 bits": saved(Image.fromarray(grey.astype(np.int32)), "TIFF"),
        "jpeg 2000": saved(Image.fromarray(grey), "JPEG2000"),
    }
    for name, data in files.items():
        for channel in np.moveaxis(values(decode_picture(data)), 2, 0):
            assert np.array_equal(channel, expected), name
    white_is_zero = tiff(256, 256, 16, 0, 1, grey.tobytes())
    assert np.array_equal(values(decode_picture(white_is_zero))[..., 0], 255 - expected)


def test_sixteen_bit_colour_is_never_clipped() -> None:
    colour = noise(64, 64, 3, dtype=np.uint16)
    found = values(decode_picture(png(16, 2, colour.astype(">u2"))))
    assert np.abs(found - colour / 257).max() <= 1
    colour = noise(64, 64, 4, dtype=np.uint16)
    alpha = colour[..., 3:] / 65535
    found = values(decode_picture(png(16, 6, colour.astype(">u2"))))
    assert np.abs(found - (colour[..., :3] / 257 * alpha + 255 * (1 - alpha))).max() <= 2


def test_twelve_bit_grey_has_its_own_range() -> None:
    grey = np.arange(4096).reshape(64, 64)
    first, second = grey.reshape(-1, 2).T
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8)
    found = values(decode_picture(tiff(64, 64, 12, 1, 1, packed.tobytes())))
    assert np.array_equal(found[..., 0], np.rint(grey * (255 / 4095)))


def test_decimal_numbers_are_read_from_0_to_1_only() -> None:
    grey = np.linspace(0, 1, 4096, dtype=np.float32).reshape(64, 64)
    for photometric in (0, 1):
        found = values(decode_picture(tiff(64, 64, 32, photometric, 3, grey.tobytes())))[..., 0]
        assert np.abs(found - 255 * (grey if photometric else 1 - grey)).max() <= 0.51
    for wrong in (1.5, -0.1, np.nan, np.inf):
        bad = grey.copy()
        bad[3, 3] = wrong
        assert reason(tiff(64, 64, 32, 1, 3, bad.tobytes())).startswith("decimal numbers from")
    assert "only 0 to 65535" in reason(saved(Image.fromarray(np.full((4, 4), 70000, np.int32)), "TIFF"))


def test_transparency_lies_over_white() -> None:
    rgba = noise(40, 40, 4)
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(values(decode_picture(png(8, 6, rgba))) - expected).max() <= 0.51
    pair = noise(40, 40, 2)
    alpha = pair[..., 1] / 255
    expected = pair[..., 0] * alpha + 255 * (1 - alpha)
    assert np.abs(values(decode_picture(png(8, 4, pair)))[..., 0] - expected).max() <= 0.51
    data = bytearray(saved(Image.frombytes("LA", (40, 40), pair.tobytes()), "TIFF"))
    extra = data.index(struct.pack("<HHI", 338, 3, 1))
    data[extra + 8] = 1  # associated alpha: the greys are already multiplied
    faint = pair[..., 0] > pair[..., 1]  # not possible for such a picture
    gap = values(decode_picture(bytes(data)))[..., 0] - (pair[..., 0] + 255.0 - pair[..., 1])
    assert np.abs(gap[~faint]).max() <= 2
    premultiplied = Image.fromarray(rgba).convert("RGBa")
    data = bytearray(saved(Image.frombytes("RGBA", (40, 40), premultiplied.tobytes()), "TIFF"))
    extra = data.index(struct.pack("<HHI", 338, 3, 1))
    data[extra + 8] = 1  # associated alpha: the colours are already multiplied
    gap = np.abs(values(decode_picture(bytes(data))) - values(decode_picture(png(8, 6, rgba))))
    assert gap[rgba[..., 3] > 0].max() <= 2


def test_one_colour_of_a_png_can_be_transparent() -> None:
    for bits, kind, seen in ((8, np.uint8, 1), (16, np.uint16, 257)):
        colour = noise(16, 16, 3, dtype=kind)
        key = chunk(b"tRNS", colour[2, 3].astype(">u2").tobytes())
        found = values(decode_picture(png(bits, 2, colour.astype(kind().dtype.newbyteorder(">")), key)))
        assert found[2, 3].tolist() == [255, 255, 255]
        found[2, 3] = colour[2, 3] / seen
        assert np.abs(found - colour / seen).max() <= 1
        grey = colour[..., 0]
        key = chunk(b"tRNS", struct.pack(">H", grey[5, 5]))
        found = values(decode_picture(png(bits, 0, grey.astype(kind().dtype.newbyteorder(">")), key)))[..., 0]
        assert np.array_equal(found, np.where(grey == grey[5, 5], 255, np.rint(grey / seen)))


def test_print_colours_by_arithmetic() -> None:
    inks = noise(30, 30, 4).astype(int)
    expected = (255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255
    data = saved(Image.frombytes("CMYK", (30, 30), inks.astype(np.uint8).tobytes()), "TIFF")
    assert np.abs(values(decode_picture(data)) - expected).max() <= 1


def test_plain_pictures_are_pillows_own_pixels() -> None:
    image = Image.fromarray(noise(7, 12, 3)).resize((96, 56))
    for form in ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "PPM", "JPEG2000"):
        data = saved(image, form)
        with Image.open(io.BytesIO(data)) as opened:
            assert np.array_equal(values(decode_picture(data)), values(opened.convert("RGB"))), form


@pytest.mark.skipif(DATA is None, reason="LENSMITH_DATA is not set")
def test_real_photographs_are_pillows_own_pixels() -> None:
    paths = sorted(Path(str(DATA)).glob("ants-bees/validation/*/*.jpg"))[::8]
    assert len(paths) > 15
    for path in paths:
        with Image.open(path) as opened:
            expected = ImageOps.exif_transpose(opened).convert("RGB")
        assert np.array_equal(values(read_picture(path)), values(expected))
        assert picture_size(path) == expected.size


# ---- small things


def test_what_a_file_looks_like_is_said_in_words() -> None:
    assert reason(b"") == "the file is empty"
    assert reason(b"%PDF-1.7 ...") == "not a picture (a PDF document)"
    assert reason(b"PK\x03\x04" + bytes(20)) == "not a picture (a zip file)"
    assert reason(b"\0\0\0\x20ftypisom\0\0\2\0") == "not a picture (a film or a sound)"
    assert (
        reason("grüße aus dem Süden der Stadt ".encode() * 9)
        == "not a picture (the text begins with 'grüße aus dem Süden')"
    )
    assert reason(("a" + "ü" * 99).encode()) == f"not a picture (the text begins with 'a{'ü' * 19}')"  # cut in a letter
    assert reason(b"\xff\xfe\xfd\xfc\xfb") == "not a picture (it begins with the bytes ff fe fd fc)"
    assert (
        reason(b"BMW is no bitmap, and this is no picture")
        == "not a picture (the text begins with 'BMW is no bitmap, an')"
    )


def test_heic_without_the_plug_in_says_how_to_get_it(folder: Path, awkward: tuple[Awkward, ...]) -> None:
    heic = next(picture for picture in awkward if picture.name == "scene.heic")
    if heic.outcome == "read":
        pytest.skip("the HEIC plug-in is installed")
    for read in (read_picture, picture_size):
        with pytest.raises(Unreadable, match=r'pip install "lensmith\[heic\]"'):
            read(folder / heic.name)


def test_the_policy_is_fit_for_a_file_name() -> None:
    assert re.fullmatch(r"[\w.+-]{5,60}", decode.policy())
    assert f"rules{decode.RULES}" in decode.policy() and Image.__version__ in decode.policy()


def test_every_format_has_a_suffix_and_a_reader() -> None:
    import importlib

    for kind in FORMATS:
        if kind.module != "pillow_heif":
            assert hasattr(importlib.import_module(kind.module), kind.reader)
