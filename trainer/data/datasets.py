"""The registry of data sets: one loader function, and one line of `LOADERS`, for each. No TensorFlow."""

import dataclasses
import functools
from collections.abc import Callable

from trainer.data import filters
from trainer.data.builtin import cifar, digits_iris, mnist
from trainer.data.custom import arrays, columns, image_folder, tables, tfds
from trainer.data.dataset import Dataset, Split
from trainer.data.sources import Sources
from trainer.errors import DataError, UsageError, option, render

__all__ = ["LOADERS", "WITH_VARIANTS", "Dataset", "Sources", "Split", "check_name", "load"]

LOADERS: dict[str, Callable[[Sources], Dataset]] = {
    "digits": digits_iris.load_digits,
    "iris": digits_iris.load_iris,
    "mnist": mnist.load_mnist,
    "fashion_mnist": mnist.load_fashion_mnist,
    "cifar10": cifar.load_cifar10,
    "images": image_folder.load_images,
    "array": arrays.load_array,
    "table": tables.load_table,
    "tfds": tfds.load_images,
    **{f"cifar_{name}": functools.partial(cifar.load_gray_class, name) for name in cifar.CLASSES},
}
WITH_VARIANTS = frozenset(["tfds"])  # Loaders whose name is followed by a colon and `Sources.variant`.


def check_name(name: str) -> None:
    """Raises `UsageError` if the data set does not exist."""
    loader, colon, variant = name.partition(":")
    is_valid = bool(variant) if loader in WITH_VARIANTS else not colon
    if loader not in LOADERS or not is_valid:
        known = (f"{key}:NAME" if key in WITH_VARIANTS else key for key in LOADERS)
        raise UsageError(
            f"{option('dataset', name)} is unknown", found=f"known: {', '.join(known)}", remedy="use one of these names"
        )


def load(name: str, sources: Sources) -> Dataset:
    """Loads a data set, checks it, and keeps the selected classes.

    Args:
      name: a key of `LOADERS`; followed by a colon and the variant for keys in `WITH_VARIANTS`.
      sources: options, locations of files, and limits.

    Raises:
      UsageError: the name or a class does not exist.
      DataError: files are missing or damaged, or have invalid contents.
    """
    check_name(name)
    loader, _, variant = name.partition(":")
    try:
        data = LOADERS[loader](dataclasses.replace(sources, variant=variant))
    except MemoryError as error:
        raise DataError(
            f"{name} does not fit into memory",
            remedy=f"use {option('dataset', 'images')} or an .npy file for large data",
        ) from error
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name} cannot be read", found=str(error), remedy="correct the permissions, or repair the disk"
        ) from error
    options = sources.options
    data = filters.keep_classes(data, options.classes)
    # Only now: the notes are on the rows that are trained on.
    notes = columns.notes(data, is_standardized=options.standardise, ignored=options.ignore_columns)
    data = dataclasses.replace(data, notes=(*data.notes, *map(render, notes)))
    if options.standardise:
        data = data.standardized()
    return data.aligned()
