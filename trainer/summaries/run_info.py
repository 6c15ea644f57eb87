"""Describes a run in TensorBoard: HParams row, texts, graph, layout of the charts, and a sample of the data."""

import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from trainer.data.dataset import Dataset
from trainer.data.rows import evenly_spaced
from trainer.evaluation.evaluator import Evaluator
from trainer.summaries import hparams, images
from trainer.summaries.guard import Guard
from trainer.summaries.writer import DENOISING, EVIDENCE, Writer

MAX_HISTORY = 100


class RunInfo:
    """Writes the description of a run. Skips the layout, the sample and the graph if they exist already.

    Args:
      train, evaluation: writers of the two TensorBoard runs.
      folder: folder of the TensorBoard run `eval`.
      next_step: the first step that is not trained yet.
      guard: logs errors instead of stopping training.
    """

    def __init__(self, train: Writer, evaluation: Writer, folder: pathlib.Path, next_step: int, guard: Guard) -> None:
        self._train, self._eval, self._folder = train, evaluation, folder
        self._next_step, self._guard = next_step, guard

    def begin(
        self,
        name: str,
        columns: Mapping[str, type],
        row: Mapping[str, str | float],
        pages: Callable[[], Mapping[str, str]],
    ) -> None:
        """Writes the HParams row and the texts.

        Args:
          name, columns, row: see `hparams.start`.
          pages: returns Markdown texts by tag.
        """
        with self._guard("the HParams row"):
            hparams.start(self._folder, name, columns, row)
        with self._guard("texts"):
            for tag, text in pages().items():
                self._train.text(self._next_step, tag, text)

    def layout(self, evaluator: Evaluator) -> None:
        """Writes the layout of the Custom Scalars tab, if it is missing."""
        if "custom_scalars__config__" not in self._eval.existing_tags:
            kinds = {DENOISING: evaluator.objective.noise, EVIDENCE: evaluator.is_variational}
            self._eval.layout(0, omitted=[category for category, applies in kinds.items() if not applies])

    def sample(self, data: Dataset) -> None:
        """Writes an image of up to 64 training examples, if it is missing and the examples are images."""
        if data.is_image and "data/sample" not in self._train.existing_tags:
            # Evenly spaced, because image folders are read one class after the other.
            examples = data.train.examples
            scaled = examples[evenly_spaced(len(examples), images.NUM_SAMPLES)] / np.float32(data.scale)
            self._train.image(0, "data/sample", images.samples(scaled))

    def graph(self, traced: Callable[[], tf.compat.v1.GraphDef]) -> None:
        """Writes the graph of one training step, if it is missing."""
        if "graph_def" not in self._train.existing_tags:
            self._train.graph(0, traced)

    def history(self, step: int, rows: Sequence[Sequence[str]]) -> None:
        """Writes the last 100 entries of the run's history as one text, newest first: TensorBoard shows the top of it.

        Args:
          step: step of the newest entry.
          rows: (time, step, event) of each entry, oldest first.
        """
        lines = [f"* **{at_step}**: {event} ({time})" for time, at_step, event in reversed(rows[-MAX_HISTORY:])]
        self._train.text(max(step, self._next_step), "history", "\n".join(lines))

    def end(self, *, succeeded: bool) -> None:
        """Writes to the HParams row that the run has finished or failed."""
        with self._guard("the HParams row"):
            hparams.end(self._folder, succeeded=succeeded)
