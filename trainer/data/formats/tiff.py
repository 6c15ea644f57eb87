"""Checks TIFF files before Pillow opens them. Their tags could fill the memory, and Pillow misreads some kinds."""

import contextlib
import dataclasses
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, NamedTuple

from trainer.data.formats.bad_image import BadImage

# The second and third are wrong, but Pillow opens them.
HEADERS = (b"II*\0", b"II\0*", b"MM*\0", b"MM\0*", b"II+\0", b"MM\0+")
BIG = 43  # the version of BigTIFF, whose offsets have 64 bits
MAX_TAGS = 1_000  # in one directory
MAX_NUMBERS = 1 << 21  # in all tags. An image of 64 million pixels in tiles of 16 x 16 has 500,000.
MAX_TAG_BYTES = 128 << 20  # in all tags, such as color profiles
MAX_TILE_PIXELS = 64_000_000
MAX_VALUES = 8  # that are read of a tag
MAX_CHANNELS = 6  # with more, Pillow logs an error of its own
MAX_MESSAGE = 200  # characters of a message of libtiff
BYTES = (1, 2, 7)  # types of tags that are not decoded to numbers
INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q"}  # types of tags that hold integers
BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, TILE_WIDTH, TILE_LENGTH = 258, 259, 262, 277, 284, 322, 323
SAMPLE_FORMAT, EXIF, GPS, INTEROPERABILITY = 339, 34665, 34853, 40965
READ = {BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, TILE_WIDTH, TILE_LENGTH, SAMPLE_FORMAT}
READ |= {EXIF, GPS, INTEROPERABILITY}
WHITE_IS_ZERO, RGB, SEPARATED = 0, 2, 5  # values of PHOTOMETRIC; separated: CMYK
UNSIGNED, SIGNED, FLOAT = 1, 2, 3  # values of SAMPLE_FORMAT
PLANES, UNCOMPRESSED = 2, 1
COMPRESSIONS = {6: "old JPEG", 34712: "JPEG 2000", 34887: "LERC", 34933: "PNG", 50001: "WebP", 50002: "JPEG XL"}
ACCEPTED = "save it as interleaved gray, RGB or RGBA of 8 or 16 bits per channel, without compression"


class _Entry(NamedTuple):
    """A tag in a directory: its number, its type, the number of its values, and the values or their offset."""

    tag: int
    kind: int
    length: int
    content: bytes


@dataclasses.dataclass(frozen=True)
class Page:
    """The tags of the first page that decide how it is decoded.

    Attributes:
      tags: the first values of the tags in `READ`.
      order: byte order, "<" or ">".
      is_big: True for a BigTIFF.
    """

    tags: Mapping[int, Sequence[int]]
    order: str
    is_big: bool

    def tag(self, number: int, default: int) -> int:
        """Returns the largest value of a tag."""
        return max(self.tags.get(number, ()), default=default)

    @property
    def description(self) -> str:
        """The channels and the compression of the page: "3 channels of 32-bit floats, compression LERC"."""
        count, bits, kind = self.tag(SAMPLES, 1), self.tag(BITS, 1), self.tag(SAMPLE_FORMAT, UNSIGNED)
        compression = self.tag(COMPRESSION, UNCOMPRESSED)
        numbers = {SIGNED: "signed integers", FLOAT: "floats"}.get(kind, "integers")
        parts = [f"{count} channel{'s' if count != 1 else ''} of {bits}-bit {numbers}"]
        parts += ["CMYK"] * (self.tag(PHOTOMETRIC, 1) == SEPARATED)
        parts += ["white is zero"] * (self.tag(PHOTOMETRIC, 1) == WHITE_IS_ZERO)
        parts += ["one plane for each channel"] * self.has_planes
        parts += ["big-endian" + " BigTIFF" * self.is_big] * (self.order == ">")
        if compression != UNCOMPRESSED:
            parts.append(f"compression {COMPRESSIONS.get(compression, compression)}")
        return ", ".join(parts)

    @property
    def is_misread(self) -> bool:
        """True if Pillow would decode other values than those in the file, or keep only their upper 8 bits."""
        bits, kind, photometric = self.tag(BITS, 1), self.tag(SAMPLE_FORMAT, UNSIGNED), self.tag(PHOTOMETRIC, 1)
        is_plain = kind == UNSIGNED and bits <= 16
        is_swapped = self.order == ">" and self.tag(COMPRESSION, UNCOMPRESSED) != UNCOMPRESSED
        return (
            self.tag(SAMPLES, 1) > MAX_CHANNELS
            or (self.is_big and self.order == ">")
            or (bits == 8 and kind == SIGNED)
            or (bits > 8 and photometric == SEPARATED)
            or (self.has_planes and (bits > 8 or (photometric != RGB and self.tag(SAMPLES, 1) > 1)))
            or (not is_plain and (is_swapped or photometric == WHITE_IS_ZERO))
        )

    @property
    def has_planes(self) -> bool:
        """True if each channel is stored by itself."""
        return self.tag(PLANAR, 1) == PLANES

    @property
    def problem(self) -> BadImage:
        """The exception for a page that cannot be decoded."""
        return BadImage("is a TIFF file of a kind that is not read", f"{self.description}; {ACCEPTED}")


