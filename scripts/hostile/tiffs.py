"""TIFF files of kinds that Pillow does not write: 16-bit color, tiles, planes, big-endian, BigTIFF, wrong tags."""

import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

SHORT, LONG, LONG8, DOUBLE, BYTES = 3, 4, 16, 12, 7  # types of tags
FORMS = {SHORT: "H", LONG: "I", LONG8: "Q", DOUBLE: "d", BYTES: "B"}
UNCOMPRESSED, DEFLATE = 1, 8
Tags = Mapping[int, tuple[int, Sequence[float]]]  # type and values by number


def tiff(
    pixels: np.ndarray,
    *,
    order: str = "<",
    is_big: bool = False,
    side: int = 0,
    is_planar: bool = False,
    compression: int = UNCOMPRESSED,
    pages: int = 1,
    tags: Tags | None = None,
) -> bytes:
    """Returns a TIFF file.

    Args:
      pixels: [H, W] or [H, W, C] numbers: gray, gray with alpha, RGB or RGBA.
      order: byte order, "<" or ">".
      is_big: writes a BigTIFF.
      side: side of the tiles, a multiple of 16; 0: the file has one strip.
      is_planar: writes one plane for each channel.
      compression: `UNCOMPRESSED` or `DEFLATE`.
      pages: number of pages, all with the same pixels.
      tags: tags that replace the usual ones, or are added.
    """
    image = pixels.astype(pixels.dtype.newbyteorder(order)).reshape(*pixels.shape[:2], -1)
    height, width, channels = image.shape
    blocks = _blocks(image, side, is_planar)
    packed = [zlib.compress(block) if compression == DEFLATE else block for block in blocks]
    start = 16 if is_big else 8
    ends = np.cumsum([start, *map(len, packed)]).tolist()
    layout: dict[int, tuple[int, Sequence[float]]] = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [8 * image.dtype.itemsize] * channels),
        259: (SHORT, [compression]),
        262: (SHORT, [2 if channels > 2 else 1]),
        277: (SHORT, [channels]),
        284: (SHORT, [2 if is_planar else 1]),
        339: (SHORT, [{"u": 1, "i": 2, "f": 3}[image.dtype.kind]] * channels),
        **({338: (SHORT, [2])} if channels in (2, 4) else {}),
        **({322: (LONG, [side]), 323: (LONG, [side])} if side else {278: (LONG, [height])}),
        324 if side else 273: (LONG, ends[:-1]),
        325 if side else 279: (LONG, [len(block) for block in packed]),
        **(tags or {}),
    }
    magic = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if is_big else 42)
    header = magic + (struct.pack(f"{order}HHQ", 8, 0, ends[-1]) if is_big else struct.pack(f"{order}I", ends[-1]))
    content = header + b"".join(packed)
    for page in range(pages):
        content += directory(layout, len(content), order, is_big=is_big, is_last=page == pages - 1)
    return content


def _blocks(image: np.ndarray, side: int, is_planar: bool) -> list[bytes]:
    """Returns the bytes of the strips or tiles of [H, W, C] pixels."""
    planes = np.moveaxis(image, -1, 0)[..., np.newaxis] if is_planar else image[np.newaxis]
    if not side:
        return [plane.tobytes() for plane in planes]
    height, width = (-(-length // side) * side for length in image.shape[:2])
    wide = [np.pad(plane, [(0, height - len(plane)), (0, width - plane.shape[1]), (0, 0)]) for plane in planes]
    corners = [(top, left) for top in range(0, height, side) for left in range(0, width, side)]
    return [plane[top : top + side, left : left + side].tobytes() for plane in wide for top, left in corners]


def directory(tags: Tags, offset: int, order: str = "<", *, is_big: bool = False, is_last: bool = True) -> bytes:
    """Returns a directory of tags at an offset, with the values that do not fit into it, and a link to what follows."""
    head, form, room = ("Q", "HHQ", 8) if is_big else ("H", "HHI", 4)
    link = "Q" if is_big else "I"
    size = struct.calcsize(order + head) + len(tags) * (struct.calcsize(order + form) + room) + room
    entries, values = b"", b""
    for number, (kind, items) in sorted(tags.items()):
        content = struct.pack(f"{order}{len(items)}{FORMS[kind]}", *items)
        if len(content) > room:
            place = struct.pack(order + link, offset + size + len(values))
            values += content
        else:
            place = content.ljust(room, b"\0")
        entries += struct.pack(order + form, number, kind, len(items)) + place
    following = 0 if is_last else offset + size + len(values)
    return struct.pack(order + head, len(tags)) + entries + struct.pack(order + link, following) + values
