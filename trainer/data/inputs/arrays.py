"""Reads array files, and numbers on the command line."""

import dataclasses
import math
import pathlib
from collections.abc import Sequence

import numpy as np

from trainer.data.formats import depth as depths
from trainer.data.formats import npy, remedies
from trainer.data.formats.depth import Depth
from trainer.data.formats.npy import BadArray
from trainer.data.formats.remedies import Statistics
from trainer.data.inputs import messages
from trainer.data.inputs.messages import ARRAY_SUFFIX, shorten
from trainer.data.inputs.types import Inputs
from trainer.errors import DataError, HourglassError, UsageError, option, sanitize

FINITE = "x[np.isfinite(x.astype('float32')).reshape(len(x), -1).all(axis=1)]"
SCALE = "scale the values to the range from 0 to 1 as those of the training images"


def from_array(
    path: pathlib.Path,
    shape: tuple[int, ...],
    depth: Depth,
    offset: np.ndarray | None,
    *,
    can_be_missing: bool,
    key: str = npy.ONLY_KEY,
) -> Inputs:
    """Reads an .npy file, or the array `key` of an .npz file, of one or more examples; see `reader.read`."""
    name = sanitize(path) if key == npy.ONLY_KEY else f"{sanitize(path)}: {sanitize(key)}"
    try:
        array = npy.open_array(path, key).read()
    except BadArray as error:
        raise DataError(
            f"{sanitize(path)} cannot be read as an {path.suffix.lower()} file",
            found=str(error),
            remedy="write arrays of numbers with numpy.save or numpy.savez"
            if path.suffix.lower() != ARRAY_SUFFIX
            else "write an array of numbers with numpy.save",
        ) from error
    examples = _batch(array, shape)
    if examples is None or not examples.size:
        code = _fitting_code(array, shape) if array.size else None
        other = "give images of the right shape, or PNG files, which are resized"
        raise DataError(
            f"{name} has an array of shape {messages.shape_text(array.shape)}",
            found=f"expected {messages.accepted_shapes(shape)}, at least one example",
            remedy=_save(code) if code else other if len(shape) == 3 else "give rows of the right length",
        )
    if len(shape) == 3 and examples.dtype == np.uint8:
        return dataclasses.replace(_inputs(examples), notes=tuple(_stretched_notes(path.name, depth)))
    if len(shape) == 3 and examples.dtype.kind == "u" and examples.dtype.itemsize == 2:
        return _from_16_bits(examples, depth, path.name)
    kinds, expected = ("f", "uint8, uint16, or floats in [0, 1]") if len(shape) == 3 else ("uif", "real numbers")
    if examples.dtype.kind not in kinds:
        raise DataError(
            f"{name} has an array of type {examples.dtype}",
            found=f"expected {expected}",
            remedy=_type_remedy(examples),
        )
    inputs = _inputs(_float32(examples, shape, offset, name, DataError, can_be_missing=can_be_missing))
    return dataclasses.replace(inputs, notes=tuple(_stretched_notes(path.name, depth)))


def _stretched_notes(name: str, depth: Depth) -> list[str]:
    """Returns a note on an array that does not have 16-bit integers, for a run that stretched such images."""
    if depth == depths.FULL:
        return []
    low, high = depth
    return [
        f"{sanitize(name)} is not stretched: 0 stands for the 16-bit value {low:,}, and 1 (in uint8: 255) for {high:,}"
    ]


def _save(code: str) -> str:
    return f"with x being this array, save `{code}`"


def _fitting_code(array: np.ndarray, shape: tuple[int, ...]) -> str | None:
    """Returns an expression that brings an array `x` to the shape of examples; None if there is no usual one."""
    if len(shape) == 1:
        return f"x.reshape(-1, {shape[0]})" if array.shape[1:] and math.prod(array.shape[1:]) == shape[0] else None
    height, width, channels = shape
    if array.shape[-3:] in ((channels, height, width), (4, height, width)):
        last = (*array.shape[:-3], height, width, array.shape[-3])
        axes = (*range(array.ndim - 3), array.ndim - 2, array.ndim - 1, array.ndim - 3)
        code = f"x.transpose({', '.join(map(str, axes))})"
        return code if _batch(np.broadcast_to(array.dtype.type(0), last), shape) is not None else None
    if array.shape[-1:] == (math.prod(shape),) or array.shape[-3:] == shape:
        return f"x.reshape(-1, {height}, {width}, {channels})"
    if channels == 3 and array.shape[-3:] == (height, width, 4):
        return "x[..., :3]"
    if channels == 3 and array.shape in ((height, width), (len(array), height, width)):
        return "np.repeat(x[..., np.newaxis], 3, axis=-1)"
    if channels == 1 and array.shape[-3:] == (height, width, 3):
        mean = "x.mean(axis=-1, keepdims=True)"
        return f"{mean}.astype(x.dtype)" if array.dtype.kind == "f" else f"np.rint({mean}).astype(x.dtype)"
    return None


def _type_remedy(examples: np.ndarray) -> str:
    """Returns the remedy for examples of a type that is not used."""
    remedy = remedies.for_type(examples.dtype, examples.shape)
    if remedy is None and examples.dtype.kind in "ui":
        code = remedies.integer_code(int(examples.min()), int(examples.max()))
        return _save(code) if code else SCALE
    return remedy.text if remedy else "save an array of numbers"


