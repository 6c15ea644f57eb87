"""Malicious pickles, arrays, archives and tables."""

import gzip
import io
import os
import pathlib
import pickle
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator

from hostile import payloads
from hostile.crafted import crowd, described, gzip_bomb, header, large_dictionary, saved, zip_bomb, zipped
from hostile.harms.harm import (
    GIGABYTES_10,
    UNVERIFIED,
    Harm,
    Place,
    as_array,
    as_cifar,
    as_file,
    as_mnist,
    as_table,
    hollow,
    made,
    running,
)


def pickles() -> Iterator[Harm]:
    with tempfile.TemporaryDirectory() as folder:
        names = list(payloads.programs(pathlib.Path(folder)))
    yield from (Harm(f"pickle: {name}", running(name, "data_batch_1", as_cifar, bytes)) for name in names)
    for name, content in payloads.oddities().items():
        yield Harm(f"pickle: {name}", as_file("data_batch_1", lambda content=content: content, as_cifar))
    yield Harm("pickle: 1 GB of zeros", hollow("data_batch_1", 1 << 30, as_cifar))


def headers() -> Iterator[Harm]:
    """Headers of .npy files."""
    code = "__import__('os').system('touch ran')"
    headers = {
        "a shape of 10**14": described(shape=(10**12, 10, 10)),
        "a shape of 2**64 bytes": described(shape=(1 << 32, 1 << 16, 1 << 16)),
        "negative sizes": described(shape=(-4, -4, 4)),
        "a size that is not a number": described(shape=("4", 4, 4)),
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
        yield Harm(f"npy: {name}", as_file("a.npy", lambda text=text: header(text) + bytes(64), as_array))
    yield Harm("npy: a header of 4 GB", as_file("a.npy", lambda: b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", as_array))
    yield Harm("npy: version 9", as_file("a.npy", lambda: header(described(), b"\x09\x00") + bytes(64), as_array))
    yield Harm("npy: objects that run", running("os.system", "a.npy", as_array, _objects))
    yield Harm("npy: a pickle under its name", running("os.system", "a.npy", as_array, bytes))
    yield Harm("npy: a pipe", made("a.npy", os.mkfifo, as_array))


def _objects(program: bytes) -> bytes:
    return header(described("|O", (1,))) + program


def zips() -> Iterator[Harm]:
    """.npz files."""
    valid = header(described()) + bytes(64)
    link = zipped({"data.npy": b"/etc/passwd"}, lambda info: setattr(info, "external_attr", stat.S_IFLNK << 16))
    texts = header(described("<U15000000", (4,)))
    locked = zipped({"data.npy": valid})
    start = locked.index(b"PK\1\2") + 8
    files: dict[str, Callable[[], bytes]] = {
        "a bomb of 10 GB": lambda: zip_bomb(10 << 10),
        "labels of 240 MB": lambda: zipped({"data.npy": valid, "labels.npy": texts + bytes(240_000_000)}, _deflated),
        "a million members": lambda: crowd(1_000_000),
        "a dictionary of 4 GB": large_dictionary,
        "encrypted": lambda: locked[:start] + b"\1" + locked[start + 1 :],
        "an unknown compression": lambda: locked[: start + 2] + b"\x63" + locked[start + 3 :],
        "only the first bytes": lambda: b"PK\3\4",
        "a member that is a link": lambda: link,
        "an image": lambda: saved("PNG"),
    }
    yield from (Harm(f"npz: {name}", as_file("a.npz", content, as_array)) for name, content in files.items())
    objects = running("os.system", "a.npz", as_array, lambda p: zipped({"data.npy": _objects(p)}))
    yield Harm("npz: objects that run", objects)
    labels = running("os.system", "a.npz", as_array, lambda p: zipped({"data.npy": valid, "labels.npy": _objects(p)}))
    yield Harm("npz: labels that run", labels)
    for name in ("../outside/ran.npy", "OUTSIDE/ran.npy", "..\\ran.npy", "a/../../outside/ran.npy"):
        yield Harm(f"npz: a member {name}", _beside(name, valid), is_skipped=True)
    yield Harm("npz: 10 GB of zeros", hollow("a.npz", GIGABYTES_10, as_array))


def _beside(name: str, valid: bytes) -> Place:
    """Writes an archive with a member of this name beside a valid one."""

    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        content = zipped({name.replace("OUTSIDE", str(outside)): valid, "data.npy": valid})
        return as_file("a.npz", lambda: content, as_array)(data, outside)

    return place


def _deflated(info: zipfile.ZipInfo) -> None:
    info.compress_type = zipfile.ZIP_DEFLATED


def archives() -> Iterator[Harm]:
    """CIFAR-10's archive and MNIST's files, with and without the check of the hash."""
    for name, info in _members().items():
        for program in ("", UNVERIFIED):
            yield Harm(f"tar: {name}{', without its hash' if program else ''}", _tar(info), program=program)
    yield Harm("tar: a bomb of 10 GB", as_file("cifar-10-python.tar.gz", lambda: gzip_bomb(10 << 10), as_cifar))
    yield Harm("idx: a bomb of 10 GB", as_file("train-images-idx3-ubyte.gz", lambda: gzip_bomb(10 << 10), as_mnist))


def _members() -> dict[str, Callable[[pathlib.Path], tarfile.TarInfo]]:
    """Returns tar members that must not be extracted; the name of a batch selects them for reading."""

    def member(
        kind: bytes, name: str = "cifar-10-batches-py/data_batch_1", link: str = "", size: int = 0
    ) -> Callable[[pathlib.Path], tarfile.TarInfo]:
        def make_member(outside: pathlib.Path) -> tarfile.TarInfo:
            info = tarfile.TarInfo(name.replace("OUTSIDE", str(outside)))
            info.type, info.linkname, info.size = kind, link.replace("OUTSIDE", str(outside)), size
            return info

        return make_member

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
        "8 GB that are missing": member(tarfile.REGTYPE, size=(1 << 33) - 1),
    }


def _tar(info: Callable[[pathlib.Path], tarfile.TarInfo]) -> Place:
    def place(data: pathlib.Path, outside: pathlib.Path) -> list[str]:
        path = data / "cifar-10-python.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.addfile(info(outside), io.BytesIO(b"evil") if info(outside).size == 4 else None)
        return as_cifar(path)

    return place


def tables() -> Iterator[Harm]:
    files: dict[str, Callable[[], bytes]] = {
        "a million columns": lambda: b",".join([b"1"] * 1_000_000) + b"\n",
        "a quote that is never closed": lambda: b'a,b\n1,"' + b"x\n" * 1_000_000,
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
    yield from (Harm(f"table: {name}", as_file("t.csv", content, as_table)) for name, content in files.items())
    formulas = b"a,b,c\n=cmd|' /C calc'!A0,1,2\n@SUM(1),2,3\n"
    yield Harm("table: formulas", as_file("t.csv", lambda: formulas, as_table), is_skipped=True)
    yield Harm("table: a gzip bomb", as_file("t.csv.gz", lambda: gzip.compress(b"0,0\n" * 80_000_000), as_table))
    yield Harm("table: 10 GB of zeros", hollow("t.csv", GIGABYTES_10, as_table))
    yield Harm("table: a pipe", made("t.csv", os.mkfifo, as_table))
