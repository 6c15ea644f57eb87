"""Data made to do harm, one by one: what each is, and how it is put in the reader's way."""

import contextlib
import dataclasses
import io
import os
import pathlib
import pickle
import socket
import stat
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator

from hostile import payloads
from hostile.crafted import (
    chunk,
    crowd,
    described,
    exif,
    gzip_bomb,
    header,
    jpeg,
    large_dictionary,
    png,
    saved,
    zeros,
    zip_bomb,
    zipped,
)

Place = Callable[[pathlib.Path, pathlib.Path], list[str]]
GIGABYTES_10 = 10 << 30
# What would be read past an archive's hash, if somebody had published such a one.
UNVERIFIED = """
import sys
from trainer.datasets import cifar
cifar.verify = lambda path, archive: None
import launch
sys.exit(launch.main(sys.argv[1:]))
"""


@dataclasses.dataclass(frozen=True)
class Harm:
    """One of them.

    Attributes:
      name: what it is.
      place: puts it into a folder, given the folder outside that it must not touch; gives the flags that read it.
      is_left_out: it is not refused but left out, the rest being sound.
      program: Python code that reads it; empty: the program as it is.
    """

    name: str
    place: Place
    is_left_out: bool = False
    program: str = ""


def everything() -> list[Harm]:
    """All of them."""
    return [*_pickles(), *_headers(), *_zips(), *_archives(), *_pictures(), *_links(), *_names(), *_tables()]


def _file(name: str, content: Callable[[], bytes], flags: Callable[[pathlib.Path], list[str]]) -> Place:
    """Puts a file into the folder; what is large is made when it is its turn."""

    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        (data / name).write_bytes(content())
        return flags(data / name)

    return place


def _hollow(name: str, size: int, flags: Callable[[pathlib.Path], list[str]], beginning: bytes = b"") -> Place:
    """Puts a file of zeros into the folder, which take no room."""

    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        with open(data / name, "wb") as file:
            file.write(beginning)
            file.truncate(size)
        return flags(data / name)

    return place


def _made(name: str, make: Callable[[pathlib.Path], object], flags: Callable[[pathlib.Path], list[str]]) -> Place:
    """Puts what is no file into the folder."""

    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        make(data / name)
        return flags(data / name)

    return place


def _as_array(path: pathlib.Path) -> list[str]:
    return ["--dataset=array", f"--data_dir={path}"]


def _as_table(path: pathlib.Path) -> list[str]:
    return ["--dataset=table", f"--data_dir={path}"]


def _as_pictures(path: pathlib.Path) -> list[str]:
    return ["--dataset=images", f"--data_dir={path.parent}", "--eval_fraction=0"]


def _as_cifar(path: pathlib.Path) -> list[str]:
    return ["--dataset=cifar10", f"--data_dir={path.parent}"]


def _as_mnist(path: pathlib.Path) -> list[str]:
    for name in ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        path.with_name(name).write_bytes(b"")
    return ["--dataset=mnist", f"--data_dir={path.parent}"]


def _running(name: str, file: str, flags: Callable[[pathlib.Path], list[str]], wrap: Callable[[bytes], bytes]) -> Place:
    """Puts a pickle that runs something into the folder."""

    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        return _file(file, lambda: wrap(payloads.programs(outside)[name]), flags)(data, outside)

    return place


def _pickles() -> Iterator[Harm]:
    with tempfile.TemporaryDirectory() as folder:
        names = list(payloads.programs(pathlib.Path(folder)))
    yield from (Harm(f"pickle: {name}", _running(name, "data_batch_1", _as_cifar, bytes)) for name in names)
    for name, content in payloads.oddities().items():
        yield Harm(f"pickle: {name}", _file("data_batch_1", lambda content=content: content, _as_cifar))
    yield Harm("pickle: 1 GB of nothing", _hollow("data_batch_1", 1 << 30, _as_cifar))


