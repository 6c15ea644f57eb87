"""Writes what a run finds, as it goes, to the run's TensorBoard folders."""

import dataclasses
import pathlib
from collections.abc import Collection, Mapping

import numpy as np

from trainer.data.dataset import Dataset
from trainer.data.rows import evenly_spaced
from trainer.evaluation import baselines
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.run_evaluator import Evaluation, RunEvaluator
from trainer.summaries import gallery, projector
from trainer.summaries.about import About
from trainer.summaries.baseline_curves import BaselineCurves
from trainer.summaries.guard import Guard
from trainer.summaries.writer import Writer

MAX_GRADIENT_EXAMPLES = 256


@dataclasses.dataclass(frozen=True)
class Folders:
    """The folders of a run's TensorBoard runs: training, evaluation, and those of the baselines in one."""

    train: pathlib.Path
    evaluation: pathlib.Path
    baselines: pathlib.Path


class Recorder:
    """Writes `train`, `eval`, `floor/*` and the projector's files.

    Args:
      folders: where.
      data: what is measured on.
      evaluator: looks at the network with the weights as they are.
      background: the floors, when they are known.
      total_steps: of the run.
      batch_size: examples a step.
      next_step: the first to come; what is there of it, or later, is removed.
      picture_steps: when pictures are due.
      last_look: numbers of the training examples that are evaluated in the end, ascending.
      metrics: of the last evaluation before it.
      evaluated: the step of that evaluation.

    Attributes:
      about: writes what the run is.
      examiner: evaluates, and knows the last evaluation.
      curves: of the baselines.
    """

    def __init__(
        self,
        folders: Folders,
        data: Dataset,
        evaluator: Evaluator,
        background: baselines.BackgroundBaselines,
        *,
        total_steps: int,
        batch_size: int,
        next_step: int,
        image_steps: Collection[int],
        final_train_rows: np.ndarray,
        metrics: Mapping[str, float],
        evaluated: int | None,
    ) -> None:
        self._folders, self._data, self._evaluator = folders, data, evaluator
        self._total_steps, self._next_step = total_steps, next_step
        self._guard, self._is_logged = Guard(), False
        steps, train = set(image_steps), data.train.examples
        self._train = Writer(folders.train, next_step, steps)
        self._eval = Writer(folders.evaluation, next_step, steps)
        self._sprite: projector.Sprite | None = None
        # The batch whose gradients are looked at: always the same.
        self._batch = train[evenly_spaced(len(train), min(batch_size, MAX_GRADIENT_EXAMPLES))]
        self.about = About(self._train, self._eval, folders.evaluation, next_step, self._guard)
        self.run_evaluator = RunEvaluator(
            data, evaluator, final_train_rows=final_train_rows, metrics=metrics, evaluated=evaluated
        )
        self.curves = BaselineCurves(
            folders.baselines,
            background,
            evaluator,
            total_steps=total_steps,
            num_pixels=int(np.prod(data.shape)),
            is_image=data.is_image,
        )

    def write_run_info(self) -> None:
        """Writes what is missing of what was to be written before."""
        self.about.layout(self._evaluator)
        self.about.sample(self._data)
        with self._guard("the projector's files"):
            if self._next_step and not projector.is_of(self._folders.evaluation, self._next_step - 1):
                self._project(self._next_step - 1)  # The kill came between the checkpoint and this.

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Writes scalars of training; the first at once to the disk, so that there is something to see."""
        self._train.scalars(step, values)
        if not self._is_logged:
            self._is_logged = True
            self._train.flush()

    def evaluate(self, step: int) -> str:
        """Evaluates, at the end on the training examples too, writes it, and says it beside the floor.

        Raises:
          DivergedError: the error is not finite.
        """
        evaluation = self.run_evaluator.evaluate(step)
        with self._guard("statistics"):
            evaluation.values.update(self.run_evaluator.diagnostics(evaluation))
        self._eval.scalars(step, evaluation.values)
        with self._guard("histograms"):
            self._write_histograms(evaluation)
        self.run_evaluator.remember(evaluation)
        if step == self._total_steps:
            self._train.scalars(step, self.run_evaluator.evaluate_training())
        self.curves.write()
        if step == 0:
            self._eval.flush()  # There is something to see from the first second on.
        return self.words()

    def words(self) -> str:
        """The last evaluation, for the person; nothing before the first."""
        metrics = self.run_evaluator.metrics
        return f"eval rmse {metrics['eval/reconstruction/rmse']:.5f}{self.curves.words}" if metrics else ""

    def write_images(self, step: int) -> None:
        """Writes the pictures."""
        with self._guard("pictures"):
            look = self.run_evaluator.look(step)
            if look.is_finite:  # Else the loss will tell.
                rendered = gallery.render(look, self.run_evaluator.probes, self._evaluator, self._data.scale)
                for tag, picture in rendered.items():
                    self._eval.picture(step, tag, picture)

    def write_checkpoint_info(self, step: int, seconds: float, size: int) -> None:
        """Writes what belongs to a checkpoint: what saving took, its bytes, and what the projector shows."""
        self._train.scalars(step, {"perf/checkpoint_seconds": seconds, "perf/checkpoint_bytes": size})
        self._project(step)

    def flush(self) -> None:
        """What was written is on the disk when this returns."""
        self._train.flush()
        self._eval.flush()

    @property
    def has_dropped(self) -> bool:
        """Whether the disk did not take some of it."""
        return self._train.has_dropped or self._eval.has_dropped

    def close(self) -> None:
        """Closes the event files."""
        self._train.close()
        self._eval.close()

    def _project(self, step: int) -> None:
        with self._guard("the projector's files"):
            look, shown = self.run_evaluator.look(step), self.run_evaluator.probes
            if self._data.is_image and self._sprite is None:
                self._sprite = projector.Sprite.of(shown.originals)
            columns = {"label": shown.classes, "rmse": look.errors.tolist(), "example": shown.rows.tolist()}
            if look.is_finite:
                projector.write(self._folders.evaluation, step, look.codes, columns, self._sprite)

    def _write_histograms(self, evaluation: Evaluation) -> None:
        step = evaluation.step
        self._eval.histograms(step, {"codes": evaluation.look.codes, "error/examples": evaluation.errors})
        if evaluation.measured.divergences is not None:
            self._eval.histograms(step, {"kl/units": evaluation.measured.divergences})
        found = {"weights": self._evaluator.weights(), "gradients": self._evaluator.gradients(self._batch)}
        tensors = {f"{kind}/{name}": values for kind, named in found.items() for name, values in named.items()}
        # A weight or gradient that is no number has no histogram; the loss will tell.
        self._train.histograms(step, {tag: values for tag, values in tensors.items() if np.isfinite(values).all()})
