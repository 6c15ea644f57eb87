"""Selection of examples by class."""

from collections.abc import Sequence

import numpy as np

from trainer.data.dataset import Dataset, Split
from trainer.errors import DataError, UsageError, option

MAX_CLASSES_SHOWN = 100  # in an error message


def class_labels(name: str, label_names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Returns the labels of the given classes; all labels if no classes are given.

    Args:
      name: name of the data set, for messages.
      label_names: name of each label.
      classes: labels, or names of labels. If any label name is itself an integer, only names are accepted.

    Raises:
      UsageError: a class does not exist.
    """
    if not classes:
        return list(range(len(label_names)))
    named_by_number = any(label_name.removeprefix("-").isdecimal() for label_name in label_names)
    labels = {} if named_by_number else {str(label): label for label in range(len(label_names))}
    labels |= {label_name: label for label, label_name in enumerate(label_names)}
    unknown = [c for c in classes if c not in labels]
    if unknown:
        known = [n if named_by_number else f"{i} {n}" for i, n in enumerate(label_names[:MAX_CLASSES_SHOWN])]
        raise UsageError(
            f"{option('classes', ','.join(unknown))}: {name} has no such class",
            found=f"known: {', '.join(known)}" + (", ..." if len(label_names) > MAX_CLASSES_SHOWN else ""),
            remedy="use labels or names from this list",
        )
    return sorted({labels[c] for c in classes})


def keep_classes(data: Dataset, classes: Sequence[str]) -> Dataset:
    """Returns the data set with the examples of these classes only, in the same order.

    Examples are not copied if all of them are kept.

    Raises:
      UsageError: a class does not exist.
      DataError: a split has no example of these classes.
    """
    if not classes:  # Examples without a label are kept too.
        return data
    labels = class_labels(data.name, data.label_names, classes)

    def filtered(split: Split) -> Split:
        is_kept = np.isin(split.labels, labels)
        return split if is_kept.all() else Split(split.examples[is_kept], split.labels[is_kept])

    train = filtered(data.train)
    evaluation = train if data.evaluation is data.train else filtered(data.evaluation)
    check_not_empty(data.name, classes, len(train.examples), len(evaluation.examples))
    unchanged = train is data.train and evaluation is data.evaluation
    return data if unchanged else data.with_splits(train, evaluation)


def check_not_empty(name: str, classes: Sequence[str], num_train: int, num_evaluation: int) -> None:
    """Raises `DataError` if a split of the data set is empty."""
    if not num_train or not num_evaluation:
        raise DataError(
            f"{name} has no example" + (f" of class {', '.join(classes)}" if classes else "") + " in one of its splits",
            found=f"training examples: {num_train:,}, evaluation examples: {num_evaluation:,}",
            remedy="keep more classes" if classes else "add examples, or correct the ones that cannot be used",
        )


def check_splits(data: Dataset, classes: Sequence[str], *, is_divided: bool) -> None:
    """Raises `DataError` if a split of a cached data set is empty.

    Args:
      data: the data set. Its evaluation split is its training split if no evaluation examples were stored.
      classes: the classes that were kept.
      is_divided: True if an evaluation split of its own is required.
    """
    is_missing = is_divided and data.evaluation is data.train
    check_not_empty(data.name, classes, len(data.train.examples), 0 if is_missing else len(data.evaluation.examples))
