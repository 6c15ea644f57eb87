"""Helpers for tests of inputs: image files, and the messages of errors."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from trainer.data.inputs import reader

RANDOM = np.random.default_rng(0)
GRAY, COLOR, TABLE = (4, 6, 1), (4, 6, 3), (4,)  # shapes of examples
PIXELS = RANDOM.integers(0, 256, COLOR, np.uint8)
ORIENTATION = 0x0112  # EXIF tag


def png(*chunks):
    """Returns a PNG file with these chunks (type, content), for files that Pillow cannot write."""
    packed = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed) + struct.pack(">I", 0) + b"IEND\xaeB`\x82"


def png_of_16_bits(values, color_type, *more):
    height, width = values.shape[:2]
    scanlines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0))
    return png(header, *more, (b"IDAT", zlib.compress(scanlines)))


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return str(path)


def read_error(kind, text, shape):
    """Returns the message of the error that reading this input raises."""
    with pytest.raises(kind) as error:
        reader.read(str(text), shape)
    lines = str(error.value).splitlines()
    assert len(lines) <= 3
    assert lines[-1].startswith("remedy: ")
    return str(error.value)
