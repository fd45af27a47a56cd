"""From the bytes of a file to the square that networks see: JPEGs decoded smaller, and everything else as it was."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lensmith.data import decode
from lensmith.data.awkward import ORIENTATION, write_awkward
from lensmith.data.decode import Unreadable, decode_picture, decode_reduced, picture_size
from lensmith.data.preprocess import FILTERS, Preprocessing, Resize, read_square, to_square
from lensmith.data.read import READ_AHEAD, Files, read_pictures
from lensmith.data.store import Store
from lensmith.reproduce import cores, generator
from sample_pictures import saved

OPEN = Preprocessing(224, (0, 0, 0), (1, 1, 1), crop=0.875)
AVERAGING = [name for name in FILTERS if name != "nearest"]
MEAN, NEARLY_ALL = 2.5, 16  # the promise of docs/pictures.md, of 255


def leaves(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return discs of all sizes over one another, and grain: edges and detail as photographs have, down to a pixel."""
    random = generator(seed, "leaves")
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    for radius in sorted(1.5 / random.random(3000), reverse=True):  # as many as the square of their size is small
        x, y = random.random(2) * (width, height)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), tuple(random.integers(30, 226, 3).tolist()))
    grain = np.asarray(image) + random.normal(0, 6, (height, width, 1))
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))


def waves(width: int, height: int) -> Image.Image:
    """Return slow waves, of which no half is like the other: blur does nothing to them, a shift by a pixel 4 levels."""
    y, x = np.mgrid[0:height, 0:width]
    bands = [np.sin(37 * x / width), np.sin(31 * y / height), np.sin(23 * (x / width + y / height))]
    return Image.fromarray(np.rint(128 + 110 * np.stack(bands, -1)).astype(np.uint8))


def reference(data: bytes, preprocessing: Preprocessing) -> np.ndarray:
    return to_square(decode_picture(data), preprocessing)


def distance(data: bytes, preprocessing: Preprocessing) -> np.ndarray:
    pixels, size = read_square(data, preprocessing)
    assert size == decode_picture(data).size
    return np.abs(pixels.astype(int) - reference(data, preprocessing))


def test_how_much_smaller() -> None:
    """Twice 224 pixels must be left of 0.875 of the short side, of the short side, of the long side."""
    assert [OPEN.reduction(size) for size in ((533, 400), (1600, 1200), (4000, 3000), (16000, 9000))] == [1, 2, 4, 8]
    assert [OPEN.reduction((side, 9999)) for side in (1023, 1024, 2047, 2048, 4095, 4096)] == [1, 2, 2, 4, 4, 8]
    squashed, padded = replace(OPEN, resize="squash"), replace(OPEN, resize="pad")
    assert [squashed.reduction((9999, side)) for side in (895, 896)] == [1, 2]
    assert [padded.reduction((side, 100)) for side in (895, 896)] == [1, 2]
    assert replace(OPEN, interpolation="nearest").reduction((9999, 9999)) == 1


@pytest.mark.parametrize("by", [2, 4, 8])
@pytest.mark.parametrize("interpolation", AVERAGING)
def test_the_promised_distance(by: int, interpolation: str) -> None:
    """Sizes that leave just twice the square, the least that is ever left."""
    for seed, subsampling in enumerate((0, 2)):
        data = saved(leaves(1031, 803, seed), "JPEG", quality=92, subsampling=subsampling)
        preprocessing = replace(OPEN, image_size=int(803 * 0.875 / 2 / by), interpolation=interpolation)
        assert preprocessing.reduction((1031, 803)) == by
        gaps = distance(data, preprocessing)
        assert 0.2 < gaps.mean() <= MEAN
        assert np.quantile(gaps, 0.999) <= NEARLY_ALL


@pytest.mark.parametrize("resize", get_args(Resize))
def test_nothing_moves(resize: Resize) -> None:
    """Sides that no reduction divides, turned and mirrored in all ways: a column too many would shift the waves."""
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        data = saved(waves(1003, 805), "JPEG", quality=97, subsampling=0, exif=exif.tobytes())
        for size in (40, 80, 160):
            preprocessing = replace(OPEN, image_size=size, resize=resize)
            assert preprocessing.reduction((1003, 805)) > 1
            assert distance(data, preprocessing).max() <= 4, (orientation, size)


