"""What is trained, and the compiled functions that train it."""

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

# What a block reports of each step, in this order; then the objective's parts.
LOSS, LEARNING_RATE, LOSS_SCALE, GRADIENT_NORM, UPDATE_NORM, WEIGHT_NORM = range(6)
NUM_REPORTED = 6

FIRST_LOSS_SCALE = 2.0**15  # what a LossScaleOptimizer starts with

# (images [B, ...] as the network sees them, steps done) -> the loss, and what is told beside it: scalars.
BatchLoss = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, Sequence[tf.Tensor]]]
Schedule = Callable[[tf.Tensor], tf.Tensor]
Step = Callable[[tf.Tensor], tf.Tensor]
Block = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that changes while training; the same in every precision and on every device.

    Attributes:
      model: the network.
      optimizer: the inner optimizer, never a LossScaleOptimizer, whose variables would stand where others are expected.
      scaler: what applies gradients: the optimizer, or with float16 a LossScaleOptimizer around it.
      loss_scale: the loss is multiplied by it under float16; else idle.
      loss_scale_good_steps: finite steps since it last changed.
      step: steps done, int64. Not `optimizer.iterations`, which stands still when float16 skips a step.
      damping: the schedule's learning rate is multiplied by it. Not in checkpoints: it follows from how often the run
        has gone back after a divergence.
    """

    model: Autoencoder
    optimizer: keras.optimizers.Optimizer
    scaler: keras.optimizers.Optimizer
    loss_scale: tf.Variable
    loss_scale_good_steps: tf.Variable
    step: tf.Variable
    damping: tf.Variable

    def reset_optimizer(self) -> None:
        """Makes the optimizer's memory that of a beginning: what it has learnt of another loss misleads it."""
        for variable in self.optimizer.variables:
            if variable is not self.optimizer._learning_rate:
                variable.assign(tf.zeros_like(variable.value))
        self.loss_scale.assign(FIRST_LOSS_SCALE)
        self.loss_scale_good_steps.assign(0)

    def weights_are_finite(self) -> bool:
        """Whether all weights, and what the optimizer remembers, are finite numbers."""
        variables = (variable.value for variable in (*self.model.variables, *self.optimizer.variables))
        return all(bool(tf.reduce_all(tf.math.is_finite(v))) for v in variables if v.dtype.is_floating)

    def checkpoint(self) -> tf.train.Checkpoint:
        """The one schema of a checkpoint."""
        return tf.train.Checkpoint(
            model=self.model,
            optimizer=self.optimizer,
            loss_scale=self.loss_scale,
            loss_scale_good_steps=self.loss_scale_good_steps,
            step=self.step,
        )


def make_state(model: Autoencoder, optimizer: str, *, precision: str) -> TrainState:
    """A state at step 0."""
    inner = optimizers.OPTIMIZERS[optimizer]()
    # Before the first trace and before any restore: slots that do not exist yet cannot be restored strictly.
    inner.build(model.trainable_variables)
    step = tf.Variable(0, dtype=tf.int64, name="step")
    damping = tf.Variable(1.0, name="damping", trainable=False)
    if precision != "mixed_float16":
        idle_scale = tf.Variable(FIRST_LOSS_SCALE, name="loss_scale", trainable=False)
        idle_count = tf.Variable(0, dtype=tf.int64, name="loss_scale_good_steps", trainable=False)
        return TrainState(model, inner, inner, idle_scale, idle_count, step, damping)
    scaler = keras.optimizers.LossScaleOptimizer(inner)
    scaler.build(model.trainable_variables)
    return TrainState(model, inner, scaler, scaler.dynamic_scale.value, scaler.step_counter.value, step, damping)


def make_schedule(name: str, learning_rate: float, total_steps: int, *, first: int = 0, warmup: int = 0) -> Schedule:
    """Steps done (int64 scalar) -> learning rate (float32 scalar). Cosine: Loshchilov and Hutter 2017, one cycle.

    Args:
      name: constant or cosine.
      learning_rate: the largest.
      total_steps: from the start to the end.
      first: steps done at the start.
      warmup: steps in which it rises to the largest first, in a straight line.
    """

    def schedule(step: tf.Tensor) -> tf.Tensor:
        done = tf.cast(step - first, tf.float32)
        rise = tf.minimum((done + 1) / np.float32(warmup), 1.0) if warmup else 1.0
        if name == "constant":
            return tf.constant(learning_rate, tf.float32) * rise
        progress = tf.maximum(done - warmup, 0.0) / np.float32(max(total_steps - warmup, 1))
        return np.float32(learning_rate) * rise * 0.5 * (1.0 + tf.cos(np.float32(np.pi) * tf.minimum(progress, 1.0)))

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
    """One training step, to be compiled.

    Args:
      state: trained in place.
      loss: made small.
      schedule: of the learning rate.
      scale: what examples are divided by.
      is_logged: steps done (int64 scalar) -> whether its norms are wanted, else they are reported as 0; None: always.
      variables: those that are trained; None: all.
      by_kernels: update each weight in one kernel where there is one: faster, unless XLA makes one.

    Returns:
      examples [B, ...] -> [6 + P] float32: the step's loss, its learning rate, the loss scale after it, the Euclidean
      norms of its gradients, of what it added to the weights, and of the weights after it; and the loss's P parts.
    """
    trained = state.model.trainable_variables if variables is None else list(variables)

    def step(examples: tf.Tensor) -> tf.Tensor:
        with tf.name_scope("input"):
            images = tf.cast(examples, tf.float32) * np.float32(1 / scale)  # [B, ...] in [0, 1]
        with tf.name_scope("schedule"):
            learning_rate = schedule(state.step) * state.damping
            state.optimizer.learning_rate.assign(learning_rate)
        with tf.GradientTape() as tape:
            value, parts = loss(images, state.step.value())
            with tf.name_scope("loss"):
                scaled = state.scaler.scale_loss(value)
        gradients = tape.gradient(scaled, trained)
        unscale = 1.0 if state.scaler is state.optimizer else 1.0 / state.loss_scale
        with tf.name_scope("optimizer"):
            state.step.assign_add(1)
            optimizers.apply(state.scaler, gradients, trained, use_fused_kernels=use_fused_kernels)

        def norms() -> tf.Tensor:
            unscaled = optimizers.flat(gradients) * unscale
            norm, update = tf.norm(unscaled), tf.norm(optimizers.update(state.optimizer, unscaled, trained))
            # What is not finite was not applied, under float16.
            update = tf.where(tf.math.is_finite(norm), update, 0.0)
            return tf.stack([norm, update, tf.norm(optimizers.flat(state.model.trainable_variables))])

        with tf.name_scope("norms"):
            found = norms() if is_logged is None else tf.cond(is_logged(state.step), norms, lambda: tf.zeros([3]))
            return tf.concat(
                [tf.stack([value, learning_rate, state.loss_scale]), found, tf.stack([*parts, 0.0])[:-1]], axis=0
            )

    return step


