"""Augmentations of input and target alike, sampled anew at each step: pure functions of images and a key."""

import tensorflow as tf

from trainer.compute import randomness


def shift(images: tf.Tensor, max_shift: int, key: tf.Tensor) -> tf.Tensor:
    """Shifts each image vertically and horizontally by up to `max_shift` pixels; all shifts are equally likely.

    Args:
      images: [N, H, W, C]. The gap that a shift leaves at a border is filled with copies of the border pixels.
      max_shift: at least 1, less than H and W.
      key: key of the step.
    """
    uniform = randomness.uniform(randomness.purpose_key(key, randomness.SHIFT), [tf.shape(images)[0], 2])
    shifts = tf.cast(tf.floor(uniform * (2 * max_shift + 1)), tf.int32) - max_shift  # [N, 2]

    def source_indices(axis: int) -> tf.Tensor:
        """Returns the source row (axis 1) or column (axis 2) of each output row or column: [N, H or W]."""
        size = images.shape[axis]
        return tf.clip_by_value(tf.range(size) - shifts[:, axis - 1 : axis], 0, size - 1)

    rows = tf.gather(images, source_indices(1), axis=1, batch_dims=1)
    return tf.gather(rows, source_indices(2), axis=2, batch_dims=1)


def binarize(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Samples each pixel as 0 or 1; its value in [0, 1] is the probability of 1 (Salakhutdinov and Murray 2008)."""
    uniform = randomness.uniform(randomness.purpose_key(key, randomness.BINARIZE), tf.shape(images))
    return tf.cast(uniform < images, tf.float32)
