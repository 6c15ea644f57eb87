"""Bytes of files whose headers do not match their contents."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

from PIL import Image

MEGABYTE = 1 << 20


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    """Returns the header of an .npy file."""
    content = text.encode("latin-1")
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(content))
    return b"\x93NUMPY" + version + size + content


def described(descr: object = "|u1", shape: object = (4, 4, 4)) -> str:
    """Returns the text of the header of an .npy file."""
    return f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n"


def zipped(members: Mapping[str, bytes], change: Callable[[zipfile.ZipInfo], object] = bool) -> bytes:
    """Returns a zip archive; `change` is applied to each entry before it is written."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            change(info)
            archive.writestr(info, content)
    return file.getvalue()


def _deflated(first: bytes, megabytes: int) -> bytes:
    """Compresses `first` and zeros; the compressed block of one megabyte is repeated, which is fast."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(first) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * megabytes + packer.flush()


def zip_bomb(megabytes: int) -> bytes:
    """Returns an .npz file with one array of zeros."""
    size = megabytes * MEGABYTE
    first = header(described(shape=(size // 16, 4, 4)))
    packed, name, unpacked = _deflated(first, megabytes), b"data.npy", len(first) + size
    extra = struct.pack("<HHQQ", 1, 16, unpacked, len(packed))
    fields = (45, 0, 8, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra))
    local = struct.pack("<4s5H3L2H", b"PK\3\4", *fields) + name + extra + packed
    central = struct.pack("<4s6H3L5H2L", b"PK\1\2", 45, *fields, 0, 0, 0, 0, 0) + name + extra
    return local + central + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)


def gzip_bomb(megabytes: int) -> bytes:
    """Returns compressed zeros; the wrong checksum at the end is never reached."""
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + _deflated(b"", megabytes) + bytes(8)


def zeros(megabytes: int) -> bytes:
    """Returns zeros compressed by zlib, as in PNG, with a wrong checksum."""
    return b"\x78\xda" + _deflated(b"", megabytes) + bytes(4)


def crowd(count: int) -> bytes:
    """Returns a zip archive whose directory lists `count` members that do not exist."""
    name = b"%07d.npy"
    fields = (20, 20, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0)
    central = b"".join(struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields) + name % number for number in range(count))
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(central), 0)
    end += struct.pack("<4sLQL", b"PK\6\7", 0, len(central), 1)
    return central + end + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)


def large_dictionary() -> bytes:
    """Returns a zip archive with an LZMA member whose header requests a dictionary of 4 GB."""
    content = zipped({"data.npy": b"x" * 64}, lambda info: setattr(info, "compress_type", zipfile.ZIP_LZMA))
    start = content.index(b"data.npy") + len(b"data.npy") + 5  # after the version, the size, and the first property
    return content[:start] + b"\xff\xff\xff\xff" + content[start + 4 :]


def saved(kind: str, mode: str = "RGB", **options: object) -> bytes:
    """Returns a valid image of 8x8 pixels."""
    file = io.BytesIO()
    Image.new(mode, (8, 8)).save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """Returns a chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, color: int = 2, data: bytes = b"", before: bytes = b"") -> bytes:
    """Returns a PNG file with this size in its header, whatever its contents."""
    first = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0))
    pixels = chunk(b"IDAT", data or zlib.compress(bytes(1_000)))
    return b"\x89PNG\r\n\x1a\n" + first + before + pixels + chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    """Returns a JPEG file with this size in its header."""
    content = saved("JPEG")
    start = content.index(b"\xff\xc0") + 5
    return content[:start] + struct.pack(">HH", height, width) + content[start + 4 :]


def exif(directory: bytes) -> bytes:
    """Returns a JPEG file with this EXIF directory."""
    return saved("JPEG", exif=b"Exif\0\0" + b"II*\0\x08\0\0\0" + directory)
