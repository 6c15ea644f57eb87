"""What is trained, and the compiled functions that train and evaluate it."""

import dataclasses
import re
from collections.abc import Callable, Sequence

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
LOSS, LEARNING_RATE, LOSS_SCALE, GRADIENT_NORM, UPDATE_NORM, WEIGHT_NORM = range(6)
NUM_REPORTED = 6

GRADIENT_SCALE = 2.0**10  # keeps gradients in float16's range while they are looked at

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


def make_step(
    state: TrainState,
    loss: Loss,
    schedule: Schedule,
    *,
    scale: float,
    is_logged: Callable[[tf.Tensor], tf.Tensor] | None,
) -> Step:
    """One training step, to be compiled.

    Args:
      state: trained in place.
      loss: made small.
      schedule: of the learning rate.
      scale: what examples are divided by.
      is_logged: steps done (int64 scalar) -> whether its norms are wanted, else they are reported as 0; None: always.

    Returns:
      examples [B, ...] -> [6] float32: the step's loss, its learning rate, the loss scale after it, and the Euclidean
      norms of its gradients, of what it added to the weights, and of the weights after it.
    """
    variables = state.model.trainable_variables

    def step(examples: tf.Tensor) -> tf.Tensor:
        with tf.name_scope("input"):
            images = tf.cast(examples, tf.float32) * np.float32(1 / scale)  # [B, ...] in [0, 1]
        with tf.name_scope("schedule"):
            learning_rate = schedule(state.step) * state.damping
            state.optimizer.learning_rate.assign(learning_rate)
        with tf.GradientTape() as tape:
            codes = state.model.encode(images)
            outputs = state.model.logits(codes) if loss.takes_logits else state.model.decode(codes)
            with tf.name_scope("loss"):
                value = loss.function(images, outputs)
                scaled = state.scaler.scale_loss(value)
        gradients = tape.gradient(scaled, variables)
        unscale = 1.0 if state.scaler is state.optimizer else 1.0 / state.loss_scale
        with tf.name_scope("optimizer"):
            state.step.assign_add(1)
            state.scaler.apply(gradients, variables)

        def norms() -> tf.Tensor:
            unscaled = _flat(gradients) * unscale
            norm, update = tf.norm(unscaled), tf.norm(_update(state.optimizer, unscaled))
            # What is not finite was not applied, under float16.
            update = tf.where(tf.math.is_finite(norm), update, 0.0)
            return tf.stack([norm, update, tf.norm(_flat(variables))])

        with tf.name_scope("norms"):
            found = norms() if is_logged is None else tf.cond(is_logged(state.step), norms, lambda: tf.zeros([3]))
            return tf.concat([tf.stack([value, learning_rate, state.loss_scale]), found], axis=0)

    return step


