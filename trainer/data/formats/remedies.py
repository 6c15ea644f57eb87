"""Remedies for arrays that cannot be used as they are: NumPy expressions of the array `x`. No TensorFlow."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

from trainer.data.formats.depth import MAX_VALUE, is_dark

SMALL_SIDE, MAX_CHANNELS = 8, 4  # Arrays [H, W, C] with longer sides and no more channels look like one image.
OVERSHOOT = 0.01  # Resampling can bring pixels this far out of [0, 1].
ROWS = "x.reshape(len(x), -1)"  # Examples of any shape as rows of numbers.
NARROW = "x[..., np.newaxis]"  # Gray images [N, H, W], if they look like something else.


@dataclasses.dataclass(frozen=True)
class Remedy:
    """The reason why an array cannot be used, and expressions of `x` that can be saved instead.

    Attributes:
      reason: why the array cannot be used.
      code: the expression.
      purpose: what the expression is for, if there are others.
      others: other expressions, with their purposes.
    """

    reason: str
    code: str
    purpose: str = ""
    others: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The remedy, in one line."""
        choices = [(self.code, self.purpose), *self.others]
        return "with x being this array, save " + ", or ".join(
            f"`{code}`" + (f" ({purpose})" if purpose else "") for code, purpose in choices
        )


@dataclasses.dataclass
class Statistics:
    """Statistics of the values of arrays; `add` includes more rows.

    Attributes:
      low, high: minimum and maximum of the finite values.
      num_examples: number of examples.
      num_bad, num_bad_examples: number of values that are not finite, and of examples that have one.
      num_nan: number of values that are NaN.
      num_empty: number of examples whose values are all NaN.
      bad_columns: [...] bool, in the shape of one example: True where a value of any example is not finite.
    """

    low: float = math.inf
    high: float = -math.inf
    num_examples: int = 0
    num_bad: int = 0
    num_bad_examples: int = 0
    num_nan: int = 0
    num_empty: int = 0
    bad_columns: np.ndarray | None = None

    def add(self, values: np.ndarray) -> None:
        """Includes [N, ...] numbers."""
        is_bad = ~is_finite(values)
        finite = values[~is_bad]
        if finite.size:
            self.low, self.high = min(self.low, finite.min().item()), max(self.high, finite.max().item())
        self.num_examples += len(values)
        self.num_bad += int(is_bad.sum())
        self.num_bad_examples += int(is_bad.reshape(len(values), -1).any(axis=1).sum())
        if is_bad.any():
            is_nan = np.isnan(values).reshape(len(values), -1)
            self.num_nan += int(is_nan.sum())
            self.num_empty += int(is_nan.all(axis=1).sum())
        columns = np.asarray(is_bad.any(axis=0))
        self.bad_columns = columns if self.bad_columns is None else self.bad_columns | columns

    @property
    def are_missing(self) -> bool:
        """True if all values that are not finite are NaN, and each example has a number."""
        return self.num_nan == self.num_bad and not self.num_empty

    @classmethod
    def of(cls, parts: Iterable[np.ndarray]) -> "Statistics":
        """Returns the statistics of arrays [N, ...]."""
        result = cls()
        for values in parts:
            result.add(values)
        return result


