"""Looks at a network with its weights as they are."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.compute import randomness
from trainer.data.rows import RowSubset
from trainer.models.autoencoder import Autoencoder
from trainer.training.objective import LossTerms, Objective

GRADIENT_SCALE = 2.0**10  # keeps gradients in float16's range while they are looked at


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """What the network makes of N examples, and in detail of P of them.

    Attributes:
      squared_errors: [N] float32, summed over pixels; of images as they are, through the codes' mean.
      loss: the training objective of all of them: corrupted, drawn and sampled as in training, with fixed numbers, but
        not moved.
      parts: its parts by tag.
      codes: [P, K] float32, means where codes are random.
      divergences: [K] nats between each unit's distribution and the prior, means over all of them, whose sum is the
        objective's; None where codes are not random.
      reconstructions: [P, ...] float32, pictures in [0, 1].
    """

    squared_errors: np.ndarray
    loss: float
    parts: Mapping[str, float]
    codes: np.ndarray
    divergences: np.ndarray | None
    reconstructions: np.ndarray


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """Looks at the network with the weights as they are, `batch_size` examples at a time.

    Attributes:
      objective: that it is trained for.
    """

    objective: Objective
    _model: Autoencoder
    _scale: float | np.ndarray
    _seed: int
    _batch_size: int
    _compiled: Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
    _gradients: Callable[[tf.Tensor], list[tf.Tensor]]
    _restoring: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

    @property
    def is_plain(self) -> bool:
        """Whether its loss is the reconstruction loss of images as they are."""
        return self.objective.is_plain(self._model)

    @property
    def is_variational(self) -> bool:
        """Whether codes are random."""
        return self._model.is_variational

    def evaluate(self, examples: np.ndarray | RowSubset, rows: Sequence[int] | np.ndarray = ()) -> EvaluationResult:
        """Measures [N, ...] examples as stored, N at least 1, and those of the numbers `rows`, ascending, in detail."""
        rows, size, count = np.asarray(rows, np.int64), self._batch_size, len(examples)
        whole: dict[str, list[np.ndarray]] = {}
        detailed: dict[str, list[np.ndarray]] = {}
        for start in range(0, count, size):
            found = self._compiled(self._padded(examples[start : start + size]), tf.constant(start, tf.int64))
            wanted = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + size)] - start
            for name, values in found.items():
                if name in DETAILED:
                    detailed.setdefault(name, []).append(values.numpy()[wanted])
                else:
                    whole.setdefault(name, []).append(values.numpy()[: count - start])
        means = {name: np.concatenate(values).mean(axis=0, dtype=np.float64) for name, values in whole.items()}
        terms = (means["reconstruction"], means.get("kl"), means.get("l1"))
        loss, parts = self.objective.combine(
            LossTerms(*(None if term is None else tf.constant(term) for term in terms))
        )
        joined = {name: np.concatenate(values) for name, values in detailed.items()}
        return EvaluationResult(
            np.concatenate(whole["errors"]),
            float(loss),
            {name: float(value) for name, value in parts.items()},
            joined["codes"],
            means.get("kl"),
            joined["reconstructions"],
        )

    def denoising_errors(self, examples: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Squared errors of [N, ...] examples as stored, corrupted at a level of noise: [N] restored, [N] not."""
        size, found = self._batch_size, []
        for start in range(0, len(examples), size):
            some, first = self._padded(examples[start : start + size]), tf.constant(start, tf.int64)
            errors = self._restoring(some, first, tf.constant(level, tf.float32))
            found.append([values.numpy()[: len(examples) - start] for values in errors])
        restored, corrupted = (np.concatenate(values) for values in zip(*found, strict=True))
        return restored, corrupted

    # These eagerly: they are called a few times with a few examples, and tracing takes longer than that.

    def corrupted(self, examples: np.ndarray) -> np.ndarray:
        """[N, ...] as stored, a few -> what the encoder sees of them in training: [N, ...] float32."""
        key = randomness.evaluation_key(self._seed, tf.constant(0))
        return self.objective.corrupted(self._images(examples), key).numpy()

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """[N, ...] float32, a few, pictures in [0, 1] -> the same, reconstructed."""
        return self._model(tf.constant(images, tf.float32)).numpy()

    def encode(self, images: np.ndarray) -> np.ndarray:
        """[N, ...] float32, a few, pictures in [0, 1] -> codes [N, K] float32."""
        return self._model.encode(tf.constant(images, tf.float32)).numpy()

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """[N, K] codes, a few -> [N, ...] float32, pictures in [0, 1]."""
        return self._model.decode(tf.constant(codes, tf.float32)).numpy()

    def prior(self, count: int) -> np.ndarray:
        """[count, K] codes drawn from the prior, always the same."""
        key = randomness.purpose_key(randomness.evaluation_key(self._seed, tf.constant(0)), randomness.SAMPLE)
        return randomness.normal(key, [count, self._model.code_size]).numpy()

    def weights(self) -> dict[str, np.ndarray]:
        """Trained weights by name, such as `encoder/code/kernel`."""
        return {_name(variable): variable.numpy() for variable in self._model.trainable_variables}

    def first_kernel(self) -> np.ndarray:
        """The weights that see the examples."""
        return self._model.encoder.trainable_variables[0].numpy()

    def gradients(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        """Gradients of the training loss of [N, ...] examples as stored, by the weights' names."""
        found = zip(self._model.trainable_variables, self._gradients(tf.constant(examples)), strict=True)
        return {_name(variable): gradient.numpy() / np.float32(GRADIENT_SCALE) for variable, gradient in found}

    def _images(self, examples: np.ndarray) -> tf.Tensor:
        return _scaled(tf.constant(examples), self._scale)

    def _padded(self, examples: np.ndarray) -> tf.Tensor:
        """One shape for all, so that it is compiled once: the last batch is filled up."""
        missing = self._batch_size - len(examples)
        return tf.constant(np.concatenate([examples, np.zeros((missing, *examples.shape[1:]), examples.dtype)]))


DETAILED = ("codes", "reconstructions")


def _name(variable: keras.Variable) -> str:
    """The variable's path without the network's own name."""
    return variable.path.removeprefix("autoencoder/")


def _scaled(examples: tf.Tensor, scale: float | np.ndarray) -> tf.Tensor:
    return tf.cast(examples, tf.float32) * np.float32(1 / scale)


def make_evaluator(
    model: Autoencoder, objective: Objective, *, scale: float | np.ndarray, seed: int, batch_size: int, jit: bool
) -> Evaluator:
    """An evaluator; `jit` compiles what is done to whole data sets with XLA."""
    is_plain = objective.is_plain(model)

    def squares(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.square(images - reconstructions), axis=list(range(1, images.shape.rank)))

    @tf.function(jit_compile=jit, autograph=False)
    def evaluate(examples: tf.Tensor, first: tf.Tensor) -> dict[str, tf.Tensor]:
        images = _scaled(examples, scale)
        posterior = model.posterior(images)
        logits = model.logits(posterior.mean)
        reconstructions = model.output_activation(logits)
        found: dict[str, Any] = {
            "errors": squares(images, reconstructions),
            "codes": posterior.mean,
            "reconstructions": reconstructions,
        }
        if is_plain:
            outputs = logits if objective.loss.takes_logits else reconstructions
            return {**found, "reconstruction": objective.loss.examplewise(images, outputs)}
        key = randomness.evaluation_key(seed, first)
        terms = objective.terms(model, objective.target(images, key), key)
        found |= vars(terms)
        return {name: values for name, values in found.items() if values is not None}

    @tf.function(jit_compile=jit, autograph=False)
    def restoring(examples: tf.Tensor, first: tf.Tensor, level: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        assert objective.noise is not None
        images = _scaled(examples, scale)
        corrupted = objective.noise(images, randomness.evaluation_key(seed, first), level)
        return squares(images, model(corrupted)), squares(images, corrupted)

    @tf.function(autograph=False)
    def gradients(examples: tf.Tensor) -> list[tf.Tensor]:
        images, key = _scaled(examples, scale), randomness.evaluation_key(seed, tf.constant(0))
        with tf.GradientTape() as tape:
            value = objective.batch_loss(model, objective.target(images, key), key)[0] * GRADIENT_SCALE
        return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(value, model.trainable_variables)]

    return Evaluator(objective, model, scale, seed, batch_size, evaluate, gradients, restoring)
