"""Checks of custom arrays, before and while they are converted. Each error has the remedy for exactly that array."""

import pathlib
from collections.abc import Mapping

import numpy as np

from trainer.data.formats import remedies
from trainer.data.formats.npy import StoredArray
from trainer.data.formats.remedies import Remedy, Statistics
from trainer.data.limits import Limits
from trainer.errors import DataError, UsageError, option, sanitize

EXPECTED = "images [N, H, W] or [N, H, W, 1 or 3] of uint8, uint16 or floats from 0 to 1, or rows of numbers [N, D]"


def is_image(stored: StoredArray) -> bool:
    """Returns True if the examples are images, not rows."""
    return len(stored.shape) > 2


def has_16_bits(stored: StoredArray) -> bool:
    """Returns True if the examples are 16-bit images."""
    return is_image(stored) and stored.dtype.kind == "u" and stored.dtype.itemsize == 2


def converted_dtype(stored: StoredArray) -> np.dtype:
    """Returns the type of `Split.examples`: uint8 for uint8 and uint16 images, otherwise float32."""
    is_integer = is_image(stored) and (stored.dtype == np.uint8 or has_16_bits(stored))
    return np.dtype(np.uint8 if is_integer else np.float32)


def check(path: pathlib.Path, arrays: Mapping[str, StoredArray], limits: Limits) -> None:
    """Raises `DataError` if an array cannot be examples, or if two arrays have different shapes or types.

    Reads the values only to choose the remedy, and to recognize one gray image [H, W].
    """
    for key, stored in arrays.items():
        _check_header(path, key, stored)
    kinds = {(stored.shape[1:], converted_dtype(stored), has_16_bits(stored)) for stored in arrays.values()}
    if len(kinds) > 1:
        raise DataError(
            f"{sanitize(path)}: its arrays have different example shapes or types",
            found=", ".join(f"{key} {stored.dtype} {list(stored.shape)}" for key, stored in arrays.items()),
            remedy="save arrays with equal shapes, apart from the first axis, and equal types",
        )
    key, stored = next(iter(arrays.items()))
    if len(arrays) == 1:
        _check_not_one_image(path, key, stored, limits)
    if not is_image(stored) or stored.dtype.kind == "f" or stored.dtype == np.uint8 or has_16_bits(stored):
        return
    remedy = remedies.for_image_values(stored.dtype, stored.shape, _statistics(arrays, limits))
    raise _error(path, key, stored, remedy, num_arrays=len(arrays))


def check_missing(path: pathlib.Path, arrays: Mapping[str, StoredArray], option_value: str) -> None:
    """Raises `UsageError` if `--missing` is given for images, whose pixels cannot be missing."""
    if option_value != "error" and any(map(is_image, arrays.values())):
        raise UsageError(
            f"{option('missing', option_value)} cannot be used with array in {sanitize(path)}",
            found="its examples are images; only numbers of rows can be missing",
            remedy=f"remove {option('missing')}",
        )


def _check_header(path: pathlib.Path, key: str, stored: StoredArray) -> None:
    shape, dtype = stored.shape, stored.dtype
    remedy = None if 0 in shape else remedies.for_type(dtype, shape) or remedies.for_shape(shape)
    if remedy is not None:
        raise _error(path, key, stored, remedy)
    if 0 in shape or len(shape) < 2 or dtype.kind not in "uif":
        raise DataError(
            f"{sanitize(path)}: {sanitize(key)} is {dtype} of shape {list(shape)}",
            found=f"expected {EXPECTED}",
            remedy="save at least one example" if 0 in shape else "save an array of numbers",
        )


def _check_not_one_image(path: pathlib.Path, key: str, stored: StoredArray, limits: Limits) -> None:
    """Raises `DataError` if the only array of a file looks like one image, which would be read as many examples."""
    if remedies.looks_like_one_image(stored.shape):
        is_float = stored.dtype.kind == "f"
        statistics = _statistics({key: stored}, limits) if is_float else Statistics()
        raise _error(path, key, stored, remedies.for_one_image(stored.shape, is_float, statistics))
    is_integer = stored.dtype == np.uint8 or (stored.dtype.kind == "u" and stored.dtype.itemsize == 2)
    if is_image(stored) or not is_integer or stored.nbytes > limits.in_memory_bytes:
        return
    if remedies.is_smooth(stored.read()):
        others = (("x.astype('float32')", "rows of numbers"),)
        raise _error(path, key, stored, Remedy("it looks like one gray image", "x[np.newaxis]", "one image", others))


def _statistics(arrays: Mapping[str, StoredArray], limits: Limits) -> Statistics:
    return Statistics.of(part for stored in arrays.values() for part in stored.chunks(limits.chunk_bytes))


def _error(
    path: pathlib.Path,
    key: str,
    stored: StoredArray,
    remedy: Remedy,
    *,
    what: str = "",
    num_arrays: int = 1,
    others: str = "",
) -> DataError:
    description = f"{sanitize(key)} is {stored.dtype} of shape {list(stored.shape)}"
    return DataError(
        f"{sanitize(path)}: {what or description}",
        found=f"{remedy.reason}; expected {EXPECTED}",
        remedy=remedy.text + ("; do the same with all arrays of examples" if num_arrays > 1 else "") + others,
    )


def value_error(
    path: pathlib.Path,
    arrays: Mapping[str, StoredArray],
    key: str,
    values: np.ndarray,
    invalid: np.ndarray,
    first_row: int,
    limits: Limits,
    *,
    can_be_missing: bool = False,
) -> DataError:
    """Returns the error for images that are not in [0, 1], or rows that are not finite as float32.

    Args:
      path: the file.
      arrays: all arrays of examples in the file, by key; they are read for the remedy.
      key: key of the array with the invalid values.
      values: a part of this array, [N, ...].
      invalid: [N, ...] bool, True for invalid values.
      first_row: index of the first row of this part.
      limits: size of the parts in which the arrays are read.
      can_be_missing: True if NaN is accepted in rows that have a number.
    """
    statistics, stored = _statistics(arrays, limits), arrays[key]
    if is_image(stored):
        remedy = remedies.for_image_values(stored.dtype, stored.shape, statistics)
    elif can_be_missing:
        remedy = remedies.for_rows_with_missing(statistics)
    else:
        remedy = remedies.for_bad_values(stored.shape, statistics)
    not_finite = invalid & ~remedies.is_finite(values)
    shown = not_finite if not_finite.any() else invalid
    row, *rest = map(int, np.unravel_index(int(shown.argmax()), shown.shape))
    what = f"{sanitize(key)}[{', '.join(map(str, (first_row + row, *rest)))}] is {values[(row, *rest)]}"
    keep = not is_image(stored) and not can_be_missing and statistics.are_missing
    others = f"; or give {option('missing', 'mean')} to keep rows with missing numbers" if keep else ""
    return _error(path, key, stored, remedy, what=what, num_arrays=len(arrays), others=others)