@pytest.mark.parametrize("width", [1601, 1604, 1607, 1608])
def test_a_reduced_pixel_is_the_mean_of_a_block(width: int) -> None:
    data = saved(waves(width, 803), "JPEG", quality=97, subsampling=0)
    whole = decode_picture(data)
    for by in (2, 4, 8):
        found = decode_reduced(data, lambda size, by=by: by)
        assert found.size == (width, 803)
        assert found.image.size == (-(-width // by), -(-803 // by))
        assert found.place == (0, 0, width / by, 803 / by)
        means = np.asarray(whole.reduce(by).convert("RGB")).astype(int)[: 803 // by, : width // by]
        assert np.abs(np.asarray(found.image)[: 803 // by, : width // by] - means).max() <= 2


def test_colours_coarser_in_one_direction_are_reduced_less() -> None:
    picture = leaves(640, 480)
    for subsampling, widths in ((0, [320, 160, 80]), (1, [640, 320, 160]), (2, [320, 160, 80])):
        data = saved(picture, "JPEG", subsampling=subsampling)
        assert [decode_reduced(data, lambda size, by=by: by).image.width for by in (2, 4, 8)] == widths
        for sampling in (b"\x00", b"\x01", b"\x10"):  # one that no decoder takes
            broken = data.replace(b"\x02\x11\x01\x03\x11\x01", b"\x02" + sampling + b"\x01\x03\x11\x01")
            found = {outcome(broken, by) for by in decode.REDUCTIONS}
            assert broken != data and len(found) == 1 and "cannot be decoded" in found.pop()


def test_every_kind_of_jpeg(tmp_path: Path) -> None:
    scene = leaves(640, 480)
    kinds = {
        "progressive": saved(scene, "JPEG", progressive=True),
        "grey": saved(scene.convert("L"), "JPEG"),
        "print colours": saved(scene.convert("CMYK"), "JPEG"),
        "half the colours across": saved(scene, "JPEG", subsampling=1),
        "two pictures": saved(scene, "MPO", save_all=True, append_images=[Image.new("RGB", (320, 240))]),
        "restart marks": saved(scene, "JPEG", restart_marker_rows=1),
    }
    small = replace(OPEN, image_size=48)
    for kind, data in kinds.items():
        gaps = distance(data, small)
        assert 0 < gaps.mean() <= MEAN and np.quantile(gaps, 0.999) <= NEARLY_ALL, kind
        (tmp_path / "file").write_bytes(data)
        assert picture_size(tmp_path / "file") == (640, 480)


def test_whatever_is_not_reduced_has_the_pixels_it_had(tmp_path: Path) -> None:
    """Every awkward file, read whole, then with a square so small that the JPEGs among them are reduced."""
    for resize in get_args(Resize):
        whole = Preprocessing(40, (0, 0, 0), (1, 1, 1), resize=resize)
        small = replace(whole, image_size=6)
        for picture in write_awkward(tmp_path / resize):
            data = (tmp_path / resize / picture.name).read_bytes()
            if picture.outcome == "left out":
                for preprocessing in (whole, small):
                    with pytest.raises(Unreadable) as raised:
                        read_square(data, preprocessing)
                    assert raised.value.reason == picture.why
                continue
            if resize != "pad":
                assert whole.reduction((96, 64)) == 1
                assert np.array_equal(read_square(data, whole)[0], reference(data, whole)), picture.name
            gaps = distance(data, small)
            assert gaps.max() <= (8 if data[:2] == b"\xff\xd8" else 0), picture.name


def test_damage_is_found_whatever_the_reduction() -> None:
    """Cut anywhere, or a byte changed anywhere: left out for the same reason, or read."""
    random = generator(0, "damage")
    for options in ({}, {"progressive": True}):
        sound = saved(leaves(160, 120), "JPEG", **options)
        broken = [sound[:length] for length in random.integers(2, len(sound), 40)]
        for place, value in zip(random.integers(2, len(sound), 80), random.integers(0, 256, 80), strict=True):
            broken.append(sound[:place] + bytes([value]) + sound[place + 1 :])
        outcomes = [[outcome(data, by) for by in decode.REDUCTIONS] for data in broken]
        assert all(len(set(found)) == 1 for found in outcomes)
        assert {found[0] for found in outcomes} >= {"(160, 120)", "cut off in the middle"}


def outcome(data: bytes, by: int) -> str:
    try:
        return str(decode_reduced(data, lambda size: by).size)
    except Unreadable as unreadable:
        return unreadable.reason


def test_what_decides_the_pixels_is_in_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {replace(OPEN, image_size=size).geometry for size in (160, 224)} | {OPEN.geometry}
    assert len(names) == 2
    monkeypatch.setattr(decode, "RULES", decode.RULES + 1)
    assert OPEN.geometry not in names
    monkeypatch.undo()
    monkeypatch.setattr("lensmith.data.preprocess.SPARE", 3)
    assert OPEN.geometry not in names


def test_reading_lets_go_of_pixels(tmp_path: Path) -> None:
    """What was handed out is not kept, while sizes in full and hashes are written to the store."""
    for number in range(3):
        leaves(512, 384, number).save(tmp_path / f"{number}.jpg")
    paths = [f"{number % 3}.jpg" for number in range(cores() * READ_AHEAD + 9)]
    small = replace(OPEN, image_size=32)
    handed: list[weakref.ref[np.ndarray]] = []
    for picture in read_pictures(Files(tmp_path, paths, Store(tmp_path / "store")), small):
        assert picture.pixels is not None
        assert np.array_equal(picture.pixels, read_square((tmp_path / picture.record.path).read_bytes(), small)[0])
        handed.append(weakref.ref(picture.pixels))
        assert sum(pixels() is not None for pixels in handed) <= 2
    known = Files(tmp_path, paths, Store(tmp_path / "store")).recall("0.jpg")
    assert known is not None and (known.width, known.height, known.reason) == (512, 384, "")
