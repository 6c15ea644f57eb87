"""The interface of trained networks, which TensorFlow or NumPy computes."""

import abc
from collections.abc import Mapping

import numpy as np


class Model(abc.ABC):
    """A network with the weights of a checkpoint, in float32. `TrainedModel` and `PortableModel` implement it."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of an example: (H, W, C) of an image, (D,) of a row."""

    @property
    @abc.abstractmethod
    def unit(self) -> np.ndarray | None:
        """The standard deviations of the columns, [D] float32, if the run is standardized."""

    @property
    @abc.abstractmethod
    def offset(self) -> np.ndarray | None:
        """The offset of the training set, [D] float64, or None; see `Dataset.offset`."""

    @property
    @abc.abstractmethod
    def code_size(self) -> int:
        """Width of the code."""

    @abc.abstractmethod
    def encode(self, examples: np.ndarray, scale: float = 1.0) -> Mapping[str, np.ndarray]:
        """Encodes examples.

        Args:
          examples: [N, ...] images, which lie in [0, 1] after division by `scale`, or rows in their own units, without
            the offset. N is at least 1.
          scale: divisor of images; 1 for rows.

        Returns:
          `codes` [N, K] float32, the means if the model is variational; then also `log_variances` [N, K].
        """

    @abc.abstractmethod
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Decodes [N, K] codes to [N, ...] float32: images in [0, 1], or rows in their own units, without offset."""

    def originals(self, rows: np.ndarray) -> np.ndarray:
        """Returns decoded rows with the offset added to them: [N, D], float64 if there is an offset."""
        return rows if self.offset is None else rows + self.offset
