"""Keras's optimizers, faster updates with fused kernels, and the size of the last update."""

from collections.abc import Sequence

import keras
import tensorflow as tf

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    *,
    use_fused_kernels: bool,
) -> None:
    """Updates the variables and the optimizer slots.

    Args:
      optimizer: built; may be a LossScaleOptimizer.
      gradients: the gradient of each variable.
      variables: all or a subset of the variables that the optimizer was built for.
      use_fused_kernels: update each variable with one TensorFlow kernel, if there is one for this optimizer. Keras runs
        about twelve operations, each of which reads and writes arrays of the variable's size unless XLA fuses them.
    """
    if use_fused_kernels and type(optimizer) is keras.optimizers.Adam:
        _apply_adam(optimizer, gradients, variables)
    else:
        optimizer.apply(gradients, variables)


def _apply_adam(
    optimizer: keras.optimizers.Adam, gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable]
) -> None:
    """Applies Adam (Kingma and Ba 2015, section 2, with epsilon hat); equal to Keras's update except for rounding."""
    optimizer.iterations.assign_add(1)
    steps = tf.cast(optimizer.iterations.value, tf.float32)
    for variable, gradient in zip(variables, gradients, strict=True):
        index = optimizer._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.value.handle,
            m=optimizer._momentums[index].value.handle,
            v=optimizer._velocities[index].value.handle,
            beta1_power=tf.pow(optimizer.beta_1, steps),
            beta2_power=tf.pow(optimizer.beta_2, steps),
            lr=optimizer.learning_rate.value,
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )


def flatten(tensors: Sequence[tf.Tensor | keras.Variable]) -> tf.Tensor:
    """Concatenates all tensors to one vector: one reduction instead of many, each of which XLA would compile."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)


def last_update(
    optimizer: keras.optimizers.Optimizer, gradients: tf.Tensor, variables: Sequence[keras.Variable]
) -> tf.Tensor:
    """Returns the vector that the last `apply_gradients` subtracted from the variables, computed from the slots.

    The difference of the weights would need a copy of them before every step, not only before logged steps.
    """
    rate = optimizer.learning_rate.value

    def flat(slots: Sequence[keras.Variable]) -> tf.Tensor:
        return flatten([slots[optimizer._get_variable_index(variable)] for variable in variables])

    if isinstance(optimizer, keras.optimizers.Adam):  # Kingma and Ba 2015, section 2, with epsilon hat
        steps = tf.cast(optimizer.iterations.value, tf.float32)
        rate = rate * tf.sqrt(1 - tf.pow(optimizer.beta_2, steps)) / (1 - tf.pow(optimizer.beta_1, steps))
        return rate * flat(optimizer._momentums) / (tf.sqrt(flat(optimizer._velocities)) + optimizer.epsilon)
    if isinstance(optimizer, keras.optimizers.RMSprop):
        return rate * gradients * tf.math.rsqrt(flat(optimizer._velocities) + optimizer.epsilon)
    return rate * gradients
