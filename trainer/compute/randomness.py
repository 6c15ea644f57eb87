"""Stateless random numbers: functions of a key made of (seed, step, purpose).

A key is [2] int64, seed and step, the `seed` argument of `tf.random.stateless_*`. The algorithm is always
`alg="philox"`, because the default differs between XLA and plain kernels, and between devices.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf

ORDER, SHIFT, BINARIZE, NOISE, SAMPLE = range(5)  # purposes; ORDER is reserved for the input pipeline
_SEED_BITS, _PURPOSE_BITS = 31, 8  # in the first number of a key


def step_key(seed: int, step: tf.Tensor) -> tf.Tensor:
    """Returns the key of a training step; `step` is the number of completed steps."""
    return tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])


def evaluation_key(seed: int, first: tf.Tensor) -> tf.Tensor:
    """Returns the key of the evaluation batch that begins with example `first`; it is the same in every evaluation."""
    return tf.stack([tf.constant(seed + (1 << _SEED_BITS + _PURPOSE_BITS), tf.int64), tf.cast(first, tf.int64)])


def purpose_key(key: tf.Tensor, purpose: int) -> tf.Tensor:
    """Returns a distinct key for each purpose."""
    return key + tf.constant([purpose << _SEED_BITS, 0], tf.int64)


def uniform(key: tf.Tensor, shape: Any) -> tf.Tensor:
    """Returns uniform float32 numbers in [0, 1), with 24 random bits."""
    return tf.cast(_bits(key, shape, 24), tf.float32) * 2.0**-24


def normal(key: tf.Tensor, shape: Any) -> tf.Tensor:
    """Returns standard normal float32 numbers, by the inverse distribution function; at most 5.3 away from 0."""
    # Half a step is added to 23-bit integers, so that 0 and 1 are excluded.
    open_uniform = (tf.cast(_bits(key, shape, 23), tf.float32) + 0.5) * 2.0**-23
    return np.float32(math.sqrt(2)) * tf.math.erfinv(2 * open_uniform - 1)


def _bits(key: tf.Tensor, shape: Any, count: int) -> tf.Tensor:
    """Returns random integers of `count` bits: TensorFlow's random floats differ between XLA and plain kernels."""
    bits = tf.random.stateless_uniform(shape, key, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    return tf.bitwise.right_shift(bits, tf.constant(32 - count, tf.uint32))
