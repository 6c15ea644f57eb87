"""Keys of random numbers: what is drawn is a function of (seed, step, purpose), and of nothing else.

A key is [2] int64: seed and step, as `tf.random.stateless_*` takes them, always with `alg="philox"`: the default
differs between XLA and plain kernels, and between devices.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf

ORDER, SHIFT, BINARISE, NOISE, SAMPLE = range(5)  # purposes; the first is the pipeline's
_SEED_BITS, _PURPOSE_BITS = 31, 8  # of the first number


def step_key(seed: int, step: tf.Tensor) -> tf.Tensor:
    """The key of a training step; `step` counts the steps done before it."""
    return tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])


def evaluation_key(seed: int, first: tf.Tensor) -> tf.Tensor:
    """The key of the evaluation examples from number `first` on: the same at every evaluation."""
    return tf.stack([tf.constant(seed + (1 << _SEED_BITS + _PURPOSE_BITS), tf.int64), tf.cast(first, tf.int64)])


def purpose_key(key: tf.Tensor, purpose: int) -> tf.Tensor:
    """A key of its own for each purpose."""
    return key + tf.constant([purpose << _SEED_BITS, 0], tf.int64)


def uniform(key: tf.Tensor, shape: Any) -> tf.Tensor:
    """Float32 numbers in [0, 1), of 24 bits."""
    return tf.cast(_bits(key, shape, 24), tf.float32) * 2.0**-24


def normal(key: tf.Tensor, shape: Any) -> tf.Tensor:
    """Float32 standard normal numbers, by the inverse of their distribution function; at most 5.3 away from 0."""
    # Of 23 bits and a half, so that neither 0 nor 1 comes out.
    inside = (tf.cast(_bits(key, shape, 23), tf.float32) + 0.5) * 2.0**-23
    return np.float32(math.sqrt(2)) * tf.math.erfinv(2 * inside - 1)


def _bits(key: tf.Tensor, shape: Any, count: int) -> tf.Tensor:
    """Whole numbers: of floats, TensorFlow draws others with XLA than without, of these the same."""
    bits = tf.random.stateless_uniform(shape, key, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    return tf.bitwise.right_shift(bits, tf.constant(32 - count, tf.uint32))
