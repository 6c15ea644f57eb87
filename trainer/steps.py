"""What is trained, and the compiled functions that train and evaluate it."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from trainer.losses import Loss
from trainer.models.autoencoder import Autoencoder

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}

# What a block reports of each step, in this order.
LOSS, LEARNING_RATE, GRADIENT_NORM, LOSS_SCALE = range(4)
NUM_REPORTED = 4

Schedule = Callable[[tf.Tensor], tf.Tensor]
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

    def is_sound(self) -> bool:
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
    inner = OPTIMIZERS[optimizer]()
    # Before the first trace and before any restore: slots that do not exist yet cannot be restored strictly.
    inner.build(model.trainable_variables)
    step = tf.Variable(0, dtype=tf.int64, name="step")
    damping = tf.Variable(1.0, name="damping", trainable=False)
    if precision != "mixed_float16":
        # What a LossScaleOptimizer starts with, for a run that goes on in float16.
        idle_scale = tf.Variable(2.0**15, name="loss_scale", trainable=False)
        idle_count = tf.Variable(0, dtype=tf.int64, name="loss_scale_good_steps", trainable=False)
        return TrainState(model, inner, inner, idle_scale, idle_count, step, damping)
    scaler = keras.optimizers.LossScaleOptimizer(inner)
    scaler.build(model.trainable_variables)
    return TrainState(model, inner, scaler, scaler.dynamic_scale.value, scaler.step_counter.value, step, damping)


def make_schedule(name: str, learning_rate: float, total_steps: int) -> Schedule:
    """Steps done (int64 scalar) -> learning rate (float32 scalar). Cosine: Loshchilov and Hutter 2017, one cycle."""
    if name == "constant":
        return lambda _: tf.constant(learning_rate, tf.float32)

    def cosine(step: tf.Tensor) -> tf.Tensor:
        progress = tf.cast(step, tf.float32) / np.float32(total_steps)
        return np.float32(learning_rate) * 0.5 * (1.0 + tf.cos(np.float32(np.pi) * tf.minimum(progress, 1.0)))

    return cosine


def make_block(
    state: TrainState,
    loss: Loss,
    schedule: Schedule,
    *,
    scale: float,
    is_logged: Callable[[tf.Tensor], tf.Tensor],
    jit: bool,
) -> Block:
    """The compiled block of training steps.

    Args:
      state: trained in place.
      loss: made small.
      schedule: of the learning rate.
      scale: what examples are divided by.
      is_logged: steps done (int64 scalar) -> whether its gradient norm is wanted; else it is reported as 0.
      jit: compile with XLA.

    Returns:
      (examples [S, B, ...], first, last) -> [S, 4] float32: runs steps first to last - 1 of the block, and reports
      for each its loss, learning rate, gradient norm and, after it, loss scale; other rows are 0. The result does not
      depend on how a run is cut into calls, and one trace serves all of them.
    """
    variables = state.model.trainable_variables

    def train_step(examples: tf.Tensor) -> tf.Tensor:
        images = tf.cast(examples, tf.float32) * np.float32(1 / scale)  # [B, ...] in [0, 1]
        learning_rate = schedule(state.step) * state.damping
        state.optimizer.learning_rate.assign(learning_rate)
        with tf.GradientTape() as tape:
            codes = state.model.encode(images)
            outputs = state.model.logits(codes) if loss.takes_logits else state.model.decode(codes)
            value = loss.function(images, outputs)
            scaled = state.scaler.scale_loss(value)
        gradients = tape.gradient(scaled, variables)
        state.step.assign_add(1)
        unscale = 1.0 if state.scaler is state.optimizer else 1.0 / state.loss_scale
        norm = tf.cond(
            is_logged(state.step),
            lambda: tf.linalg.global_norm(gradients) * unscale,
            lambda: tf.constant(0.0),
        )
        state.scaler.apply(gradients, variables)
        return tf.stack([value, learning_rate, norm, state.loss_scale])

    @tf.function(jit_compile=jit)
    def block(examples: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        # `while first < last`, not a loop over tf.range: XLA would compile that anew for every length.
        reports = tf.TensorArray(tf.float32, size=examples.shape[0], element_shape=[NUM_REPORTED])
        while first < last:
            reports = reports.write(first, train_step(examples[first]))
            first += 1
        return reports.stack()

    return lambda examples, first, last: block(examples, tf.constant(first), tf.constant(last))


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """Reconstructs examples with the weights as they are, `batch_size` of them at a time."""

    _errors: Callable[[tf.Tensor], tf.Tensor]
    _reconstructions: Callable[[tf.Tensor], tf.Tensor]
    _batch_size: int

    def squared_errors(self, examples: np.ndarray) -> np.ndarray:
        """[N, ...] as stored -> [N] float32: each example's squared error, summed over pixels."""
        starts = range(0, len(examples), self._batch_size)
        errors = [self._errors(self._padded(examples[start : start + self._batch_size])).numpy() for start in starts]
        return np.concatenate(errors)[: len(examples)]

    def reconstruct(self, examples: np.ndarray) -> np.ndarray:
        """[N, ...] as stored, a few -> [N, ...] float32, pictures in [0, 1]."""
        return self._reconstructions(tf.constant(examples)).numpy()

    def _padded(self, examples: np.ndarray) -> tf.Tensor:
        """One shape for all, so that it is compiled once: the last batch is filled up."""
        missing = self._batch_size - len(examples)
        return tf.constant(np.concatenate([examples, np.zeros((missing, *examples.shape[1:]), examples.dtype)]))


def make_evaluator(model: Autoencoder, *, scale: float, batch_size: int, jit: bool) -> Evaluator:
    """An evaluator; `jit` compiles what is done to whole data sets with XLA."""

    def images_of(examples: tf.Tensor) -> tf.Tensor:
        return tf.cast(examples, tf.float32) * np.float32(1 / scale)

    @tf.function(jit_compile=jit)
    def errors(examples: tf.Tensor) -> tf.Tensor:
        images = images_of(examples)
        return tf.reduce_sum(tf.square(images - model(images)), axis=list(range(1, images.shape.rank)))

    @tf.function
    def reconstructions(examples: tf.Tensor) -> tf.Tensor:
        return model(images_of(examples))

    return Evaluator(errors, reconstructions, batch_size)
