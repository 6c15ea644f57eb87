"""Selection of examples by class."""

import re
from collections.abc import Sequence

import numpy as np

from trainer.data import labels
from trainer.data.dataset import NO_LABEL, Dataset, Split
from trainer.errors import DataError, UsageError, option

MAX_CLASSES_SHOWN = 100  # in an error message


def class_labels(name: str, label_names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Returns the labels of the given classes; all labels if no classes are given.

    Args:
      name: name of the data set, for messages.
      label_names: name of each label.
      classes: names of labels. Names that are numbers are compared by value: 1 selects 1.0. If no name is a number,
        places of labels, from 0, are accepted too.

    Raises:
      UsageError: a class does not exist; the examples have no labels; or, if some names are numbers and others are
        not, a number could be both a name and a place.
    """
    if not classes:
        return list(range(len(label_names)))
    if tuple(label_names) == (NO_LABEL,):
        raise _unlabeled(name, classes)
    kinds = labels.kinds(label_names)
    selected = {text: labels.find(label_names, text) for text in classes}
    for text, found in selected.items():
        place = _place(text, label_names)
        if place is None:
            continue
        if not kinds.numbers and not found:
            selected[text] = [place]
        elif found and kinds.numbers and kinds.texts and place not in found:
            raise _ambiguous(name, text, label_names[place])
    unknown = [text for text, found in selected.items() if not found]
    if unknown:
        known = [n if kinds.numbers else f"{i} {n}" for i, n in enumerate(label_names[:MAX_CLASSES_SHOWN])]
        raise UsageError(
            f"{option('classes', ','.join(unknown))}: {name} has no such class",
            found=f"known: {', '.join(known)}" + (", ..." if len(label_names) > MAX_CLASSES_SHOWN else ""),
            remedy="use names from this list" if kinds.numbers else "use labels or names from this list",
        )
    return sorted({label for found in selected.values() for label in found})


def _place(text: str, label_names: Sequence[str]) -> int | None:
    """Returns the label whose place, from 0, is written as this text; None if there is none."""
    is_place = re.fullmatch("0|[1-9][0-9]{,8}", text) and int(text) < len(label_names)
    return int(text) if is_place else None


def _unlabeled(name: str, classes: Sequence[str]) -> UsageError:
    """Returns the error for classes of examples that have no labels."""
    remedies = {
        "table": f"give the column of labels, such as {option('label_column', 'class')}",
        "array": "save the labels too: numpy.savez(path, data=..., labels=...)",
        "images": "put the images of each class into a folder of its own",
    }
    return UsageError(
        f"{option('classes', ','.join(classes))}: the examples of {name} have no labels",
        remedy=remedies.get(name, f"remove {option('classes')}"),
    )


def _ambiguous(name: str, text: str, other: str) -> UsageError:
    """Returns the error for a class that is the name of one label, and the place of another."""
    exact = f"{other}.0" if re.fullmatch("[0-9]+", other) else other  # A number with a point is never a place.
    return UsageError(
        f"{option('classes', text)} has two meanings in {name}",
        found=f"it is the name of a class, and the place of the class {other}; some names are numbers, others are not",
        remedy=f"use {text}.0 for the class {text}, or {exact} for the class {other}",
    )


def keep_classes(data: Dataset, classes: Sequence[str]) -> Dataset:
    """Returns the data set with the examples of these classes only, in the same order.

    Examples are not copied if all of them are kept.

    Raises:
      UsageError: a class does not exist.
      DataError: a split has no example of these classes.
    """
    if not classes:  # Examples without a label are kept too.
        return data
    kept_labels = class_labels(data.name, data.label_names, classes)

    def filtered(split: Split) -> Split:
        is_kept = np.isin(split.labels, kept_labels)
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
