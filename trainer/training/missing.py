"""Missing numbers of rows, which are NaN in the target of a reconstruction: they do not count in errors."""

import tensorflow as tf


def fill(target: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Replaces missing numbers by the network's outputs, so that they have neither an error nor a gradient.

    Args:
      target: [N, D] float32.
      outputs: [N, D] float32.
    """
    return tf.where(tf.math.is_nan(target), tf.stop_gradient(outputs), target)


def weights(target: tf.Tensor) -> tf.Tensor:
    """Returns the factor of each example's error, [N, D] -> [N] float32: D by the count of numbers that are there.

    With it, the mean over D numbers becomes the mean over the numbers that are there.
    """
    count = tf.reduce_sum(tf.cast(~tf.math.is_nan(target), tf.float32), axis=1)
    return tf.cast(tf.shape(target)[1], tf.float32) / tf.maximum(count, 1.0)
