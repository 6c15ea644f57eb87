"""Sound files of every kind that is read, broken at random: flipped, cut, spliced, their fields set to extremes."""

import dataclasses
import gzip
import io
import os
import pathlib
import pickle
import random
import shutil
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from hostile import launched
from hostile.mutations import mutated
from hostile.workers import Outcome, Trial
from trainer.data.builtin import cifar, mnist
from trainer.data.builtin.archives import Archive
from trainer.data.inputs import reader
from trainer.errors import HourglassError

ROWS = 2  # of a batch of CIFAR-10, and pictures of MNIST


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
      specimens: sound ones; of what is packed, before it is.
      place: writes one into a folder; gives the flags that read it.
      packed: packs one.
      mended: makes checksums right again, so that what is broken is looked at.
    """

    specimens: Sequence[bytes]
    place: Callable[[pathlib.Path, bytes, random.Random], list[str]]
    packed: Callable[[bytes], bytes] = bytes
    mended: Callable[[bytes], bytes] = bytes


def make(number: int) -> Trial:
    """Trials in a folder of this process's own."""
    launched.forbid()
    cifar.ROWS_A_BATCH = mnist.NUM_TRAIN = mnist.NUM_EVALUATION = ROWS
    cifar.verify = mnist.verify = _unverified  # type: ignore[attr-defined]
    root = pathlib.Path(tempfile.mkdtemp(prefix="hourglass-files-"))
    os.environ.update(HOME=str(root / "home"), KERAS_HOME=str(root / "keras"))
    known = kinds()

    def trial(seed: int) -> Outcome:
        chance = random.Random(seed)
        name = chance.choice(list(known))
        for path in root.iterdir():
            shutil.rmtree(path)
        (root / "data").mkdir()
        arguments = known[name].place(root / "data", broken(known, name, chance), chance)
        if arguments[0].startswith("--input="):
            found = _read(arguments[0].removeprefix("--input="))
        else:
            found = launched.outcome([*arguments, "--mode=inspect", f"--cache_dir={root}/cache"])
        return dataclasses.replace(found, kind=f"{name}: {found.kind}")

    return trial


def _unverified(path: pathlib.Path, archive: Archive) -> None:
    """Else nothing that is broken would get further than its hash."""


def _read(text: str) -> Outcome:
    """As `--mode=reconstruct` does, before it needs a network."""
    try:
        reader.read(text, (6, 8, 3))
    except HourglassError as error:
        return Outcome(f"exit {error.exit_code}")
    except Exception as error:
        return Outcome("an exception", f"--input={text}: {type(error).__name__}: {error}")
    return Outcome("exit 0")


def broken(known: dict[str, Kind], name: str, chance: random.Random) -> bytes:
    """A file of one kind that may be broken in several ways, within what is packed or outside of it."""
    kind = known[name]
    inner = chance.choice(kind.specimens)
    other = chance.choice(known[chance.choice(list(known))].specimens)
    if chance.random() < 0.5:
        content = kind.packed(mutated(inner, other, chance))
    else:
        content = mutated(kind.packed(inner), other, chance)
    return kind.mended(content) if chance.random() < 0.7 else content


def kinds() -> dict[str, Kind]:
    """All of them, by name."""
    formats = {
        "png": [_saved(mode, "PNG") for mode in ("RGB", "RGBA", "P", "L", "1", "I;16")] + [_moving("PNG")],
        "jpg": [_saved("RGB", "JPEG", exif=_rotated()), _saved("L", "JPEG"), _saved("CMYK", "JPEG", progressive=True)],
        "gif": [_saved("P", "GIF"), _moving("GIF")],
        "bmp": [_saved("RGB", "BMP"), _saved("P", "BMP"), _saved("1", "BMP")],
        "webp": [_saved("RGB", "WEBP"), _saved("RGBA", "WEBP", lossless=True), _moving("WEBP")],
    }
    pixels = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5)
    arrays = [_npy(pixels), _npy(pixels / 255.0), _npy(pixels.reshape(4, -1) * 1.5), _npy(np.asfortranarray(pixels))]
    rows = np.arange(ROWS * cifar.ROW, dtype=np.uint8).reshape(ROWS, -1)
    batches = [pickle.dumps({b"data": rows, b"labels": [1, 2]}, protocol=protocol) for protocol in (3, 4)]
    images = struct.pack(">4i", 0x803, ROWS, 28, 28) + bytes(ROWS * 28 * 28)
    digits = {f"x_{split}": _npy(np.zeros((ROWS, 28, 28), np.uint8)) for split in ("train", "test")}
    digits |= {f"y_{split}": _npy(np.zeros(ROWS, np.uint8)) for split in ("train", "test")}
    labelled = _zip("y_train", x_train=_npy(np.zeros((4, 6, 5), np.uint8)))
    return {
        **{suffix: Kind(some, _pictures(suffix)) for suffix, some in formats.items()},
        "png": Kind(formats["png"], _pictures("png"), mended=_png),
        "npy": Kind(arrays, _file("array", "npy")),
        "npz": Kind(arrays, _file("array", "npz"), packed=_zip("data")),
        "npz labels": Kind([_npy(np.array(list("abac"))), _npy(np.arange(4))], _file("array", "npz"), labelled),
        "csv": Kind([b"a,b,kind\n1,2,x\n3,4,y\n5,6,x\n", b'1;2\r\n"3";4\r\n', b"a\tb\n1\t2.5e3\n3\t4\n"], _table),
        "pickle": Kind(batches, _batch),
        "batches": Kind([(b"\7" + bytes(cifar.ROW)) * ROWS], _binary),
        "tar": Kind(batches, _archive, packed=_tar),
        "idx": Kind([images], _idx("")),
        "idx gz": Kind([images], _idx(".gz"), packed=gzip.compress),
        "mnist npz": Kind([digits["x_train"]], _mnist, packed=_zip("x_train", **digits)),
        "input": Kind([*arrays, *formats["png"], *formats["jpg"], *formats["gif"]], _input),
    }


