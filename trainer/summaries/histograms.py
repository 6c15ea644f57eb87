"""The distribution of a tensor's numbers, computed with NumPy."""

import numpy as np

from trainer.data.rows import evenly_spaced

MAX_HISTOGRAM_VALUES, HISTOGRAM_BUCKETS = 20_000, 30


def histogram(values: np.ndarray) -> np.ndarray:
    """The distribution of a tensor's numbers, of at most 20,000 of them spread evenly, and of its extremes.

    Args:
      values: any shape, finite, at least one.

    Returns:
      [30, 3] float64: the left and the right edge of each bucket, and how many lie in it.
    """
    flat = values.reshape(-1)
    if flat.size > MAX_HISTOGRAM_VALUES:
        extremes = np.array([flat.min(), flat.max()], flat.dtype)
        flat = np.concatenate([flat[evenly_spaced(flat.size, MAX_HISTOGRAM_VALUES)], extremes])
    # In float64 there is room for 30 edges between any two different float32; around one number, room is made.
    low, high = float(flat.min()), float(flat.max())
    room = max(0.5, abs(low) * 1e-3) if low == high else 0.0
    counts, edges = np.histogram(flat.astype(np.float64), HISTOGRAM_BUCKETS, (low - room, high + room))
    return np.stack([edges[:-1], edges[1:], counts], axis=1)
