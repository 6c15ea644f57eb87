"""Helpers for tests of inputs: pictures, and a check of refusals."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from trainer.data.inputs import reader

RANDOM = np.random.default_rng(0)


GREY, COLOUR, TABLE = (4, 6, 1), (4, 6, 3), (4,)


PIXELS = RANDOM.integers(0, 256, COLOUR, np.uint8)


ORIENTATION = 0x0112  # EXIF's tag


def png(*chunks):
    """A PNG file of (type, content), for what Pillow does not write."""
    packed = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed) + struct.pack(">I", 0) + b"IEND\xaeB`\x82"


def png_of_16_bits(values, kind, *more):
    height, width = values.shape[:2]
    scanlines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    return png(header, *more, (b"IDAT", zlib.compress(scanlines)))


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return str(path)


def refused(kind, text, shape):
    """The three lines at most with which it is refused."""
    with pytest.raises(kind) as error:
        reader.read(str(text), shape)
    lines = str(error.value).splitlines()
    assert len(lines) <= 3
    assert lines[-1].startswith("remedy: ")
    return str(error.value)