def _saved(mode: str, kind: str, **options: object) -> bytes:
    values = np.add.outer(np.arange(6), np.arange(8)) * 18
    grey = Image.fromarray(values.astype(np.uint16) * 257 if mode == "I;16" else values.astype(np.uint8))
    return _encoded(grey if mode == "I;16" else grey.convert(mode), kind, **options)


def _moving(kind: str) -> bytes:
    frames = [Image.new("RGB", (8, 6), (shade, 0, 0)) for shade in (1, 100, 200)]
    return _encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _png(content: bytes) -> bytes:
    """Right checksums for all chunks that can be told."""
    place = 8
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        if end + 4 > len(content):
            break
        content = content[:end] + zlib.crc32(content[place + 4 : end]).to_bytes(4, "big") + content[end + 4 :]
        place = end + 4
    return content


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _zip(name: str, **others: bytes) -> Callable[[bytes], bytes]:
    """Packs something under a name, with others beside it."""

    def packed(content: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for key, member in {**others, name: content}.items():
                archive.writestr(f"{key}.npy", member)
        return file.getvalue()

    return packed


def _tar(batch: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in cifar.PYTHON_BATCHES:
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(batch)
            archive.addfile(info, io.BytesIO(batch))
    return file.getvalue()


def _pictures(suffix: str) -> Callable[[pathlib.Path, bytes, random.Random], list[str]]:
    def place(folder: pathlib.Path, content: bytes, chance: random.Random) -> list[str]:
        (folder / f"x.{suffix}").write_bytes(content)
        shape = [f"--fit={chance.choice(('crop', 'pad', 'resize'))}", f"--color={chance.choice(('grey', 'rgb'))}"]
        return ["--dataset=images", f"--data_dir={folder}", "--eval_fraction=0", "--image_size=5x7", *shape]

    return place


def _file(dataset: str, suffix: str) -> Callable[[pathlib.Path, bytes, random.Random], list[str]]:
    def place(folder: pathlib.Path, content: bytes, chance: random.Random) -> list[str]:
        (folder / f"x.{suffix}").write_bytes(content)
        return [f"--dataset={dataset}", f"--data_dir={folder}/x.{suffix}", f"--eval_fraction={chance.choice((0, 0.3))}"]

    return place


def _table(folder: pathlib.Path, content: bytes, chance: random.Random) -> list[str]:
    options = [["--label_column=2"], ["--standardise"], ["--on_bad_file=skip"], []]
    return [*_file("table", "csv")(folder, content, chance), *chance.choice(options)]


def _batch(folder: pathlib.Path, content: bytes, chance: random.Random) -> list[str]:
    (folder / "cifar-10-batches-py").mkdir()
    for name in cifar.PYTHON_BATCHES:
        (folder / "cifar-10-batches-py" / name).write_bytes(content)
    return ["--dataset=cifar10", f"--data_dir={folder}"]


def _binary(folder: pathlib.Path, content: bytes, chance: random.Random) -> list[str]:
    for name in cifar.BINARY_BATCHES:
        (folder / name).write_bytes(content)
    return ["--dataset=cifar_horse", f"--data_dir={folder}"]


def _archive(folder: pathlib.Path, content: bytes, chance: random.Random) -> list[str]:
    (folder / cifar.PYTHON.name).write_bytes(content)
    return ["--dataset=cifar10", f"--data_dir={folder}"]


def _idx(suffix: str) -> Callable[[pathlib.Path, bytes, random.Random], list[str]]:
    def place(folder: pathlib.Path, content: bytes, chance: random.Random) -> list[str]:
        labels = struct.pack(">2i", 0x801, ROWS) + bytes(ROWS)
        for name in mnist.IDX_FILES:
            whole = gzip.compress(labels) if suffix else labels
            (folder / f"{name}{suffix}").write_bytes(content if "images" in name else whole)
        return ["--dataset=mnist", f"--data_dir={folder}"]

    return place


def _mnist(folder: pathlib.Path, content: bytes, chance: random.Random) -> list[str]:
    (folder / "mnist.npz").write_bytes(content)
    return ["--dataset=mnist", f"--data_dir={folder}"]


def _input(folder: pathlib.Path, content: bytes, chance: random.Random) -> list[str]:
    path = folder / f"x.{chance.choice(('npy', 'png', 'jpg', 'gif'))}"
    path.write_bytes(content)
    return [f"--input={path}"]
