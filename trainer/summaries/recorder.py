"""Measures a run as it goes, and writes what it finds to the run's TensorBoard folders."""

import contextlib
import math
import pathlib
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from trainer.data.dataset import Data
from trainer.data.rows import Picked, spread
from trainer.errors import DivergedError, HourglassError, option, said
from trainer.evaluation import baselines, statistics
from trainer.evaluation.evaluator import Evaluator
from trainer.evaluation.metrics import Assessment
from trainer.evaluation.probes import Look, Shown
from trainer.summaries import gallery, hparams, images, projector
from trainer.summaries.writer import DENOISING, EVIDENCE, Writer
from trainer.system.logs import log

MAX_HISTORY = 100
NEGLIGIBLE = 1e-12  # a floor below is nothing but rounding, and would only stretch the charts
MAX_GRADIENT_EXAMPLES = 256


class Recorder:
    """Writes `train`, `eval`, `floor/*`, the projector's files, and the run's row in HParams.

    Args:
      folder: the run's.
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
      metrics: of the last evaluation, as "<train or eval>/<tag>".
      evaluated: the step of the last evaluation; None before the first.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        data: Data,
        evaluator: Evaluator,
        background: baselines.Background,
        *,
        total_steps: int,
        batch_size: int,
        next_step: int,
        picture_steps: Collection[int],
        last_look: np.ndarray,
        metrics: Mapping[str, float],
        evaluated: int | None,
    ) -> None:
        self.metrics, self.evaluated = dict(metrics), evaluated
        self._folder, self._data, self._evaluator, self._background = folder, data, evaluator, background
        self._total_steps, self._next_step, self._last_look = total_steps, next_step, last_look
        self._num_pixels = int(np.prod(data.shape))
        train = data.train.examples
        # The examples that are looked at in detail, and the batch whose gradients are: always the same.
        self._shown = Shown.of(data)
        self._sprite: projector.Sprite | None = None
        self._assessment = Assessment(data, self._shown, evaluator)
        self._batch = train[spread(len(train), min(batch_size, MAX_GRADIENT_EXAMPLES))]
        self._last: tuple[int, Look] | None = None
        self._is_logged, self._told = False, set[str]()
        steps = set(picture_steps)
        self._train = Writer(folder / "train", next_step, steps)
        self._eval = Writer(folder / "eval", next_step, steps)

    def begin(
        self,
        name: str,
        columns: Mapping[str, type],
        options: Mapping[str, str | float],
        pages: Callable[[], Mapping[str, str]],
    ) -> None:
        """Writes what a run is, and what is missing of what it has written before.

        Args:
          name: its own, in HParams.
          columns, options: as `hparams.start`.
          pages: Markdown texts by tag.
        """
        with self._telling("the run's row in HParams"):
            hparams.start(self._folder / "eval", name, columns, options)
        with self._telling("texts"):
            for tag, text in pages().items():
                self._train.text(self._next_step, tag, text)
        if "custom_scalars__config__" not in self._eval.older:
            kinds = {DENOISING: self._evaluator.objective.noise, EVIDENCE: self._evaluator.is_variational}
            self._eval.layout(0, omitted=[category for category, applies in kinds.items() if not applies])
        if self._data.is_pictures and "data/sample" not in self._train.older:
            # Not the first ones: folders are read one class after the other.
            every = self._data.train.examples
            scaled = every[spread(len(every), images.NUM_SAMPLES)] / np.float32(self._data.scale)
            self._train.picture(0, "data/sample", images.samples(scaled))
        with self._telling("the projector's files"):
            if self._next_step and not projector.is_of(self._folder / "eval", self._next_step - 1):
                self._project(self._next_step - 1)  # The kill came between the checkpoint and this.

    def graph(self, traced: Callable[[], tf.compat.v1.GraphDef]) -> None:
        """Writes the graph of one training step, if it is missing."""
        with self._telling("the graph"):
            if "graph_def" not in self._train.older:
                self._train.graph(0, traced())

    def end(self, *, succeeded: bool) -> None:
        """Says in HParams that the run is finished, or has failed."""
        with self._telling("the run's row in HParams"):
            hparams.end(self._folder / "eval", succeeded=succeeded)

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
        found = self._evaluator.measure(self._data.evaluation.examples, self._shown.rows)
        values = self._assessment.essentials(found)
        mse, remedy = values["reconstruction/mse"], f"{option('restart', True)} with a lower {option('learning_rate')}"
        if not math.isfinite(mse):
            raise DivergedError(f"after step {step:,} the evaluation error is {mse}", remedy=remedy)
        if not np.isfinite(found.codes).all():
            raise DivergedError(f"after step {step:,} codes are not finite", remedy=remedy)
        errors = statistics.example_errors(found.squared_errors, self._num_pixels)
        look = Look(errors[self._shown.rows], found.codes, found.reconstructions)
        values |= self._best(step, values["reconstruction/rmse"])
        with self._telling("statistics"):
            values |= self._assessment.details(errors, found)
        self._eval.scalars(step, values)
        with self._telling("histograms"):
            self._eval.histograms(step, {"codes": look.codes, "error/examples": errors})
            if found.divergences is not None:
                self._eval.histograms(step, {"kl/units": found.divergences})
            self._write_tensors(step)
        self._last = step, look
        self.metrics, self.evaluated = {f"eval/{tag}": value for tag, value in values.items()}, step
        if step == self._total_steps:
            train = self._data.train.examples
            some = train if len(self._last_look) == len(train) else Picked(train, self._last_look)
            trained = self._assessment.essentials(self._evaluator.measure(some))
            trained = {tag: value for tag, value in trained.items() if tag.startswith("reconstruction/")}
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
        """Writes the pictures."""
        with self._telling("pictures"):
            look = self._look(step)
            if look.is_finite:  # Else the loss will tell.
                drawn = gallery.draw(look, self._shown, self._evaluator, self._data.scale)
                for tag, picture in drawn.items():
                    self._eval.picture(step, tag, picture)

    def saved(self, step: int, seconds: float, size: int) -> None:
        """Writes what belongs to a checkpoint: what saving took, its bytes, and what the projector shows."""
        self._train.scalars(step, {"perf/checkpoint_seconds": seconds, "perf/checkpoint_bytes": size})
        self._project(step)

    def _project(self, step: int) -> None:
        with self._telling("the projector's files"):
            look, shown = self._look(step), self._shown
            if self._data.is_pictures and self._sprite is None:
                self._sprite = projector.Sprite.of(shown.originals)
            columns = {"label": shown.classes, "rmse": look.errors.tolist(), "example": shown.rows.tolist()}
            if look.is_finite:
                projector.write(self._folder / "eval", step, look.codes, columns, self._sprite)

    def history(self, step: int, rows: Sequence[Sequence[str]]) -> None:
        """Writes the run's history, newest first, since TensorBoard shows the top of one text a step; 100 lines of it.

        Args:
          step: of the newest entry.
          rows: [when, step, what] of each entry.
        """
        lines = [f"* **{at}**: {what} ({when})" for when, at, what in reversed(rows[-MAX_HISTORY:])]
        self._train.text(max(step, self._next_step), "history", "\n".join(lines))

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

    def _look(self, step: int) -> Look:
        """What is seen at a step: of its evaluation, if there was one."""
        if self._last is None or self._last[0] != step:
            found = self._evaluator.measure(self._shown.examples, np.arange(len(self._shown.rows)))
            errors = statistics.example_errors(found.squared_errors, self._num_pixels)
            self._last = step, Look(errors, found.codes, found.reconstructions)
        return self._last[1]

    def _best(self, step: int, rmse: float) -> dict[str, float]:
        """The lowest error so far, and its step."""
        known = self.metrics.get("eval/best/rmse", math.inf)
        if rmse < known:
            return {"best/rmse": rmse, "best/step": step}
        return {"best/rmse": known, "best/step": self.metrics["eval/best/step"]}

    def _write_tensors(self, step: int) -> None:
        found = {"weights": self._evaluator.weights(), "gradients": self._evaluator.gradients(self._batch)}
        tensors = {f"{kind}/{name}": values for kind, named in found.items() for name, values in named.items()}
        # A weight or gradient that is no number has no histogram; the loss will tell.
        self._train.histograms(step, {tag: values for tag, values in tensors.items() if np.isfinite(values).all()})

    def _write_floors(self) -> None:
        """Writes the floors as soon as they are known, as lines from the first step to the last."""
        measure = self._evaluator.objective.loss.measure if self._evaluator.is_plain else None
        for name, errors in _named(self._background.take()):
            if errors[1] < NEGLIGIBLE:
                continue
            writer = Writer(self._folder / "floor" / name, 0)
            values = statistics.measures(errors[1], self._num_pixels, pictures=self._data.is_pictures)
            if measure is not None:
                values["loss"] = values[f"reconstruction/{measure}"]
            for step in (0, self._total_steps):
                writer.scalars(step, values)
            writer.close()

    @contextlib.contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Training does not end for want of what only TensorBoard shows, whatever it is: that is told once."""
        try:
            yield
        except HourglassError:
            raise
        except Exception as error:
            if what not in self._told:
                log.warning(f"TensorBoard: {what} cannot be written ({said(error)}): training goes on")
                log.debug(traceback.format_exc())
            self._told.add(what)


def _named(found: baselines.Floors | None) -> list[tuple[str, tuple[float, float]]]:
    """The floors that are known, each with its mean squared error on (train, eval)."""
    both = [("mean", found.mean), ("pca", found.pca)] if found else []
    return [(name, errors) for name, errors in both if errors is not None]
