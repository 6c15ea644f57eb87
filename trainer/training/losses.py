"""How far a reconstruction is from an image: pure functions of both."""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss.

    Attributes:
      examplewise: (images, outputs), both [N, ...] float32 -> [N]: each example's share.
      total: (the mean of the shares over examples, numbers in an example) -> the loss of these examples.
      takes_logits: the outputs it wants are those before the output activation.
      measure: which measure of reconstruction the loss of a data set is (mse, rmse, sse); None: another thing.
    """

    examplewise: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    total: Callable[[tf.Tensor, int], tf.Tensor] = lambda mean, _: mean
    takes_logits: bool = False
    measure: str | None = None

    def __call__(self, images: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """The loss of a batch: (images, outputs), both [N, ...] float32 -> scalar float32."""
        return self.total(tf.reduce_mean(self.examplewise(images, outputs)), math.prod(images.shape[1:]))


def _pixels(images: tf.Tensor) -> list[int]:
    return list(range(1, images.shape.rank))


def mean_squares(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """Squared error, mean over pixels: [N]."""
    return tf.reduce_mean(tf.square(images - reconstructions), axis=_pixels(images))


def sums_of_squares(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """Squared error, summed over pixels: [N] (the measure of Hinton and Salakhutdinov 2006)."""
    return tf.reduce_sum(tf.square(images - reconstructions), axis=_pixels(images))


def cross_entropies(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Negative log-likelihood of pixels in [0, 1] under independent Bernoullis, in nats, summed over pixels: [N].

    The cross-entropy of Bishop 2006, eq. 4.90.
    """
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits), axis=_pixels(images))


def _root(mean: tf.Tensor, _: int) -> tf.Tensor:
    # The root's slope at 0 is infinite, and an exact reconstruction is no reason to diverge.
    return tf.sqrt(tf.maximum(mean, 1e-12))


def _gaussian_nats(mean: tf.Tensor, num_pixels: int) -> tf.Tensor:
    """Mean of `sums_of_squares` -> negative log-likelihood in nats under the variance that makes it least.

    One variance for all pixels: the mean squared error itself (Rybkin, Daniilidis and Levine 2021, eq. 6).
    """
    variance = tf.maximum(mean / num_pixels, 1e-12)
    return num_pixels / 2 * (tf.math.log(2 * math.pi * variance) + 1)


LOSSES = {
    "mse": Loss(mean_squares, measure="mse"),
    "rmse": Loss(mean_squares, _root, measure="rmse"),
    "sse": Loss(sums_of_squares, measure="sse"),
    "bernoulli": Loss(cross_entropies, takes_logits=True),
    "gaussian": Loss(sums_of_squares, _gaussian_nats),
}
