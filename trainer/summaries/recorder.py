"""Evaluates a run during training, and writes everything that TensorBoard shows."""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np

from trainer.data.dataset import Dataset
from trainer.data.rows import evenly_spaced
from trainer.evaluation import baselines
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.run_evaluator import Evaluation, RunEvaluator
from trainer.summaries import gallery, projector
from trainer.summaries.baseline_curves import BaselineCurves
from trainer.summaries.guard import Guard
from trainer.summaries.run_info import RunInfo
from trainer.summaries.writer import Writer
from trainer.training.plan import Plan

MAX_GRADIENT_EXAMPLES = 256


@dataclasses.dataclass(frozen=True)
class Folders:
    """Folders of the TensorBoard runs `train` and `eval`, and the parent folder of those of the baselines."""

    train: pathlib.Path
    evaluation: pathlib.Path
    baselines: pathlib.Path


class Recorder:
    """Writes the TensorBoard runs `train`, `eval` and `floor/*`, and the projector files.

    Args:
      folders: folders of the TensorBoard runs.
      data: the data set.
      evaluator: evaluates the network with its current weights.
      background: computes the baselines.
      plan: length of the run and schedule of its images.
      next_step: the first step that is not trained yet; existing records of this step and later are removed.
      final_train_rows: indices of the training examples that are evaluated at the last step, ascending.
      metrics: metrics of the last evaluation before `next_step`.
      evaluated: step of that evaluation; None without an evaluation.

    Attributes:
      run_info: writes the description of the run.
      run_evaluator: evaluates the network, and holds the metrics of the last evaluation.
      baseline_curves: writes the lines of the baselines.
    """

    def __init__(
        self,
        folders: Folders,
        data: Dataset,
        evaluator: Evaluator,
        background: baselines.BackgroundBaselines,
        *,
        plan: Plan,
        next_step: int,
        final_train_rows: np.ndarray,
        metrics: Mapping[str, float],
        evaluated: int | None,
    ) -> None:
        self._folders, self._data, self._evaluator = folders, data, evaluator
        self._next_step = next_step
        self._guard, self._is_logged = Guard(), False
        self.run_evaluator = RunEvaluator(
            data, evaluator, plan, final_train_rows=final_train_rows, metrics=metrics, evaluated=evaluated
        )
        steps, train = set(plan.image_steps), data.train.examples
        if next_step and self.run_evaluator.is_last(next_step - 1):
            steps.add(next_step - 1)  # Early stopping has ended the run there, with images.
        self._train = Writer(folders.train, next_step, steps)
        self._eval = Writer(folders.evaluation, next_step, steps)
        self._sprite: projector.Sprite | None = None
        # Gradients are computed for the same batch every time.
        self._batch = train[evenly_spaced(len(train), min(plan.batch_size, MAX_GRADIENT_EXAMPLES))]
        self.run_info = RunInfo(self._train, self._eval, folders.evaluation, next_step, self._guard)
        self.baseline_curves = BaselineCurves(
            folders.baselines,
            background,
            evaluator,
            total_steps=plan.total_steps,
            num_pixels=int(np.prod(data.shape)),
            is_image=data.is_image,
        )

    def write_run_info(self) -> None:
        """Writes the chart layout, the data sample and the projector files of the last checkpoint, if missing."""
        self.run_info.layout(self._evaluator)
        self.run_info.sample(self._data)
        with self._guard("the projector files"):
            # They are missing if the run was killed right after it saved the checkpoint.
            if self._next_step and not projector.has_step(self._folders.evaluation, self._next_step - 1):
                self._write_projector(self._next_step - 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Writes scalars of training. TensorBoard shows the first ones at once."""
        self._train.scalars(step, values)
        if not self._is_logged:
            self._is_logged = True
            self._train.show()

    def evaluate(self, step: int) -> str:
        """Evaluates the network, at the last step on training examples too, and writes the results.

        Returns:
          See `evaluation_text`.

        Raises:
          DivergedError: the evaluation error or a code is not finite.
        """
        evaluation = self.run_evaluator.evaluate(step)
        with self._guard("statistics"):
            evaluation.values.update(self.run_evaluator.diagnostics(evaluation))
        self._eval.scalars(step, evaluation.values)
        with self._guard("histograms"):
            self._write_histograms(evaluation)
        self.run_evaluator.set_last(evaluation)
        if self.run_evaluator.is_last(step):
            self._train.scalars(step, self.run_evaluator.evaluate_training())
        self.baseline_curves.write()
        if step == 0:
            self._eval.show()
        return self.evaluation_text()

    def evaluation_text(self) -> str:
        """Returns the error of the last evaluation and of PCA, for display; empty before the first evaluation."""
        metrics = self.run_evaluator.metrics
        return f"eval rmse {metrics['eval/reconstruction/rmse']:.5f}{self.baseline_curves.text}" if metrics else ""

    def write_images(self, step: int) -> None:
        """Writes the images of a step."""
        with self._guard("images"):
            result = self.run_evaluator.probe(step)
            if result.is_finite:  # Otherwise a later check raises `DivergedError`.
                rendered = gallery.render(result, self.run_evaluator.probes, self._evaluator, self._data.scale)
                for tag, image in rendered.items():
                    self._eval.image(step, tag, image)

    def write_checkpoint_info(self, step: int, seconds: float, size: int) -> None:
        """Writes the duration and the size, in bytes, of a checkpoint, and its projector files."""
        self._train.scalars(step, {"perf/checkpoint_seconds": seconds, "perf/checkpoint_bytes": size})
        self._write_projector(step)

    def flush(self) -> None:
        """Flushes and fsyncs the event files."""
        self._train.flush()
        self._eval.flush()

    @property
    def has_dropped(self) -> bool:
        """True if points were dropped because they could not be written."""
        return self._train.has_dropped or self._eval.has_dropped

    def close(self) -> None:
        """Closes the event files."""
        self._train.close()
        self._eval.close()

    def _write_projector(self, step: int) -> None:
        with self._guard("the projector files"):
            result, probes = self.run_evaluator.probe(step), self.run_evaluator.probes
            if self._data.is_image and self._sprite is None:
                self._sprite = projector.Sprite.from_images(probes.originals)
            columns = {"label": probes.classes, "rmse": result.errors.tolist(), "example": probes.rows.tolist()}
            if result.is_finite:
                projector.write(self._folders.evaluation, step, result.codes, columns, self._sprite)

    def _write_histograms(self, evaluation: Evaluation) -> None:
        step = evaluation.step
        self._eval.histograms(step, {"codes": evaluation.probe_result.codes, "error/examples": evaluation.errors})
        if evaluation.result.divergences is not None:
            self._eval.histograms(step, {"kl/units": evaluation.result.divergences})
        by_kind = {"weights": self._evaluator.weights(), "gradients": self._evaluator.gradients(self._batch)}
        tensors = {f"{kind}/{name}": values for kind, named in by_kind.items() for name, values in named.items()}
        # Only finite tensors have a histogram; the loss is checked elsewhere.
        self._train.histograms(step, {tag: values for tag, values in tensors.items() if np.isfinite(values).all()})
