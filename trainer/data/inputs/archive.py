"""Reads .npz files: the arrays of examples by their names, and their labels."""

import dataclasses
import pathlib

import numpy as np

from trainer.data.custom import array_labels, array_names
from trainer.data.formats import npy
from trainer.data.formats.depth import Depth
from trainer.data.formats.npy import BadArray
from trainer.data.inputs import arrays
from trainer.data.inputs.types import Inputs
from trainer.errors import DataError, sanitize

SUFFIX = ".npz"
MAX_SHOWN = 10


def from_archive(
    path: pathlib.Path, shape: tuple[int, ...], depth: Depth, offset: np.ndarray | None, *, can_be_missing: bool
) -> Inputs:
    """Reads the arrays of examples in an .npz file; see `reader.read`.

    The names are those of `array_names`. If there are training and evaluation examples, all of them are read, and the
    names of the examples begin with that of their array.
    """
    try:
        keys = npy.array_keys(path)
        roles = array_names.choose(path, keys)
        stored = {key: npy.open_array(path, key) for key in roles.examples}
        parts = [
            arrays.from_array(path, shape, depth, offset, can_be_missing=can_be_missing, key=key) for key in stored
        ]
        counts = {key: len(part.names) for key, part in zip(stored, parts, strict=True)}
        labels = _labels(path, stored, roles, counts)
    except BadArray as error:
        raise DataError(
            f"{sanitize(path)} cannot be read",
            found=str(error),
            remedy="write arrays of numbers with numpy.savez",
        ) from error
    unused = [sanitize(key) for key in keys if key not in roles.used]
    notes = [roles.note] if roles.note else []
    notes += [f"skipped arrays that are not used: {', '.join(unused[:MAX_SHOWN])}"] if unused else []
    whole = parts[0] if len(parts) == 1 else _joined(dict(zip(stored, parts, strict=True)))
    return dataclasses.replace(whole, labels=labels, notes=(*whole.notes, *notes))


def _labels(
    path: pathlib.Path, stored: dict[str, npy.StoredArray], roles: array_names.Roles, counts: dict[str, int]
) -> np.ndarray | None:
    """Returns the labels of all examples, [N] str; None if an array has none, or is one example without an axis."""
    if not all(key in roles.labels and stored[key].shape[0] == count for key, count in counts.items()):
        return None
    labels, names, _ = array_labels.read(path, stored, roles.labels)
    return np.array(names)[np.concatenate(labels)]


def _joined(parts: dict[str, Inputs]) -> Inputs:
    return Inputs(
        np.concatenate([part.examples for part in parts.values()]),
        tuple(f"{sanitize(key)}/{name}" for key, part in parts.items() for name in part.names),
        tuple(note for part in parts.values() for note in part.notes),
    )
