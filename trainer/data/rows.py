"""Some of an array's rows."""

import math

import numpy as np


class Picked:
    """Some of an array's rows, in memory only while they are looked at: the array may be a file larger than that.

    Args:
      examples: [N, ...].
      rows: numbers of those picked.
    """

    def __init__(self, examples: np.ndarray, rows: np.ndarray) -> None:
        self._examples, self._rows = examples, rows
        self.shape = len(rows), *examples.shape[1:]
        self.size = math.prod(self.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: slice) -> np.ndarray:
        return self._examples[self._rows[place]]


def spread(count: int, limit: int) -> np.ndarray:
    """At most `limit` of range(count), spread evenly, the first and the last among them, ascending: [n] int64."""
    return np.linspace(0, count - 1, min(count, limit)).round().astype(np.int64)
