"""What a network is made from, and the layers it is made of."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.models import small_batch_matmul

ENCODER, DECODER, LOG_VARIANCE = range(3)  # which part a layer's initial weights belong to


class Dense(keras.layers.Dense):
    """Keras's, for values of any shape: they are flattened."""

    flattens_input = True

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """activation(values W + b)."""
        if not small_batch_matmul.are_skinny():
            return super().call(values)
        outputs = small_batch_matmul.skinny_product(values, tf.convert_to_tensor(self.kernel))
        return self.activation(outputs + self.bias if self.use_bias else outputs)


class TiedDense(keras.layers.Layer):
    """A decoder's layer whose weights are those of an encoder's layer, transposed; its bias is its own.

    Tied weights: Vincent et al. 2008, section 2.1 (W' = W transposed).

    Args:
      source: the encoder's layer.
      units: its inputs.
      activation: a Keras activation's name, or None.
      use_bias: whether there is a bias.
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
        # In a function, so that Keras does not take the encoder's layer for a part of this one.
        self._kernel_of_source = lambda: source.kernel
        self._units = units
        self._activation = keras.activations.get(activation)
        self._use_bias = use_bias

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the bias."""
        if self._use_bias:
            self.bias = self.add_weight(name="bias", shape=(self._units,), initializer="zeros")
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, int]:
        """(N, units)."""
        return input_shape[0], self._units

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """activation(values W' + b)."""
        outputs = tf.matmul(values, tf.cast(self._kernel_of_source(), values.dtype), transpose_b=True)
        return self._activation(outputs + self.bias if self._use_bias else outputs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerStack:
    """A network's layers, in order.

    Attributes:
      encoder: those between an image and the code's layer.
      decoder: those between a code and the last layer.
      pixels: the last, without activation and bias: as many numbers as an example has.
    """

    encoder: Sequence[keras.layers.Layer]
    decoder: Sequence[keras.layers.Layer]
    pixels: keras.layers.Layer


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """What a network is to be.

    Attributes:
      shape: of one example: (H, W, C) of a picture, (D,) of a row.
      hidden: what the encoder's layers are to have, the last being the width of the code.
      activation: of hidden layers.
      precision: the Keras dtype policy of the arithmetic.
      seed: of the initial weights.
      tied: whether the decoder uses the encoder's weights.
      code: the layer that ends the encoder.
    """

    shape: tuple[int, ...]
    hidden: tuple[int, ...]
    activation: str
    precision: str
    seed: int
    tied: bool
    code: Dense

    def dense(self, part: int, position: int, width: int, *, source: Dense | None = None) -> keras.layers.Layer:
        """A hidden layer of `width` units; with `source` and tied weights, that layer transposed."""
        name = f"hidden_{position + 1}"
        if self.tied and source is not None:
            return TiedDense(source, width, name=name, activation=self.activation, use_bias=True, dtype=self.precision)
        return dense(name, width, self.activation, self.precision, (self.seed, part, position))

    def pixels(self, position: int, width: int, *, source: Dense | None = None) -> keras.layers.Layer:
        """The last layer, of `width` numbers."""
        if self.tied and source is not None:
            return TiedDense(source, width, name="pixels", activation=None, use_bias=False, dtype=self.precision)
        return dense("pixels", width, None, self.precision, (self.seed, DECODER, position), use_bias=False)

    def options(self, part: int, position: int) -> dict[str, Any]:
        """What any other layer of Keras should be given."""
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
    """A fully connected layer whose initial weights depend on `key` alone."""
    return Dense(
        width,
        name=name,  # Keras's own would depend on how many layers this process has made.
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=initializer(key),
        dtype=precision,
    )


def initializer(key: Sequence[int]) -> keras.initializers.Initializer:
    """Glorot and Bengio 2010, uniform; a function of `key` alone."""
    return keras.initializers.GlorotUniform(seed=int(np.random.SeedSequence(key).generate_state(1)[0] >> 1))
