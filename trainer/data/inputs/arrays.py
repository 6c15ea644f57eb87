"""Arrays and numbers on the command line."""

import pathlib
from collections.abc import Sequence

import numpy as np

from trainer.data.formats import npy
from trainer.data.formats.npy import BadArray
from trainer.data.inputs.messages import ARRAY, brief, meaning, numbers_of, shape_of, shapes_of, wanted
from trainer.data.inputs.types import Inputs
from trainer.errors import DataError, HourglassError, UsageError, option, sanitize


def from_array(path: pathlib.Path, shape: tuple[int, ...]) -> Inputs:
    """An .npy file of one example or more."""
    try:
        array = npy.member(path, npy.ONLY).read()
    except BadArray as error:
        raise DataError(
            f"{sanitize(path)} cannot be read as an {ARRAY} file",
            found=str(error),
            remedy="write it with numpy.save, as an array of numbers",
        ) from error
    examples = _batch(array, shape)
    if examples is None or not examples.size:
        raise DataError(
            f"{sanitize(path)} holds an array of shape {shape_of(array.shape)}",
            found=f"expected {shapes_of(shape)}, at least one example",
            remedy="reshape it, or give pictures as PNG files: those are resized" if len(shape) == 3 else "reshape it",
        )
    if len(shape) == 3 and examples.dtype == np.uint8:
        return _inputs(examples)
    kinds, expected = ("f", "uint8, or floats in [0, 1]") if len(shape) == 3 else ("uif", "real numbers")
    if examples.dtype.kind not in kinds:
        raise DataError(
            f"{sanitize(path)} holds {examples.dtype}",
            found=f"expected {expected}",
            remedy="convert it before saving it",
        )
    return _inputs(_stored(examples, shape, sanitize(path), DataError))


def _batch(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """[N, *shape] of an array that holds one example or more, None of one that does not."""
    shapes = [shape, shape[:2]] if shape[2:] == (1,) else [shape]
    for one in shapes:
        if one in (array.shape, array.shape[1:]):
            return array.reshape(-1, *shape)
    return None


def from_numbers(text: str, shape: tuple[int, ...]) -> Inputs:
    """Numbers on the command line, rows parted by semicolons."""
    rows = [_parse(row, text, shape) for row in text.split(";")]
    for number, row in enumerate(rows):
        if len(row) != np.prod(shape):
            raise UsageError(
                f"{option('input', brief(text))}: row {number} has {numbers_of((len(row),))}",
                found=f"an example of this run is {meaning(shape)}; nothing of that name exists either",
                remedy=f"give {wanted(shape)}",
            )
    return _inputs(_stored(np.array(rows).reshape(-1, *shape), shape, option("input", brief(text)), UsageError))


def _parse(row: str, text: str, shape: tuple[int, ...]) -> list[float]:
    numbers = []
    for word in row.split(","):
        try:
            numbers.append(float(word))
        except ValueError as error:
            raise UsageError(
                f"{option('input', brief(text))} is neither a path nor numbers",
                found=f"nothing of that name exists, and '{brief(word.strip())}' is no number",
                remedy=f"give {wanted(shape)}",
            ) from error
    return numbers


def _stored(values: np.ndarray, shape: tuple[int, ...], source: str, kind: type[HourglassError]) -> np.ndarray:
    """[N, ...] real numbers as float32: of pictures in [0, 1], of rows in their own units.

    Raises:
      HourglassError: of that kind, with the first number that is not in range or not finite.
    """
    if len(shape) == 3:
        wrong, expected = ~((values >= 0) & (values <= 1)), "numbers from 0 to 1"
        remedy = f"divide by the largest they can be, or give an {ARRAY} file of uint8, 0 to 255"
    else:
        with np.errstate(over="ignore"):
            rows = values.astype(np.float32)
        wrong, expected, remedy = ~np.isfinite(rows), "finite numbers of 32 bits", "mend or leave out these rows"
    if wrong.any():
        first = np.unravel_index(wrong.argmax(), wrong.shape)
        raise kind(
            f"{source}: {_place(first)} holds {values[first]}",
            found=f"{wrong.sum():,} of {wrong.size:,} values are wrong; expected {expected}",
            remedy=remedy,
        )
    return values.astype(np.float32) if len(shape) == 3 else rows


def _place(index: Sequence[np.intp]) -> str:
    """Of (row, column), or of (picture, row, column, channel)."""
    names = ("row", "column") if len(index) == 2 else ("picture", "row", "column")
    return ", ".join(f"{name} {number}" for name, number in zip(names, index, strict=False))


def _inputs(examples: np.ndarray) -> Inputs:
    name = "{}" if examples.ndim == 4 else "row {}"
    return Inputs(np.ascontiguousarray(examples), tuple(name.format(number) for number in range(len(examples))))
