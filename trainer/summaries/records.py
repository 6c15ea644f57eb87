"""Reads the records of event files, which are TFRecord files. No TensorFlow, whose import takes seconds."""

import pathlib
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

PATTERN = "events.out.tfevents.*"  # of the names of event files
_HEADER = struct.Struct("<QI")  # the number of bytes, and its checksum
_CHECKSUM = struct.Struct("<I")  # of the bytes, which are before it
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, reflected


class DamagedError(Exception):
    """A record whose bytes are not those that were written."""


class Record(NamedTuple):
    """The bytes of a record, and their checksum."""

    content: bytes
    checksum: int

    def verify(self) -> None:
        """Raises `DamagedError` if the checksum is wrong. Takes 0.1 s per MB."""
        _verify(self.content, self.checksum)


def read(path: pathlib.Path) -> Iterator[Record]:
    """Yields the records of a file. A torn last record, which is still being written, or of a killed run, is left out.

    Raises:
      DamagedError: the length of a record is damaged, so that the rest of the file cannot be read.
    """
    with path.open("rb") as file:
        while (record := _next(file)) is not None:
            yield record


def _next(file: BinaryIO) -> Record | None:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    length, checksum = _HEADER.unpack(header)
    _verify(header[:8], checksum)
    rest = file.read(length + _CHECKSUM.size)
    if len(rest) < length + _CHECKSUM.size:
        return None
    return Record(rest[:length], *_CHECKSUM.unpack_from(rest, length))


def _verify(content: bytes, checksum: int) -> None:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    rotated = crc >> 15 | (crc << 17) & 0xFFFFFFFF  # Stored in this form, so that a CRC of a CRC is not 0.
    if checksum != (rotated + 0xA282EAD8) & 0xFFFFFFFF:
        raise DamagedError


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = [_remainder(byte) for byte in range(256)]
