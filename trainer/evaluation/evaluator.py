"""Evaluates a network with its current weights."""

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

GRADIENT_SCALE = 2.0**10  # keeps the gradients in the range of float16; divided out afterwards
PROBE_OUTPUTS = ("codes", "reconstructions")


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """Result of an evaluation of N examples, with codes and reconstructions of P of them.

    Attributes:
      squared_errors: [N] float32, summed over pixels. Computed without noise, binarization and sampling of codes.
      loss: the training objective over all examples, with noise, binarization and sampled codes as in training, but
        with the same random numbers every time, and without shifts.
      loss_terms: terms of the loss by tag.
      codes: [P, K] float32; the means of variational codes.
      divergences: [K] float64, KL divergence of each code unit from the prior in nats, mean over all examples; None
        unless the network is variational.
      reconstructions: [P, ...] float32, images in [0, 1].
    """

    squared_errors: np.ndarray
    loss: float
    loss_terms: Mapping[str, float]
    codes: np.ndarray
    divergences: np.ndarray | None
    reconstructions: np.ndarray


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """Evaluates a network with its current weights. See `make_evaluator`.

    Attributes:
      objective: the training objective.
    """

    objective: Objective
    _model: Autoencoder
    _scale: float | np.ndarray
    _seed: int
    _batch_size: int
    _evaluate: Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
    _gradients: Callable[[tf.Tensor], list[tf.Tensor]]
    _denoise: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

    @property
    def is_plain(self) -> bool:
        """True if the objective in evaluations is just the reconstruction loss of the original images."""
        return self.objective.is_plain(self._model)

    @property
    def is_float16(self) -> bool:
        """True if the network computes in float16, whose largest number is 65,504."""
        return self._model.encoder.code.compute_dtype == "float16"

    @property
    def is_variational(self) -> bool:
        """True if the network is variational."""
        return self._model.is_variational

    def evaluate(self, examples: np.ndarray | RowSubset, rows: Sequence[int] | np.ndarray = ()) -> EvaluationResult:
        """Evaluates [N, ...] examples as stored, N at least 1. The details are for the indices `rows`, ascending."""
        rows, size, count = np.asarray(rows, np.int64), self._batch_size, len(examples)
        per_example: dict[str, list[np.ndarray]] = {}
        of_rows: dict[str, list[np.ndarray]] = {}
        for start in range(0, count, size):
            outputs = self._evaluate(self._padded(examples[start : start + size]), tf.constant(start, tf.int64))
            batch_rows = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + size)] - start
            for name, values in outputs.items():
                if name in PROBE_OUTPUTS:
                    of_rows.setdefault(name, []).append(values.numpy()[batch_rows])
                else:
                    per_example.setdefault(name, []).append(values.numpy()[: count - start])
        means = {name: np.concatenate(values).mean(axis=0, dtype=np.float64) for name, values in per_example.items()}
        terms = (means["reconstruction"], means.get("kl"), means.get("l1"))
        tensors = (None if term is None else tf.constant(term) for term in terms)
        loss, loss_terms = self.objective.combine(LossTerms(*tensors))
        return EvaluationResult(
            np.concatenate(per_example["errors"]),
            float(loss),
            {tag: float(value) for tag, value in loss_terms.items()},
            np.concatenate(of_rows["codes"]),
            means.get("kl"),
            np.concatenate(of_rows["reconstructions"]),
        )

    def denoising_errors(self, examples: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns [N] squared errors of N denoised examples, and of the corrupted examples, at a noise level."""
        size, errors = self._batch_size, []
        for start in range(0, len(examples), size):
            batch, first = self._padded(examples[start : start + size]), tf.constant(start, tf.int64)
            batch_errors = self._denoise(batch, first, tf.constant(level, tf.float32))
            errors.append([values.numpy()[: len(examples) - start] for values in batch_errors])
        denoised, corrupted = (np.concatenate(values) for values in zip(*errors, strict=True))
        return denoised, corrupted

    # The following methods run eagerly: tracing would take longer than their few calls with few examples.

    def corrupt(self, examples: np.ndarray) -> np.ndarray:
        """Returns the encoder's input for examples as stored, with noise: [N, ...] -> [N, ...] float32."""
        key = randomness.evaluation_key(self._seed, tf.constant(0))
        return self.objective.corrupt(self._images(examples), key).numpy()

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Returns the reconstructions of images in [0, 1] or table rows, [N, ...] float32 in and out."""
        return self._model(tf.constant(images, tf.float32)).numpy()

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Returns the codes of images in [0, 1] or table rows: [N, ...] -> [N, K] float32."""
        return self._model.encode(tf.constant(images, tf.float32)).numpy()

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Returns the images in [0, 1], or table rows, decoded from codes: [N, K] -> [N, ...] float32."""
        return self._model.decode(tf.constant(codes, tf.float32)).numpy()

    def sample_prior(self, count: int) -> np.ndarray:
        """Returns codes sampled from the prior, [count, K] float32; the same ones at every call."""
        key = randomness.purpose_key(randomness.evaluation_key(self._seed, tf.constant(0)), randomness.SAMPLE)
        return randomness.normal(key, [count, self._model.code_size]).numpy()

    def weights(self) -> dict[str, np.ndarray]:
        """Returns the trainable weights by name, such as `encoder/code/kernel`."""
        return {_name(variable): variable.numpy() for variable in self._model.trainable_variables}

    def first_kernel(self) -> np.ndarray:
        """Returns the kernel of the first encoder layer."""
        return self._model.encoder.trainable_variables[0].numpy()

    def gradients(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the gradients of the loss of one batch, [N, ...] examples as stored, by the names of the weights."""
        pairs = zip(self._model.trainable_variables, self._gradients(tf.constant(examples)), strict=True)
        return {_name(variable): gradient.numpy() / np.float32(GRADIENT_SCALE) for variable, gradient in pairs}

    def _images(self, examples: np.ndarray) -> tf.Tensor:
        return _scaled(tf.constant(examples), self._scale)

    def _padded(self, examples: np.ndarray) -> tf.Tensor:
        """Pads the last batch with zeros to the batch size, so that all batches use one compiled function."""
        missing = self._batch_size - len(examples)
        return tf.constant(np.concatenate([examples, np.zeros((missing, *examples.shape[1:]), examples.dtype)]))


def _name(variable: keras.Variable) -> str:
    """Returns the path of a variable without the name of the network."""
    return variable.path.removeprefix("autoencoder/")


def _scaled(examples: tf.Tensor, scale: float | np.ndarray) -> tf.Tensor:
    return tf.cast(examples, tf.float32) * np.float32(1 / scale)


def make_evaluator(
    model: Autoencoder, objective: Objective, *, scale: float | np.ndarray, seed: int, batch_size: int, jit: bool
) -> Evaluator:
    """Creates an evaluator. Stored values are divided by `scale`; `jit` compiles evaluations of data sets with XLA."""
    is_plain, squares = objective.is_plain(model), objective.squared_errors

    @tf.function(jit_compile=jit, autograph=False)
    def evaluate(examples: tf.Tensor, first: tf.Tensor) -> dict[str, tf.Tensor]:
        images = _scaled(examples, scale)
        posterior = model.posterior(images)
        logits = model.logits(posterior.mean)
        reconstructions = model.output_activation(logits)
        result: dict[str, Any] = {
            "errors": squares(images, reconstructions),
            "codes": posterior.mean,
            "reconstructions": reconstructions,
        }
        if is_plain:
            outputs = logits if objective.loss.takes_logits else reconstructions
            return {**result, "reconstruction": objective.errors(images, outputs)}
        key = randomness.evaluation_key(seed, first)
        terms = objective.terms(model, objective.target(images, key), key)
        result |= vars(terms)
        return {name: values for name, values in result.items() if values is not None}

    @tf.function(jit_compile=jit, autograph=False)
    def denoise(examples: tf.Tensor, first: tf.Tensor, level: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
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

    return Evaluator(objective, model, scale, seed, batch_size, evaluate, gradients, denoise)
