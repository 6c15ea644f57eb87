"""Corruptions of a denoising autoencoder's input (Vincent et al. 2008 and 2010), by name.

Each is a pure function of what it is given, and one line of `NOISES`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainer.compute import randomness
from trainer.training.options import SHARES

# (images [N, ...], level, lowest and highest values, key) -> corrupted images, the same shape.
Values = Any  # an array or a tensor, the shape of one example, or one that spreads to it
Corruption = Callable[[tf.Tensor, tf.Tensor, Values, Values, tf.Tensor], tf.Tensor]


def gaussian(images: tf.Tensor, level: tf.Tensor, low: Values, high: Values, key: tf.Tensor) -> tf.Tensor:
    """Adds normal noise of standard deviation `level`, in the units of the images; not clipped (2010, section 3.3)."""
    return images + level * randomness.normal(key, tf.shape(images))


def masking(images: tf.Tensor, level: tf.Tensor, low: Values, high: Values, key: tf.Tensor) -> tf.Tensor:
    """Sets a share `level` of the numbers, each by chance, to 0, of tables too (2008, section 2.3)."""
    return tf.where(randomness.uniform(key, tf.shape(images)) < level, tf.zeros_like(images), images)


def salt_and_pepper(images: tf.Tensor, level: tf.Tensor, low: Values, high: Values, key: tf.Tensor) -> tf.Tensor:
    """Sets a share `level`, each by chance, to its lowest or its highest value, by a fair coin (2010, section 3.3)."""
    uniform = randomness.uniform(key, tf.shape(images))
    salted = tf.where(uniform < level / 2, low + tf.zeros_like(images), images)
    return tf.where((uniform >= level / 2) & (uniform < level), high + tf.zeros_like(images), salted)


NOISES: dict[str, Corruption] = {
    "gaussian": gaussian,
    "masking": masking,
    "salt_and_pepper": salt_and_pepper,
}


@dataclasses.dataclass(frozen=True)
class Noise:
    """A corruption with its level.

    Attributes:
      name: in `NOISES`.
      level: standard deviation, or share of the numbers.
      low, high: the lowest and highest values that an example's numbers have, the shape of one.
    """

    name: str
    level: float
    low: Values
    high: Values

    def __call__(self, images: tf.Tensor, key: tf.Tensor, level: tf.Tensor | float | None = None) -> tf.Tensor:
        """Corrupts [N, ...] images, each number on its own; at another level, if one is given."""
        level = tf.cast(self.level if level is None else level, tf.float32)
        if self.name in SHARES:
            level = tf.minimum(level, 1.0)
        return NOISES[self.name](images, level, self.low, self.high, randomness.purpose_key(key, randomness.NOISE))
