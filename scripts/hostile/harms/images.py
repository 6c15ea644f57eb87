"""Malicious images, and paths in a folder of images that are no regular files."""

import contextlib
import os
import pathlib
import socket
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator

import numpy as np

from hostile.crafted import chunk, exif, jpeg, png, saved, zeros, zipped
from hostile.harms.harm import GIGABYTES_10, Harm, Place, as_file, as_images, hollow, made
from hostile.tiffs import DEFLATE, DOUBLE, LONG, SHORT, tiff

PIXELS = np.zeros((8, 8), np.uint8)


def images() -> Iterator[Harm]:
    gif, bmp, webp = saved("GIF", "P"), saved("BMP"), saved("WEBP", lossless=True)
    entity = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>'
    rejected: dict[str, Callable[[], bytes]] = {
        "png: 60,000 x 60,000": lambda: png(60_000, 60_000),
        "png: 2**31 pixels wide": lambda: png((1 << 31) - 1, 1),
        "png: no pixels": lambda: png(0, 0),
        "png: 256 MB of text": lambda: png(8, 8, before=chunk(b"zTXt", b"x\0\0" + zeros(256))),
        "png: a color profile of 256 MB": lambda: png(8, 8, before=chunk(b"iCCP", b"x\0\0" + zeros(256))),
        "png: 256 MB of international text": lambda: png(8, 8, before=chunk(b"iTXt", b"x\0\1\0\0\0" + zeros(256))),
        "png: an empty palette": lambda: png(8, 8, color=3),
        "png: cut": lambda: saved("PNG")[:-40],
        "png: html": lambda: b"<html><body>404 not found</body></html>",
        "png: svg that reads a file": lambda: entity,
        "png: a language of ImageMagick": lambda: b"push graphic-context\nfill 'url(https://x/\"|touch ran\")'\n",
        "png: postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(ran) (w) file closefile\n",
        "png: a photoshop file": lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3),
        "png: a shell script": lambda: b"#!/bin/sh\ntouch ran\n",
        "png: an archive": lambda: zipped({"a": b"b"}),
        "gif: 65,535 x 65,535": lambda: gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "gif: only a header": lambda: gif[:13],
        "bmp: 2**31 x 2**31": lambda: bmp[:18] + struct.pack("<ii", (1 << 31) - 1, (1 << 31) - 1) + bmp[26:],
        "bmp: upside down by 2**31": lambda: bmp[:18] + struct.pack("<ii", 8, -(1 << 31)) + bmp[26:],
        "bmp: a palette of 2**31": lambda: bmp[:28] + b"\x08\0" + bmp[30:46] + struct.pack("<I", 1 << 31) + bmp[50:],
        "jpg: 65,500 x 65,500": lambda: jpeg(65_500, 65_500),
        "jpg: no pixels": lambda: jpeg(0, 0),
        "webp: cut": lambda: webp[:-4],
        "webp: 16,383 x 16,383": lambda: webp[:21] + b"\xff\xff\xff\x0f" + webp[25:],
        **_tiffs(),
    }
    skipped: dict[str, Callable[[], bytes]] = {
        "jpg: a loop in EXIF": lambda: exif(b"\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0"),
        "jpg: 2**32 entries in EXIF": lambda: exif(b"\1\0\x12\1\3\0\xff\xff\xff\xff\1\0\0\0"),
        "png: 256 MB instead of 192 bytes": lambda: png(8, 8, data=zeros(256)),
        "png: two billion frames": lambda: png(8, 8, before=chunk(b"acTL", struct.pack(">II", (1 << 31) - 1, 0))),
        "gif: 8x8 in the corner of 65,535 x 900": lambda: gif[:6] + struct.pack("<HH", 65_535, 900) + gif[10:],
        "png: a tiff": lambda: saved("TIFF"),
        "tif: a loop of pages": lambda: _looping(tiff(PIXELS, pages=2)),
        "tif: 256 MB instead of 64 bytes": lambda: _with_strip(zeros(256), (1 << 31) - 1),
    }
    for is_skipped, files in ((False, rejected), (True, skipped)):
        for name, content in files.items():
            file = f"x.{name.partition(':')[0]}"
            yield Harm(f"image: {name}", as_file(file, content, as_images), is_skipped=is_skipped)
    for size in (GIGABYTES_10, (1 << 30) - 1):
        yield Harm(f"image: {size:,} bytes", hollow("x.png", size, as_images, saved("PNG")[:40]))
    for name, beginning in _large_tiffs().items():
        yield Harm(f"image: tif of 1 GB: {name}", hollow("x.tif", (1 << 30) - 1, as_images, beginning))


