"""The errors of the mean and of PCA, as lines beside a run's curves."""

import pathlib

from trainer.evaluation import baselines, statistics
from trainer.evaluation.evaluator import Evaluator
from trainer.summaries.writer import Writer

NEGLIGIBLE = 1e-12  # a floor below is nothing but rounding, and would only stretch the charts


class BaselineCurves:
    """Writes the floors as soon as they are known, as lines from the first step to the last.

    Args:
      folder: of the TensorBoard runs `mean` and `pca`.
      background: computes them.
      evaluator: of the network beside them.
      total_steps: of the run.
      num_pixels: numbers in an example; is_pictures: whether they are pictures.
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
        self._num_pixels, self._is_pictures = num_pixels, is_image
        # What the loss is, where it can be told from an error alone.
        self._loss = evaluator.objective.loss.measure if evaluator.is_plain else None

    def write(self) -> None:
        """Writes them, if they are known and not written yet."""
        for name, errors in _named(self._background.take()):
            if errors[1] < NEGLIGIBLE:
                continue
            writer = Writer(self._folder / name, 0)
            values = statistics.measures(errors[1], self._num_pixels, pictures=self._is_pictures)
            if self._loss is not None:
                values["loss"] = values[f"reconstruction/{self._loss}"]
            for step in (0, self._total_steps):
                writer.scalars(step, values)
            writer.close()

    def finish(self) -> dict[str, float]:
        """Waits for them, writes them, and returns the rmse of each that is known on each split."""
        found = self._background.wait()
        self.write()
        values: dict[str, float] = {}
        for name, errors in _named(found):
            values |= {f"floor/{name}/train": errors[0] ** 0.5, f"floor/{name}/eval": errors[1] ** 0.5}
        return values

    @property
    def words(self) -> str:
        """PCA's error, to stand behind the network's; empty where it is not known."""
        found = self._background.peek()
        return f" (PCA {found.pca[1] ** 0.5:.5f})" if found and found.pca else ""


def _named(found: baselines.Baselines | None) -> list[tuple[str, tuple[float, float]]]:
    """The floors that are known, each with its mean squared error on (train, eval)."""
    both = [("mean", found.mean), ("pca", found.pca)] if found else []
    return [(name, errors) for name, errors in both if errors is not None]
