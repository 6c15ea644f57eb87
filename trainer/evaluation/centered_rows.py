"""Examples as rows around the training mean, read in chunks. NumPy only."""

import math
from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np

from trainer.data.rows import RowSubset, evenly_spaced

CHUNK_BYTES = 32 << 20


class CenteredRows(NamedTuple):
    """Examples, scaled, minus the mean. They are read in chunks, because they may be a file larger than memory.

    Attributes:
      examples: [N, ...] as stored.
      mean: mean of the scaled training examples, [D] float64.
      scale: divisor of the stored values.
    """

    examples: np.ndarray | RowSubset
    mean: np.ndarray
    scale: float | np.ndarray

    def chunks(self, dtype: type = np.float64, num_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        """Yields chunks, [n, D]."""
        mean: np.ndarray = self.mean.astype(dtype)
        for rows in scaled_chunks(self.examples, self.scale, dtype=dtype, num_bytes=num_bytes):
            rows -= mean
            yield rows

    def spaced(self, limit: int) -> "CenteredRows":
        """Returns at most `limit` evenly spaced examples."""
        if len(self.examples) <= limit:
            return self
        return self.subset(evenly_spaced(len(self.examples), limit))

    def subset(self, indices: np.ndarray) -> "CenteredRows":
        """Returns the examples with these indices."""
        return CenteredRows(RowSubset(cast(np.ndarray, self.examples), indices), self.mean, self.scale)


def scaled_chunks(
    examples: np.ndarray | RowSubset, scale: float | np.ndarray, *, dtype: type = np.float64, num_bytes: int
) -> Iterator[np.ndarray]:
    """Yields the examples divided by `scale` as rows, at most `num_bytes` at a time."""
    size = max(1, num_bytes // (np.dtype(dtype).itemsize * math.prod(examples.shape[1:])))
    divisor: np.ndarray = np.asarray(scale, dtype)
    for start in range(0, len(examples), size):
        rows = np.asarray(examples[start : start + size])
        rows = rows.reshape(len(rows), -1).astype(dtype)
        rows /= divisor
        yield rows
