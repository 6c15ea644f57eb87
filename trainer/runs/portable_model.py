"""A trained model that NumPy computes. For small inputs, this is faster than importing TensorFlow."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np

from trainer import config as configs
from trainer.checkpoints import bundle
from trainer.checkpoints.catalog import Entry
from trainer.config import Config
from trainer.evaluation.blas import one_thread
from trainer.models import portable
from trainer.runs.model import Model

BATCH_COST = 50_000_000  # Bounds the memory for the windows of convolutions.


def is_available(config: Config) -> bool:
    """Returns True if the network of a run has a form for NumPy."""
    return config.model.model in portable.PROGRAMS


@dataclasses.dataclass(frozen=True)
class PortableModel(Model):
    """A model with the weights of a checkpoint; its results equal those of `TrainedModel` apart from rounding.

    Attributes:
      network: the network.
      cost: see `portable.Network.cost`.
    """

    network: portable.Network
    cost: int

    @classmethod
    def load(cls, config: Config, entry: Entry) -> Self:
        """Reads the weights of a verified checkpoint.

        Raises:
          CheckpointError: the checkpoint cannot be read.
        """
        options = configs.network_options(configs.mathematical_options(config))
        arrays = bundle.network_arrays(entry.prefix)
        network = portable.network(
            options,
            mean=arrays.mean,
            unit=arrays.unit,
            offset=arrays.offset,
            bias=arrays.bias,
            trainable=arrays.trainable,
        )
        return cls(network, network.cost)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an example; see `Model`."""
        return self.network.mean.shape

    @property
    def unit(self) -> np.ndarray | None:
        """The standard deviations of the columns; see `Model`."""
        return self.network.unit

    @property
    def offset(self) -> np.ndarray | None:
        """The offset of the training set; see `Model`."""
        return self.network.offset

    @property
    def code_size(self) -> int:
        """Width of the code."""
        return self.network.code_size

    @one_thread  # A second thread saves little time, and several times as much is lost where other programs compute.
    def encode(self, examples: np.ndarray, scale: float = 1.0) -> dict[str, np.ndarray]:
        """Encodes examples; see `Model`."""
        posteriors = []
        with np.errstate(all="ignore"):  # Results that are not finite are reported by the caller.
            for batch in self._batches(examples):
                posteriors.append(self.network.posterior(batch.astype(np.float32) / np.float32(scale)))
        codes, log_variances = zip(*posteriors, strict=True)
        result = {"codes": np.concatenate(codes)}
        return result if log_variances[0] is None else {**result, "log_variances": np.concatenate(log_variances)}

    @one_thread
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Decodes codes; see `Model`."""
        with np.errstate(all="ignore"):
            return np.concatenate([self.network.decode(batch) for batch in self._batches(codes)])

    def _batches(self, examples: np.ndarray) -> Iterator[np.ndarray]:
        size = max(1, BATCH_COST // self.cost)
        return (examples[start : start + size] for start in range(0, len(examples), size))
