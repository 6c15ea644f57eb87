"""The labels of custom arrays."""

import pathlib
from collections.abc import Mapping

import numpy as np

from trainer.data import labels as label_texts
from trainer.data.dataset import NO_LABEL
from trainer.data.formats import npy
from trainer.data.formats.npy import BadArray, StoredArray
from trainer.errors import DataError, sanitize

MAX_LABEL_BYTES = 4_096
MAX_ONE_HOT_BYTES = 256 << 20
MAX_CODE_POINT = 0x10FFFF  # of Unicode


def read(
    path: pathlib.Path, arrays: Mapping[str, StoredArray], label_keys: Mapping[str, str]
) -> tuple[list[np.ndarray], tuple[str, ...], list[str]]:
    """Returns the labels of each array of examples, [N] int64; the label names: the distinct labels as text; and notes.

    `label_keys` maps the keys of examples to the keys of their labels; arrays without labels are absent. Labels are
    integers, finite floats, booleans or texts; labels of equal value are one label.
    """
    texts = []
    for key, examples in arrays.items():
        count = examples.shape[0]
        if key not in label_keys:
            texts.append(np.full(count, NO_LABEL))
            continue
        stored = npy.open_array(path, label_keys[key])
        is_allowed = stored.shape in ((count,), (count, 1)) and stored.dtype.kind in "uifUSb"
        if not is_allowed or stored.dtype.itemsize > MAX_LABEL_BYTES:
            raise _error(path, label_keys[key], stored, count)
        values = np.ascontiguousarray(stored.read()).reshape(-1)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(
                f"{sanitize(path)}: {label_keys[key]} has labels that are not finite",
                found=f"{int((~np.isfinite(values)).sum()):,} of {count:,} labels are infinite or NaN",
                remedy="correct or remove these examples and their labels",
            )
        texts.append(_as_text(values, label_keys[key]))
    distinct, indices = np.unique(np.concatenate(texts), return_inverse=True)
    displayed = [label_texts.display(sanitize(text)) for text in distinct]  # Different texts may become equal.
    names = sorted(set(displayed), key=label_texts.sort_key)
    label_of = {name: label for label, name in enumerate(names)}
    labels = np.array([label_of[name] for name in displayed], np.int64)[indices]
    note = label_texts.spelling_note(dict(zip(distinct, (label_of[name] for name in displayed), strict=True)), names)
    parts = np.split(labels, np.cumsum([len(part) for part in texts])[:-1])
    return parts, tuple(names), [note] if note else []


def _error(path: pathlib.Path, key: str, stored: StoredArray, count: int) -> DataError:
    """Returns the error for labels of another type or shape."""
    is_one_hot = len(stored.shape) == 2 and stored.shape[0] == count and _is_one_hot(stored)
    return DataError(
        f"{sanitize(path)}: {key} is {stored.dtype} of shape {list(stored.shape)}",
        found=f"expected {count:,} numbers or short texts, one for each example",
        remedy="save .argmax(axis=1) of one-hot labels" if is_one_hot else "correct or remove the labels",
    )


def _is_one_hot(stored: StoredArray) -> bool:
    """Returns True if each row has one 1, and zeros: [N, K]."""
    if stored.dtype.kind not in "uifb" or stored.nbytes > MAX_ONE_HOT_BYTES:
        return False
    values = stored.read()
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())


def _as_text(values: np.ndarray, key: str) -> np.ndarray:
    """Converts stored labels to [N] str."""
    if values.dtype.kind != "U":
        return np.char.decode(values, errors="replace") if values.dtype.kind == "S" else values.astype(str)
    texts = values.astype(values.dtype.newbyteorder("="))
    if texts.view(np.uint32).max(initial=0) > MAX_CODE_POINT:  # NumPy does not check this, and Python cannot read it.
        raise BadArray(f"{key} has invalid Unicode characters")
    return texts
