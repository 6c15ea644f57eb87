"""MNIST and Fashion-MNIST, read from Keras's `mnist.npz` or from the four IDX files, compressed with gzip or not.

Sources: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998;
Xiao, Rasul and Vollgraf, Fashion-MNIST, arXiv:1708.07747.
IDX files consist of a magic number and the sizes, big-endian, and then the bytes.
"""

import dataclasses
import gzip
import pathlib
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from trainer.data.builtin.archives import Archive, Mirror, verify
from trainer.data.dataset import Dataset, Split
from trainer.data.formats import npy
from trainer.data.formats.npy import BadArray
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError, option

SIDE = 28
NUM_TRAIN, NUM_EVALUATION = 60_000, 10_000

# Training images, training labels, test images, test labels.
IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

MNIST_NPZ = Archive("mnist.npz", "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1", 11_490_434)
# Address and hash from keras.datasets.mnist.
MNIST_MIRRORS = (Mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz", (MNIST_NPZ,)),)

# Sizes and hashes from the README of the data set, and from TFDS.
FASHION_ARCHIVES = (
    Archive(f"{IDX_FILES[0]}.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
    Archive(f"{IDX_FILES[1]}.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
    Archive(f"{IDX_FILES[2]}.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
    Archive(f"{IDX_FILES[3]}.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
)
FASHION_HOSTS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",  # keras.datasets.fashion_mnist
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",  # The README of the data set; the hash is checked.
)
FASHION_NAMES = tuple("T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(","))
FASHION_CACHE = "fashion-mnist"  # Keras uses the same name.


def load_mnist(sources: Sources) -> Dataset:
    """Loads 70,000 gray images of handwritten digits, 28x28: 60,000 for training and 10,000 for evaluation."""
    digits = tuple(str(digit) for digit in range(10))
    files = _find_idx(sources, ("MNIST/raw", "mnist", "."))
    if files:
        return _from_idx("mnist", files, digits)
    path = sources.find(["mnist.npz"]) or sources.download(MNIST_MIRRORS)
    return _from_npz(path, digits)


def load_fashion_mnist(sources: Sources) -> Dataset:
    """Loads 70,000 gray images of clothes, 28x28: 60,000 for training and 10,000 for evaluation."""
    folders = (
        (FASHION_CACHE, "FashionMNIST/raw")
        if sources.options.data_dir is None
        else (FASHION_CACHE, "FashionMNIST/raw", ".")
    )
    files = _find_idx(sources, folders)
    if not files:
        if sources.options.data_url is not None and not sources.options.data_url.endswith("/"):
            raise UsageError(
                f"{option('data_url', sources.options.data_url)} must end in /: Fashion-MNIST consists of four files",
                remedy="give the address of the folder of these files, with a / at the end",
            )
        folder = sources.folder / FASHION_CACHE
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        nested = dataclasses.replace(sources, options=dataclasses.replace(sources.options, data_dir=str(folder)))
        files = [nested.download([Mirror(host + a.name, (a,)) for host in FASHION_HOSTS]) for a in FASHION_ARCHIVES]
    return _from_idx("fashion_mnist", files, FASHION_NAMES)


def _find_idx(sources: Sources, folders: Sequence[str]) -> list[pathlib.Path] | None:
    """Returns the four files of the first folder that has all of them, or None."""
    for folder in folders:
        files = [sources.find([f"{folder}/{name}.gz", f"{folder}/{name}"]) for name in IDX_FILES]
        if all(files):
            return [file for file in files if file]
    return None


def _from_idx(name: str, files: Sequence[pathlib.Path], label_names: tuple[str, ...]) -> Dataset:
    arrays = []
    for path, (count, dimensions) in zip(
        files, ((NUM_TRAIN, 3), (NUM_TRAIN, 1), (NUM_EVALUATION, 3), (NUM_EVALUATION, 1)), strict=True
    ):
        arrays.append(read_idx(path, (count, SIDE, SIDE)[:dimensions]))
    return _data(name, arrays, label_names, str(files[0].parent))


def read_idx(path: pathlib.Path, shape: tuple[int, ...]) -> np.ndarray:
    """Reads an IDX file of uint8, compressed with gzip or not.

    Raises:
      DataError: the magic number, the shape or the size of the file is wrong.
    """
    header_size = 4 + 4 * len(shape)
    size = header_size + int(np.prod(shape))
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    if len(content) < header_size:
        raise _damaged(path, f"{len(content)} bytes; an IDX header has {header_size}")
    magic, *sizes = struct.unpack(f">{1 + len(shape)}i", content[:header_size])
    if magic != 0x800 + len(shape) or tuple(sizes) != shape:
        raise _damaged(path, f"magic {magic:#x}, shape {sizes}; expected {0x800 + len(shape):#x}, {list(shape)}")
    if len(content) != size:
        raise _damaged(
            path, f"{'more than ' if len(content) > size else ''}{min(len(content), size):,} bytes; expected {size:,}"
        )
    return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)


def _from_npz(path: pathlib.Path, label_names: tuple[str, ...]) -> Dataset:
    verify(path, MNIST_NPZ)
    try:
        arrays = [npy.open_array(path, key).read() for key in ("x_train", "y_train", "x_test", "y_test")]
    except BadArray as error:
        raise _damaged(path, str(error)) from error
    shapes = [
        (n, SIDE, SIDE)[:d] for n, d in ((NUM_TRAIN, 3), (NUM_TRAIN, 1), (NUM_EVALUATION, 3), (NUM_EVALUATION, 1))
    ]
    if [a.shape for a in arrays] != shapes or any(a.dtype != np.uint8 for a in arrays):
        raise _damaged(path, f"arrays {[(a.dtype.name, a.shape) for a in arrays]}; expected uint8 of {shapes}")
    return _data("mnist", arrays, label_names, str(path))


def _data(name: str, arrays: Sequence[np.ndarray], label_names: tuple[str, ...], source: str) -> Dataset:
    train_images, train_labels, test_images, test_labels = arrays
    for labels in (train_labels, test_labels):
        if labels.max() >= len(label_names):
            raise DataError(
                f"{source} has the label {labels.max()}",
                found=f"expected labels from 0 to {len(label_names) - 1}",
                remedy="delete the file to download it again",
            )
    return Dataset(
        name=name,
        train=Split(train_images[..., np.newaxis], train_labels.astype(np.int64)),
        evaluation=Split(test_images[..., np.newaxis], test_labels.astype(np.int64)),
        label_names=label_names,
        scale=255.0,
        source=source,
    )


def _damaged(path: pathlib.Path, found: str) -> DataError:
    return DataError(f"{path} is damaged", found=found, remedy="delete the file to download it again, or replace it")