def make_block(step: Step, *, jit: bool, num_loss_terms: int = 0) -> Block:
    """The compiled block of training steps.

    Args:
      step: one of them.
      jit: compile with XLA.
      num_parts: of the loss, that a step reports.

    Returns:
      (examples [S, B, ...], first, last) -> [S, 6 + P] float32: runs steps first to last - 1 of the block, and reports
      each as `make_step` has it; other rows are 0. The result does not depend on how a run is cut into calls, and one
      trace serves all of them.
    """
    # Only the loop is Python that AutoGraph has to convert; to look through all the rest takes it half a second.
    step = tf.autograph.experimental.do_not_convert(step)

    @tf.function(jit_compile=jit)
    def block(examples: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        # `while first < last`, not a loop over tf.range: XLA would compile that anew for every length.
        reports = tf.TensorArray(tf.float32, size=examples.shape[0], element_shape=[NUM_REPORTED + num_loss_terms])
        while first < last:
            reports = reports.write(first, step(examples[first]))
            first += 1
        return reports.stack()

    return lambda examples, first, last: block(examples, tf.constant(first), tf.constant(last))


def switch_by_stage(blocks: Sequence[Block], ends: Sequence[int], state: TrainState) -> Block:
    """A block that is another one in each stage of training, whose optimizer begins anew.

    Args:
      blocks: of each stage; no call may cross from one into the next.
      ends: the steps after which all stages but the last end, ascending.
      state: theirs.
    """

    def block(examples: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        done = int(state.step)
        # Here, and not when a stage ends, so that it does not matter whether a run stopped there.
        if done in ends and first < last:
            state.reset_optimizer()
        return blocks[bisect.bisect_right(ends, done)](examples, first, last)

    return block


class BackgroundCompilation:
    """A block that a thread traces and compiles until its first call."""

    def __init__(self, block: Block, thread: threading.Thread) -> None:
        self._block, self._thread = block, thread

    def __call__(self, examples: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        """As the block does."""
        self.wait()
        return self._block(examples, first, last)

    def wait(self) -> None:
        """Returns once it is compiled."""
        self._thread.join()


def compile_in_background(block: Block, examples: tf.TensorSpec, device: str) -> BackgroundCompilation:
    """The same block, which is traced and compiled from now on, beside whatever else is done until its first call.

    That is by a call that runs no step, but writes back what steps change: until the first call, or `wait`, nobody else
    may.

    Args:
      block: as `make_block` gives it.
      examples: [S, B, ...], what it will be called with.
      device: TensorFlow's name of it; threads do not inherit it.
    """

    def run() -> None:
        # What goes wrong here goes wrong again in the first call, and is told there.
        with contextlib.suppress(Exception), tf.device(device):
            block(tf.zeros(examples.shape, examples.dtype), 0, 0)

    thread = threading.Thread(target=run, name="compiling")
    thread.start()
    return BackgroundCompilation(block, thread)


def step_graph(step: Step, examples: tf.TensorSpec, model: Autoencoder) -> tf.compat.v1.GraphDef:
    """The graph of one training step, to be looked at: traced, not run."""
    traced = tf.function(step, autograph=False).get_concrete_function(examples)
    graph = traced.graph.as_graph_def(add_shapes=True)
    # Keras opens each layer's scope twice, so that TensorFlow calls the second one encoder_1.
    layers = {part for variable in model.trainable_variables for part in variable.path.split("/")[:-1]}
    twice = re.compile(rf"(^|[/^])({'|'.join(map(re.escape, sorted(layers)))})_1(?=/)")
    for node in graph.node:
        node.name = twice.sub(r"\1\2", node.name)
        node.input[:] = [twice.sub(r"\1\2", name) for name in node.input]
    return graph