def is_finite(values: np.ndarray) -> np.ndarray:
    """Returns True for each value that is finite as float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.isfinite(values.astype(np.float32))


def for_type(dtype: np.dtype, shape: Sequence[int]) -> Remedy | None:
    """Returns the remedy for values that are not real numbers; None for other arrays."""
    if dtype.kind == "c" and len(shape) > 1:
        return Remedy("complex numbers", f"np.concatenate([x.real, x.imag], axis=1).{ROWS[2:]}")
    if dtype.kind in "US":
        return Remedy("text", "x.astype('float64')", "if all texts are numbers")
    if dtype.names and len(shape) == 1:
        return Remedy("records with fields", "np.stack([x[name] for name in x.dtype.names], axis=1)")
    if dtype.kind == "b":
        return Remedy("true and false", "x.astype('float32')")
    return None


def for_shape(shape: Sequence[int]) -> Remedy | None:
    """Returns the remedy for arrays with the axes in another order, or with too many or too few; None for others."""
    if len(shape) == 1:
        return Remedy(
            "one axis only",
            "x[:, np.newaxis]",
            "N examples of one number",
            (("x[np.newaxis]", "one example of many numbers"),),
        )
    if len(shape) == 3:
        return _for_three_axes(shape)
    if len(shape) == 4:
        return None if shape[3] in (1, 3) else _for_four_axes(shape)
    if len(shape) == 5 and shape[4] in (1, 3):
        return Remedy("videos", "x.reshape(-1, *x.shape[2:])", "each frame as an example")
    return Remedy(f"{len(shape)} axes", ROWS, "rows of numbers") if len(shape) > 4 else None


def _for_three_axes(shape: Sequence[int]) -> Remedy | None:
    first, second, last = shape
    if first in (3, 4) and min(second, last) >= SMALL_SIDE:
        part = "x[:3]" if first == 4 else "x"
        code = f"{part}.transpose(1, 2, 0)[np.newaxis]"
        others = ((NARROW, f"{first} gray images"),)
        return Remedy("it looks like one image with the channels first", code, "one color image", others)
    if first == second and last >= 4 * first:
        others = ((NARROW, f"{first:,} gray images of {second}x{last}"),)
        return Remedy("its examples seem to be along the last axis", "x.transpose(2, 0, 1)", "gray images", others)
    return None


def _for_four_axes(shape: Sequence[int]) -> Remedy:
    _, second, third, last = shape
    if second in (1, 3):
        return Remedy("images with the channels first", "x.transpose(0, 2, 3, 1)")
    if third in (1, 3):
        return Remedy("images with the examples along the last axis", "x.transpose(3, 0, 1, 2)")
    rows = ((ROWS, "rows of numbers"),)
    if last == 4:
        return Remedy("images of 4 channels", "x[..., :3]", "without the last channel, such as alpha", rows)
    if second == 4:
        code = "x[:, :3].transpose(0, 2, 3, 1)"
        reason = "images of 4 channels, with the channels first"
        return Remedy(reason, code, "without the last channel, such as alpha", rows)
    return Remedy(f"images of {last:,} channels", ROWS, "rows of numbers")


def looks_like_one_image(shape: Sequence[int]) -> bool:
    """Returns True for shapes [H, W, C] and [N, T, F]: few channels or features, and fewer than the other sides."""
    return len(shape) == 3 and shape[2] <= MAX_CHANNELS and shape[2] < min(shape[:2])


def for_one_image(shape: Sequence[int], is_float: bool, statistics: Statistics) -> Remedy:
    """Returns the remedy for an array that is one image or a series; see `looks_like_one_image`."""
    height, width, channels = shape
    keep = {2: ", ..., :1", 4: ", ..., :3"}.get(channels, "")
    image = (f"x[np.newaxis{keep}]", "one image" + (", without alpha" if keep else ""))
    series = (ROWS, f"{height:,} series of {width:,} steps, as rows of numbers")
    others = (NARROW, f"{height:,} gray images of {width}x{channels}")
    is_series = max(height, width) > 3 * min(height, width)
    if is_float:
        low, high = statistics.low, statistics.high
        is_series |= channels <= 2 or high > 255 or low < -1 or (low < 0 and high > 1)
    first, second = (series, image) if is_series else (image, series)
    return Remedy("it looks like one image, or like series of numbers", *first, (second, others))


def is_smooth(values: np.ndarray) -> bool:
    """Returns True if rows, [N, D], look like one gray image: neighbors along both axes are similar."""
    height, width = values.shape
    if min(height, width) < 2 * SMALL_SIDE or max(height, width) > 4 * min(height, width):
        return False
    pixels = values.astype(np.float32)
    for axis, length in enumerate(pixels.shape):
        near = np.abs(np.diff(pixels, axis=axis)).mean()
        if near >= 0.5 * np.abs(pixels - np.roll(pixels, length // 2, axis)).mean():
            return False
    return True


def for_image_values(dtype: np.dtype, shape: Sequence[int], statistics: Statistics) -> Remedy:
    """Returns the remedy for images whose values are not uint8, uint16, or floats from 0 to 1.

    Args:
      dtype, shape: of the array.
      statistics: of all arrays of the file, which have to be scaled alike.
    """
    if statistics.num_bad:
        return for_bad_values(shape, statistics)
    low, high = statistics.low, statistics.high
    reason = f"values from {_number(low)} to {_number(high)}"
    code = integer_code(low, high) if dtype.kind in "ui" else float_code(low, high)
    if code is not None:
        return Remedy(reason, code)
    scaled = f"np.interp(x, [{_literal(low)}, {_literal(high)}], [0, 1]).astype('float32')"
    height, width = shape[1:3]
    if max(height, width) > 2 * min(height, width):  # An unusual image, but usual for series and spectra.
        return Remedy(reason, ROWS, "rows in their own units", ((scaled, "images"),))
    return Remedy(reason, scaled)


def integer_code(low: float, high: float) -> str | None:
    """Returns the expression for integer images in one of the usual ranges; None for others."""
    if low < 0 or high > MAX_VALUE or (1 < high <= 255 and is_dark(high, 255)):
        return None
    return "x.astype('float32')" if high <= 1 else "x.astype('uint8')" if high <= 255 else "x.astype('uint16')"


def float_code(low: float, high: float) -> str | None:
    """Returns the expression for float images in one of the usual ranges; None for others."""
    if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        return "np.clip(x, 0, 1)"
    if low < 0:
        return None if low < -1 or high > 1 else "x + 0.5" if low >= -0.5 and high <= 0.5 else "(x + 1) / 2"
    return next((f"x / {top}" for top in (255, MAX_VALUE) if high <= top and not is_dark(high, top)), None)


def for_bad_values(shape: Sequence[int], statistics: Statistics) -> Remedy:
    """Returns the remedy for values that are not finite as float32: leave out these examples, or columns."""
    bad = f"{statistics.num_bad:,} values in {statistics.num_bad_examples:,} of {statistics.num_examples:,} examples"
    reason = f"{bad} are not finite 32-bit numbers"
    axes = "1" if len(shape) == 2 else f"({', '.join(map(str, range(1, len(shape))))})"
    finite = "np.isfinite(x.astype('float32'))"
    if statistics.num_bad_examples < statistics.num_examples:
        return Remedy(reason, f"x[{finite}.all(axis={axes})]", "without these examples; leave out their labels too")
    assert statistics.bad_columns is not None
    if len(shape) == 2 and not statistics.bad_columns.all():
        return Remedy(reason, f"x[:, {finite}.all(axis=0)]", "without these columns")
    low, high = (_literal(value) if math.isfinite(value) else "0" for value in (statistics.low, statistics.high))
    code = f"np.nan_to_num(x, nan={low}, posinf={high}, neginf={low})"
    return Remedy(reason, code, "with the minimum in place of NaN")


def for_rows_with_missing(statistics: Statistics) -> Remedy:
    """Returns the remedy for rows without any number, or otherwise for infinite values, if NaN is accepted."""
    if statistics.num_empty:
        reason = f"{statistics.num_empty:,} of {statistics.num_examples:,} examples have no number"
        return Remedy(reason, "x[~np.isnan(x).all(axis=1)]", "without these examples; leave out their labels too")
    reason = f"{statistics.num_bad - statistics.num_nan:,} values are infinite as 32-bit numbers"
    return Remedy(reason, "np.where(np.isinf(x.astype('float32')), np.nan, x)", "these numbers are missing")


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _literal(value: float) -> str:
    """Returns a Python literal of an integer, or of a float to 9 digits, which distinguish all float32 values."""
    return f"{value}" if isinstance(value, int) else f"{value:.9g}"
