"""Blocks of examples that are scored."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputBlock:
    """L lines of an input, and the n examples in them. Other inputs than tables have a line for each example.

    Attributes:
      numbers: [L] int64, where the lines are in the input, from 1: the last line of each row, or the number of a row.
      lines: [L] texts; a row with quoted line breaks is one of them.
      is_row: [L] bool, False for blank lines.
      is_good: [L] bool, True for the lines of the n examples.
      examples: [n, ...] float32, NaN for missing numbers.
      bad: the rows that cannot be scored: (index in `lines`, number of cells, reason), ascending.
      labels: the distinct labels of the examples; empty without labels.
      label_of_row: [n] int64, indices into `labels`.
    """

    numbers: np.ndarray
    lines: Sequence[str]
    is_row: np.ndarray
    is_good: np.ndarray
    examples: np.ndarray
    bad: Sequence[tuple[int, int, str]] = ()
    labels: Sequence[str] = ()
    label_of_row: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