def _flat(tensors: Sequence[tf.Tensor | keras.Variable]) -> tf.Tensor:
    """All in one vector: one reduction instead of many, each of which XLA would have to compile."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)


def _update(optimizer: keras.optimizers.Optimizer, gradients: tf.Tensor) -> tf.Tensor:
    """What the last `apply` has subtracted from the variables, from the optimizer's slots as they are now; flat.

    Keeping the weights of before it to take the difference would cost every step a copy of them, not only logged ones.
    """
    rate = optimizer.learning_rate.value
    if isinstance(optimizer, keras.optimizers.Adam):  # Kingma and Ba 2015, section 2, with their epsilon hat
        steps = tf.cast(optimizer.iterations.value, tf.float32)
        rate = rate * tf.sqrt(1 - tf.pow(optimizer.beta_2, steps)) / (1 - tf.pow(optimizer.beta_1, steps))
        return rate * _flat(optimizer._momentums) / (tf.sqrt(_flat(optimizer._velocities)) + optimizer.epsilon)
    if isinstance(optimizer, keras.optimizers.RMSprop):
        return rate * gradients * tf.math.rsqrt(_flat(optimizer._velocities) + optimizer.epsilon)
    return rate * gradients


def make_block(step: Step, *, jit: bool) -> Block:
    """The compiled block of training steps.

    Args:
      step: one of them.
      jit: compile with XLA.

    Returns:
      (examples [S, B, ...], first, last) -> [S, 6] float32: runs steps first to last - 1 of the block, and reports
      each as `make_step` has it; other rows are 0. The result does not depend on how a run is cut into calls, and one
      trace serves all of them.
    """
    # Only the loop is Python that AutoGraph has to convert; to look through all the rest takes it half a second.
    step = tf.autograph.experimental.do_not_convert(step)

    @tf.function(jit_compile=jit)
    def block(examples: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        # `while first < last`, not a loop over tf.range: XLA would compile that anew for every length.
        reports = tf.TensorArray(tf.float32, size=examples.shape[0], element_shape=[NUM_REPORTED])
        while first < last:
            reports = reports.write(first, step(examples[first]))
            first += 1
        return reports.stack()

    return lambda examples, first, last: block(examples, tf.constant(first), tf.constant(last))


def graph_of(step: Step, examples: tf.TensorSpec, model: Autoencoder) -> tf.compat.v1.GraphDef:
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


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the network makes of N examples, and in detail of P of them.

    Attributes:
      squared_errors: [N] float32, summed over pixels.
      losses: [N] float32, each example's share of the training loss.
      codes: [P, K] float32.
      reconstructions: [P, ...] float32, pictures in [0, 1].
    """

    squared_errors: np.ndarray
    losses: np.ndarray
    codes: np.ndarray
    reconstructions: np.ndarray


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """Looks at the network with the weights as they are, `batch_size` examples at a time.

    Attributes:
      loss: that it is trained with.
    """

    loss: Loss
    _model: Autoencoder
    _scale: float
    _batch_size: int
    _compiled: Callable[[tf.Tensor], tuple[tf.Tensor, ...]]
    _gradients: Callable[[tf.Tensor], list[tf.Tensor]]

    def measure(self, examples: np.ndarray, rows: Sequence[int] | np.ndarray = ()) -> Measured:
        """Measures [N, ...] examples as stored, N at least 1, and those of the numbers `rows`, ascending, in detail."""
        rows, size = np.asarray(rows, np.int64), self._batch_size
        errors, losses, codes, reconstructions = [], [], [], []
        for start in range(0, len(examples), size):
            found = self._compiled(self._padded(examples[start : start + size]))
            errors.append(found[0].numpy())
            losses.append(found[1].numpy())
            wanted = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + size)] - start
            codes.append(found[2].numpy()[wanted])
            reconstructions.append(found[3].numpy()[wanted])
        count = len(examples)
        return Measured(
            np.concatenate(errors)[:count],
            np.concatenate(losses)[:count],
            np.concatenate(codes),
            np.concatenate(reconstructions),
        )

    # These two eagerly: they are called a few times with a few examples, and tracing takes longer than that.

    def reconstruct(self, examples: np.ndarray) -> np.ndarray:
        """[N, ...] as stored, a few -> [N, ...] float32, pictures in [0, 1]."""
        return self._model(self._images(examples)).numpy()

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """[N, K] codes, a few -> [N, ...] float32, pictures in [0, 1]."""
        return self._model.decode(tf.constant(codes, tf.float32)).numpy()

    def weights(self) -> dict[str, np.ndarray]:
        """Trained weights by name, such as `encoder/code/kernel`."""
        return {_name(variable): variable.numpy() for variable in self._model.trainable_variables}

    def first_kernel(self) -> np.ndarray:
        """The weights that see the examples."""
        return self._model.encoder.trainable_variables[0].numpy()

    def gradients(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        """Gradients of the training loss of [N, ...] examples as stored, by the weights' names."""
        found = zip(self._model.trainable_variables, self._gradients(tf.constant(examples)), strict=True)
        return {_name(variable): gradient.numpy() / np.float32(GRADIENT_SCALE) for variable, gradient in found}

    def _images(self, examples: np.ndarray) -> tf.Tensor:
        return tf.cast(tf.constant(examples), tf.float32) * np.float32(1 / self._scale)

    def _padded(self, examples: np.ndarray) -> tf.Tensor:
        """One shape for all, so that it is compiled once: the last batch is filled up."""
        missing = self._batch_size - len(examples)
        return tf.constant(np.concatenate([examples, np.zeros((missing, *examples.shape[1:]), examples.dtype)]))


def _name(variable: keras.Variable) -> str:
    """The variable's path without the network's own name."""
    return variable.path.removeprefix("autoencoder/")


def make_evaluator(model: Autoencoder, loss: Loss, *, scale: float, batch_size: int, jit: bool) -> Evaluator:
    """An evaluator; `jit` compiles what is done to whole data sets with XLA."""

    @tf.function(jit_compile=jit, autograph=False)
    def measure(examples: tf.Tensor) -> tuple[tf.Tensor, ...]:
        images = tf.cast(examples, tf.float32) * np.float32(1 / scale)
        codes = model.encode(images)
        logits = model.logits(codes)
        reconstructions = model.output_activation(logits)
        errors = tf.reduce_sum(tf.square(images - reconstructions), axis=list(range(1, images.shape.rank)))
        losses = loss.examplewise(images, logits if loss.takes_logits else reconstructions)
        return errors, losses, codes, reconstructions

    @tf.function(autograph=False)
    def gradients(examples: tf.Tensor) -> list[tf.Tensor]:
        images = tf.cast(examples, tf.float32) * np.float32(1 / scale)
        with tf.GradientTape() as tape:
            codes = model.encode(images)
            outputs = model.logits(codes) if loss.takes_logits else model.decode(codes)
            value = loss.function(images, outputs) * GRADIENT_SCALE
        return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(value, model.trainable_variables)]

    return Evaluator(loss, model, scale, batch_size, measure, gradients)
