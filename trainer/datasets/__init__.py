"""Data sets by name: each is one function, from `Sources` to `Data`, and one line of `LOADERS`. No TensorFlow."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from trainer.datasets import arrays, cifar, embedded, mnist, pictures, tables, tfds
from trainer.datasets.data import Data, Split
from trainer.datasets.sources import Sources, Wanted
from trainer.errors import DataError, UsageError

__all__ = ["LOADERS", "Data", "Sources", "Split", "Wanted", "check_name", "load"]

LOADERS: dict[str, Callable[[Sources], Data]] = {
    "digits": embedded.digits,
    "iris": embedded.iris,
    "mnist": mnist.mnist,
    "fashion_mnist": mnist.fashion_mnist,
    "cifar10": cifar.colour,
    "images": pictures.images,
    "array": arrays.array,
    "table": tables.table,
    **{f"cifar_{name}": functools.partial(cifar.grey, name) for name in cifar.CLASSES},
}


def check_name(name: str) -> None:
    """Raises `UsageError` for a data set that does not exist."""
    if name not in LOADERS and not name.startswith(tfds.PREFIX):
        raise UsageError(
            f"--dataset={name} is unknown",
            found=f"known: {', '.join(LOADERS)}, {tfds.PREFIX}NAME",
            remedy="give one of them",
        )


def load(name: str, sources: Sources, classes: Sequence[str] = ()) -> Data:
    """Loads, checks and filters one data set.

    Args:
      name: a key of `LOADERS`.
      sources: where its files are looked for, and downloaded to.
      classes: labels or names to keep; empty keeps all.

    Raises:
      UsageError: an unknown name or class.
      DataError: files that are absent, damaged, or not what they claim to be.
    """
    check_name(name)
    try:
        own = name.startswith(tfds.PREFIX)
        data = tfds.images(name.removeprefix(tfds.PREFIX), sources) if own else LOADERS[name](sources)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name} cannot be read", found=str(error), remedy="mend the permissions or the disk"
        ) from error
    if classes and name != "images":  # Of pictures only the wanted ones are decoded.
        data = keep_classes(data, classes)
    if sources.wanted.standardise:
        data = data.standardised()
    return data.aligned()


def keep_classes(data: Data, classes: Sequence[str]) -> Data:
    """Keeps the examples whose label or label's name is in `classes`; the order stays."""
    known = {str(label): label for label in range(len(data.label_names))}
    known |= {label_name: label for label, label_name in enumerate(data.label_names)}
    unknown = [c for c in classes if c not in known]
    if unknown:
        raise UsageError(
            f"--classes={','.join(unknown)}: {data.name} has no such class",
            found=f"known: {', '.join(f'{i} {n}' if str(i) != n else n for i, n in enumerate(data.label_names))}",
            remedy="give labels or names from this list",
        )
    wanted = sorted({known[c] for c in classes})

    def keep(split: Split) -> Split:
        rows = np.isin(split.labels, wanted)
        return Split(split.examples[rows], split.labels[rows])

    kept = data.with_splits(keep(data.train), keep(data.evaluation))
    if not len(kept.train.examples) or not len(kept.evaluation.examples):
        raise DataError(
            f"{data.name} has no example of class {', '.join(classes)}",
            found=f"{len(kept.train.examples)} to train on, {len(kept.evaluation.examples)} to evaluate",
            remedy="keep more classes",
        )
    return kept
