"""Metrics of a network, by tag."""

import math

import numpy as np

from trainer.data.dataset import Dataset
from trainer.data.rows import evenly_spaced
from trainer.evaluation import statistics
from trainer.evaluation.evaluator import EvaluationResult, Evaluator
from trainer.evaluation.probes import ProbeSet

MAX_SSIM_EXAMPLES = 250


class Metrics:
    """Computes the metrics of a network on a data set.

    Args:
      data: the data set.
      probes: the evaluation examples whose codes and reconstructions are examined.
      evaluator: evaluates the network with its current weights.
    """

    def __init__(self, data: Dataset, probes: ProbeSet, evaluator: Evaluator) -> None:
        self._data, self._probes, self._evaluator = data, probes, evaluator
        self._num_pixels = int(np.prod(data.shape))
        self._ssim_rows = evenly_spaced(len(probes.rows), MAX_SSIM_EXAMPLES)

    def reconstruction_metrics(self, result: EvaluationResult) -> dict[str, float]:
        """Returns the reconstruction errors, the loss and the loss terms of any evaluated examples."""
        errors = statistics.reconstruction_metrics(
            result.squared_errors, self._num_pixels, is_image=self._data.is_image
        )
        return {**errors, "loss": result.loss, **result.loss_terms}

    def diagnostics(self, errors: np.ndarray, result: EvaluationResult) -> dict[str, float]:
        """Returns all other metrics.

        Args:
          errors: [N] root mean squared errors of all evaluation examples.
          result: evaluation of all evaluation examples, with codes and reconstructions of the probes.
        """
        values = statistics.error_percentiles(errors) | statistics.code_metrics(result.codes)
        if self._data.is_image:
            rows = self._ssim_rows
            values["reconstruction/ssim"] = statistics.ssim(self._probes.originals[rows], result.reconstructions[rows])
        if result.divergences is not None:
            values |= statistics.elbo_metrics(result.loss_terms, result.codes)
        return values | self._denoising_metrics()

    def _denoising_metrics(self) -> dict[str, float]:
        """Returns the errors of denoised examples at several noise levels, and of the corrupted examples."""
        noise, examples = self._evaluator.objective.noise, self._probes.examples
        if noise is None:
            return {}
        errors = {
            times: self._evaluator.denoising_errors(examples, noise.level * float(times))
            for times in statistics.NOISE_MULTIPLES
        }
        values = {f"denoising/rmse_{times}x": self._rmse(denoised) for times, (denoised, _) in errors.items()}
        return {**values, "denoising/corrupted": self._rmse(errors["1"][1])}

    def _rmse(self, squared_errors: np.ndarray) -> float:
        return math.sqrt(squared_errors.mean(dtype=np.float64) / self._num_pixels)
