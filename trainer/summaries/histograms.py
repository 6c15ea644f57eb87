"""Histograms of tensors, computed with NumPy."""

import numpy as np

from trainer.data.rows import evenly_spaced

MAX_HISTOGRAM_VALUES, HISTOGRAM_BUCKETS = 20_000, 30


def histogram(values: np.ndarray) -> np.ndarray:
    """Returns a histogram of a tensor: of at most 20,000 evenly spaced values, the smallest and the largest value.

    Args:
      values: any shape, finite, at least one.

    Returns:
      [30, 3] float64: left edge, right edge and count of each bucket.
    """
    flat = values.reshape(-1)
    if flat.size > MAX_HISTOGRAM_VALUES:
        extremes = np.array([flat.min(), flat.max()], flat.dtype)
        flat = np.concatenate([flat[evenly_spaced(flat.size, MAX_HISTOGRAM_VALUES)], extremes])
    # In float64, 30 distinct edges fit between any two different float32 values. Equal values need a wider range.
    low, high = float(flat.min()), float(flat.max())
    padding = max(0.5, abs(low) * 1e-3) if low == high else 0.0
    counts, edges = np.histogram(flat.astype(np.float64), HISTOGRAM_BUCKETS, (low - padding, high + padding))
    return np.stack([edges[:-1], edges[1:], counts], axis=1)
