"""Files of every format that is read, broken at random: bits flipped, cut, spliced, fields set to extreme values."""

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
from hostile.tiffs import DEFLATE, tiff
from hostile.workers import Outcome, Trial
from trainer.data.builtin import cifar, mnist
from trainer.data.builtin.archives import Archive
from trainer.data.inputs import reader
from trainer.errors import HourglassError

Place = Callable[[pathlib.Path, bytes, random.Random], list[str]]
TABLES = [
    b"a,b,kind\n1,2,x\n3,4,y\n5,6,x\n",
    b'1;2\r\n"3";4\r\n',
    b"a\tb\n1\t2.5e3\n3\t4\n",
    b" 1  2.5\n 3\t 7\n 5  6\n",
]
ROWS = 2  # in a batch of CIFAR-10, and images of MNIST


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
      specimens: contents of valid files, before packing.
      place: writes a file into a folder; returns the flags that read it.
      pack: packs a content.
      repair: corrects checksums, so that readers do not stop at them.
    """

    specimens: Sequence[bytes]
    place: Place
    pack: Callable[[bytes], bytes] = bytes
    repair: Callable[[bytes], bytes] = bytes


def make() -> Trial:
    """Returns the trial, which runs in a folder of this process."""
    launched.forbid()
    cifar.ROWS_PER_BATCH = mnist.NUM_TRAIN = mnist.NUM_EVALUATION = ROWS
    cifar.verify = mnist.verify = _unverified  # type: ignore[attr-defined]
    root = pathlib.Path(tempfile.mkdtemp(prefix="hourglass-files-"))
    os.environ.update(HOME=str(root / "home"), KERAS_HOME=str(root / "keras"))
    known = kinds()

    def trial(seed: int) -> Outcome:
        draw = random.Random(seed)
        name = draw.choice(list(known))
        for path in root.iterdir():
            shutil.rmtree(path)
        (root / "data").mkdir()
        arguments = known[name].place(root / "data", broken(known, name, draw), draw)
        if arguments[0].startswith("--input="):
            outcome = _read(arguments[0].removeprefix("--input="))
        else:
            outcome = launched.outcome([*arguments, "--mode=inspect", f"--cache_dir={root}/cache"])
        return outcome._replace(kind=f"{name}: {outcome.kind}")

    return trial


def _unverified(path: pathlib.Path, archive: Archive) -> None:
    """Skips the check of the hash, which would reject every broken archive."""


def _read(text: str) -> Outcome:
    """Reads an input as `--mode=reconstruct` does before it loads a network."""
    try:
        reader.read(text, (6, 8, 3))
    except HourglassError as error:
        return Outcome(f"exit {error.exit_code}")
    except Exception as error:
        return Outcome("an exception", f"--input={text}: {type(error).__name__}: {error}")
    return Outcome("exit 0")


def broken(known: dict[str, Kind], name: str, draw: random.Random) -> bytes:
    """Returns a broken file, mutated before or after packing."""
    kind = known[name]
    inner = draw.choice(kind.specimens)
    other = draw.choice(known[draw.choice(list(known))].specimens)
    packed = draw.random() >= 0.5
    content = mutated(kind.pack(inner), other, draw) if packed else kind.pack(mutated(inner, other, draw))
    return kind.repair(content) if draw.random() < 0.7 else content


def kinds() -> dict[str, Kind]:
    """Returns all kinds of files, by name."""
    formats = {
        "png": [_saved(mode, "PNG") for mode in ("RGB", "RGBA", "P", "L", "1", "I;16")] + [_animated("PNG")],
        "jpg": [_saved("RGB", "JPEG", exif=_rotated()), _saved("L", "JPEG"), _saved("CMYK", "JPEG", progressive=True)],
        "gif": [_saved("P", "GIF"), _animated("GIF")],
        "bmp": [_saved("RGB", "BMP"), _saved("P", "BMP"), _saved("1", "BMP")],
        "webp": [_saved("RGB", "WEBP"), _saved("RGBA", "WEBP", lossless=True), _animated("WEBP")],
        "tif": _tiffs(),
    }
    pixels = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5)
    arrays = [_npy(pixels), _npy(pixels / 255.0), _npy(pixels.reshape(4, -1) * 1.5), _npy(np.asfortranarray(pixels))]
    rows = np.arange(ROWS * cifar.ROW, dtype=np.uint8).reshape(ROWS, -1)
    batches = [pickle.dumps({b"data": rows, b"labels": [1, 2]}, protocol=protocol) for protocol in (3, 4)]
    images = struct.pack(">4i", 0x803, ROWS, 28, 28) + bytes(ROWS * 28 * 28)
    digits = {f"x_{split}": _npy(np.zeros((ROWS, 28, 28), np.uint8)) for split in ("train", "test")}
    digits |= {f"y_{split}": _npy(np.zeros(ROWS, np.uint8)) for split in ("train", "test")}
    labeled = _zip("y_train", x_train=_npy(np.zeros((4, 6, 5), np.uint8)))
    return {
        **{suffix: Kind(files, _images(suffix)) for suffix, files in formats.items()},
        "png": Kind(formats["png"], _images("png"), repair=_png),
        "npy": Kind(arrays, _file("array", "npy")),
        "npz": Kind(arrays, _file("array", "npz"), pack=_zip("data")),
        "npz labels": Kind([_npy(np.array(list("abac"))), _npy(np.arange(4))], _file("array", "npz"), labeled),
        "csv": Kind(TABLES, _table("csv")),
        "csv gz": Kind(TABLES, _table("csv.gz"), pack=gzip.compress),
        "csv zip": Kind(TABLES, _table("zip"), pack=_zip("t", ".csv")),
        "pickle": Kind(batches, _copies("cifar10", *(f"cifar-10-batches-py/{name}" for name in cifar.PYTHON_BATCHES))),
        "batches": Kind([(b"\7" + bytes(cifar.ROW)) * ROWS], _copies("cifar_horse", *cifar.BINARY_BATCHES)),
        "tar": Kind(batches, _copies("cifar10", cifar.PYTHON.name), pack=_tar),
        "idx": Kind([images], _idx("")),
        "idx gz": Kind([images], _idx(".gz"), pack=gzip.compress),
        "mnist npz": Kind([digits["x_train"]], _copies("mnist", "mnist.npz"), pack=_zip("x_train", **digits)),
        "input": Kind([*arrays, *formats["png"], *formats["jpg"], *formats["gif"], *formats["tif"]], _input),
    }


def _saved(mode: str, kind: str, **options: object) -> bytes:
    values = np.add.outer(np.arange(6), np.arange(8)) * 18
    gray = Image.fromarray(values.astype(np.uint16) * 257 if mode == "I;16" else values.astype(np.uint8))
    return _encoded(gray if mode == "I;16" else gray.convert(mode), kind, **options)


def _animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (8, 6), (shade, 0, 0)) for shade in (1, 100, 200)]
    return _encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def _tiffs() -> list[bytes]:
    """Returns TIFF files of all layouts, bit depths, byte orders and compressions that are read."""
    gray = np.add.outer(np.arange(6), np.arange(8)) * 18
    color = np.stack([gray, gray[::-1], gray[:, ::-1]], axis=-1)
    arrays = [gray.astype(np.uint8), color.astype(np.uint8), (color * 257).astype(np.uint16)]
    compressions = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "tiff_lzma", "tiff_ccitt")
    files = [_saved("1" if "ccitt" in name else "RGB", "TIFF", compression=name) for name in compressions]
    files += [_saved(mode, "TIFF") for mode in ("1", "L", "P", "RGBA", "CMYK", "F", "I;16")] + [_animated("TIFF")]
    files += [_saved("I;16", "TIFF", compression="tiff_lzw"), _saved("L", "TIFF", exif=_rotated())]
    files += [tiff(array, order=order, side=side) for array in arrays for order in "<>" for side in (0, 16)]
    files += [tiff(array, compression=DEFLATE, is_big=True, pages=2) for array in arrays]
    return [*files, tiff(arrays[1], is_planar=True), tiff(arrays[1], is_planar=True, compression=DEFLATE)]


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _png(content: bytes) -> bytes:
    """Corrects the checksums of all chunks that can be parsed."""
    start = 8
    while start + 12 <= len(content):
        end = start + 8 + int.from_bytes(content[start : start + 4], "big")
        if end + 4 > len(content):
            break
        content = content[:end] + zlib.crc32(content[start + 4 : end]).to_bytes(4, "big") + content[end + 4 :]
        start = end + 4
    return content


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _zip(name: str, suffix: str = ".npy", **others: bytes) -> Callable[[bytes], bytes]:
    """Returns a function that packs a content under a name, with other members."""

    def pack(content: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for key, member in {**others, name: content}.items():
                archive.writestr(f"{key}{suffix}", member)
        return file.getvalue()

    return pack


def _tar(batch: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in cifar.PYTHON_BATCHES:
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(batch)
            archive.addfile(info, io.BytesIO(batch))
    return file.getvalue()


def _images(suffix: str) -> Place:
    def place(folder: pathlib.Path, content: bytes, draw: random.Random) -> list[str]:
        (folder / f"x.{suffix}").write_bytes(content)
        shape = [f"--fit={draw.choice(('crop', 'pad', 'resize'))}", f"--color={draw.choice(('grey', 'rgb'))}"]
        return ["--dataset=images", f"--data_dir={folder}", "--eval_fraction=0", "--image_size=5x7", *shape]

    return place


def _file(dataset: str, suffix: str) -> Place:
    def place(folder: pathlib.Path, content: bytes, draw: random.Random) -> list[str]:
        (folder / f"x.{suffix}").write_bytes(content)
        return [f"--dataset={dataset}", f"--data_dir={folder}/x.{suffix}", f"--eval_fraction={draw.choice((0, 0.3))}"]

    return place


def _table(suffix: str) -> Place:
    def place(folder: pathlib.Path, content: bytes, draw: random.Random) -> list[str]:
        options = [["--label_column=2"], ["--standardise"], ["--on_bad_file=skip"], ["--missing=mean"], []]
        return [*_file("table", suffix)(folder, content, draw), *draw.choice(options)]

    return place


def _copies(dataset: str, *names: str) -> Place:
    """Returns a function that writes the content to files of these names."""

    def place(folder: pathlib.Path, content: bytes, draw: random.Random) -> list[str]:
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        return [f"--dataset={dataset}", f"--data_dir={folder}"]

    return place


def _idx(suffix: str) -> Place:
    def place(folder: pathlib.Path, content: bytes, draw: random.Random) -> list[str]:
        labels = struct.pack(">2i", 0x801, ROWS) + bytes(ROWS)
        for name in mnist.IDX_FILES:
            packed = gzip.compress(labels) if suffix else labels
            (folder / f"{name}{suffix}").write_bytes(content if "images" in name else packed)
        return ["--dataset=mnist", f"--data_dir={folder}"]

    return place


def _input(folder: pathlib.Path, content: bytes, draw: random.Random) -> list[str]:
    path = folder / f"x.{draw.choice(('npy', 'png', 'jpg', 'gif', 'tif'))}"
    path.write_bytes(content)
    return [f"--input={path}"]
