"""The names of the arrays in .npz files: which hold examples, and which hold labels."""

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from trainer.data.formats import npy
from trainer.errors import DataError, sanitize

# Names of training examples, and of their labels. Upper case and separators make no difference.
TRAINING = {
    "x_train": ("y_train",),
    "data": ("labels", "target", "targets"),
    "train_x": ("train_y",),
    "train_images": ("train_labels",),
    "train_data": ("train_labels", "train_targets"),
    "images": ("labels", "targets"),
    "x": ("y", "labels"),
    "arr_0": ("arr_1",),
}
# Names of evaluation examples, the first of which is used, and of their labels.
EVALUATION = {
    "x_test": ("y_test",),
    "x_eval": ("y_eval",),
    "x_val": ("y_val",),
    "test_x": ("test_y",),
    "val_x": ("val_y",),
    "test_images": ("test_labels",),
    "val_images": ("val_labels",),
    "test_data": ("test_labels", "test_targets"),
    "val_data": ("val_labels", "val_targets"),
}
# The names that version 0.1 read, only in this spelling. They are preferred, so that its runs can go on.
FIRST_TRAINING, FIRST_EVALUATION = ("x_train", npy.ONLY_KEY), ("x_test", "x_eval", "x_val")
FIRST_LABELS = {(key, {**TRAINING, **EVALUATION}[key][0]) for key in (*FIRST_TRAINING, *FIRST_EVALUATION)}
UNNAMED = "arr_0"  # the name of the first array that numpy.savez gets without a name
NEXT_UNNAMED = ("arr_1", "arr_2", "arr_3")
MAX_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Roles:
    """The roles of the arrays of a file.

    Attributes:
      examples: names of the training examples, and of the evaluation examples if there are any.
      labels: names of the labels, by the names of their examples.
      note: a note on these names; empty if there was no choice.
    """

    examples: Sequence[str]
    labels: Mapping[str, str]
    note: str = ""

    @property
    def used(self) -> set[str]:
        """The names of all arrays that are read."""
        return {*self.examples, *self.labels.values()}


def choose(path: pathlib.Path, keys: Sequence[str]) -> Roles:
    """Returns the roles of the arrays in a file.

    Raises:
      DataError: no array, or several arrays, may be the training examples.
    """
    train = next((key for key in FIRST_TRAINING if key in keys), None)
    names: Iterable[str] = FIRST_EVALUATION
    if train is None:
        train, names = (keys[0], FIRST_EVALUATION) if len(keys) == 1 else (_training(path, keys), EVALUATION)
    others = [key for key in keys if key != train]
    evaluation = _first(path, names, others) if names is EVALUATION else _exact(names, others)
    examples = [train, *filter(None, [evaluation])]
    tables = {_plain(name): labels for name, labels in {**TRAINING, **EVALUATION}.items()}
    known = {key: _first(path, tables.get(_plain(key), ()), others) for key in examples}
    labels = {key: label for key, label in known.items() if label and _can_be_labels(path, key, label)}
    return Roles(examples, labels, _note(examples, labels) if names is EVALUATION else "")


def _plain(name: str) -> str:
    """Returns a name in lower case, without separators: "xtrain" for "X_train"."""
    return re.sub(r"[\W_]+", "", name.lower())


def _exact(names: Iterable[str], keys: Sequence[str]) -> str | None:
    return next((name for name in names if name in keys), None)


def _first(path: pathlib.Path, names: Iterable[str], keys: Sequence[str]) -> str | None:
    """Returns the key with the first of these names; None if there is none."""
    for name in names:
        found = [key for key in keys if _plain(key) == _plain(name)]
        if len(found) > 1 and name not in found:
            raise _ambiguous(path, found)
        if found:
            return name if name in found else found[0]
    return None


def _training(path: pathlib.Path, keys: Sequence[str]) -> str:
    """Returns the key of the training examples."""
    known = set(map(_plain, TRAINING)) - {_plain(UNNAMED)}
    found = [key for key in keys if _plain(key) in known] or _unnamed(path, keys)
    if len(found) > 1:
        raise _ambiguous(path, found)
    if not found:
        raise DataError(
            f"{sanitize(path)} has no array x_train or data",
            found=f"arrays: {', '.join(map(sanitize, keys[:MAX_SHOWN])) or 'none'}",
            remedy="save it with numpy.savez(path, x_train=..., x_test=...), or data=...",
        )
    return found[0]


def _unnamed(path: pathlib.Path, keys: Sequence[str]) -> list[str]:
    """Returns the first array without a name, if it has examples, and others that have examples of the same shape."""
    shapes = {key: npy.open_array(path, key).shape for key in (UNNAMED, *NEXT_UNNAMED) if key in keys}
    if len(shapes.get(UNNAMED, ())) < 2:
        return []
    return [key for key, shape in shapes.items() if shape[1:] == shapes[UNNAMED][1:]]


def _ambiguous(path: pathlib.Path, keys: Sequence[str]) -> DataError:
    return DataError(
        f"{sanitize(path)} has several arrays that may be the same examples or labels",
        found=", ".join(map(sanitize, keys[:MAX_SHOWN])),
        remedy="save each with one meaning: numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)",
    )


def _can_be_labels(path: pathlib.Path, examples: str, labels: str) -> bool:
    """Returns True if an array has a label for each example; names that version 0.1 read are checked later."""
    if (examples, labels) in FIRST_LABELS:
        return True
    count, stored = npy.open_array(path, examples).shape[:1], npy.open_array(path, labels)
    return stored.shape in (count, (*count, 1)) and stored.dtype.kind in "uibUS"


def _note(examples: Sequence[str], labels: Mapping[str, str]) -> str:
    """Returns a note on the arrays that are used, by role."""
    shown = [sanitize(key) + (f" (labels: {sanitize(labels[key])})" if key in labels else "") for key in examples]
    roles = ("training examples", "evaluation examples")
    return "; ".join(f"{role}: {text}" for role, text in zip(roles, shown, strict=False))