def _headers() -> Iterator[Harm]:
    """Of .npy files."""
    code = "__import__('os').system('touch ran')"
    headers = {
        "a shape of 10**14": described(shape=(10**12, 10, 10)),
        "a shape of 2**64 bytes": described(shape=(1 << 32, 1 << 16, 1 << 16)),
        "negative sizes": described(shape=(-4, -4, 4)),
        "a size that is no number": described(shape=("4", 4, 4)),
        "3,000 sizes": described(shape=(1,) * 3_000),
        "a size of 10**4200": described(shape=(10**4_200, 1, 1)),
        "code in a shape": f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({code},), }}\n",
        "code for a header": f"{code}\n",
        "brackets": "(" * 9_000 + "\n",
        "minus signs": "-" * 9_000 + "1\n",
        "a type of objects": described("|O", (1,)),
        "a type with objects in it": described([("a", "|O")], (1,)),
        "types within types": described([("a", [("b", [("c", "<i8")])])], (1,)),
        "a type of 2 GB": described("|V2147483647", (1,)),
        "a type without bytes": described("|V0", (1 << 40, 4)),
        "texts": described("<U4", (1, 1)),
    }
    for name, text in headers.items():
        yield Harm(f"npy: {name}", _file("a.npy", lambda text=text: header(text) + bytes(64), _as_array))
    yield Harm("npy: a header of 4 GB", _file("a.npy", lambda: b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", _as_array))
    yield Harm("npy: version 9", _file("a.npy", lambda: header(described(), b"\x09\x00") + bytes(64), _as_array))
    yield Harm("npy: objects that run", _running("os.system", "a.npy", _as_array, _objects))
    yield Harm("npy: a pickle under its name", _running("os.system", "a.npy", _as_array, bytes))
    yield Harm("npy: a pipe", _made("a.npy", os.mkfifo, _as_array))


def _objects(program: bytes) -> bytes:
    return header(described("|O", (1,))) + program


def _zips() -> Iterator[Harm]:
    """.npz files."""
    sound = header(described()) + bytes(64)
    link = zipped({"data.npy": b"/etc/passwd"}, lambda info: setattr(info, "external_attr", stat.S_IFLNK << 16))
    texts = header(described("<U15000000", (4,)))
    locked = zipped({"data.npy": sound})
    place = locked.index(b"PK\1\2") + 8
    found: dict[str, Callable[[], bytes]] = {
        "a bomb of 10 GB": lambda: zip_bomb(10 << 10),
        "labels of 240 MB": lambda: zipped({"data.npy": sound, "labels.npy": texts + bytes(240_000_000)}, _deflated),
        "a million members": lambda: crowd(1_000_000),
        "a dictionary of 4 GB": large_dictionary,
        "encrypted": lambda: locked[:place] + b"\1" + locked[place + 1 :],
        "a way to pack that nobody knows": lambda: locked[: place + 2] + b"\x63" + locked[place + 3 :],
        "nothing but its first bytes": lambda: b"PK\3\4",
        "a member that is a link": lambda: link,
        "a picture": lambda: saved("PNG"),
    }
    yield from (Harm(f"npz: {name}", _file("a.npz", content, _as_array)) for name, content in found.items())
    objects = _running("os.system", "a.npz", _as_array, lambda p: zipped({"data.npy": _objects(p)}))
    yield Harm("npz: objects that run", objects)
    labels = _running("os.system", "a.npz", _as_array, lambda p: zipped({"data.npy": sound, "labels.npy": _objects(p)}))
    yield Harm("npz: labels that run", labels)
    for name in ("../outside/ran.npy", "OUTSIDE/ran.npy", "..\\ran.npy", "a/../../outside/ran.npy"):
        yield Harm(f"npz: a member {name}", _beside(name, sound), is_left_out=True)
    yield Harm("npz: 10 GB of nothing", _hollow("a.npz", GIGABYTES_10, _as_array))


def _beside(name: str, sound: bytes) -> Place:
    """An archive with a member of that name beside the sound one."""

    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        content = zipped({name.replace("OUTSIDE", str(outside)): sound, "data.npy": sound})
        return _file("a.npz", lambda: content, _as_array)(data, outside)

    return place


def _deflated(info: zipfile.ZipInfo) -> None:
    info.compress_type = zipfile.ZIP_DEFLATED


def _archives() -> Iterator[Harm]:
    """CIFAR-10's archive and MNIST's files, before their hash and behind it."""
    for name, info in _members().items():
        for program in ("", UNVERIFIED):
            yield Harm(f"tar: {name}{', behind its hash' if program else ''}", _tar(info), program=program)
    yield Harm("tar: a bomb of 10 GB", _file("cifar-10-python.tar.gz", lambda: gzip_bomb(10 << 10), _as_cifar))
    yield Harm("idx: a bomb of 10 GB", _file("train-images-idx3-ubyte.gz", lambda: gzip_bomb(10 << 10), _as_mnist))


def _members() -> dict[str, Callable[[pathlib.Path], tarfile.TarInfo]]:
    """Members that must not become what they say; the name of a batch makes them looked at."""

    def member(
        kind: bytes, name: str = "cifar-10-batches-py/data_batch_1", link: str = "", size: int = 0
    ) -> Callable[[pathlib.Path], tarfile.TarInfo]:
        def made(outside: pathlib.Path) -> tarfile.TarInfo:
            info = tarfile.TarInfo(name.replace("OUTSIDE", str(outside)))
            info.type, info.linkname, info.size = kind, link.replace("OUTSIDE", str(outside)), size
            return info

        return made

    return {
        "a path upwards": member(tarfile.REGTYPE, "../../outside/ran", size=4),
        "an absolute path": member(tarfile.REGTYPE, "OUTSIDE/ran", size=4),
        "a batch in a path upwards": member(tarfile.REGTYPE, "../outside/data_batch_1", size=4),
        "a link to a file": member(tarfile.SYMTYPE, link="/etc/passwd"),
        "a link upwards": member(tarfile.SYMTYPE, link="../../outside/sentinel"),
        "a hard link": member(tarfile.LNKTYPE, link="OUTSIDE/sentinel"),
        "a hard link to itself": member(tarfile.LNKTYPE, link="cifar-10-batches-py/data_batch_1"),
        "a device": member(tarfile.CHRTYPE),
        "a disk": member(tarfile.BLKTYPE),
        "a pipe": member(tarfile.FIFOTYPE),
        "a folder": member(tarfile.DIRTYPE),
        "8 GB that are not there": member(tarfile.REGTYPE, size=(1 << 33) - 1),
    }


def _tar(info: Callable[[pathlib.Path], tarfile.TarInfo]) -> Place:
    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        path = data / "cifar-10-python.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.addfile(info(outside), io.BytesIO(b"evil") if info(outside).size == 4 else None)
        return _as_cifar(path)

    return place


def _pictures() -> Iterator[Harm]:
    gif, bmp, webp = saved("GIF", "P"), saved("BMP"), saved("WEBP", lossless=True)
    entity = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>'
    refused: dict[str, Callable[[], bytes]] = {
        "png: 60,000 x 60,000": lambda: png(60_000, 60_000),
        "png: 2**31 pixels wide": lambda: png((1 << 31) - 1, 1),
        "png: no pixels": lambda: png(0, 0),
        "png: 256 MB of text": lambda: png(8, 8, before=chunk(b"zTXt", b"x\0\0" + zeros(256))),
        "png: a colour profile of 256 MB": lambda: png(8, 8, before=chunk(b"iCCP", b"x\0\0" + zeros(256))),
        "png: 256 MB of international text": lambda: png(8, 8, before=chunk(b"iTXt", b"x\0\1\0\0\0" + zeros(256))),
        "png: a palette of none": lambda: png(8, 8, colour=3),
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
        "gif: nothing but a header": lambda: gif[:13],
        "bmp: 2**31 x 2**31": lambda: bmp[:18] + struct.pack("<ii", (1 << 31) - 1, (1 << 31) - 1) + bmp[26:],
        "bmp: upside down by 2**31": lambda: bmp[:18] + struct.pack("<ii", 8, -(1 << 31)) + bmp[26:],
        "bmp: a palette of 2**31": lambda: bmp[:28] + b"\x08\0" + bmp[30:46] + struct.pack("<I", 1 << 31) + bmp[50:],
        "jpg: 65,500 x 65,500": lambda: jpeg(65_500, 65_500),
        "jpg: no pixels": lambda: jpeg(0, 0),
        "webp: cut": lambda: webp[:-4],
        "webp: 16,383 x 16,383": lambda: webp[:21] + b"\xff\xff\xff\x0f" + webp[25:],
    }
    sound: dict[str, Callable[[], bytes]] = {
        "jpg: a loop in EXIF": lambda: exif(b"\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0"),
        "jpg: 2**32 things in EXIF": lambda: exif(b"\1\0\x12\1\3\0\xff\xff\xff\xff\1\0\0\0"),
        "png: 256 MB where 192 bytes are due": lambda: png(8, 8, data=zeros(256)),
        "png: two billion frames": lambda: png(8, 8, before=chunk(b"acTL", struct.pack(">II", (1 << 31) - 1, 0))),
        "gif: 8x8 in the corner of 65,535 x 900": lambda: gif[:6] + struct.pack("<HH", 65_535, 900) + gif[10:],
    }
    for is_left_out, some in ((False, refused), (True, sound)):
        for name, content in some.items():
            file = f"x.{name.partition(':')[0]}"
            yield Harm(f"picture: {name}", _file(file, content, _as_pictures), is_left_out=is_left_out)
    for size in (GIGABYTES_10, (1 << 30) - 1):
        yield Harm(f"picture: {size:,} bytes", _hollow("x.png", size, _as_pictures, saved("PNG")[:40]))


def _links() -> Iterator[Harm]:
    def linked(target: str) -> Place:
        def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
            (data / "x.png").symlink_to(target.replace("OUTSIDE", str(outside)).replace("DATA", str(data)))
            return _as_pictures(data / "x.png")

        return place

    targets = ("/etc/passwd", "OUTSIDE/secret.png", "../outside/secret.png", "/dev/zero", "/dev/stdin", "x.png", "/")
    yield from (Harm(f"link to {target}", linked(target)) for target in (*targets, "DATA"))


def _names() -> Iterator[Harm]:
    """What stands in a folder without being a file, or under a name that says something else."""
    yield Harm("a pipe", _made("x.png", os.mkfifo, _as_pictures))
    yield Harm("a socket", _made("x.png", _listening, _as_pictures))
    yield Harm("a folder with a picture's name", _made("x.png", pathlib.Path.mkdir, _as_pictures))
    if _can_make_devices():
        for name, number in (("a device of zeros", (1, 5)), ("a terminal", (5, 0))):
            device = stat.S_IFCHR | 0o666, os.makedev(*number)
            yield Harm(name, _made("x.png", lambda path, device=device: os.mknod(path, *device), _as_pictures))
    escapes, line = "\x1b[2J\x1b]0;owned\x07.png", "a\nerror: all is well\n.png"
    for name in (escapes, line, "\u202egnp.exe.png", "%s%n.png", "--restart.png", os.fsdecode(b"\xff\xfe.png")):
        yield Harm(f"a name like {name!r}", _file(name, lambda: b"x", _as_pictures))
    yield Harm(
        "an ending that clears the screen", _file("x.png", lambda: saved("PNG"), _with_neighbour), is_left_out=True
    )
    for path in ("/dev/zero", "/proc/self/mem", "/dev/stdin", "/etc/passwd"):
        for dataset in ("array", "table", "images"):
            flags = [f"--dataset={dataset}", f"--data_dir={path}"]
            yield Harm(f"{dataset} in {path}", lambda data, outside, flags=flags: flags)


def _with_neighbour(path: pathlib.Path) -> list[str]:
    path.with_name("a.\x1b[2J").touch()
    return _as_pictures(path)


def _can_make_devices() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.mknod(f"{folder}/zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        except OSError:  # Not the administrator, or in a container.
            return False
    return True


def _listening(path: pathlib.Path) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server, contextlib.chdir(path.parent):
        server.bind(path.name)  # An address has 108 bytes at most.


def _tables() -> Iterator[Harm]:
    found: dict[str, Callable[[], bytes]] = {
        "a million columns": lambda: b",".join([b"1"] * 1_000_000) + b"\n",
        "a quote that never ends": lambda: b'a,b\n1,"' + b"x\n" * 1_000_000,
        "a cell of 10 MB": lambda: b"a,b\n1," + b"9" * 10_000_000 + b"\n",
        "a line of 100 MB": lambda: b"a,b\n1,2\n" + b"1," * 50_000_000 + b"\n",
        "a row of five million quoted lines": lambda: b"a,b\n1,2\n" + b'"\n",' * 5_000_000,
        "zeros": lambda: bytes(10_000_000),
        "UTF-16": lambda: "a,b\n1,2\n".encode("utf-16"),
        "1e999": lambda: b"a,b\n1e999,1\n2,3\n",
        "digits": lambda: b"a,b\n" + b"9" * 100_000 + b",1\n2,3\n",
        "escapes": lambda: b"a,\x1b[2J\n1,\x1b]0;owned\x07\n2,3\n",
        "a pickle": lambda: pickle.dumps({"a": 1}),
        "nothing": lambda: b"",
        "returns": lambda: b"\r" * 1_000_000,
    }
    yield from (Harm(f"table: {name}", _file("t.csv", content, _as_table)) for name, content in found.items())
    formulas = b"a,b,c\n=cmd|' /C calc'!A0,1,2\n@SUM(1),2,3\n"
    yield Harm("table: formulas", _file("t.csv", lambda: formulas, _as_table), is_left_out=True)
    yield Harm("table: 10 GB of zeros", _hollow("t.csv", GIGABYTES_10, _as_table))
    yield Harm("table: a pipe", _made("t.csv", os.mkfifo, _as_table))
