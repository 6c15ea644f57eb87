"""Measures a run as it goes, and writes what it finds to the run's TensorBoard folders."""

import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from trainer import floors
from trainer.datasets import Data
from trainer.errors import DivergedError
from trainer.steps import Evaluator
from trainer.summaries import pictures, statistics
from trainer.summaries.tensorboard import Writer


class Recorder:
    """Writes `train`, `eval` and `floor/*`.

    Args:
      folder: the run's.
      data: what is measured on.
      evaluator: reconstructs with the weights as they are.
      background: the floors, when they are known.
      total_steps: of the run.
      next_step: the first to come; what is there of it, or later, is removed.
      metrics: of the last evaluation before it.
      evaluated: the step of that evaluation.

    Attributes:
      metrics: of the last evaluation, as "<train or eval>/<tag>".
      evaluated: the step of the last evaluation; None before the first.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        data: Data,
        evaluator: Evaluator,
        background: floors.Background,
        *,
        total_steps: int,
        next_step: int,
        metrics: Mapping[str, float],
        evaluated: int | None,
    ) -> None:
        self.metrics, self.evaluated = dict(metrics), evaluated
        self._folder, self._data, self._evaluator, self._background = folder, data, evaluator, background
        self._total_steps = total_steps
        self._num_pixels = int(np.prod(data.shape))
        self._train = Writer(folder / "train", next_step)
        self._eval = Writer(folder / "eval", next_step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Writes scalars of training."""
        self._train.scalars(step, values)

    def evaluate(self, step: int) -> str:
        """Evaluates, at the end on the training examples too, writes it, and says it beside the floor.

        Raises:
          DivergedError: the error is not finite.
        """
        measured = self._measure(self._data.evaluation.examples)
        if not math.isfinite(measured["reconstruction/mse"]):
            raise DivergedError(
                f"after step {step:,} the evaluation error is {measured['reconstruction/mse']}",
                remedy="--restart with a lower --learning_rate",
            )
        self._eval.scalars(step, measured)
        self.metrics, self.evaluated = {f"eval/{tag}": value for tag, value in measured.items()}, step
        if step == self._total_steps:
            trained = self._measure(self._data.train.examples)
            self._train.scalars(step, trained)
            self.metrics |= {f"train/{tag}": value for tag, value in trained.items()}
        self._write_floors()
        if step == 0:
            self._eval.flush()  # There is something to see from the first second on.
        return self.words()

    def words(self) -> str:
        """The last evaluation, for the person; nothing before the first."""
        if not self.metrics:
            return ""
        text = f"eval rmse {self.metrics['eval/reconstruction/rmse']:.5f}"
        found = self._background.peek()
        return f"{text} (PCA {found.pca[1] ** 0.5:.5f})" if found and found.pca else text

    def picture(self, step: int) -> None:
        """Writes the reconstruction picture, where examples are pictures."""
        if not self._data.is_pictures:
            return
        examples = pictures.fixed_examples(self._data.evaluation.examples)
        reconstructions = self._evaluator.reconstruct(examples)
        grid = pictures.reconstruction_grid(examples / np.float32(self._data.scale), reconstructions)
        self._eval.picture(step, "reconstruction", grid)

    def history(self, step: int, rows: Sequence[Sequence[str]]) -> None:
        """Writes the run's history, whole and newest first: TensorBoard shows the top of one text a step.

        Args:
          step: of the newest entry.
          rows: [when, step, what] of each entry.
        """
        lines = [f"* **{at}**: {what} ({when})" for when, at, what in reversed(rows)]
        self._train.text(step, "history", "\n".join(lines))

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

    def finish_floors(self) -> dict[str, float]:
        """Waits for the floors, writes them, and returns the rmse of each that is known on each split."""
        found = self._background.wait()
        self._write_floors()
        values: dict[str, float] = {}
        for name, errors in _named(found):
            values |= {f"floor/{name}/train": errors[0] ** 0.5, f"floor/{name}/eval": errors[1] ** 0.5}
        return values

    def _measure(self, examples: np.ndarray) -> dict[str, float]:
        errors = self._evaluator.squared_errors(examples)
        return statistics.reconstruction(errors, self._num_pixels, pictures=self._data.is_pictures)

    def _write_floors(self) -> None:
        """Writes the floors as soon as they are known, as lines from the first step to the last."""
        for name, errors in _named(self._background.take()):
            writer = Writer(self._folder / "floor" / name, 0)
            values = statistics.measures(errors[1], self._num_pixels, pictures=self._data.is_pictures)
            for step in (0, self._total_steps):
                writer.scalars(step, values)
            writer.close()


def _named(found: floors.Floors | None) -> list[tuple[str, tuple[float, float]]]:
    """The floors that are known, each with its mean squared error on (train, eval)."""
    both = [("mean", found.mean), ("pca", found.pca)] if found else []
    return [(name, errors) for name, errors in both if errors is not None]
