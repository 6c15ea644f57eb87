"""How good a network is, in numbers by tag, beside the error itself."""

import math

import numpy as np

from trainer.data.dataset import Dataset
from trainer.data.rows import evenly_spaced
from trainer.evaluation import statistics
from trainer.evaluation.evaluator import EvaluationResult, Evaluator
from trainer.evaluation.probes import ProbeSet

MAX_SSIM_EXAMPLES = 250


class Metrics:
    """Of one network on one data set.

    Args:
      data: what is measured on.
      shown: the evaluation examples that are looked at in detail.
      evaluator: looks at the network with the weights as they are.
    """

    def __init__(self, data: Dataset, shown: ProbeSet, evaluator: Evaluator) -> None:
        self._data, self._shown, self._evaluator = data, shown, evaluator
        self._num_pixels = int(np.prod(data.shape))
        self._of_ssim = evenly_spaced(len(shown.rows), MAX_SSIM_EXAMPLES)

    def reconstruction_metrics(self, found: EvaluationResult) -> dict[str, float]:
        """Error, loss and the loss's parts, of whatever was measured."""
        errors = statistics.reconstruction(found.squared_errors, self._num_pixels, pictures=self._data.is_image)
        return {**errors, "loss": found.loss, **found.parts}

    def diagnostics(self, errors: np.ndarray, found: EvaluationResult) -> dict[str, float]:
        """What there is to say beside error and loss.

        Args:
          errors: [N] root mean squared errors of all evaluation examples.
          found: measured of them, in detail of those shown.
        """
        values = statistics.margins(errors) | statistics.latent_health(found.codes)
        if self._data.is_image:
            some = self._of_ssim
            values["reconstruction/ssim"] = statistics.ssim(self._shown.originals[some], found.reconstructions[some])
        if found.divergences is not None:
            values |= statistics.evidence(found.parts, found.codes)
        return values | self._denoising()

    def _denoising(self) -> dict[str, float]:
        """How well corrupted images are restored, at several levels of noise."""
        noise, examples = self._evaluator.objective.noise, self._shown.examples
        if noise is None:
            return {}
        errors = {
            times: self._evaluator.denoising_errors(examples, noise.level * float(times))
            for times in statistics.NOISE_MULTIPLES
        }
        found = {f"denoising/rmse_{times}x": self._rmse(restored) for times, (restored, _) in errors.items()}
        return {**found, "denoising/corrupted": self._rmse(errors["1"][1])}

    def _rmse(self, squared_errors: np.ndarray) -> float:
        return math.sqrt(squared_errors.mean(dtype=np.float64) / self._num_pixels)
