"""Small files of pictures, and what the decoder says against them, for the tests."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from lensmith.data.decode import Unreadable, decode_picture
from lensmith.reproduce import generator


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return generator(0, "noise", *shape).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def reason(data: bytes) -> str:
    with pytest.raises(Unreadable) as raised:
        decode_picture(data)
    return raised.value.reason


@contextmanager
def without_rights() -> Iterator[None]:
    """Permissions do not bind the superuser, so put its rights down for a while."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(mine)
