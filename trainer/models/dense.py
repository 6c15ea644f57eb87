"""Fully connected encoder and decoder, as in Hinton and Salakhutdinov, Science 313, 2006."""

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from trainer.models.autoencoder import Autoencoder, constant


class Encoder(keras.layers.Layer):
    """[N, ...] float32 images -> [N, K] float32 codes, through layers of the given widths, the last of which is K."""

    def __init__(
        self, widths: Sequence[int], *, activation: str, code_activation: str, precision: str, seed: int
    ) -> None:
        super().__init__(name="encoder", dtype="float32")
        *hidden, code = widths
        self.hidden = [
            _dense(f"hidden_{position + 1}", width, activation, precision, (seed, 0, position))
            for position, width in enumerate(hidden)
        ]
        self.code = _dense("code", code, code_activation, precision, (seed, 0, len(hidden)))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the variables."""
        _build_chain([*self.hidden, self.code], math.prod(size for size in input_shape[1:] if size))
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, int]:
        """(N, K)."""
        return input_shape[0], self.code.units

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Flattens, then one layer after the other."""
        values = tf.reshape(images, [-1, math.prod(images.shape[1:])])  # [N, D]
        for layer in self.hidden:
            values = layer(values)
        return tf.cast(self.code(values), tf.float32)


class Decoder(keras.layers.Layer):
    """[N, K] codes -> [N, ...] float32 logits, through layers of the given widths."""

    def __init__(
        self,
        widths: Sequence[int],
        shape: Sequence[int],
        *,
        activation: str,
        bias: np.ndarray,
        precision: str,
        seed: int,
    ) -> None:
        super().__init__(name="decoder", dtype="float32")
        self.shape = tuple(shape)
        self.hidden = [
            _dense(f"hidden_{position + 1}", width, activation, precision, (seed, 1, position))
            for position, width in enumerate(widths)
        ]
        self.pixels = _dense("pixels", math.prod(shape), None, precision, (seed, 1, len(widths)), use_bias=False)
        # Apart from its layer, so that it is added in float32: pixel values deserve more than bfloat16's 8 bits.
        self.bias = self.add_weight(name="bias", shape=self.shape, initializer=constant(bias))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the variables."""
        _build_chain([*self.hidden, self.pixels], input_shape[-1])
        self.built = True

    def call(self, codes: tf.Tensor) -> tf.Tensor:
        """One layer after the other, then the shape of an example."""
        values = codes
        for layer in self.hidden:
            values = layer(values)
        return tf.reshape(tf.cast(self.pixels(values), tf.float32), [-1, *self.shape]) + self.bias


def autoencoder(
    *,
    mean: np.ndarray,
    hidden: Sequence[int],
    activation: str,
    code_activation: str,
    output_activation: str,
    precision: str,
    seed: int,
) -> Autoencoder:
    """Encoder widths `hidden`, and the decoder that mirrors them."""
    encoder = Encoder(hidden, activation=activation, code_activation=code_activation, precision=precision, seed=seed)
    decoder = Decoder(
        hidden[-2::-1],
        mean.shape,
        activation=activation,
        bias=_bias_for(mean, output_activation),
        precision=precision,
        seed=seed,
    )
    return Autoencoder(encoder, decoder, output_activation, mean)


def _bias_for(mean: np.ndarray, output_activation: str) -> np.ndarray:
    """The output's bias that reconstructs the training mean: a start that spares the first hundreds of steps.

    Where the activation's range does not allow it, 0.
    """
    if output_activation == "linear":
        return mean
    if output_activation == "sigmoid":
        inside = np.clip(mean, 0.01, 0.99)
        return np.log(inside / (1 - inside))
    return np.zeros_like(mean)


def _dense(
    name: str, width: int, activation: str | None, precision: str, key: Sequence[int], use_bias: bool = True
) -> keras.layers.Dense:
    """A layer whose initial weights depend on `key` alone."""
    seed = int(np.random.SeedSequence(key).generate_state(1)[0] >> 1)
    return keras.layers.Dense(
        width,
        name=name,  # Keras's own would depend on how many layers this process has made.
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        dtype=precision,
    )


def _build_chain(layers: Sequence[keras.layers.Dense], width: int | None) -> None:
    for layer in layers:
        layer.build((None, width))
        width = layer.units
