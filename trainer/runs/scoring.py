"""Scores examples with the network of a run."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from trainer.data.schema import Schema
from trainer.evaluation import scores
from trainer.runs import portable_model
from trainer.runs.loading import LoadedRun
from trainer.system.logs import log


class Scored(NamedTuple):
    """The scores of n examples.

    Attributes:
      parts: [n, D] float32, what each number adds to the score.
      reconstructions: [n, ...] float32, in the unit of the examples.
      scores: [n] float32; infinity if the network overflows.
    """

    parts: np.ndarray
    reconstructions: np.ndarray
    scores: np.ndarray


@dataclasses.dataclass(frozen=True)
class Scorer:
    """Scores examples.

    Attributes:
      shape: shape of an example.
      reconstruct: [n, ...] -> [n, ...] float32, images in [0, 1], or rows without offset.
      scoring: `squared` or `relative`.
      unit: [D] standard deviations of the columns, or None.
      offset: [D] float64, see `Dataset.offset`, or None.
    """

    shape: tuple[int, ...]
    reconstruct: Callable[[np.ndarray], np.ndarray]
    scoring: str
    unit: np.ndarray | None
    offset: np.ndarray | None

    def __call__(self, examples: np.ndarray) -> Scored:
        """Scores [n, ...] float32 examples: images in [0, 1], or rows without offset, NaN for missing numbers."""
        if not len(examples):
            return Scored(np.zeros((0, int(np.prod(self.shape))), np.float32), examples, np.zeros(0, np.float32))
        with np.errstate(over="ignore", invalid="ignore"):
            reconstructions = self.reconstruct(examples)
            parts = scores.parts(examples, reconstructions, scoring=self.scoring, unit=self.unit)
            totals = scores.total(parts)
        if not np.isfinite(reconstructions.sum(dtype=np.float64)) or np.isinf(examples).any():
            # Their differences may be NaN, which would count as missing.
            numbers = [values.reshape(len(values), -1) for values in (examples, reconstructions)]
            totals[np.isinf(numbers[0]).any(axis=1) | ~np.isfinite(numbers[1]).all(axis=1)] = np.inf
        return Scored(parts, reconstructions, totals)

    def originals(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows with the offset added to them: [n, D], float64 if there is an offset."""
        return rows if self.offset is None else rows + self.offset


@contextlib.contextmanager
def opened(run: LoadedRun, scoring: str, num_images: int | None) -> Iterator[Scorer]:
    """Yields the scorer of a run.

    Args:
      run: the run.
      scoring: `squared` or `relative`.
      num_images: number of images to score; None for rows, which NumPy scores faster than they are read.
    """
    is_portable = run.config.compute.device != "gpu" and portable_model.is_available(run.config)
    if num_images is None and is_portable:
        network = portable_model.PortableModel.load(run.config, run.entry).network
        log.info(f"network     {run.directory.path}, step {run.entry.step:,}")
        yield Scorer(
            network.mean.shape,
            lambda examples: network.decode(network.encode(examples)),
            scoring,
            network.unit,
            network.offset,
        )
        return
    with run.network() if num_images is None else run.model(num_images) as model:

        def reconstruct(examples: np.ndarray) -> np.ndarray:
            return model.decode(model.encode(examples)["codes"])

        yield Scorer(model.shape, reconstruct, scoring, model.unit, model.offset)


def columns(run: LoadedRun) -> Schema:
    """Returns the columns of the rows that a run was trained on; those of an array if it was no table."""
    return run.schema() or Schema.of_array(int(np.prod(run.statistics.mean.shape)))
