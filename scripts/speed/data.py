"""Generated images in the files of MNIST and CIFAR-10: the speed of training does not depend on their contents."""

import pathlib

import numpy as np

from trainer.data.builtin import mnist

LATENT = 16  # independent directions of variation


def images(count: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Returns [count, *shape] uint8: smooth, distinct images, mostly of medium brightness."""
    basis = np.random.default_rng(0).standard_normal((LATENT, *shape), np.float32)
    for axis in (1, 2):
        basis = np.cumsum(basis, axis=axis) / np.sqrt(shape[axis - 1])
    latent = np.random.default_rng(seed).standard_normal((count, LATENT), np.float32)
    values = latent @ basis.reshape(LATENT, -1)
    return np.uint8(255 / (1 + np.exp(-values))).reshape(count, *shape)


def write(folder: pathlib.Path) -> None:
    """Writes both data sets in their official formats."""
    for image_file, label_file, count in zip(
        mnist.IDX_FILES[::2], mnist.IDX_FILES[1::2], (mnist.NUM_TRAIN, mnist.NUM_EVALUATION), strict=True
    ):
        _write_idx(folder / image_file, images(count, (28, 28), count))
        _write_idx(folder / label_file, np.uint8(np.arange(count) % 10))
    batches = folder / "cifar-10-batches-bin"
    batches.mkdir()
    for seed, name in enumerate([*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]):
        rows = images(10_000, (3, 32, 32), seed).reshape(10_000, -1)
        (batches / name).write_bytes(np.concatenate([np.uint8(np.arange(10_000) % 10)[:, None], rows], 1).tobytes())


def _write_idx(path: pathlib.Path, array: np.ndarray) -> None:
    sizes = np.asarray([0x800 + array.ndim, *array.shape], ">i4")
    path.write_bytes(sizes.tobytes() + array.tobytes())
