"""The evaluation examples that a run is looked at in detail by, and what the network makes of them."""

import dataclasses
from typing import Self

import numpy as np

from trainer.data.dataset import Dataset
from trainer.data.rows import evenly_spaced

NUM_EXAMPLES = 8  # more would be too small in TensorBoard's cards
MAX_POINTS = 2_000
MAX_SHOWN_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class ProbeSet:
    """The P evaluation examples that a run is looked at in detail by, always the same.

    Attributes:
      rows: [P] their numbers, ascending.
      examples: [P, ...] as stored.
      originals: [P, ...] float32 as the network sees them, pictures in [0, 1].
      labels: [P] numbers of their classes.
      classes: [P] names of their classes.
      fixed: [8, H, W, C] float32, the few that are shown at every step; none of tables.
    """

    rows: np.ndarray
    examples: np.ndarray
    originals: np.ndarray
    labels: np.ndarray
    classes: list[str]
    fixed: np.ndarray

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """Spread evenly over a data set's evaluation examples; fewer of large ones."""
        every, scale = data.evaluation.examples, np.float32(data.scale)
        most = max(1, min(MAX_POINTS, MAX_SHOWN_BYTES // (4 * int(np.prod(data.shape)))))
        rows = evenly_spaced(len(every), most)
        examples = every[rows]
        fixed = fixed_examples(every) if data.is_image else every[:0]
        labels = data.evaluation.labels[rows]
        return cls(rows, examples, examples / scale, labels, [data.class_name(label) for label in labels], fixed)


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """What the network makes of them at one step.

    Attributes:
      errors: [P] root mean squared errors.
      codes: [P, K] float32.
      reconstructions: [P, ...] float32, pictures in [0, 1].
    """

    errors: np.ndarray
    codes: np.ndarray
    reconstructions: np.ndarray

    @property
    def is_finite(self) -> bool:
        """Whether all of it can be shown."""
        return all(bool(np.isfinite(values).all()) for values in (self.errors, self.codes, self.reconstructions))


def fixed_examples(examples: np.ndarray) -> np.ndarray:
    """The examples that every picture of a run shows: spread evenly over [N, ...], the same each time."""
    return examples[evenly_spaced(len(examples), NUM_EXAMPLES)]
