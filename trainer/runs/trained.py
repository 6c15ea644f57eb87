"""A trained model that TensorFlow computes."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Self

import numpy as np
import tensorflow as tf

from trainer.checkpoints.catalog import Entry
from trainer.checkpoints.manager import restore_weights, training_statistics
from trainer.compute import devices
from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.evaluation import scores, statistics
from trainer.evaluation.metrics import Metrics
from trainer.evaluation.probes import ProbeSet
from trainer.models.autoencoder import Autoencoder
from trainer.runs import builder
from trainer.runs.model import Model

BATCH = 1_000


@dataclasses.dataclass(frozen=True)
class TrainedModel(Model):
    """A model with the weights of a checkpoint, always in float32.

    Attributes:
      config: config of the run.
      device: the device that computes.
      model: the model.
    """

    config: Config
    device: devices.Device
    model: Autoencoder

    @classmethod
    def load(cls, config: Config, entry: Entry) -> Self:
        """Builds the model and restores its weights. Reads training statistics from the checkpoint, not from the data.

        Args:
          config: config of the run, with the current device options.
          entry: a verified checkpoint.
        """
        options = dataclasses.replace(config.compute, precision="float32")
        device = devices.prepare(options, model=config.model.model)
        with tf.device(device.name):
            model = builder.network_from_statistics(training_statistics(entry), config, "float32")
            restore_weights(entry, model)
        return cls(config, device, model)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an example; see `Model`."""
        return tuple(self.model.mean.shape)

    @property
    def unit(self) -> np.ndarray | None:
        """The standard deviations of the columns; see `Model`."""
        return None if self.model.unit is None else self.model.unit.numpy()

    @property
    def offset(self) -> np.ndarray | None:
        """The offset of the training set; see `Model`."""
        return None if self.model.offset is None else self.model.offset.numpy()

    @property
    def code_size(self) -> int:
        """Width of the code."""
        return self.model.code_size

    def encode(self, examples: np.ndarray, scale: float = 1.0) -> dict[str, np.ndarray]:
        """Encodes examples; see `Model`."""
        with tf.device(self.device.name):
            batches = (examples[i : i + BATCH] for i in range(0, len(examples), BATCH))
            results = [self._encode(tf.constant(batch.astype(np.float32) / np.float32(scale))) for batch in batches]
        return {name: np.concatenate([result[name].numpy() for result in results]) for name in results[0]}

    @functools.cached_property
    def _encode(self) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        """The compiled encoder, traced once for all calls."""

        @tf.function(autograph=False, reduce_retracing=True)
        def encode(batch: tf.Tensor) -> dict[str, tf.Tensor]:
            posterior = self.model.posterior(self.model.standardize(batch))
            variances = {} if posterior.log_variance is None else {"log_variances": posterior.log_variance}
            return {"codes": posterior.mean, **variances}

        return encode

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Decodes codes; see `Model`."""
        with tf.device(self.device.name):
            batches = (tf.constant(codes[i : i + BATCH], tf.float32) for i in range(0, len(codes), BATCH))
            return np.concatenate([self.model.unstandardize(self.model.decode(batch)).numpy() for batch in batches])

    def held_out_scores(self, data: Dataset, scoring: str) -> np.ndarray:
        """Returns the anomaly scores of the evaluation examples, [N] float32; see `scores.parts`."""
        examples, scale = data.evaluation.examples, data.scale if isinstance(data.scale, float) else 1.0
        codes, totals = self.encode(examples, scale)["codes"], []
        for start in range(0, len(examples), BATCH):
            batch = examples[start : start + BATCH].astype(np.float32) / np.float32(scale)
            parts = scores.parts(batch, self.decode(codes[start : start + BATCH]), scoring=scoring, unit=self.unit)
            totals.append(scores.total(parts))
        return np.concatenate(totals)

    def evaluate(self, data: Dataset) -> dict[str, float]:
        """Returns the metrics of both splits by `<train or eval>/<tag>`: all of evaluation, only errors of training."""
        probes, num_pixels = ProbeSet.from_dataset(data), int(np.prod(data.shape))
        with tf.device(self.device.name):
            evaluator = builder.evaluator(self.config, data, self.model, self.device)
            result = evaluator.evaluate(data.evaluation.examples, probes.rows)
            errors = statistics.example_errors(result.squared_errors, num_pixels)
            metrics = Metrics(data, probes, evaluator)
            eval_metrics = metrics.reconstruction_metrics(result) | metrics.diagnostics(errors, result)
            train_metrics = metrics.reconstruction_metrics(evaluator.evaluate(data.train.examples))
        splits = {"eval": eval_metrics, "train": train_metrics}
        return {f"{split}/{tag}": value for split, values in splits.items() for tag, value in values.items()}
