"""Evaluates the network of a run during training, and holds the metrics of the last evaluation."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from trainer.data.dataset import Dataset
from trainer.data.rows import RowSubset
from trainer.errors import DivergedError, option
from trainer.evaluation import statistics, stopping
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.evaluator import EvaluationResult, Evaluator
from trainer.evaluation.held_out import HeldOut
from trainer.evaluation.metrics import Metrics
from trainer.evaluation.probes import ProbeResult, ProbeSet
from trainer.training.plan import Plan


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """An evaluation on all evaluation examples.

    Attributes:
      step: number of completed steps.
      values: metrics by tag: reconstruction errors, loss, loss terms, and the lowest error so far; see `stopping.best`.
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
      plan: length of the run.
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
        plan: Plan,
        *,
        final_train_rows: np.ndarray,
        metrics: Mapping[str, float],
        evaluated: int | None,
    ) -> None:
        self.probes = ProbeSet.from_dataset(data)
        self.metrics, self.evaluated = dict(metrics), evaluated
        self._data, self._evaluator, self._plan, self._final_train_rows = data, evaluator, plan, final_train_rows
        self._num_pixels = int(np.prod(data.shape))
        self._metrics = Metrics(data, self.probes, evaluator)
        self._held_out = HeldOut(data)
        self._last_errors: tuple[int, np.ndarray] | None = None  # step and squared errors of the last evaluation
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
        counts = step > self._plan.pretraining_end
        values |= stopping.best(self.metrics, step, values["reconstruction/rmse"], counts=counts)
        return Evaluation(step, values, errors, result, probe_result)

    def diagnostics(self, evaluation: Evaluation) -> dict[str, float]:
        """Returns further metrics of an evaluation, by tag."""
        return self._metrics.diagnostics(evaluation.errors, evaluation.result)

    def set_last(self, evaluation: Evaluation) -> None:
        """Makes `evaluation` the last evaluation, whose metrics are stored in checkpoints and results."""
        self.metrics = {f"eval/{tag}": value for tag, value in evaluation.values.items()}
        self.evaluated = evaluation.step
        self._last_errors = evaluation.step, evaluation.result.squared_errors

    def calibration(self, step: int) -> Calibration | None:
        """Returns the calibration of anomaly scores; None unless the last evaluation was at `step`, in this process."""
        if self._last_errors is None or self._last_errors[0] != step:
            return None
        return self._held_out.calibration(self._last_errors[1])

    def is_last(self, step: int) -> bool:
        """Returns True if the run ends after this step: it is the last one, or early stopping ends it."""
        has_stopped = self.evaluated == step and stopping.has_stopped(self.metrics, self._plan.early_stopping)
        return has_stopped or step >= self._plan.total_steps

    def must_keep(self, step: int) -> bool:
        """Returns True if this step needs a checkpoint: with early stopping, the best step can always be restored."""
        return self._plan.early_stopping > 0 and stopping.is_best(self.metrics, step)

    def complete(self, step: int) -> None:
        """Evaluates what a result needs, if the run was shortened to a step that was not the last one when saved."""
        if self.evaluated != step:
            self.set_last(self.evaluate(step))
        if "train/reconstruction/rmse" not in self.metrics:
            self.evaluate_training()

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
            remedy = (
                f"resume with a lower {option('learning_rate_from_now')}, or use {option('restart', True)} with a lower"
                f" {option('learning_rate')}"
            )
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
