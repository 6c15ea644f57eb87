"""Arrays -> tf.data of blocks of steps, whose content is a pure function of (seed, step).

The order of epoch e is a Philox permutation keyed by (seed, e). Epochs follow each other without a gap, batches
straddle them, and every example comes exactly once an epoch. So the position of a run is its step: starting at any
step costs the same, and yields what a run that had come there by itself would see.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

ALIGNMENT = 64  # bytes: TensorFlow ends the process over a tensor that begins elsewhere
PREFETCHED_BLOCKS = 1  # It is put together much faster than it is trained on.

_as_it_is = tf.autograph.experimental.do_not_convert  # There is nothing to convert, and looking for it takes long.


def epoch_order(seed: int | tf.Tensor, epoch: int | tf.Tensor, num_examples: int) -> tf.Tensor:
    """The order of one epoch: a permutation of range(num_examples), [N] int32."""
    # The algorithm is named because the default differs between XLA and plain kernels, and between devices.
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    return tf.random.experimental.stateless_shuffle(tf.range(num_examples), seed=key, alg="philox")


def order(num_examples: int, *, seed: int, start: int) -> tf.data.Dataset:
    """The endless stream of example numbers, from position `start` on: vectors of int32, one an epoch."""
    first, offset = divmod(start, num_examples)

    def numbers(epoch: tf.Tensor) -> tf.Tensor:
        return epoch_order(seed, epoch, num_examples)[tf.where(epoch == first, offset, 0) :]

    return tf.data.Dataset.range(first, np.iinfo(np.int64).max).map(_as_it_is(numbers))


def batch(num_examples: int, *, batch_size: int, seed: int, step: int) -> np.ndarray:
    """The numbers of the examples that step `step` (from 1 on) trains on, [batch_size] int32."""
    with tf.device("/CPU:0"):
        stream = order(num_examples, seed=seed, start=(step - 1) * batch_size).rebatch(batch_size)
        return next(iter(stream)).numpy()


def blocks(
    examples: np.ndarray,
    *,
    batch_size: int,
    steps_per_block: int,
    seed: int,
    start_step: int,
    resident_on: str | None = None,
) -> Iterator[tf.Tensor]:
    """Endless blocks of training steps, the first of which begins with `start_step`.

    Args:
      examples: [N, ...], uint8 or float32, in memory or in a file that is mapped into it; stays as it is, casting is
        the step's work.
      batch_size: examples a step; at most N.
      steps_per_block: steps a block.
      seed: of the order.
      start_step: steps that have been done.
      resident_on: TensorFlow's name of a device in whose memory all examples are to lie: blocks are put together
        there, and nothing but numbers of examples is sent. None: they are put together by the CPU, ahead of time.

    Yields:
      [steps_per_block, batch_size, ...], of the type of `examples`.
    """
    shape = steps_per_block, batch_size
    with tf.device("/CPU:0"):
        numbers = order(len(examples), seed=seed, start=start_step * batch_size).rebatch(steps_per_block * batch_size)
        if resident_on is None:
            array, options = _shared(examples), tf.data.Options()
            # Its optimisations of so short a pipeline do nothing but copy what it refers to: all examples.
            options.experimental_optimization.apply_default_optimizations = False
            dataset = numbers.map(_as_it_is(lambda chosen: _block(array, chosen, shape)))
            return iter(dataset.prefetch(PREFETCHED_BLOCKS).with_options(options))
        return _picked(examples, iter(numbers.prefetch(PREFETCHED_BLOCKS)), shape, resident_on)


def _shared(examples: np.ndarray) -> tf.Tensor:
    """An array as a tensor: the same memory, and where that is a file's, the file, if TensorFlow can work with it."""
    if examples.ctypes.data % ALIGNMENT or not (examples.flags.writeable and examples.flags.c_contiguous):
        return tf.constant(examples)
    return tf.experimental.dlpack.from_dlpack(examples.view(np.ndarray).__dlpack__())


def _picked(
    examples: np.ndarray, numbers: Iterator[tf.Tensor], shape: tuple[int, int], device: str
) -> Iterator[tf.Tensor]:
    # By XLA, since not every type of numbers has a kernel for this on a GPU.
    block = tf.function(lambda array, chosen: _block(array, chosen, shape), jit_compile=True, autograph=False)
    with tf.device(device):
        array = tf.identity(tf.constant(examples))
    for chosen in numbers:
        with tf.device(device):
            picked = block(array, chosen)
        yield picked


def _block(array: tf.Tensor, chosen: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
    return tf.reshape(tf.gather(array, chosen), [*shape, *array.shape[1:]])
