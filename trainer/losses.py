"""What training makes small: pure functions of images and reconstructions."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss.

    Attributes:
      function: (images, outputs), both [N, ...] float32 -> scalar float32.
      takes_logits: the outputs it wants are those before the output activation.
    """

    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    takes_logits: bool = False


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


LOSSES = {
    "mse": Loss(mse),
    "rmse": Loss(rmse),
    "sse": Loss(sse),
    "bernoulli": Loss(bernoulli, takes_logits=True),
}
