"""Malicious images, and paths in a folder of images that are no regular files."""

import contextlib
import os
import pathlib
import socket
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator

from hostile.crafted import chunk, exif, jpeg, png, saved, zeros, zipped
from hostile.harms.harm import GIGABYTES_10, Harm, Place, as_file, as_images, hollow, made


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
        "png: a tiff": lambda: saved("TIFF"),
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
    }
    skipped: dict[str, Callable[[], bytes]] = {
        "jpg: a loop in EXIF": lambda: exif(b"\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0"),
        "jpg: 2**32 entries in EXIF": lambda: exif(b"\1\0\x12\1\3\0\xff\xff\xff\xff\1\0\0\0"),
        "png: 256 MB instead of 192 bytes": lambda: png(8, 8, data=zeros(256)),
        "png: two billion frames": lambda: png(8, 8, before=chunk(b"acTL", struct.pack(">II", (1 << 31) - 1, 0))),
        "gif: 8x8 in the corner of 65,535 x 900": lambda: gif[:6] + struct.pack("<HH", 65_535, 900) + gif[10:],
    }
    for is_skipped, files in ((False, rejected), (True, skipped)):
        for name, content in files.items():
            file = f"x.{name.partition(':')[0]}"
            yield Harm(f"image: {name}", as_file(file, content, as_images), is_skipped=is_skipped)
    for size in (GIGABYTES_10, (1 << 30) - 1):
        yield Harm(f"image: {size:,} bytes", hollow("x.png", size, as_images, saved("PNG")[:40]))


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
