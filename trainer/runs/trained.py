"""A trained network, as a run's checkpoint holds it: what `--mode=evaluate`, `encode`, `reconstruct`, `generate` do."""

import dataclasses
from typing import Self

import numpy as np
import tensorflow as tf

from trainer.checkpoints.catalog import Entry
from trainer.checkpoints.manager import restore_weights, training_mean
from trainer.compute import devices
from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.evaluation import statistics
from trainer.evaluation.metrics import Metrics
from trainer.evaluation.probes import ProbeSet
from trainer.models.autoencoder import Autoencoder
from trainer.runs import builder

BATCH = 1_000


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A network with a checkpoint's weights, in float32 whatever it was trained in.

    Attributes:
      config: of its run.
      device: that it computes on.
      model: the network.
    """

    config: Config
    device: devices.Device
    model: Autoencoder

    @classmethod
    def load(cls, config: Config, entry: Entry) -> Self:
        """Builds the network around the training mean that the checkpoint holds: no data are needed.

        Args:
          config: of the run; where to compute is as given now.
          entry: a checkpoint whose files are known to be sound.
        """
        options = dataclasses.replace(config.compute, precision="float32")
        device = devices.prepare(options, model=config.model.model)
        with tf.device(device.name):
            mean, unit = training_mean(entry)
            model = builder.network_around(mean, config, "float32", unit)
            restore_weights(entry, model)
        return cls(config, device, model)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example: (H, W, C) of a picture, (D,) of a row."""
        return tuple(self.model.mean.shape)

    def encode(self, examples: np.ndarray, scale: float = 1.0) -> dict[str, np.ndarray]:
        """Codes of examples.

        Args:
          examples: [N, ...] pictures, that lie in [0, 1] when they are divided by `scale`, or rows in their own units.
          scale: of pictures.

        Returns:
          `codes` [N, K]; where they are random, `log_variances` [N, K] too.
        """

        @tf.function(autograph=False, reduce_retracing=True)
        def encode(some: tf.Tensor) -> dict[str, tf.Tensor]:
            posterior = self.model.posterior(self.model.standardize(some))
            variances = {} if posterior.log_variance is None else {"log_variances": posterior.log_variance}
            return {"codes": posterior.mean, **variances}

        with tf.device(self.device.name):
            parts_of_it = (examples[i : i + BATCH] for i in range(0, len(examples), BATCH))
            found = [encode(tf.constant(some.astype(np.float32) / np.float32(scale))) for some in parts_of_it]
        return {name: np.concatenate([one[name].numpy() for one in found]) for name in found[0]}

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """[N, K] codes -> [N, ...] float32, pictures in [0, 1], rows in their own units."""
        with tf.device(self.device.name):
            some = (codes[i : i + BATCH] for i in range(0, len(codes), BATCH))
            return np.concatenate(
                [self.model.unstandardize(self.model.decode(tf.constant(one, tf.float32))).numpy() for one in some]
            )

    def evaluate(self, data: Dataset) -> dict[str, float]:
        """Errors on both splits by `<train or eval>/<tag>`; of the evaluation examples all that training tells."""
        shown, num_pixels = ProbeSet.of(data), int(np.prod(data.shape))
        with tf.device(self.device.name):
            evaluator = builder.evaluator(self.config, data, self.model, self.device)
            found = evaluator.evaluate(data.evaluation.examples, shown.rows)
            errors = statistics.example_errors(found.squared_errors, num_pixels)
            assessment = Metrics(data, shown, evaluator)
            of_eval = assessment.reconstruction_metrics(found) | assessment.diagnostics(errors, found)
            of_train = assessment.reconstruction_metrics(evaluator.evaluate(data.train.examples))
        splits = {"eval": of_eval, "train": of_train}
        return {f"{split}/{tag}": value for split, values in splits.items() for tag, value in values.items()}
