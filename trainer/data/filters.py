"""Which examples are kept, by their labels."""

from collections.abc import Sequence

import numpy as np

from trainer.data.dataset import Data, Split
from trainer.errors import DataError, UsageError, option

MOST_SHOWN = 100  # classes in an error


def numbers(name: str, label_names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """The labels that are meant; none given: all.

    Args:
      name: of the data set.
      label_names: what its labels mean.
      classes: labels or their names.

    Raises:
      UsageError: there is no such class.
    """
    if not classes:
        return list(range(len(label_names)))
    # Where names are numbers, those are meant.
    named_by_number = any(name.removeprefix("-").isdecimal() for name in label_names)
    known = {} if named_by_number else {str(label): label for label in range(len(label_names))}
    known |= {label_name: label for label, label_name in enumerate(label_names)}
    unknown = [c for c in classes if c not in known]
    if unknown:
        shown = [n if named_by_number else f"{i} {n}" for i, n in enumerate(label_names[:MOST_SHOWN])]
        raise UsageError(
            f"{option('classes', ','.join(unknown))}: {name} has no such class",
            found=f"known: {', '.join(shown)}" + (", ..." if len(label_names) > MOST_SHOWN else ""),
            remedy="give labels or names from this list",
        )
    return sorted({known[c] for c in classes})


def keep(data: Data, classes: Sequence[str]) -> Data:
    """Keeps the examples of these classes; the order stays. Where that is all of them, nothing is copied.

    Raises:
      UsageError: there is no such class.
      DataError: there is no example of these.
    """
    if not classes:  # There may be examples without a label.
        return data
    wanted = numbers(data.name, data.label_names, classes)

    def kept(split: Split) -> Split:
        rows = np.isin(split.labels, wanted)
        return split if rows.all() else Split(split.examples[rows], split.labels[rows])

    train = kept(data.train)
    evaluation = train if data.evaluation is data.train else kept(data.evaluation)
    check_left(data.name, classes, len(train.examples), len(evaluation.examples))
    unchanged = train is data.train and evaluation is data.evaluation
    return data if unchanged else data.with_splits(train, evaluation)


def check_left(name: str, classes: Sequence[str], num_train: int, num_evaluation: int) -> None:
    """Raises `DataError` where a split of the data set is empty, with or without classes being chosen."""
    if not num_train or not num_evaluation:
        raise DataError(
            f"{name} has no example" + (f" of class {', '.join(classes)}" if classes else " in one of its splits"),
            found=f"{num_train:,} to train on, {num_evaluation:,} to evaluate",
            remedy="keep more classes" if classes else "give more examples, or mend what cannot be used",
        )


def check_divided(data: Data, classes: Sequence[str], *, is_divided: bool) -> None:
    """As `check_left`, of stored data, which evaluate what they train on where nothing else is there to evaluate on.

    Args:
      data: they.
      classes: that were chosen.
      is_divided: whether there should be something else.
    """
    is_missing = is_divided and data.evaluation is data.train
    check_left(data.name, classes, len(data.train.examples), 0 if is_missing else len(data.evaluation.examples))
