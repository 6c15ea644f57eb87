"""What a run is: its row in HParams, its texts, its graph, the layout of its charts, a sample of its data."""

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


class About:
    """Writes what a run is, and what is missing of what it has written before.

    Args:
      train, evaluation: writers of the TensorBoard runs.
      folder: of the TensorBoard run that has the evaluation's curves.
      next_step: the first step to come.
      guard: of what only TensorBoard shows.
    """

    def __init__(self, train: Writer, evaluation: Writer, folder: pathlib.Path, next_step: int, guard: Guard) -> None:
        self._train, self._eval, self._folder = train, evaluation, folder
        self._next_step, self._guard = next_step, guard

    def begin(
        self,
        name: str,
        columns: Mapping[str, type],
        options: Mapping[str, str | float],
        pages: Callable[[], Mapping[str, str]],
    ) -> None:
        """Writes the run's row in HParams, and its texts.

        Args:
          name: its own, in HParams.
          columns, options: as `hparams.start`.
          pages: Markdown texts by tag.
        """
        with self._guard("the run's row in HParams"):
            hparams.start(self._folder, name, columns, options)
        with self._guard("texts"):
            for tag, text in pages().items():
                self._train.text(self._next_step, tag, text)

    def layout(self, evaluator: Evaluator) -> None:
        """Writes how charts are laid out, if that is missing."""
        if "custom_scalars__config__" not in self._eval.older:
            kinds = {DENOISING: evaluator.objective.noise, EVIDENCE: evaluator.is_variational}
            self._eval.layout(0, omitted=[category for category, applies in kinds.items() if not applies])

    def sample(self, data: Dataset) -> None:
        """Writes some training pictures, if they are missing."""
        if data.is_image and "data/sample" not in self._train.older:
            # Not the first ones: folders are read one class after the other.
            every = data.train.examples
            scaled = every[evenly_spaced(len(every), images.NUM_SAMPLES)] / np.float32(data.scale)
            self._train.picture(0, "data/sample", images.samples(scaled))

    def graph(self, traced: Callable[[], tf.compat.v1.GraphDef]) -> None:
        """Writes the graph of one training step, if it is missing."""
        with self._guard("the graph"):
            if "graph_def" not in self._train.older:
                self._train.graph(0, traced())

    def history(self, step: int, rows: Sequence[Sequence[str]]) -> None:
        """Writes the run's history, newest first, since TensorBoard shows the top of one text a step; 100 lines of it.

        Args:
          step: of the newest entry.
          rows: [when, step, what] of each entry.
        """
        lines = [f"* **{at}**: {what} ({when})" for when, at, what in reversed(rows[-MAX_HISTORY:])]
        self._train.text(max(step, self._next_step), "history", "\n".join(lines))

    def end(self, *, succeeded: bool) -> None:
        """Says in HParams that the run is finished, or has failed."""
        with self._guard("the run's row in HParams"):
            hparams.end(self._folder, succeeded=succeeded)
