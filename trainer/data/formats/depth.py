"""The conversion of 16-bit images to 8 bits. No TensorFlow."""

import functools
from collections.abc import Iterable

import numpy as np

MAX_VALUE = 0xFFFF
STRIP_VALUES = 1 << 20  # converted at once
Depth = tuple[int, int]  # (low, high): the 16-bit values that become 0 and 255; others are clipped.
FULL: Depth = (0, MAX_VALUE)
FEW = 1 / 4  # Images whose maximum is below this fraction of the scale are almost black at full scale.


def to_8_bits(values: np.ndarray, depth: Depth) -> np.ndarray:
    """Converts integers from 0 to 65,535, [N, ...], to uint8: linearly, rounded, and clipped to `depth`."""
    table, result = _table(depth), np.empty(values.shape, np.uint8)
    rows = max(1, STRIP_VALUES * len(values) // max(1, values.size))
    for start in range(0, len(values), rows):  # NumPy converts the indices to 64 bits.
        result[start : start + rows] = table[values[start : start + rows]]
    return result


@functools.lru_cache(maxsize=8)
def _table(depth: Depth) -> np.ndarray:
    """Returns the 8-bit values of all 16-bit values, [65,536] uint8."""
    low, high = depth
    values = np.clip(np.arange(MAX_VALUE + 1, dtype=np.float64), low, high)
    return np.rint((values - low) * 255 / (high - low)).astype(np.uint8)


def is_dark(high: float, scale: float = MAX_VALUE) -> bool:
    """Returns True if images with the maximum `high` use only a small part of the scale from 0 to `scale`."""
    return high < FEW * scale


def conversions(low: int, high: int, depth: Depth) -> list[str]:
    """Returns what is lost if the 16-bit values from `low` to `high` are converted, such as "clipped to ..."."""
    if depth == FULL and is_dark(high):
        return ["read at the full 16-bit scale, of which it uses less than a quarter"]
    if low < depth[0] or high > depth[1]:
        return [f"clipped to the 16-bit range of the training images, {depth[0]:,} to {depth[1]:,}"]
    return []


def merged(ranges: Iterable[Depth]) -> Depth | None:
    """Returns the minimum and the maximum of ranges (low, high); None if there are none."""
    pairs = list(ranges)
    return (min(low for low, _ in pairs), max(high for _, high in pairs)) if pairs else None


def choose(
    option: str, train_range: Depth | None, all_range: Depth | None, *, count: int, total: int
) -> tuple[Depth, list[str]]:
    """Chooses the depth of a data set.

    Args:
      option: the value of `--depth`: auto, full or stretch.
      train_range: minimum and maximum of the 16-bit training images; None if there are none.
      all_range: the same for both splits.
      count, total: number of 16-bit images, and of all images, in both splits.

    Returns:
      The depth: `train_range` if the images are stretched, otherwise `FULL`; and notes on it.
    """
    if option == "full":
        return FULL, []
    if train_range is None:
        if count:
            return FULL, [f"only evaluation images have 16 bits ({count:,}): they are not stretched"]
        return FULL, ["no image has 16 bits: nothing was stretched"] if option == "stretch" else []
    low, high = train_range
    if option == "auto" and not is_dark(high):
        return FULL, []
    subject = "16-bit images" if count == total else f"{count:,} of {total:,} images have 16 bits and"
    if low == high:
        return FULL, [f"{subject} use only the value {low:,} of {MAX_VALUE:,}: not stretched"]
    notes = [f"{subject} use {low:,} to {high:,} of {MAX_VALUE:,}: stretched to the full range"]
    if all_range != train_range:
        assert all_range is not None
        notes.append(
            "evaluation images have values outside of this range, which are clipped: with them, the values are"
            f" {all_range[0]:,} to {all_range[1]:,}"
        )
    return train_range, notes
