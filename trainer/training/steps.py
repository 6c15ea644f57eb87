"""The training state, and the compiled functions that train it."""

import bisect
import contextlib
import dataclasses
import re
import threading
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from trainer.models.autoencoder import Autoencoder
from trainer.training import optimizers

# Columns of a block's report, in this order; the loss terms follow.
LOSS, LEARNING_RATE, LOSS_SCALE, GRADIENT_NORM, UPDATE_NORM, WEIGHT_NORM = range(6)
NUM_REPORTED = 6

INITIAL_LOSS_SCALE = 2.0**15  # of a LossScaleOptimizer

# (images [B, ...] as the network sees them, number of completed steps) -> loss and loss terms, scalars
BatchLoss = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, Sequence[tf.Tensor]]]
Schedule = Callable[[tf.Tensor], tf.Tensor]
Step = Callable[[tf.Tensor], tf.Tensor]
Block = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that changes in training. Its structure is the same in every precision and on every device.

    Attributes:
      model: the network.
      optimizer: the inner optimizer, never a LossScaleOptimizer, which has other variables.
      scaler: the optimizer that applies gradients: `optimizer`, or a LossScaleOptimizer around it in float16.
      loss_scale: factor of the loss in float16; otherwise unused.
      loss_scale_good_steps: number of finite steps since the loss scale last changed.
      step: number of completed steps, int64. `optimizer.iterations` differs: it does not count skipped float16 steps.
      damping: factor of the scheduled learning rate. It is not saved in checkpoints, because it follows from the number
        of rollbacks.
    """

    model: Autoencoder
    optimizer: keras.optimizers.Optimizer
    scaler: keras.optimizers.Optimizer
    loss_scale: tf.Variable
    loss_scale_good_steps: tf.Variable
    step: tf.Variable
    damping: tf.Variable

    def reset_optimizer(self) -> None:
        """Resets the optimizer slots, the iteration count and the loss scale, for training with another loss."""
        for variable in self.optimizer.variables:
            if variable is not self.optimizer._learning_rate:
                variable.assign(tf.zeros_like(variable.value))
        self.loss_scale.assign(INITIAL_LOSS_SCALE)
        self.loss_scale_good_steps.assign(0)

    def weights_are_finite(self) -> bool:
        """Returns True if all weights and optimizer slots are finite."""
        variables = (variable.value for variable in (*self.model.variables, *self.optimizer.variables))
        return all(bool(tf.reduce_all(tf.math.is_finite(v))) for v in variables if v.dtype.is_floating)

    def checkpoint(self) -> tf.train.Checkpoint:
        """Returns the objects that a checkpoint saves and restores."""
        return tf.train.Checkpoint(
            model=self.model,
            optimizer=self.optimizer,
            loss_scale=self.loss_scale,
            loss_scale_good_steps=self.loss_scale_good_steps,
            step=self.step,
        )


def make_state(model: Autoencoder, optimizer: str, *, precision: str) -> TrainState:
    """Returns the state at step 0."""
    inner = optimizers.OPTIMIZERS[optimizer]()
    # Build before the first trace and before any restore: a strict restore needs existing slots.
    inner.build(model.trainable_variables)
    step = tf.Variable(0, dtype=tf.int64, name="step")
    damping = tf.Variable(1.0, name="damping", trainable=False)
    if precision != "mixed_float16":
        unused_scale = tf.Variable(INITIAL_LOSS_SCALE, name="loss_scale", trainable=False)
        unused_count = tf.Variable(0, dtype=tf.int64, name="loss_scale_good_steps", trainable=False)
        return TrainState(model, inner, inner, unused_scale, unused_count, step, damping)
    scaler = keras.optimizers.LossScaleOptimizer(inner)
    scaler.build(model.trainable_variables)
    return TrainState(model, inner, scaler, scaler.dynamic_scale.value, scaler.step_counter.value, step, damping)


def make_schedule(name: str, learning_rate: float, total_steps: int, *, start: int = 0, warmup: int = 0) -> Schedule:
    """Returns a function from the number of completed steps (int64 scalar) to the learning rate (float32 scalar).

    Args:
      name: `constant` or `cosine` (one cycle of Loshchilov and Hutter 2017).
      learning_rate: the peak.
      total_steps: length of the schedule, warm-up included.
      start: number of completed steps at its start.
      warmup: number of steps in which the learning rate rises linearly to the peak.
    """

    def schedule(step: tf.Tensor) -> tf.Tensor:
        done = tf.cast(step - start, tf.float32)
        factor = tf.minimum((done + 1) / np.float32(warmup), 1.0) if warmup else 1.0
        if name == "constant":
            return tf.constant(learning_rate, tf.float32) * factor
        progress = tf.maximum(done - warmup, 0.0) / np.float32(max(total_steps - warmup, 1))
        return np.float32(learning_rate) * factor * 0.5 * (1.0 + tf.cos(np.float32(np.pi) * tf.minimum(progress, 1.0)))

    return schedule


def make_step(
    state: TrainState,
    loss: BatchLoss,
    schedule: Schedule,
    *,
    scale: float | np.ndarray,
    is_logged: Callable[[tf.Tensor], tf.Tensor] | None,
    variables: Sequence[keras.Variable] | None = None,
    use_fused_kernels: bool = False,
) -> Step:
    """Returns a function that runs one training step, to be compiled.

    Args:
      state: updated in place.
      loss: the function to minimize.
      schedule: the learning rate.
      scale: divisor of the stored examples.
      is_logged: number of completed steps, including this one (int64 scalar) -> True if the norms are computed, else
        they are reported as 0. None: always compute them.
      variables: the variables to train; None: all.
      use_fused_kernels: update each variable with one kernel, if there is one: faster without XLA.

    Returns:
      examples [B, ...] -> [6 + T] float32: the loss, the learning rate, the loss scale after the step, the Euclidean
      norms of the gradients, of the update of the weights and of the updated weights, and the T loss terms.
    """
    trained = state.model.trainable_variables if variables is None else list(variables)

    def step(examples: tf.Tensor) -> tf.Tensor:
        with tf.name_scope("input"):
            images = tf.cast(examples, tf.float32) * np.float32(1 / scale)  # [B, ...] in [0, 1]
        with tf.name_scope("schedule"):
            learning_rate = schedule(state.step) * state.damping
            state.optimizer.learning_rate.assign(learning_rate)
        with tf.GradientTape() as tape:
            value, terms = loss(images, state.step.value())
            with tf.name_scope("loss"):
                scaled = state.scaler.scale_loss(value)
        gradients = tape.gradient(scaled, trained)
        unscale = 1.0 if state.scaler is state.optimizer else 1.0 / state.loss_scale
        with tf.name_scope("optimizer"):
            state.step.assign_add(1)
            optimizers.apply_gradients(state.scaler, gradients, trained, use_fused_kernels=use_fused_kernels)

        def norms() -> tf.Tensor:
            unscaled = optimizers.flatten(gradients) * unscale
            norm, update = tf.norm(unscaled), tf.norm(optimizers.last_update(state.optimizer, unscaled, trained))
            # In float16, gradients that are not finite were not applied.
            update = tf.where(tf.math.is_finite(norm), update, 0.0)
            return tf.stack([norm, update, tf.norm(optimizers.flatten(state.model.trainable_variables))])

        with tf.name_scope("norms"):
            reported = norms() if is_logged is None else tf.cond(is_logged(state.step), norms, lambda: tf.zeros([3]))
            return tf.concat(
                [tf.stack([value, learning_rate, state.loss_scale]), reported, tf.stack([*terms, 0.0])[:-1]], axis=0
            )

    return step


def make_block(step: Step, *, jit: bool, num_loss_terms: int = 0) -> Block:
    """Returns the compiled block of training steps.

    Args:
      step: one training step.
      jit: compile with XLA.
      num_loss_terms: number of loss terms that a step reports.

    Returns:
      (examples [S, B, ...], first, last) -> [S, 6 + T] float32. Runs steps first to last - 1 of the block. Each of
      these rows is the report of a step (see `make_step`); other rows are 0. The result does not depend on how a run is
      divided into calls. All calls share one trace.
    """
    # Only the loop needs AutoGraph. Its search through the step would take half a second.
    step = tf.autograph.experimental.do_not_convert(step)

    @tf.function(jit_compile=jit)
    def block(examples: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        # Not a loop over tf.range, which XLA would compile again for every length.
        reports = tf.TensorArray(tf.float32, size=examples.shape[0], element_shape=[NUM_REPORTED + num_loss_terms])
        while first < last:
            reports = reports.write(first, step(examples[first]))
            first += 1
        return reports.stack()

    return lambda examples, first, last: block(examples, tf.constant(first), tf.constant(last))


def switch_by_stage(blocks: Sequence[Block], ends: Sequence[int], state: TrainState) -> Block:
    """Returns a block that runs the block of the current stage, and resets the optimizer between stages.

    Args:
      blocks: the block of each stage; a call must not span two stages.
      ends: the last step of each stage but the last, ascending.
      state: the state that the blocks train.
    """

    def block(examples: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        done = int(state.step)
        # At the start of a stage, not at the end of the last one: a run resumed between the two needs the reset, too.
        if done in ends and first < last:
            state.reset_optimizer()
        return blocks[bisect.bisect_right(ends, done)](examples, first, last)

    return block


class BackgroundCompilation:
    """A block that a thread traces and compiles. The first call waits for the thread."""

    def __init__(self, block: Block, thread: threading.Thread) -> None:
        self._block, self._thread = block, thread

    def __call__(self, examples: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        """Calls the block."""
        self.wait()
        return self._block(examples, first, last)

    def wait(self) -> None:
        """Waits until the block is compiled."""
        self._thread.join()


def compile_in_background(block: Block, examples: tf.TensorSpec, device: str) -> BackgroundCompilation:
    """Starts a thread that traces and compiles a block, and returns the block.

    The thread calls the block with no steps. This call writes the unchanged state back, so nothing else may change the
    state before the first call or `wait`.

    Args:
      block: a block of `make_block`.
      examples: [S, B, ...], the spec of its argument.
      device: TensorFlow's name of the device; threads do not inherit it.
    """

    def run() -> None:
        # The first call repeats and raises any error.
        with contextlib.suppress(Exception), tf.device(device):
            block(tf.zeros(examples.shape, examples.dtype), 0, 0)

    thread = threading.Thread(target=run, name="compiling")
    thread.start()
    return BackgroundCompilation(block, thread)


def step_graph(step: Step, examples: tf.TensorSpec, model: Autoencoder) -> tf.compat.v1.GraphDef:
    """Returns the graph of one training step for display, without running it."""
    traced = tf.function(step, autograph=False).get_concrete_function(examples)
    graph = traced.graph.as_graph_def(add_shapes=True)
    # Keras opens the scope of each layer twice, so TensorFlow names the second one encoder_1.
    layers = {part for variable in model.trainable_variables for part in variable.path.split("/")[:-1]}
    duplicate = re.compile(rf"(^|[/^])({'|'.join(map(re.escape, sorted(layers)))})_1(?=/)")
    for node in graph.node:
        node.name = duplicate.sub(r"\1\2", node.name)
        node.input[:] = [duplicate.sub(r"\1\2", name) for name in node.input]
    return graph
