"""Evaluates the network of a run during training, and holds the metrics of the last evaluation."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from trainer.data.dataset import Dataset
from trainer.data.rows import RowSubset
from trainer.errors import DivergedError, option
from trainer.evaluation import statistics
from trainer.evaluation.evaluator import EvaluationResult, Evaluator
from trainer.evaluation.metrics import Metrics
from trainer.evaluation.probes import ProbeResult, ProbeSet


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """An evaluation on all evaluation examples.

    Attributes:
      step: number of completed steps.
      values: metrics by tag: reconstruction errors, loss, loss terms, and the lowest error so far.
      errors: [N] root mean squared errors of all evaluation examples.
      result: the complete result, with codes and reconstructions of the probes.
      probe_result: errors, codes and reconstructions of the probes.
    """

    step: int
    values: dict[str, float]
    errors: np.ndarray
    result: EvaluationResult
    probe_result: ProbeResult


class RunEvaluator:
    """Evaluates the network of a run at several steps.

    Args:
      data: the data set.
      evaluator: evaluates the network with its current weights.
      final_train_rows: indices of the training examples that are evaluated at the last step, ascending.
      metrics: metrics of the last evaluation of a resumed run.
      evaluated: step of that evaluation; None without an evaluation.

    Attributes:
      probes: the evaluation examples whose codes and reconstructions are examined.
      metrics: metrics of the last evaluation, as "<train or eval>/<tag>".
      evaluated: step of the last evaluation; None before the first.
    """

    def __init__(
        self,
        data: Dataset,
        evaluator: Evaluator,
        *,
        final_train_rows: np.ndarray,
        metrics: Mapping[str, float],
        evaluated: int | None,
    ) -> None:
        self.probes = ProbeSet.from_dataset(data)
        self.metrics, self.evaluated = dict(metrics), evaluated
        self._data, self._evaluator, self._final_train_rows = data, evaluator, final_train_rows
        self._num_pixels = int(np.prod(data.shape))
        self._metrics = Metrics(data, self.probes, evaluator)
        self._last_probe: tuple[int, ProbeResult] | None = None

    def evaluate(self, step: int) -> Evaluation:
        """Evaluates the network on all evaluation examples.

        Raises:
          DivergedError: the error or a code is not finite.
        """
        result = self._evaluator.evaluate(self._data.evaluation.examples, self.probes.rows)
        values = self._metrics.reconstruction_metrics(result)
        self._check(step, values["reconstruction/mse"], result.codes)
        errors = statistics.example_errors(result.squared_errors, self._num_pixels)
        probe_result = ProbeResult(errors[self.probes.rows], result.codes, result.reconstructions)
        self._last_probe = step, probe_result
        values |= self._best(step, values["reconstruction/rmse"])
        return Evaluation(step, values, errors, result, probe_result)

    def diagnostics(self, evaluation: Evaluation) -> dict[str, float]:
        """Returns further metrics of an evaluation, by tag."""
        return self._metrics.diagnostics(evaluation.errors, evaluation.result)

    def set_last(self, evaluation: Evaluation) -> None:
        """Makes `evaluation` the last evaluation, whose metrics are stored in checkpoints and results."""
        self.metrics = {f"eval/{tag}": value for tag, value in evaluation.values.items()}
        self.evaluated = evaluation.step

    def evaluate_training(self) -> dict[str, float]:
        """Returns reconstruction errors of training examples by tag, and adds them to `metrics`."""
        train, rows = self._data.train.examples, self._final_train_rows
        examples = train if len(rows) == len(train) else RowSubset(train, rows)
        metrics = self._metrics.reconstruction_metrics(self._evaluator.evaluate(examples))
        values = {tag: value for tag, value in metrics.items() if tag.startswith("reconstruction/")}
        self.metrics |= {f"train/{tag}": value for tag, value in values.items()}
        return values

    def probe(self, step: int) -> ProbeResult:
        """Returns the network's outputs for the probes; reuses those of the last evaluation if it was at `step`."""
        if self._last_probe is None or self._last_probe[0] != step:
            result = self._evaluator.evaluate(self.probes.examples, np.arange(len(self.probes.rows)))
            errors = statistics.example_errors(result.squared_errors, self._num_pixels)
            self._last_probe = step, ProbeResult(errors, result.codes, result.reconstructions)
        return self._last_probe[1]

    def _check(self, step: int, mse: float, codes: np.ndarray) -> None:
        if math.isfinite(mse) and np.isfinite(codes).all():
            return
        what = "codes are not finite" if math.isfinite(mse) else f"the evaluation error is {mse}"
        remedies = self._remedies_at_start() if step == 0 else []
        if not remedies:
            remedy = f"use {option('restart', True)} with a lower {option('learning_rate')}"
            raise DivergedError(f"after step {step:,} {what}", remedy=remedy)
        (low, high), precision = self._data.value_range, "float16" if self._evaluator.is_float16 else "float32"
        raise DivergedError(
            f"before the first step {what}",
            found=f"values from {low:g} to {high:g} overflow in {precision}",
            remedy=", or ".join(remedies),
        )

    def _remedies_at_start(self) -> list[str]:
        """Returns the remedies for an overflow before training. The learning rate has no effect on it."""
        can_standardize = not self._data.is_image and isinstance(self._data.scale, float)
        standardize = f"give {option('restart', True)} and {option('standardise', True)}"
        bfloat16 = option("precision", "mixed_bfloat16")
        precision = f"give {bfloat16} or {option('precision', 'float32')}, whose range is larger"
        return [standardize] * can_standardize + [precision] * self._evaluator.is_float16

    def _best(self, step: int, rmse: float) -> dict[str, float]:
        """Returns the lowest error so far, and its step."""
        best = self.metrics.get("eval/best/rmse", math.inf)
        if rmse < best:
            return {"best/rmse": rmse, "best/step": step}
        return {"best/rmse": best, "best/step": self.metrics["eval/best/step"]}
