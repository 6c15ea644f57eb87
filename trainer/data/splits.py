"""Which examples evaluate, where data have no split of their own: by a hash, so that it is the same everywhere."""

import hashlib
from collections.abc import Sequence

import numpy as np

from trainer.errors import DataError, option


def by_name(names: Sequence[str], fraction: float) -> np.ndarray:
    """[N] bool: which of these names evaluate. It depends on the name alone, and stays when others come or go.

    Args:
      names: different ones.
      fraction: of them that is to evaluate, 0 to 1; 0: none, so that all of them do both.

    Raises:
      DataError: there are too few to divide.
    """
    digests = (hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8] for name in names)
    return _below(np.array([int.from_bytes(digest, "big") for digest in digests], np.uint64), fraction)


def by_number(numbers: np.ndarray, fraction: float) -> np.ndarray:
    """[N] bool: which of the rows with these numbers evaluate. As `by_name`, whatever became of rows before them."""
    return _below(_mixed(numbers.astype(np.uint64)), fraction)


def by_index(count: int, fraction: float) -> np.ndarray:
    """[count] bool: which of so many rows evaluate; as `by_number`."""
    return by_number(np.arange(count), fraction)


def _below(hashes: np.ndarray, fraction: float) -> np.ndarray:
    """Those whose hash is below that fraction of the largest; one at least evaluates, and one at least does not."""
    if len(hashes) == 0 or fraction == 0:
        return np.zeros(len(hashes), bool)
    if len(hashes) == 1:
        raise DataError(
            "one example cannot both train and evaluate",
            found=f"{option('eval_fraction', f'{fraction:g}')}, and one example",
            remedy=f"give more examples, or {option('eval_fraction', 0)} to evaluate on those that are trained on",
        )
    chosen = hashes < np.uint64(min(int(fraction * 2.0**64), 2**64 - 1))
    if not chosen.any():
        chosen[hashes.argmin()] = True
    if chosen.all():
        chosen[hashes.argmax()] = False
    return chosen


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """[N] uint64 -> [N] uint64: Steele, Lea and Flood 2014, SplitMix64: its increment and its finaliser."""
    with np.errstate(over="ignore"):
        mixed = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
