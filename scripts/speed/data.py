"""Pictures made here, of the sizes of MNIST and CIFAR-10, in their files: speed does not depend on what is on them."""

import pathlib

import numpy as np

from trainer.data.builtin import mnist

LATENT = 16  # They vary in so many ways.


def pictures(count: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """[count, *shape] uint8: smooth, each another, mostly of middle brightness."""
    basis = np.random.default_rng(0).standard_normal((LATENT, *shape), np.float32)
    for axis in (1, 2):
        basis = np.cumsum(basis, axis=axis) / np.sqrt(shape[axis - 1])
    latent = np.random.default_rng(seed).standard_normal((count, LATENT), np.float32)
    values = latent @ basis.reshape(LATENT, -1)
    return np.uint8(255 / (1 + np.exp(-values))).reshape(count, *shape)


def write(folder: pathlib.Path) -> None:
    """Both data sets, in their official layouts."""
    for name, count in zip(mnist.IDX_FILES[::2], (mnist.NUM_TRAIN, mnist.NUM_EVALUATION), strict=True):
        _write_idx(folder / name, pictures(count, (28, 28), count))
    for name, count in zip(mnist.IDX_FILES[1::2], (mnist.NUM_TRAIN, mnist.NUM_EVALUATION), strict=True):
        _write_idx(folder / name, np.uint8(np.arange(count) % 10))
    batches = folder / "cifar-10-batches-bin"
    batches.mkdir()
    for seed, name in enumerate([*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]):
        rows = pictures(10_000, (3, 32, 32), seed).reshape(10_000, -1)
        (batches / name).write_bytes(np.concatenate([np.uint8(np.arange(10_000) % 10)[:, None], rows], 1).tobytes())


def _write_idx(path: pathlib.Path, array: np.ndarray) -> None:
    sizes = np.asarray([0x800 + array.ndim, *array.shape], ">i4")
    path.write_bytes(sizes.tobytes() + array.tobytes())
