"""The input pipeline: arrays -> blocks of training steps, a pure function of (seed, step).

The order of epoch e is a Philox permutation with the key (seed, e). Each epoch contains every example once. Epochs
follow each other without a gap, so a batch may span two epochs. The position in the data follows from the step number:
a start at any step costs the same, and yields the same batches as a run from step 0.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

ALIGNMENT = 64  # bytes; TensorFlow aborts the process if the memory of a tensor is not aligned
PREFETCHED_BLOCKS = 1  # Assembling a block is much faster than training on it.

_no_autograph = tf.autograph.experimental.do_not_convert  # AutoGraph's search for code to convert is slow.


def epoch_permutation(seed: int | tf.Tensor, epoch: int | tf.Tensor, num_examples: int) -> tf.Tensor:
    """Returns the order of one epoch: a permutation of range(num_examples), [N] int32."""
    # The algorithm is named because the default differs between XLA and plain kernels, and between devices.
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    return tf.random.experimental.stateless_shuffle(tf.range(num_examples), seed=key, alg="philox")


def index_stream(num_examples: int, *, seed: int, start: int) -> tf.data.Dataset:
    """Returns the endless stream of example indices from position `start` on: one int32 vector per epoch."""
    first_epoch, offset = divmod(start, num_examples)

    def indices(epoch: tf.Tensor) -> tf.Tensor:
        return epoch_permutation(seed, epoch, num_examples)[tf.where(epoch == first_epoch, offset, 0) :]

    return tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max).map(_no_autograph(indices))


def batch_indices(num_examples: int, *, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Returns the indices of the examples in the batch of step `step` (from 1), [batch_size] int32."""
    with tf.device("/CPU:0"):
        stream = index_stream(num_examples, seed=seed, start=(step - 1) * batch_size).rebatch(batch_size)
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
    """Returns an endless iterator over blocks of training steps.

    Args:
      examples: [N, ...] uint8 or float32, in memory or memory-mapped; not converted, because the step casts it.
      batch_size: examples per step; at most N.
      steps_per_block: steps per block.
      seed: seed of the order.
      start_step: number of completed steps; the first block begins with the next one.
      resident_on: TensorFlow's name of the device whose memory holds all examples; blocks are assembled there, and only
        indices are transferred. None: the CPU assembles blocks ahead of time.

    Yields:
      [steps_per_block, batch_size, ...], in the dtype of `examples`.
    """
    shape = steps_per_block, batch_size
    with tf.device("/CPU:0"):
        indices = index_stream(len(examples), seed=seed, start=start_step * batch_size)
        indices = indices.rebatch(steps_per_block * batch_size)
        if resident_on is None:
            array, options = _share_memory(examples), tf.data.Options()
            # On this short pipeline, the default optimizations only copy the captured tensor: all examples.
            options.experimental_optimization.apply_default_optimizations = False
            dataset = indices.map(_no_autograph(lambda block: _gather(array, block, shape)))
            return iter(dataset.prefetch(PREFETCHED_BLOCKS).with_options(options))
        return _resident_blocks(examples, iter(indices.prefetch(PREFETCHED_BLOCKS)), shape, resident_on)


def _share_memory(examples: np.ndarray) -> tf.Tensor:
    """Returns a tensor that shares the memory (or mapped file) of an array, or a copy if TensorFlow requires one."""
    if examples.ctypes.data % ALIGNMENT or not (examples.flags.writeable and examples.flags.c_contiguous):
        return tf.constant(examples)
    return tf.experimental.dlpack.from_dlpack(examples.view(np.ndarray).__dlpack__())


def _resident_blocks(
    examples: np.ndarray, indices: Iterator[tf.Tensor], shape: tuple[int, int], device: str
) -> Iterator[tf.Tensor]:
    # Compiled with XLA, because some dtypes have no kernel for tf.gather on a GPU.
    gather = tf.function(lambda array, chosen: _gather(array, chosen, shape), jit_compile=True, autograph=False)
    with tf.device(device):
        array = tf.identity(tf.constant(examples))
    for block_indices in indices:
        with tf.device(device):
            block = gather(array, block_indices)
        yield block


def _gather(array: tf.Tensor, indices: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
    return tf.reshape(tf.gather(array, indices), [*shape, *array.shape[1:]])
