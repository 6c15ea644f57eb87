"""Small files in the formats of published data sets, and small checkpoints."""

import gzip
import io
import pathlib
import struct
import tarfile

import numpy as np

from trainer.checkpoints import manifest as manifests
from trainer.data.builtin import cifar


def python2_batch(rows: np.ndarray, labels) -> bytes:
    """Returns a CIFAR-10 batch as written by cPickle of Python 2: protocol 2, byte strings, NumPy before 2."""

    def string(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def integer(value: int) -> bytes:
        return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)

    dtype = b"cnumpy\ndtype\n" + string(b"u1") + integer(0) + integer(1) + b"\x87R"
    dtype += b"(" + integer(3) + string(b"|") + b"NNN" + b"J\xff\xff\xff\xff" * 2 + integer(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + integer(0) + b"\x85" + string(b"b") + b"\x87R"
    shape = integer(rows.shape[0]) + integer(rows.shape[1]) + b"\x86"
    array += b"(" + integer(1) + shape + dtype + b"\x89" + b"T" + struct.pack("<i", rows.size) + rows.tobytes() + b"tb"
    names = b"](" + b"".join(integer(int(label)) for label in labels) + b"e"
    pairs = string(b"batch_label") + string(b"a batch") + string(b"labels") + names + string(b"data") + array
    return b"\x80\x02}(" + pairs + b"u."


def binary_batch(rows: np.ndarray, labels) -> bytes:
    """Returns a CIFAR-10 batch of the binary version."""
    return np.concatenate([np.uint8(labels)[:, np.newaxis], rows], axis=1).tobytes()


def cifar_rows(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns random rows and the labels 0 to 9, repeated."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, cifar.ROW), dtype=np.uint8), np.arange(count) % 10


def cifar_folder(folder: pathlib.Path, names, write, count: int) -> None:
    folder.mkdir(parents=True)
    for seed, name in enumerate(names):
        (folder / name).write_bytes(write(*cifar_rows(seed, count)))


def cifar_archive(path: pathlib.Path, inner: str, names, write, count: int, extra=()) -> None:
    """Writes a .tar.gz like the published one, with `extra` members (TarInfo, bytes) before the batches."""
    with tarfile.open(path, "w:gz") as archive:
        for info, content in extra:
            archive.addfile(info, io.BytesIO(content))
        for seed, name in enumerate(names):
            content = write(*cifar_rows(seed, count))
            info = tarfile.TarInfo(f"{inner}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def idx(array: np.ndarray) -> bytes:
    """Returns a file in the IDX format of MNIST."""
    return struct.pack(f">{1 + array.ndim}i", 0x800 + array.ndim, *array.shape) + array.tobytes()


def mnist_arrays(num_train: int, num_evaluation: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        random.integers(0, 256, (num_train, 28, 28), dtype=np.uint8),
        np.uint8(np.arange(num_train) % 10),
        random.integers(0, 256, (num_evaluation, 28, 28), dtype=np.uint8),
        np.uint8(np.arange(num_evaluation) % 10),
    ]


def idx_folder(folder: pathlib.Path, names, arrays, packed: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, arrays, strict=True):
        content = idx(array)
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)


def commit(folder, step: int, *, error: float = 0.5, evaluated: int | None = None, run_id: str = "r", schema: int = 1):
    """Writes a committed checkpoint with arbitrary contents; returns its manifest."""
    (folder / f"ckpt-{step}.index").write_text(f"index {step}")
    (folder / f"ckpt-{step}.data-00000-of-00001").write_text(f"data {step}")
    manifest = manifests.Manifest(
        run_id=run_id,
        step=step,
        flags={},
        data="d",
        numerics={},
        metrics={manifests.ERROR: error},
        changes=[],
        pending=(0.0, 0),
        seconds=0.5,
        files=manifests.describe(folder, step),
        evaluated=step if evaluated is None else evaluated,
        schema=schema,
    )
    manifests.write(folder, manifest)
    return manifest


# A fake TensorFlow Datasets module with the functions that the loader calls. The splits have to be filled in.
TFDS = """
import io
import types
import numpy as np
from PIL import Image

decode = types.SimpleNamespace(SkipDecoding=lambda: "as stored")
ReadConfig = dict
as_numpy = iter


def _png(shade):
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (shade,) * 3).save(file, "png")
    return file.getvalue()


class Builder:
    info = types.SimpleNamespace(
        features={{"image": None, "label": types.SimpleNamespace(names=["dark", "light"])}}, splits={splits}
    )

    def download_and_prepare(self):
        pass

    def as_dataset(self, split, shuffle_files, decoders, read_config):
        assert (shuffle_files, decoders) == (False, {{"image": "as stored"}})
        for number in range(self.info.splits[split]):
            image = b"broken" if number == 3 else _png(200 * (number % 2))
            yield {{"image": image, "label": -1 if self.unlabeled else number % 2}}


def builder(name, data_dir):
    Builder.unlabeled = name == "unlabeled"
    if name not in ("shades", "unlabeled"):
        raise ValueError(f"Dataset {{name}} not found.\\nmore")
    return Builder()
"""
