"""The errors of the mean and PCA baselines, as horizontal lines in the charts of a run."""

import pathlib

from trainer.evaluation import baselines, statistics
from trainer.evaluation.evaluator import Evaluator
from trainer.summaries.writer import Writer

NEGLIGIBLE = 1e-12  # mean squared error that is only rounding; its line would stretch the charts


class BaselineCurves:
    """Writes each baseline as a line from step 0 to the last step, as soon as the baselines are computed.

    Args:
      folder: parent folder of the TensorBoard runs `mean` and `pca`.
      background: computes the baselines.
      evaluator: evaluator of the run's network.
      total_steps: number of steps of the run.
      num_pixels: numbers per example.
      is_image: True if the examples are images.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        background: baselines.BackgroundBaselines,
        evaluator: Evaluator,
        *,
        total_steps: int,
        num_pixels: int,
        is_image: bool,
    ) -> None:
        self._folder, self._background, self._total_steps = folder, background, total_steps
        self._num_pixels, self._is_image = num_pixels, is_image
        # The metric that equals the loss; None: the loss of a baseline is not defined.
        self._loss_metric = evaluator.objective.loss.metric if evaluator.is_plain else None

    def write(self) -> None:
        """Writes the lines, if the baselines are computed and not written yet."""
        self._write(self._background.poll(), self._total_steps)

    def _write(self, result: baselines.Baselines | None, last_step: int) -> None:
        for name, errors in _by_name(result):
            if errors[1] < NEGLIGIBLE:
                continue
            writer = Writer(self._folder / name, 0)
            values = statistics.error_metrics(errors[1], self._num_pixels, is_image=self._is_image)
            if self._loss_metric is not None:
                values["loss"] = values[f"reconstruction/{self._loss_metric}"]
            for step in (0, last_step):
                writer.scalars(step, values)
            writer.close()

    def finish(self, last_step: int) -> dict[str, float]:
        """Waits for the baselines, writes them, and returns their RMSE as `floor/<name>/<split>`.

        Args:
          last_step: the lines end here; before the last step of the plan, if the run was stopped early.
        """
        result = self._background.wait()
        self.write()
        if last_step != self._total_steps:
            self._write(result, last_step)
        values: dict[str, float] = {}
        for name, errors in _by_name(result):
            values |= {f"floor/{name}/train": errors[0] ** 0.5, f"floor/{name}/eval": errors[1] ** 0.5}
        return values

    @property
    def text(self) -> str:
        """Evaluation error of PCA, for display after the network's error; empty if it is not known."""
        result = self._background.result
        return f" (PCA {result.pca[1] ** 0.5:.5f})" if result and result.pca else ""


def _by_name(result: baselines.Baselines | None) -> list[tuple[str, tuple[float, float]]]:
    """Returns the name and the mean squared errors on (train, eval) of each baseline that is known."""
    named = [("mean", result.mean), ("pca", result.pca)] if result else []
    return [(name, errors) for name, errors in named if errors is not None]
