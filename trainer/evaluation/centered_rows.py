"""Examples as rows around the training mean, read in chunks. NumPy only."""

import itertools
import math
from collections.abc import Callable, Iterator
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
      has_missing: True if numbers may be missing (NaN). They are at the mean, and do not count in errors.
    """

    examples: np.ndarray | RowSubset
    mean: np.ndarray
    scale: float | np.ndarray
    has_missing: bool = False

    def chunks(self, dtype: type = np.float64, num_bytes: int = CHUNK_BYTES) -> Iterator[np.ndarray]:
        """Yields chunks, [n, D]."""
        mean: np.ndarray = self.mean.astype(dtype)
        for rows in scaled_chunks(self.examples, self.scale, dtype=dtype, num_bytes=num_bytes):
            rows -= mean
            yield np.nan_to_num(rows, copy=False, nan=0.0) if self.has_missing else rows

    def mean_squared_error(self, residual: Callable[[np.ndarray], np.ndarray], num_bytes: int = CHUNK_BYTES) -> float:
        """Returns the mean square per number of what `residual` leaves of the rows, [n, D] -> [n, D].

        The error of a row with missing numbers is the mean over the numbers that are there.
        """
        total = 0.0
        for chunk, missing in zip(self.chunks(num_bytes=num_bytes), self._missing(num_bytes), strict=False):
            squares = np.square(residual(chunk))
            if missing is None:
                total += float(squares.sum())
                continue
            squares[missing] = 0
            num_present = np.maximum(np.count_nonzero(~missing, axis=1), 1)
            total += float((squares.sum(axis=1) / num_present).sum()) * squares.shape[1]
        return total / self.examples.size

    def _missing(self, num_bytes: int) -> Iterator[np.ndarray | None]:
        """Yields a mask of the missing numbers of each chunk, [n, D]; None if there are none."""
        if not self.has_missing:
            return itertools.repeat(None)
        return map(np.isnan, scaled_chunks(self.examples, self.scale, num_bytes=num_bytes))

    def spaced(self, limit: int) -> "CenteredRows":
        """Returns at most `limit` evenly spaced examples."""
        if len(self.examples) <= limit:
            return self
        return self.subset(evenly_spaced(len(self.examples), limit))

    def subset(self, indices: np.ndarray) -> "CenteredRows":
        """Returns the examples with these indices."""
        return self.of(RowSubset(cast(np.ndarray, self.examples), indices))

    def of(self, examples: np.ndarray | RowSubset) -> "CenteredRows":
        """Returns other examples, [N, ...] as stored, around the same mean."""
        return CenteredRows(examples, self.mean, self.scale, self.has_missing)


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