def _tiffs() -> dict[str, Callable[[], bytes]]:
    """Returns TIFF files that ask for too much memory, or that do not have what their tags say."""
    huge, deflated = (1 << 31) - 1, {"compression": DEFLATE}
    return {
        "tif: 60,000 x 60,000": lambda: tiff(PIXELS, tags={256: (LONG, [60_000]), 257: (LONG, [60_000])}),
        "tif: 2**31 pixels wide": lambda: tiff(PIXELS, tags={256: (LONG, [huge])}, **deflated),
        "tif: tiles of 2**31": lambda: tiff(PIXELS, side=16, tags={322: (LONG, [huge]), 323: (LONG, [huge])}),
        "tif: tiles of 30,000": lambda: tiff(
            PIXELS, side=16, tags={322: (LONG, [30_000]), 323: (LONG, [30_000])}, **deflated
        ),
        "tif: no pixels": lambda: tiff(PIXELS, tags={256: (LONG, [0])}),
        "tif: cut": lambda: tiff(PIXELS)[:-40],
        "tif: its pixels are cut": lambda: tiff(PIXELS, tags={273: (LONG, [1 << 20])}, **deflated),
        "tif: signed bytes": lambda: tiff(PIXELS.astype(np.int8)),
        "tif: 16-bit planes": lambda: tiff(np.zeros((8, 8, 3), np.uint16), is_planar=True),
        "tif: numbers of 64 bits": lambda: tiff(np.zeros((8, 8))),
        "tif: 60,000 channels": lambda: tiff(PIXELS, tags={277: (SHORT, [60_000])}),
        "tif: a tag twice": lambda: tiff(PIXELS).replace(
            struct.pack("<HHI", 257, 4, 1), struct.pack("<HHI", 256, 4, 1)
        ),
        "tif: a size in floating-point": lambda: tiff(PIXELS, side=16, tags={322: (DOUBLE, [1e9])}),
        "tif: a compression that does not exist": lambda: tiff(PIXELS, tags={259: (SHORT, [9])}),
    }


def _with_strip(strip: bytes, rows: int) -> bytes:
    """Returns a TIFF file of 8x8 pixels with this compressed strip, which is longer than the image."""
    content = tiff(PIXELS, compression=DEFLATE, tags={278: (LONG, [rows]), 279: (LONG, [len(strip)])})
    return content.replace(struct.pack("<HHII", 273, 4, 1, 8), struct.pack("<HHII", 273, 4, 1, len(content))) + strip


def _large_tiffs() -> dict[str, bytes]:
    """Returns the beginnings of TIFF files whose tags or directories fill a file of 1 GB."""
    everything = struct.pack("<II", 1 << 27, 8)  # that many numbers, which begin at the eighth byte

    def entry(number: int, kind: int) -> bytes:
        return struct.pack("<HH", number, kind) + everything

    def directory(entries: list[bytes]) -> bytes:
        return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)

    exif = struct.pack("<HHII", 34665, LONG, 1, 100)
    inner = struct.pack("<H", 900) + entry(700, 7) * 900
    return {
        "a tag of 500 MB": directory([entry(273, LONG)]),
        "60,000 tags of 128 MB": directory([entry(700, 7)] * 60_000),
        "900 tags of 128 MB": directory([entry(700, 7)] * 900),
        "900 tags of 128 MB in EXIF": directory([exif]).ljust(100, b"\0") + inner,
        "2**60 tags": b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1 << 60),
    }


def _looping(content: bytes) -> bytes:
    """Returns a TIFF file whose last page is followed by its first."""
    (first,) = struct.unpack("<I", content[4:8])
    (count,) = struct.unpack("<H", content[first : first + 2])
    link = first + 2 + 12 * count
    return content[:link] + content[4:8] + content[link + 4 :]


def links() -> Iterator[Harm]:
    def linked(target: str) -> Place:
        def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
            (data / "x.png").symlink_to(target.replace("OUTSIDE", str(outside)).replace("DATA", str(data)))
            return as_images(data / "x.png")

        return place

    targets = ("/etc/passwd", "OUTSIDE/secret.png", "../outside/secret.png", "/dev/zero", "/dev/stdin", "x.png", "/")
    yield from (Harm(f"link to {target}", linked(target)) for target in (*targets, "DATA"))


def names() -> Iterator[Harm]:
    """Paths that are no regular files, and misleading file names."""
    yield Harm("a pipe", made("x.png", os.mkfifo, as_images))
    yield Harm("a socket", made("x.png", _listening, as_images))
    yield Harm("a folder with the name of an image", made("x.png", pathlib.Path.mkdir, as_images))
    if _can_make_devices():
        for name, number in (("a device of zeros", (1, 5)), ("a terminal", (5, 0))):
            device = stat.S_IFCHR | 0o666, os.makedev(*number)
            yield Harm(name, made("x.png", lambda path, device=device: os.mknod(path, *device), as_images))
    escapes, line = "\x1b[2J\x1b]0;owned\x07.png", "a\nerror: all is well\n.png"
    for name in (escapes, line, "\u202egnp.exe.png", "%s%n.png", "--restart.png", os.fsdecode(b"\xff\xfe.png")):
        yield Harm(f"named {name!r}", as_file(name, lambda: b"x", as_images))
    yield Harm(
        "an extension that clears the screen", as_file("x.png", lambda: saved("PNG"), _with_neighbor), is_skipped=True
    )
    for path in ("/dev/zero", "/proc/self/mem", "/dev/stdin", "/etc/passwd"):
        for dataset in ("array", "table", "images"):
            flags = [f"--dataset={dataset}", f"--data_dir={path}"]
            yield Harm(f"{dataset} in {path}", lambda data, outside, flags=flags: flags)


def _with_neighbor(path: pathlib.Path) -> list[str]:
    path.with_name("a.\x1b[2J").touch()
    return as_images(path)


def _can_make_devices() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.mknod(f"{folder}/zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        except OSError:  # The user is not root, or the process runs in a container.
            return False
    return True


def _listening(path: pathlib.Path) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server, contextlib.chdir(path.parent):
        server.bind(path.name)  # The address is limited to 108 bytes.
