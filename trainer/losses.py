"""What training makes small: pure functions of images and reconstructions."""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss.

    Attributes:
      function: (images, outputs), both [N, ...] float32 -> scalar float32.
      examplewise: the same -> [N]: each example's share.
      total: their mean over a data set, as a number -> the loss of the data set.
      takes_logits: the outputs it wants are those before the output activation.
      measure: which measure of reconstruction the loss of a data set is (mse, rmse, sse); None: another thing.
    """

    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    examplewise: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    total: Callable[[float], float] = float
    takes_logits: bool = False
    measure: str | None = None


def mse(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """Mean squared error over all pixels of the batch."""
    return tf.reduce_mean(tf.square(images - reconstructions))


def rmse(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """Root of the mean squared error over all pixels of the batch."""
    # The root's slope at 0 is infinite, and an exact reconstruction is no reason to diverge.
    return tf.sqrt(tf.maximum(mse(images, reconstructions), 1e-12))


def sse(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """Squared error summed over pixels, mean over examples (the measure of Hinton and Salakhutdinov 2006)."""
    return tf.reduce_sum(tf.square(images - reconstructions)) / tf.cast(tf.shape(images)[0], tf.float32)


def bernoulli(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Negative log-likelihood of pixels in [0, 1] under independent Bernoullis, in nats.

    Summed over pixels, mean over examples: the cross-entropy of Bishop 2006, eq. 4.90.
    """
    nats = tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits)
    return tf.reduce_sum(nats) / tf.cast(tf.shape(images)[0], tf.float32)


def _pixels(images: tf.Tensor) -> list[int]:
    return list(range(1, images.shape.rank))


def _means(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.square(images - reconstructions), axis=_pixels(images))


def _sums(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(images - reconstructions), axis=_pixels(images))


def _nats(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits), axis=_pixels(images))


LOSSES = {
    "mse": Loss(mse, _means, measure="mse"),
    "rmse": Loss(rmse, _means, total=math.sqrt, measure="rmse"),
    "sse": Loss(sse, _sums, measure="sse"),
    "bernoulli": Loss(bernoulli, _nats, takes_logits=True),
}
