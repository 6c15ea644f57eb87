"""Missing numbers of rows, which are NaN."""

import dataclasses

import numpy as np

from trainer.data.dataset import Dataset, chunk_slices

MAX_SHOWN = 5


def is_invalid(rows: np.ndarray, converted: np.ndarray) -> np.ndarray:
    """Returns True for values that are neither finite nor missing, and for all values of rows without a number.

    Args:
      rows: [N, D] numbers.
      converted: [N, D] float32, the same numbers.
    """
    is_missing = np.isnan(rows)
    return ~np.isfinite(converted) & (~is_missing | is_missing.all(axis=1, keepdims=True))


def noted(data: Dataset) -> Dataset:
    """Returns the data set with `has_missing` and notes on its missing numbers, if there are any."""
    num_missing, num_rows, total, has_number = 0, 0, 0, np.zeros(data.shape, bool)
    splits = [data.train] if data.evaluation is data.train else [data.train, data.evaluation]
    for split in splits:
        for chunk in chunk_slices(split.examples):
            is_missing = np.isnan(split.examples[chunk])
            num_missing += int(is_missing.sum())
            num_rows += int(is_missing.any(axis=1).sum())
            total += len(is_missing)
            if split is data.train:
                has_number |= ~is_missing.all(axis=0)
    if not num_missing:
        return data
    notes = [f"missing numbers: {num_missing:,}, in {num_rows:,} of {total:,} rows; they do not count in errors"]
    if not has_number.all():
        empty = (np.flatnonzero(~has_number) + 1).tolist()
        more = ", ..." if len(empty) > MAX_SHOWN else ""
        notes.append(f"columns without a number in any training row: {', '.join(map(str, empty[:MAX_SHOWN]))}{more}")
    return dataclasses.replace(data, has_missing=True, notes=(*data.notes, *notes))
