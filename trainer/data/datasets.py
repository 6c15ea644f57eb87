"""Data sets by name: each is one function, from `Sources` to `Data`, and one line of `LOADERS`. No TensorFlow."""

import dataclasses
import functools
from collections.abc import Callable

from trainer.data import filters
from trainer.data.builtin import cifar, digits_iris, mnist
from trainer.data.custom import arrays, image_folder, tables, tfds
from trainer.data.dataset import Data, Split
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError, option

__all__ = ["LOADERS", "WITH_VARIANTS", "Data", "Sources", "Split", "check_name", "load"]

LOADERS: dict[str, Callable[[Sources], Data]] = {
    "digits": digits_iris.digits,
    "iris": digits_iris.iris,
    "mnist": mnist.mnist,
    "fashion_mnist": mnist.fashion_mnist,
    "cifar10": cifar.colour,
    "images": image_folder.images,
    "array": arrays.array,
    "table": tables.table,
    "tfds": tfds.images,
    **{f"cifar_{name}": functools.partial(cifar.grey, name) for name in cifar.CLASSES},
}
WITH_VARIANTS = frozenset(["tfds"])  # Their names go on after a colon: `Sources.variant`.


def check_name(name: str) -> None:
    """Raises `UsageError` for a data set that does not exist."""
    loader, colon, variant = name.partition(":")
    fits = bool(variant) if loader in WITH_VARIANTS else not colon
    if loader not in LOADERS or not fits:
        known = (f"{key}:NAME" if key in WITH_VARIANTS else key for key in LOADERS)
        raise UsageError(
            f"{option('dataset', name)} is unknown", found=f"known: {', '.join(known)}", remedy="give one of them"
        )


def load(name: str, sources: Sources) -> Data:
    """Loads, checks and filters one data set.

    Args:
      name: a key of `LOADERS`; of those in `WITH_VARIANTS`, a colon and the variant follow.
      sources: where its files are looked for, and downloaded to; and what is wanted of it.

    Raises:
      UsageError: an unknown name or class.
      DataError: files that are absent, damaged, or not what they claim to be.
    """
    check_name(name)
    loader, _, variant = name.partition(":")
    try:
        data = LOADERS[loader](dataclasses.replace(sources, variant=variant))
    except MemoryError as error:
        raise DataError(
            f"{name} does not fit into memory",
            remedy=f"give large data as {option('dataset', 'images')}, or as an .npy file",
        ) from error
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name} cannot be read", found=str(error), remedy="mend the permissions or the disk"
        ) from error
    data = filters.keep(data, sources.options.classes)
    if sources.options.standardise:
        data = data.standardised()
    return data.aligned()
