"""What the decoder does with files that are no files, too large, cut off, or broken in 2,000 ways."""

from __future__ import annotations

import io
import os
import pickle
import struct
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from PIL import Image

from lensmith.data.awkward import Awkward, scene, write_awkward
from lensmith.data.decode import Unreadable, decode_picture, picture_bytes, picture_size, read_picture
from lensmith.data.formats import ends_early, format_of
from lensmith.reproduce import generator
from sample_pictures import chunk, noise, reason, saved, without_rights

CORRUPTIONS = 2000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("awkward")


@pytest.fixture(scope="module")
def awkward(folder: Path) -> tuple[Awkward, ...]:
    return write_awkward(folder)


# ---- what the file system can do


def test_what_is_no_ordinary_file(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "round.jpg").symlink_to(tmp_path / "round.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    large = tmp_path / "large.jpg"
    large.touch()
    os.truncate(large, 3_000_000_000)
    expected = {
        "folder.jpg": "a folder, not a picture",
        "nowhere.jpg": "a link to nothing",
        "missing.jpg": "no such file",
        "pipe.jpg": "not an ordinary file",
        "large.jpg": "3.0 GB: more than the 2 GB allowed",
        "round.jpg": "cannot be read (Too many levels of symbolic links)",
    }
    for name, why in expected.items():
        for read in (read_picture, picture_bytes, picture_size):
            with pytest.raises(Unreadable) as raised:
                read(tmp_path / name)
            assert raised.value.reason == why


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of this kind are POSIX")
def test_a_file_that_may_not_be_read() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        path.write_bytes(saved(scene(), "PNG"))
        Path(folder).chmod(0o755)
        with without_rights():
            if os.geteuid() != path.stat().st_uid:
                assert read_picture(path).size == (96, 64)
        path.chmod(0)
        with without_rights(), pytest.raises(Unreadable, match=r"may not be read \(permission denied\)"):
            read_picture(path)


# ---- size


@pytest.mark.parametrize(
    ("width", "height", "why"),
    [
        (20_000, 10_001, "20000 x 10001 pixels: more than the 200 million allowed"),
        (2**31 - 1, 2**31 - 1, "2147483647 x 2147483647 pixels: more than the 200 million allowed"),
        (1, 1, "1 x 1 pixels: too small to show anything"),
        (1, 500, "1 x 500 pixels: too small to show anything"),
    ],
)
def test_size_is_refused_from_the_header(width: int, height: int, why: str, tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    for read in (read_picture, picture_size):
        with pytest.raises(Unreadable) as raised:
            read(path)
        assert raised.value.reason == why


def test_the_limit_on_size_is_ours_and_not_pillows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.png"  # 199.9 million pixels; Pillow warns from 89 and raises from 179
    header = struct.pack(">IIBBBBB", 19_990, 10_000, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    assert picture_size(path) == (19_990, 10_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decode_picture(saved(scene(), "PNG")).size == (96, 64)
    assert reason(saved(scene(), "WEBP")) == "more pixels than a WebP may have"


# ---- broken files


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "PPM", "JPEG2000"])
def test_a_file_that_ends_early_is_refused(form: str) -> None:
    image = Image.fromarray(noise(48, 48, 3))
    for options in ({}, {"compression": "tiff_lzw"}) if form == "TIFF" else ({},):
        data = saved(image, form, **options)
        for share in (0.3, 0.6, 0.9):
            assert reason(data[: int(share * len(data))]) == "cut off in the middle"
    assert reason(data[:2]).startswith(("cut off", "not a picture", "this"))


def test_2000_corruptions_give_a_picture_or_a_reason(
    folder: Path, awkward: tuple[Awkward, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    bases = [(folder / picture.name).read_bytes() for picture in awkward if picture.outcome == "read"]
    small = scene().resize((12, 8))
    bases += [
        saved(small, form) for form in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "DIB", "PPM", "JPEG2000", "AVIF")
    ]
    read, slowest = 0, 0.0
    for number in range(CORRUPTIONS):
        data = corrupted(bases[number % len(bases)], number)
        start = time.perf_counter()
        try:
            image = decode_picture(data)
        except Unreadable as unreadable:
            assert unreadable.reason and len(unreadable.reason) < 120 and unreadable.reason.isprintable()
        else:
            assert image.mode == "RGB" and min(image.size) >= 2
            read += 1
        slowest = max(slowest, time.perf_counter() - start)
    assert 0.1 < read / CORRUPTIONS < 0.9  # the damage is neither too little nor too much to say anything
    assert slowest < 5
    assert capfd.readouterr().out == ""


def test_a_box_of_impossible_length_is_no_trouble() -> None:
    data = saved(scene(), "AVIF")
    start = data.index(b"meta") - 4
    for length in (2**63, 2**64 - 1):
        box = struct.pack(">I4sQ", 1, b"meta", length)
        damaged = data[:start] + box + data[start + 8 :]
        assert reason(damaged) == "cut off in the middle"
        kind = format_of(damaged)
        assert kind is not None and ends_early(kind, io.BytesIO(damaged))


def corrupted(data: bytes, number: int) -> bytes:
    """Change a few bytes, often in the header; or end early; or take a piece out; or double one."""
    random = generator(1, "corruption", number)
    damaged = bytearray(data)
    first, last = sorted(random.integers(0, len(damaged), 2))
    match int(random.integers(6)):
        case 0:
            return bytes(damaged[: last + 1])
        case 1:
            del damaged[first:last]
        case 2:
            damaged[first:first] = damaged[first:last]
        case way:
            end = len(damaged) if way == 3 else min(len(damaged), 200)
            for place in random.integers(0, end, int(random.integers(1, 6))):
                damaged[place] = random.choice([0, 1, 127, 128, 255, int(random.integers(256))])
    return bytes(damaged)


def test_a_broken_exif_block_never_costs_the_picture() -> None:
    exif = Image.Exif()
    exif[274], exif[271], exif[282], exif[296] = 6, "a maker", 72.0, 2
    data = saved(scene(), "JPEG", exif=exif)
    start = data.index(b"Exif\0\0")
    for number in range(200):
        random = generator(2, "exif", number)
        damaged = bytearray(data)
        for place in random.integers(start + 6, start + 6 + len(exif.tobytes()) - 6, 5):
            damaged[place] = int(random.integers(256))
        assert sorted(decode_picture(bytes(damaged)).size) == [64, 96]


# ---- warnings and threads


def test_warnings_of_pillow_neither_leak_nor_decide(folder: Path, awkward: tuple[Awkward, ...]) -> None:
    broken = (folder / "broken-exif.jpg").read_bytes()
    with pytest.warns(UserWarning, match="EXIF"), Image.open(io.BytesIO(broken)) as opened:
        opened.getexif()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert decode_picture(broken).size == (96, 64)
    assert caught == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_picture(broken).size == (96, 64)
        with pytest.raises(UserWarning, match="of somebody else"):
            warnings.warn("of somebody else", stacklevel=1)


def test_filters_can_still_be_sent_to_other_processes() -> None:
    decode_picture(saved(scene(), "PNG"))
    assert len(pickle.loads(pickle.dumps(warnings.filters))) == len(warnings.filters)


def test_many_threads_read_what_one_reads(folder: Path, awkward: tuple[Awkward, ...]) -> None:
    def outcome(name: str) -> bytes | str:
        try:
            return read_picture(folder / name).tobytes()
        except Unreadable as unreadable:
            return unreadable.reason

    names = [picture.name for picture in awkward] * 6
    alone = {name: outcome(name) for name in set(names)}
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(outcome, names)) == [alone[name] for name in names]
