"""Subsets of an array's rows."""

import math

import numpy as np


class RowSubset:
    """A subset of an array's rows, read only when it is indexed: the array may be a file larger than memory.

    Args:
      examples: [N, ...].
      rows: indices of the rows in the subset.
    """

    def __init__(self, examples: np.ndarray, rows: np.ndarray) -> None:
        self._examples, self._rows = examples, rows
        self.shape = len(rows), *examples.shape[1:]
        self.size = math.prod(self.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, indices: slice) -> np.ndarray:
        return self._examples[self._rows[indices]]


def evenly_spaced(count: int, limit: int) -> np.ndarray:
    """Returns at most `limit` evenly spaced indices of range(count), from the first to the last: [n] int64."""
    return np.linspace(0, count - 1, min(count, limit)).round().astype(np.int64)
