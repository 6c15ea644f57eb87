"""What is done to input and target alike, anew at each step: pure functions of images and a key."""

import tensorflow as tf

from trainer.compute import randomness


def shift(images: tf.Tensor, most: int, key: tf.Tensor) -> tf.Tensor:
    """Moves each picture by up to `most` pixels in each direction, all moves being equally likely.

    Args:
      images: [N, H, W, C]; what moves in repeats the border's pixels.
      most: at least 1, less than H and W.
      key: of the step.
    """
    uniform = randomness.uniform(randomness.purpose_key(key, randomness.SHIFT), [tf.shape(images)[0], 2])
    moves = tf.cast(tf.floor(uniform * (2 * most + 1)), tf.int32) - most  # [N, 2]

    def sources(axis: int) -> tf.Tensor:
        """[N, H or W]: where each row or column comes from."""
        size = images.shape[axis]
        return tf.clip_by_value(tf.range(size) - moves[:, axis - 1 : axis], 0, size - 1)

    rows = tf.gather(images, sources(1), axis=1, batch_dims=1)
    return tf.gather(rows, sources(2), axis=2, batch_dims=1)


def binarize(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Draws each pixel as 0 or 1, its value in [0, 1] being the probability (Salakhutdinov and Murray 2008)."""
    uniform = randomness.uniform(randomness.purpose_key(key, randomness.BINARISE), tf.shape(images))
    return tf.cast(uniform < images, tf.float32)