@contextlib.contextmanager
def messages() -> Iterator[list[str]]:
    """Collects the lines that libtiff prints to stderr within a `with` block; the list has them afterwards.

    What other threads print meanwhile, such as a progress bar, is lost.
    """
    lines: list[str] = []
    try:
        terminal = os.dup(2)
    except OSError:  # There is no stderr.
        yield lines
        return
    with tempfile.TemporaryFile() as file, open(terminal, "wb"):
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(terminal, 2)
            file.seek(0)
            text = file.read(MAX_MESSAGE).decode(errors="replace")
            lines += [line.removeprefix("tempfile.tif: ") for line in text.splitlines()]


def first_page(file: IO[bytes]) -> Page | None:
    """Reads the tags of the first page, without their values; returns None if the file is no TIFF file.

    Raises:
      BadImage: the file is cut, has too many or too large tags, or a page that Pillow would not decode rightly.
    """
    file.seek(0)
    header = file.read(16)
    if header[:4] not in HEADERS:
        return None
    order, is_big = "<" if header[:2] == b"II" else ">", BIG in header[2:4]
    try:
        (offset,) = struct.unpack(order + "Q", header[8:]) if is_big else struct.unpack(order + "I", header[4:8])
        entries = _entries(file, offset, order, is_big=is_big)
        page = Page(_integers(file, entries, order), order, is_big)
        entries += _metadata(file, page, (EXIF, GPS))
    except struct.error as error:
        raise BadImage("cannot be decoded", "the file ends before the tags of its first page") from error
    _check_size(page, entries)
    if page.is_misread:
        raise page.problem
    return page


def _entries(file: IO[bytes], offset: int, order: str, *, is_big: bool) -> list[_Entry]:
    """Reads the directory at an offset. Raises `struct.error` if the file ends before the end of the directory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(min(offset, size))
    head, form = ("Q", "HHQ8s") if is_big else ("H", "HHI4s")
    (count,) = struct.unpack(order + head, file.read(struct.calcsize(order + head)))
    if count > MAX_TAGS:
        raise BadImage("has too many tags", f"{count:,}; at most {MAX_TAGS:,} are allowed")
    length = struct.calcsize(order + form)
    return [_Entry(*struct.unpack(order + form, file.read(length))) for _ in range(count)]


def _metadata(file: IO[bytes], page: Page, tags: Sequence[int]) -> list[_Entry]:
    """Reads the directories that these tags point to; Pillow loads all of them."""
    result = []
    for tag in tags:
        if tag in page.tags:
            entries = _entries(file, page.tag(tag, 0), page.order, is_big=page.is_big)
            inner = dataclasses.replace(page, tags=_integers(file, entries, page.order))
            result += entries + _metadata(file, inner, (INTEROPERABILITY,) if tag == EXIF else ())
    return result


def _integers(file: IO[bytes], entries: Sequence[_Entry], order: str) -> dict[int, tuple[int, ...]]:
    """Returns the first values of the tags in `READ`; values beyond the end of the file are left out."""
    result: dict[int, tuple[int, ...]] = {}
    for tag, kind, length, content in entries:
        if tag not in READ:
            continue
        if tag in result or kind not in INTEGERS:  # Readers differ in what such tags mean.
            raise BadImage("cannot be decoded", f"its tag {tag} is there twice, or has the type {kind}")
        size, shown = struct.calcsize(order + INTEGERS[kind]), min(length, MAX_VALUES)
        if length * size > len(content):
            offset = int.from_bytes(content, "little" if order == "<" else "big")
            file.seek(min(offset, file.seek(0, os.SEEK_END)))
            content = file.read(shown * size)
        shown = min(shown, len(content) // size)
        result[tag] = struct.unpack(f"{order}{shown}{INTEGERS[kind]}", content[: shown * size])
    return result


def _check_size(page: Page, entries: Sequence[_Entry]) -> None:
    num_bytes = sum(entry.length for entry in entries if entry.kind in BYTES)
    num_numbers = sum(entry.length for entry in entries if entry.kind not in BYTES)
    if num_bytes > MAX_TAG_BYTES or num_numbers > MAX_NUMBERS:
        limits = f"at most {MAX_TAG_BYTES:,} and {MAX_NUMBERS:,} are allowed"
        raise BadImage("has too large tags", f"{num_bytes:,} bytes and {num_numbers:,} numbers; {limits}")
    width, length = page.tag(TILE_WIDTH, 0), page.tag(TILE_LENGTH, 0)
    if width * length > MAX_TILE_PIXELS:
        raise BadImage("is too large", f"tiles of {width:,} x {length:,}; at most {MAX_TILE_PIXELS:,} pixels")
