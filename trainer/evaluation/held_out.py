"""The scores of the held-out examples of a run, from the squared errors of an evaluation."""

import functools
import math

import numpy as np

from trainer.data.dataset import Dataset, chunk_slices
from trainer.evaluation import scores
from trainer.evaluation.calibration import Calibration


class HeldOut:
    """Computes anomaly scores of the evaluation examples by the default scoring; see `scores`.

    Args:
      data: the data set.
    """

    def __init__(self, data: Dataset) -> None:
        self._data = data

    def calibration(self, squared_errors: np.ndarray) -> Calibration | None:
        """Returns the calibration by [N] squared errors, summed over numbers.

        None if no example was held out from training, or has a finite score.

        The errors are in the units of the network, and weighted for missing numbers: see `Objective.squared_errors`.
        """
        if self._data.evaluation is self._data.train:
            return None
        values = squared_errors / self._divisors
        if np.isinf(values).any() or np.isnan(values).all():
            return None
        return Calibration.of(values, scores.resolve(scores.AUTO, is_image=self._data.is_image))

    @functools.cached_property
    def _divisors(self) -> np.ndarray | np.float32:
        """The divisors of squared errors, [N] float32: NaN for rows without numbers."""
        examples, count = self._data.evaluation.examples, np.float32(math.prod(self._data.shape))
        if self._data.is_image:
            variances = [scores.variances(examples[chunk]) for chunk in chunk_slices(examples)]
            scale = np.float32(self._data.scale)
            return count * (np.concatenate(variances) / scale**2 + np.float32(scores.MIN_VARIANCE))
        if not self._data.has_missing:
            return count
        is_empty = [scores.num_present(examples[chunk]) == 0 for chunk in chunk_slices(examples)]
        return np.where(np.concatenate(is_empty), np.float32(np.nan), count)
