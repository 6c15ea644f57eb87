"""How gradients change weights: Keras's optimizers, and what they have just done."""

from collections.abc import Sequence

import keras
import tensorflow as tf

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def apply(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    *,
    use_fused_kernels: bool,
) -> None:
    """Changes the variables and the optimizer's slots.

    Args:
      optimizer: built; a LossScaleOptimizer too.
      gradients: of each variable.
      variables: any of those that it was built for.
      by_kernels: each by one kernel of TensorFlow, where there is one for this optimizer. Keras's own arithmetic is
        some twelve of them, each of which reads and writes arrays of that size, unless XLA fuses them.
    """
    if use_fused_kernels and type(optimizer) is keras.optimizers.Adam:
        _apply_adam(optimizer, gradients, variables)
    else:
        optimizer.apply(gradients, variables)


def _apply_adam(
    optimizer: keras.optimizers.Adam, gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable]
) -> None:
    """Kingma and Ba 2015, section 2, with their epsilon hat; as Keras has it, but for rounding."""
    optimizer.iterations.assign_add(1)
    steps = tf.cast(optimizer.iterations.value, tf.float32)
    for variable, gradient in zip(variables, gradients, strict=True):
        place = optimizer._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.value.handle,
            m=optimizer._momentums[place].value.handle,
            v=optimizer._velocities[place].value.handle,
            beta1_power=tf.pow(optimizer.beta_1, steps),
            beta2_power=tf.pow(optimizer.beta_2, steps),
            lr=optimizer.learning_rate.value,
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )


def flat(tensors: Sequence[tf.Tensor | keras.Variable]) -> tf.Tensor:
    """All in one vector: one reduction instead of many, each of which XLA would have to compile."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)


def update(
    optimizer: keras.optimizers.Optimizer, gradients: tf.Tensor, variables: Sequence[keras.Variable]
) -> tf.Tensor:
    """What the last `apply` has subtracted from the variables, from the optimizer's slots as they are now; flat.

    Keeping the weights of before it to take the difference would cost every step a copy of them, not only logged ones.
    """
    rate = optimizer.learning_rate.value

    def slots(every: Sequence[keras.Variable]) -> tf.Tensor:
        return flat([every[optimizer._get_variable_index(variable)] for variable in variables])

    if isinstance(optimizer, keras.optimizers.Adam):  # Kingma and Ba 2015, section 2, with their epsilon hat
        steps = tf.cast(optimizer.iterations.value, tf.float32)
        rate = rate * tf.sqrt(1 - tf.pow(optimizer.beta_2, steps)) / (1 - tf.pow(optimizer.beta_1, steps))
        return rate * slots(optimizer._momentums) / (tf.sqrt(slots(optimizer._velocities)) + optimizer.epsilon)
    if isinstance(optimizer, keras.optimizers.RMSprop):
        return rate * gradients * tf.math.rsqrt(slots(optimizer._velocities) + optimizer.epsilon)
    return rate * gradients
