"""Reconstruction losses: pure functions of images and outputs."""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

ExampleErrors = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Loss:
    """A reconstruction loss.

    Attributes:
      per_example: (images, outputs), both [N, ...] float32 -> [N], the error of each example.
      total: (mean of the errors over examples, numbers per example) -> the loss.
      takes_logits: True if `outputs` are the logits, before the output activation.
      metric: the metric (mse, rmse, sse) that the loss of a data set equals, or None.
    """

    per_example: ExampleErrors
    total: Callable[[tf.Tensor, int], tf.Tensor] = lambda mean, _: mean
    takes_logits: bool = False
    metric: str | None = None

    def __call__(self, images: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the loss of a batch: (images, outputs), both [N, ...] float32 -> scalar float32."""
        return self.total(tf.reduce_mean(self.per_example(images, outputs)), math.prod(images.shape[1:]))


def _axes(images: tf.Tensor) -> list[int]:
    return list(range(1, images.shape.rank))


def mean_squared_errors(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """Returns the squared error of each example, averaged over pixels: [N]."""
    return tf.reduce_mean(tf.square(images - reconstructions), axis=_axes(images))


def summed_squared_errors(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """Returns the squared error of each example, summed over pixels (Hinton and Salakhutdinov 2006): [N]."""
    return tf.reduce_sum(tf.square(images - reconstructions), axis=_axes(images))


def cross_entropies(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns the binary cross-entropy of each example, summed over pixels in [0, 1] (Bishop 2006, eq. 4.90): [N].

    This is the negative log-likelihood in nats under independent Bernoulli distributions.
    """
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits), axis=_axes(images))


def _square_root(mean: tf.Tensor, _: int) -> tf.Tensor:
    # The derivative of the square root is infinite at 0: without a minimum, an exact reconstruction would diverge.
    return tf.sqrt(tf.maximum(mean, 1e-12))


def _gaussian_nats(mean: tf.Tensor, num_pixels: int) -> tf.Tensor:
    """Converts the mean of `summed_squared_errors` to a negative log-likelihood in nats under the optimal variance.

    All pixels share one variance: the mean squared error (Rybkin, Daniilidis and Levine 2021, eq. 6).
    """
    variance = tf.maximum(mean / num_pixels, 1e-12)
    return num_pixels / 2 * (tf.math.log(2 * math.pi * variance) + 1)


LOSSES = {
    "mse": Loss(mean_squared_errors, metric="mse"),
    "rmse": Loss(mean_squared_errors, _square_root, metric="rmse"),
    "sse": Loss(summed_squared_errors, metric="sse"),
    "bernoulli": Loss(cross_entropies, takes_logits=True),
    "gaussian": Loss(summed_squared_errors, _gaussian_nats),
}