def _from_16_bits(examples: np.ndarray, depth: Depth, name: str) -> Inputs:
    """Converts [N, H, W, C] uint16 images like the training images."""
    inputs = _inputs(depths.to_8_bits(examples, depth))
    conversions = depths.conversions(int(examples.min()), int(examples.max()), depth)
    return dataclasses.replace(inputs, notes=tuple(f"{sanitize(name)} was {kind}" for kind in conversions))


def _batch(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Reshapes an array of one or more examples to [N, *shape]; returns None if its shape does not fit."""
    shapes = [shape, shape[:2]] if shape[2:] == (1,) else [shape]
    for example_shape in shapes:
        if example_shape in (array.shape, array.shape[1:]):
            return array.reshape(-1, *shape)
    return None


def check_numbers(text: str, accepted: str) -> list[list[float]]:
    """Returns numbers on the command line, in rows separated by semicolons. `accepted` is for the error."""
    return [_parse(row, text, accepted) for row in text.split(";")]


def from_numbers(text: str, shape: tuple[int, ...], offset: np.ndarray | None, *, can_be_missing: bool) -> Inputs:
    """Reads numbers on the command line; see `reader.read`."""
    rows = check_numbers(text, messages.accepted_inputs(shape))
    for index, row in enumerate(rows):
        if len(row) != np.prod(shape):
            raise UsageError(
                f"{option('input', shorten(text))}: row {index} has {messages.number_count((len(row),))}",
                found=f"an example of this run is {messages.count_and_range(shape)}; there is no file of that name",
                remedy=f"give {messages.accepted_inputs(shape)}",
            )
    source = option("input", shorten(text))
    values = np.array(rows).reshape(-1, *shape)
    return _inputs(_float32(values, shape, offset, source, UsageError, can_be_missing=can_be_missing))


def _parse(row: str, text: str, accepted: str) -> list[float]:
    numbers = []
    for word in row.split(","):
        try:
            numbers.append(float(word))
        except ValueError as error:
            raise UsageError(
                f"{option('input', shorten(text))} is neither a path nor numbers",
                found=f"there is no file of that name, and '{shorten(word.strip())}' is not a number",
                remedy=f"give {accepted}",
            ) from error
    return numbers


def _float32(
    values: np.ndarray,
    shape: tuple[int, ...],
    offset: np.ndarray | None,
    source: str,
    kind: type[HourglassError],
    *,
    can_be_missing: bool,
) -> np.ndarray:
    """Converts [N, ...] real numbers to float32.

    Raises `kind` unless images are in [0, 1], and rows are finite, or NaN where numbers may be missing.
    """
    if len(shape) == 3:
        invalid, expected = ~((values >= 0) & (values <= 1)), "numbers from 0 to 1"
        remedy = _scale_remedy(values)
    else:
        with np.errstate(over="ignore"):
            rows = (values if offset is None else values - offset).astype(np.float32)
        invalid, expected = ~np.isfinite(rows), "finite 32-bit numbers"
        if can_be_missing:
            invalid &= ~np.isnan(values) | np.isnan(values).all(axis=1, keepdims=True)
        remedy = _rows_remedy(Statistics.of([values]), can_be_missing=can_be_missing)
    if invalid.any():
        first = np.unravel_index(invalid.argmax(), invalid.shape)
        raise kind(
            f"{source}: {_position(first)} is {values[first]}",
            found=f"{invalid.sum():,} of {invalid.size:,} values are invalid; expected {expected}",
            remedy=remedy,
        )
    return values.astype(np.float32) if len(shape) == 3 else rows


def _scale_remedy(images: np.ndarray) -> str:
    """Returns the remedy for float images, [N, H, W, C], that are not in [0, 1]."""
    statistics = Statistics.of([images])
    if statistics.num_bad:
        return _remove_remedy(statistics)
    code = remedies.float_code(statistics.low, statistics.high)
    return f"{SCALE}; usual for this range: `{code}`, x being the values" if code else SCALE


def _rows_remedy(statistics: Statistics, *, can_be_missing: bool) -> str:
    """Returns the remedy for rows with values that are not used."""
    if not can_be_missing or statistics.num_empty == statistics.num_examples:
        return _remove_remedy(statistics)
    return f"correct these values, or {remedies.for_rows_with_missing(statistics).text}"


def _remove_remedy(statistics: Statistics) -> str:
    """Returns the remedy for examples with values that are not finite."""
    if statistics.num_bad_examples == statistics.num_examples:
        return "correct these values"
    return f"correct these values, or {_save(FINITE)}, without the examples that have them"


def _position(index: Sequence[np.intp]) -> str:
    """Returns the text of an index (row, column), or (image, row, column, channel)."""
    axes = ("row", "column") if len(index) == 2 else ("image", "row", "column")
    return ", ".join(f"{axis} {number}" for axis, number in zip(axes, index, strict=False))


def _inputs(examples: np.ndarray) -> Inputs:
    name = "{}" if examples.ndim == 4 else "row {}"
    names = tuple(name.format(index) for index in range(len(examples)))
    return Inputs(np.ascontiguousarray(examples), names, numbers=np.arange(len(examples)))
