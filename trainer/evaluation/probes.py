"""Probes: the fixed evaluation examples whose codes and reconstructions are examined."""

import dataclasses
from typing import Self

import numpy as np

from trainer.data.dataset import Dataset
from trainer.data.rows import evenly_spaced

NUM_EXAMPLES = 8  # more would be too small in TensorBoard's cards
MAX_POINTS = 2_000
MAX_PROBE_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class ProbeSet:
    """P evaluation examples, the same ones throughout a run.

    Attributes:
      rows: [P] indices of the evaluation examples, ascending.
      examples: [P, ...] as stored.
      originals: [P, ...] float32 as the network sees them, images in [0, 1].
      labels: [P] class indices.
      classes: [P] class names.
      fixed: [F, H, W, C] up to 8 examples, as stored, that are shown in the images of every step; empty for tables.
    """

    rows: np.ndarray
    examples: np.ndarray
    originals: np.ndarray
    labels: np.ndarray
    classes: list[str]
    fixed: np.ndarray

    @classmethod
    def from_dataset(cls, data: Dataset) -> Self:
        """Selects evenly spaced evaluation examples: up to 2,000, and up to 64 MiB as float32."""
        examples, scale = data.evaluation.examples, np.float32(data.scale)
        limit = max(1, min(MAX_POINTS, MAX_PROBE_BYTES // (4 * int(np.prod(data.shape)))))
        rows = evenly_spaced(len(examples), limit)
        selected, labels = examples[rows], data.evaluation.labels[rows]
        fixed = fixed_examples(examples) if data.is_image else examples[:0]
        return cls(rows, selected, selected / scale, labels, [data.class_name(label) for label in labels], fixed)


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """Outputs of the network for the probes at one step.

    Attributes:
      errors: [P] root mean squared errors.
      codes: [P, K] float32.
      reconstructions: [P, ...] float32, images in [0, 1].
    """

    errors: np.ndarray
    codes: np.ndarray
    reconstructions: np.ndarray

    @property
    def is_finite(self) -> bool:
        """True if all values are finite."""
        return all(bool(np.isfinite(values).all()) for values in (self.errors, self.codes, self.reconstructions))


def fixed_examples(examples: np.ndarray) -> np.ndarray:
    """Returns up to 8 evenly spaced examples of [N, ...], for the images of every step."""
    return examples[evenly_spaced(len(examples), NUM_EXAMPLES)]
