"""Evaluates a network as training goes on: its errors, the best of them, and the few examples looked at in detail."""

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
    """One evaluation.

    Attributes:
      step: the steps done before it.
      values: numbers by tag: errors, loss, the loss's parts, the best error so far.
      errors: [N] root mean squared errors of all evaluation examples.
      measured: all that was measured, in detail of the probes.
      look: at the probes.
    """

    step: int
    values: dict[str, float]
    errors: np.ndarray
    measured: EvaluationResult
    look: ProbeResult


class RunEvaluator:
    """Evaluates one network on one data set, step after step.

    Args:
      data: what is measured on.
      evaluator: looks at the network with the weights as they are.
      last_look: numbers of the training examples that are evaluated in the end, ascending.
      metrics: of the last evaluation before it.
      evaluated: the step of that evaluation.

    Attributes:
      shown: the evaluation examples that are looked at in detail.
      metrics: of the last evaluation, as "<train or eval>/<tag>".
      evaluated: the step of the last evaluation; None before the first.
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
        self.probes = ProbeSet.of(data)
        self.metrics, self.evaluated = dict(metrics), evaluated
        self._data, self._evaluator, self._last_look = data, evaluator, final_train_rows
        self._num_pixels = int(np.prod(data.shape))
        self._assessment = Metrics(data, self.probes, evaluator)
        self._last: tuple[int, ProbeResult] | None = None

    def evaluate(self, step: int) -> Evaluation:
        """Evaluates on all evaluation examples.

        Raises:
          DivergedError: the error is not finite.
        """
        measured = self._evaluator.evaluate(self._data.evaluation.examples, self.probes.rows)
        values = self._assessment.reconstruction_metrics(measured)
        self._check(step, values["reconstruction/mse"], measured.codes)
        errors = statistics.example_errors(measured.squared_errors, self._num_pixels)
        look = ProbeResult(errors[self.probes.rows], measured.codes, measured.reconstructions)
        self._last = step, look
        values |= self._best(step, values["reconstruction/rmse"])
        return Evaluation(step, values, errors, measured, look)

    def diagnostics(self, evaluation: Evaluation) -> dict[str, float]:
        """What there is to say beside the errors, by tag."""
        return self._assessment.diagnostics(evaluation.errors, evaluation.measured)

    def remember(self, evaluation: Evaluation) -> None:
        """Makes it the last evaluation, whose values checkpoints and results have."""
        self.metrics = {f"eval/{tag}": value for tag, value in evaluation.values.items()}
        self.evaluated = evaluation.step

    def evaluate_training(self) -> dict[str, float]:
        """Reconstruction errors of training examples by tag; to be remembered with the last evaluation."""
        train = self._data.train.examples
        some = train if len(self._last_look) == len(train) else RowSubset(train, self._last_look)
        found = self._assessment.reconstruction_metrics(self._evaluator.evaluate(some))
        values = {tag: value for tag, value in found.items() if tag.startswith("reconstruction/")}
        self.metrics |= {f"train/{tag}": value for tag, value in values.items()}
        return values

    def look(self, step: int) -> ProbeResult:
        """The probes at a step: as its evaluation has seen them, if there was one."""
        if self._last is None or self._last[0] != step:
            found = self._evaluator.evaluate(self.probes.examples, np.arange(len(self.probes.rows)))
            errors = statistics.example_errors(found.squared_errors, self._num_pixels)
            self._last = step, ProbeResult(errors, found.codes, found.reconstructions)
        return self._last[1]

    def _check(self, step: int, mse: float, codes: np.ndarray) -> None:
        remedy = f"{option('restart', True)} with a lower {option('learning_rate')}"
        if not math.isfinite(mse):
            raise DivergedError(f"after step {step:,} the evaluation error is {mse}", remedy=remedy)
        if not np.isfinite(codes).all():
            raise DivergedError(f"after step {step:,} codes are not finite", remedy=remedy)

    def _best(self, step: int, rmse: float) -> dict[str, float]:
        """The lowest error so far, and its step."""
        known = self.metrics.get("eval/best/rmse", math.inf)
        if rmse < known:
            return {"best/rmse": rmse, "best/step": step}
        return {"best/rmse": known, "best/step": self.metrics["eval/best/step"]}
