"""Noise on the input of a denoising autoencoder (Vincent et al. 2008 and 2010), by name: pure functions in `NOISES`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainer.compute import randomness
from trainer.training.options import SHARES

Bound = Any  # array or tensor that broadcasts to the shape of one example
# (images [N, ...], level, lowest and highest values, key) -> corrupted images of the same shape
NoiseFunction = Callable[[tf.Tensor, tf.Tensor, Bound, Bound, tf.Tensor], tf.Tensor]


def gaussian(images: tf.Tensor, level: tf.Tensor, low: Bound, high: Bound, key: tf.Tensor) -> tf.Tensor:
    """Adds normal noise of standard deviation `level`, in the units of the images; not clipped (2010, section 3.3)."""
    return images + level * randomness.normal(key, tf.shape(images))


def masking(images: tf.Tensor, level: tf.Tensor, low: Bound, high: Bound, key: tf.Tensor) -> tf.Tensor:
    """Sets each value to 0 with probability `level`, in images and tables (2008, section 2.3)."""
    return tf.where(randomness.uniform(key, tf.shape(images)) < level, tf.zeros_like(images), images)


def salt_and_pepper(images: tf.Tensor, level: tf.Tensor, low: Bound, high: Bound, key: tf.Tensor) -> tf.Tensor:
    """Sets each value, with probability `level`, to `low` or `high`, which are equally likely (2010, section 3.3)."""
    uniform = randomness.uniform(key, tf.shape(images))
    low_added = tf.where(uniform < level / 2, low + tf.zeros_like(images), images)
    return tf.where((uniform >= level / 2) & (uniform < level), high + tf.zeros_like(images), low_added)


NOISES: dict[str, NoiseFunction] = {
    "gaussian": gaussian,
    "masking": masking,
    "salt_and_pepper": salt_and_pepper,
}


@dataclasses.dataclass(frozen=True)
class Noise:
    """A noise function with its level.

    Attributes:
      name: key in `NOISES`.
      level: standard deviation, or fraction of the values.
      low, high: lowest and highest values of an example; they broadcast to the shape of one example.
    """

    name: str
    level: float
    low: Bound
    high: Bound

    def __call__(self, images: tf.Tensor, key: tf.Tensor, level: tf.Tensor | float | None = None) -> tf.Tensor:
        """Corrupts each value of [N, ...] images independently; `level` overrides the level of this object."""
        level = tf.cast(self.level if level is None else level, tf.float32)
        if self.name in SHARES:
            level = tf.minimum(level, 1.0)
        return NOISES[self.name](images, level, self.low, self.high, randomness.purpose_key(key, randomness.NOISE))
