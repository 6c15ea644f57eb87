"""The specification of a network, and its layers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.models import small_batch_matmul

ENCODER, DECODER, LOG_VARIANCE = range(3)  # parts of a network, for the seeds of the initial weights


class Dense(keras.layers.Dense):
    """A Keras dense layer whose input is flattened."""

    flattens_input = True

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Returns activation(values W + b)."""
        if not small_batch_matmul.is_enabled():
            return super().call(values)
        outputs = small_batch_matmul.matmul(values, tf.convert_to_tensor(self.kernel))
        return self.activation(outputs + self.bias if self.use_bias else outputs)


class TiedDense(keras.layers.Layer):
    """A decoder layer with the transposed weights of an encoder layer, and its own bias.

    Tied weights: Vincent et al. 2008, section 2.1 (W' = W transposed).

    Args:
      source: the encoder layer.
      units: width of the output: the width of the encoder layer's input.
      activation: name of a Keras activation, or None.
      use_bias: True to add a bias.
    """

    flattens_input = True

    def __init__(
        self,
        source: Dense,
        units: int,
        *,
        name: str,
        activation: str | None,
        use_bias: bool,
        dtype: str,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        # Hidden in a function, so that Keras does not track the encoder layer as a sublayer.
        self._kernel_of_source = lambda: source.kernel
        self._units = units
        self._activation = keras.activations.get(activation)
        self._use_bias = use_bias

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the bias."""
        if self._use_bias:
            self.bias = self.add_weight(name="bias", shape=(self._units,), initializer="zeros")
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, int]:
        """Returns (N, units)."""
        return input_shape[0], self._units

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Returns activation(values W' + b)."""
        outputs = tf.matmul(values, tf.cast(self._kernel_of_source(), values.dtype), transpose_b=True)
        return self._activation(outputs + self.bias if self._use_bias else outputs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerStack:
    """The layers of a network, without the code layer.

    Attributes:
      encoder: the layers before the code layer, in order.
      decoder: the layers between the code and the output layer, in order.
      pixels: the output layer, without activation and bias; its output has the size of an example.
    """

    encoder: Sequence[keras.layers.Layer]
    decoder: Sequence[keras.layers.Layer]
    pixels: keras.layers.Layer


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """The specification of a network.

    Attributes:
      shape: shape of one example: (H, W, C) for an image, (D,) for a row.
      hidden: widths (or filters) of the encoder layers; the last is the width of the code.
      activation: activation of the hidden layers.
      precision: Keras dtype policy of the layers.
      seed: seed of the initial weights.
      tied: True if the decoder uses the transposed weights of the encoder.
      code: the code layer.
    """

    shape: tuple[int, ...]
    hidden: tuple[int, ...]
    activation: str
    precision: str
    seed: int
    tied: bool
    code: Dense

    def dense(self, part: int, position: int, width: int, *, source: Dense | None = None) -> keras.layers.Layer:
        """Returns a hidden layer of `width` units; with tied weights and a `source`, `source` transposed."""
        name = f"hidden_{position + 1}"
        if self.tied and source is not None:
            return TiedDense(source, width, name=name, activation=self.activation, use_bias=True, dtype=self.precision)
        return dense(name, width, self.activation, self.precision, (self.seed, part, position))

    def pixels(self, position: int, width: int, *, source: Dense | None = None) -> keras.layers.Layer:
        """Returns the output layer, of `width` units; with tied weights and a `source`, `source` transposed."""
        if self.tied and source is not None:
            return TiedDense(source, width, name="pixels", activation=None, use_bias=False, dtype=self.precision)
        return dense("pixels", width, None, self.precision, (self.seed, DECODER, position), use_bias=False)

    def options(self, part: int, position: int) -> dict[str, Any]:
        """Returns the arguments (initializer and dtype) that every other Keras layer needs."""
        return {"kernel_initializer": initializer((self.seed, part, position)), "dtype": self.precision}


def dense(
    name: str,
    width: int,
    activation: str | None,
    precision: str,
    key: Sequence[int],
    *,
    use_bias: bool = True,
) -> Dense:
    """Returns a fully connected layer; its initial weights are a function of `key`."""
    return Dense(
        width,
        name=name,  # Default names would depend on the number of layers created in this process.
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=initializer(key),
        dtype=precision,
    )


def initializer(key: Sequence[int]) -> keras.initializers.Initializer:
    """Returns the uniform initializer of Glorot and Bengio 2010, seeded by `key`."""
    return keras.initializers.GlorotUniform(seed=int(np.random.SeedSequence(key).generate_state(1)[0] >> 1))
