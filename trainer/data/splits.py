"""Splits data into training and evaluation examples by a hash, so that the split is the same on every machine."""

import hashlib
from collections.abc import Sequence

import numpy as np

from trainer.errors import DataError, option


def by_name(names: Sequence[str], fraction: float) -> np.ndarray:
    """Returns the evaluation mask of examples with these names, [N] bool.

    Args:
      names: distinct names. An example keeps its split when others are added or removed: only its name is hashed.
      fraction: fraction of evaluation examples, 0 to 1. If it is 0, the mask is all False.

    Raises:
      DataError: a single example cannot be split.
    """
    digests = (hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8] for name in names)
    return _below(np.array([int.from_bytes(digest, "big") for digest in digests], np.uint64), fraction)


def by_row_number(numbers: np.ndarray, fraction: float) -> np.ndarray:
    """Returns the evaluation mask of rows with these numbers, [N] bool; see `by_name`."""
    return _below(_mixed(numbers.astype(np.uint64)), fraction)


def by_index(count: int, fraction: float) -> np.ndarray:
    """Returns the evaluation mask of rows 0 to `count` - 1, [count] bool; see `by_name`."""
    return by_row_number(np.arange(count), fraction)


def _below(hashes: np.ndarray, fraction: float) -> np.ndarray:
    """Returns the mask of the hashes below `fraction` of 2**64. One is moved if a split would otherwise be empty."""
    if len(hashes) == 0 or fraction == 0:
        return np.zeros(len(hashes), bool)
    if len(hashes) == 1:
        raise DataError(
            "a single example cannot be split into training and evaluation examples",
            found=f"{option('eval_fraction', f'{fraction:g}')}, and one example",
            remedy=f"add examples, or set {option('eval_fraction', 0)} to evaluate on the training examples",
        )
    mask = hashes < np.uint64(min(int(fraction * 2.0**64), 2**64 - 1))
    if not mask.any():
        mask[hashes.argmin()] = True
    if mask.all():
        mask[hashes.argmax()] = False
    return mask


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Hashes [N] uint64 with the increment and the finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        mixed = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
