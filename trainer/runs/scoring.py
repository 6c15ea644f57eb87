"""Scores examples with the network of a run."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from trainer import config as configs
from trainer.checkpoints import bundle
from trainer.checkpoints import manifest as manifests
from trainer.data.dataset import Dataset, chunk_slices
from trainer.data.schema import Schema
from trainer.evaluation import scores
from trainer.evaluation.calibration import Calibration
from trainer.models import portable
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
def opened(run: LoadedRun, scoring: str, *, is_image: bool) -> Iterator[Scorer]:
    """Yields the scorer of a run. Rows are scored without TensorFlow."""
    scoring = scores.resolve(scoring, is_image=is_image)
    if is_image:
        with run.network() as trained:
            yield Scorer(
                trained.shape,
                lambda examples: trained.decode(trained.encode(examples)["codes"]),
                scoring,
                trained.unit,
                trained.offset,
            )
        return
    log.info(f"network     {run.directory.path}, step {run.entry.step:,}")
    arrays = bundle.network_arrays(run.entry.folder / manifests.checkpoint_name(run.entry.step))
    options = configs.network_options(configs.mathematical_options(run.config))
    network = portable.network(
        options,
        mean=arrays.mean,
        unit=arrays.unit,
        offset=arrays.offset,
        bias=arrays.bias,
        trainable=arrays.trainable,
    )
    yield Scorer(
        network.mean.shape,
        lambda examples: network.decode(network.encode(examples)),
        scoring,
        network.unit,
        network.offset,
    )


@functools.lru_cache(maxsize=1)
def _data(run: LoadedRun) -> Dataset:
    return run.data()


def is_image(run: LoadedRun) -> bool:
    """Returns True if the run is trained on images."""
    return _data(run).is_image


def schema(run: LoadedRun) -> Schema:
    """Returns the columns of the run's table; those of an array if it has none."""
    data = _data(run)
    return data.schema or Schema.of_array(int(np.prod(data.shape)))


def calibration(run: LoadedRun, scorer: Scorer) -> Calibration:
    """Returns the calibration by the evaluation examples of the run."""
    data = _data(run)
    if data.evaluation is data.train:
        log.warning("the run has no held-out examples: the threshold is too low, because it is of training examples")
    examples, scale = data.evaluation.examples, data.scale if isinstance(data.scale, float) else 1.0
    held_out = [
        scorer(np.asarray(examples[chunk], np.float32) / np.float32(scale)).scores for chunk in chunk_slices(examples)
    ]
    return Calibration.of(np.concatenate(held_out), scorer.scoring)
