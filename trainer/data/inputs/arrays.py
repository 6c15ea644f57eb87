"""Reads array files, and numbers on the command line."""

import pathlib
from collections.abc import Sequence

import numpy as np

from trainer.data.formats import npy
from trainer.data.formats.npy import BadArray
from trainer.data.inputs import messages
from trainer.data.inputs.messages import ARRAY_SUFFIX, shorten
from trainer.data.inputs.types import Inputs
from trainer.errors import DataError, HourglassError, UsageError, option, sanitize


def from_array(path: pathlib.Path, shape: tuple[int, ...]) -> Inputs:
    """Reads an .npy file of one or more examples; see `reader.read`."""
    try:
        array = npy.open_array(path, npy.ONLY_KEY).read()
    except BadArray as error:
        raise DataError(
            f"{sanitize(path)} cannot be read as an {ARRAY_SUFFIX} file",
            found=str(error),
            remedy="write an array of numbers with numpy.save",
        ) from error
    examples = _batch(array, shape)
    if examples is None or not examples.size:
        raise DataError(
            f"{sanitize(path)} has an array of shape {messages.shape_text(array.shape)}",
            found=f"expected {messages.accepted_shapes(shape)}, at least one example",
            remedy="reshape it, or give PNG files, which are resized" if len(shape) == 3 else "reshape it",
        )
    if len(shape) == 3 and examples.dtype == np.uint8:
        return _inputs(examples)
    kinds, expected = ("f", "uint8, or floats in [0, 1]") if len(shape) == 3 else ("uif", "real numbers")
    if examples.dtype.kind not in kinds:
        raise DataError(
            f"{sanitize(path)} has an array of type {examples.dtype}",
            found=f"expected {expected}",
            remedy="convert the array, and save it again",
        )
    return _inputs(_float32(examples, shape, sanitize(path), DataError))


def _batch(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Reshapes an array of one or more examples to [N, *shape]; returns None if its shape does not fit."""
    shapes = [shape, shape[:2]] if shape[2:] == (1,) else [shape]
    for example_shape in shapes:
        if example_shape in (array.shape, array.shape[1:]):
            return array.reshape(-1, *shape)
    return None


def from_numbers(text: str, shape: tuple[int, ...]) -> Inputs:
    """Reads numbers on the command line, in rows separated by semicolons; see `reader.read`."""
    rows = [_parse(row, text, shape) for row in text.split(";")]
    for index, row in enumerate(rows):
        if len(row) != np.prod(shape):
            raise UsageError(
                f"{option('input', shorten(text))}: row {index} has {messages.number_count((len(row),))}",
                found=f"an example of this run is {messages.count_and_range(shape)}; there is no file of that name",
                remedy=f"give {messages.accepted_inputs(shape)}",
            )
    return _inputs(_float32(np.array(rows).reshape(-1, *shape), shape, option("input", shorten(text)), UsageError))


def _parse(row: str, text: str, shape: tuple[int, ...]) -> list[float]:
    numbers = []
    for word in row.split(","):
        try:
            numbers.append(float(word))
        except ValueError as error:
            raise UsageError(
                f"{option('input', shorten(text))} is neither a path nor numbers",
                found=f"there is no file of that name, and '{shorten(word.strip())}' is not a number",
                remedy=f"give {messages.accepted_inputs(shape)}",
            ) from error
    return numbers


def _float32(values: np.ndarray, shape: tuple[int, ...], source: str, kind: type[HourglassError]) -> np.ndarray:
    """Converts [N, ...] real numbers to float32. Raises `kind` unless images are in [0, 1], and rows are finite."""
    if len(shape) == 3:
        invalid, expected = ~((values >= 0) & (values <= 1)), "numbers from 0 to 1"
        remedy = f"divide by the largest possible value, or give an {ARRAY_SUFFIX} file of uint8, 0 to 255"
    else:
        with np.errstate(over="ignore"):
            rows = values.astype(np.float32)
        invalid, expected, remedy = ~np.isfinite(rows), "finite 32-bit numbers", "correct or remove these rows"
    if invalid.any():
        first = np.unravel_index(invalid.argmax(), invalid.shape)
        raise kind(
            f"{source}: {_position(first)} is {values[first]}",
            found=f"{invalid.sum():,} of {invalid.size:,} values are invalid; expected {expected}",
            remedy=remedy,
        )
    return values.astype(np.float32) if len(shape) == 3 else rows


def _position(index: Sequence[np.intp]) -> str:
    """Returns the text of an index (row, column), or (image, row, column, channel)."""
    axes = ("row", "column") if len(index) == 2 else ("image", "row", "column")
    return ", ".join(f"{axis} {number}" for axis, number in zip(axes, index, strict=False))


def _inputs(examples: np.ndarray) -> Inputs:
    name = "{}" if examples.ndim == 4 else "row {}"
    return Inputs(np.ascontiguousarray(examples), tuple(name.format(index) for index in range(len(examples))))
