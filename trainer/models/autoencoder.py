"""What every network here is: an encoder and a decoder, around the training mean."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

Shape = tuple[int | None, ...]


class Posterior(NamedTuple):
    """What the encoder says of N images: the code, or in a variational network the distribution of it.

    Attributes:
      mean: [N, K] float32: the codes.
      log_variance: [N, K] float32, of a Gaussian without correlations; None where codes are not random.
    """

    mean: tf.Tensor
    log_variance: tf.Tensor | None


class Encoder(keras.layers.Layer):
    """[N, ...] float32 images -> what a code is drawn from, through one layer after the other.

    Args:
      hidden: layers before the code.
      code: the layer whose output is the code, or its mean.
      log_variance: the layer beside it in a variational network (Kingma and Welling 2014, appendix C.2); else None.
    """

    def __init__(
        self,
        hidden: Sequence[keras.layers.Layer],
        code: keras.layers.Dense,
        log_variance: keras.layers.Dense | None = None,
    ) -> None:
        super().__init__(name="encoder", dtype="float32")
        self.hidden = list(hidden)
        self.code = code
        if log_variance is not None:
            self.log_variance = log_variance

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """Those that lead to the code, in order."""
        return [*self.hidden, self.code]

    @property
    def is_variational(self) -> bool:
        """Whether codes are random."""
        return hasattr(self, "log_variance")

    def build(self, input_shape: Shape) -> None:
        """Makes the variables."""
        features = _build_layers(self.hidden, input_shape)
        _build_layers([self.code], features)
        if self.is_variational:
            _build_layers([self.log_variance], features)
        self.built = True

    def call(self, images: tf.Tensor) -> Posterior:
        """One layer after the other."""
        features = images
        for layer in self.hidden:
            features = apply(layer, features)
        mean = tf.cast(apply(self.code, features), tf.float32)
        if not self.is_variational:
            return Posterior(mean, None)
        return Posterior(mean, tf.cast(apply(self.log_variance, features), tf.float32))


class Decoder(keras.layers.Layer):
    """[N, K] codes -> [N, ...] float32 logits, through one layer after the other.

    Args:
      hidden: layers before the pixels.
      pixels: the last one, without activation and bias.
      bias: what it begins with, the shape of one example.
    """

    def __init__(self, hidden: Sequence[keras.layers.Layer], pixels: keras.layers.Layer, bias: np.ndarray) -> None:
        super().__init__(name="decoder", dtype="float32")
        self.hidden = list(hidden)
        self.pixels = pixels
        # Apart from its layer, so that it is added in float32: pixel values deserve more than bfloat16's 8 bits.
        self.bias = self.add_weight(name="bias", shape=bias.shape, initializer=constant(bias))

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """All of them, in order."""
        return [*self.hidden, self.pixels]

    def build(self, input_shape: Shape) -> None:
        """Makes the variables."""
        _build_layers(self.layers, input_shape)
        self.built = True

    def call(self, codes: tf.Tensor) -> tf.Tensor:
        """One layer after the other, then the shape of an example."""
        values = codes
        for layer in self.hidden:
            values = apply(layer, values)
        return self.shaped(apply(self.pixels, values))

    def shaped(self, values: tf.Tensor) -> tf.Tensor:
        """The last layer's output -> logits [N, ...] float32."""
        return tf.reshape(tf.cast(values, tf.float32), [-1, *self.bias.shape]) + self.bias


class Autoencoder(keras.Model):
    """images -> codes -> reconstructions.

    The encoder sees images less the training mean, so that the exported network takes plain ones, and tanh codes
    start in their linear range. The decoder returns logits: what the output activation is applied to.

    Args:
      encoder: [N, ...] centred float32 images -> the codes' distribution.
      decoder: [N, K] codes -> [N, ...] float32 logits.
      output_activation: a Keras activation's name.
      mean: the training mean, the shape of one example.
      unit: of a standardised table, [D]: what its own units are divided by before the network sees them; None: 1.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        output_activation: str,
        mean: np.ndarray,
        unit: np.ndarray | None = None,
    ) -> None:
        # Float32 here and in the encoder's and decoder's shells: only the layers inside follow the precision.
        super().__init__(name="autoencoder", dtype="float32")
        self.encoder = encoder
        self.decoder = decoder
        self.output_activation = keras.activations.get(output_activation)
        self.mean = self.add_weight(
            name="mean", shape=mean.shape, initializer=constant(mean), trainable=False, dtype="float32"
        )
        self.unit: keras.Variable | None = None
        if unit is not None:
            self.unit = self.add_weight(
                name="unit", shape=unit.shape, initializer=constant(unit), trainable=False, dtype="float32"
            )

    @property
    def code_size(self) -> int:
        """Numbers in a code."""
        return self.encoder.code.units

    @property
    def is_variational(self) -> bool:
        """Whether codes are random: `encode` then gives their mean."""
        return self.encoder.is_variational

    def build(self, input_shape: Shape) -> None:
        """Makes all variables."""
        self.decoder.build((None, self.code_size))
        self.encoder.build(input_shape)
        self.built = True

    def shape_summary(self) -> str:
        """What values become on their way through the network, such as `64 -> 9 -> 2 -> 9 -> 64`; for people."""
        shapes = [*_shapes(self.encoder.layers, self.mean.shape)]
        shapes += _shapes(self.decoder.layers, (self.code_size,))[1:]
        words = ["x".join(map(str, shape)) for shape in shapes]
        return " -> ".join(word for word, last in zip(words, [None, *words], strict=False) if word != last)

    def standardize(self, examples: tf.Tensor) -> tf.Tensor:
        """[N, ...] float32 in their own units (pictures: [0, 1]) -> as the network sees them."""
        return examples if self.unit is None else examples / self.unit

    def unstandardize(self, examples: tf.Tensor) -> tf.Tensor:
        """The inverse of `standardize`."""
        return examples if self.unit is None else examples * self.unit

    def posterior(self, images: tf.Tensor) -> Posterior:
        """[N, ...] float32, pictures in [0, 1] -> their codes, or the distribution of them."""
        return self.encoder(self.centered(images))

    def centered(self, images: tf.Tensor) -> tf.Tensor:
        """What the encoder sees."""
        with tf.name_scope("centring"):  # for those who look at the graph
            return images - self.mean

    def encode(self, images: tf.Tensor) -> tf.Tensor:
        """[N, ...] float32, pictures in [0, 1] -> codes [N, K] float32."""
        return self.posterior(images).mean

    def logits(self, codes: tf.Tensor) -> tf.Tensor:
        """Codes [N, K] -> [N, ...] float32, before the output activation."""
        return self.decoder(codes)

    def decode(self, codes: tf.Tensor) -> tf.Tensor:
        """Codes [N, K] -> reconstructions [N, ...] float32."""
        return self.output_activation(self.logits(codes))

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """[N, ...] float32, pictures in [0, 1] -> reconstructions, the same shape."""
        return self.decode(self.encode(images))


def constant(value: np.ndarray) -> keras.initializers.Initializer:
    """An initialiser that is an array: Keras's own takes only numbers."""
    return lambda shape, dtype=None: tf.constant(value, dtype or tf.float32, shape)


def apply(layer: keras.layers.Layer, values: tf.Tensor) -> tf.Tensor:
    """One layer, with [N, ...] made [N, D] for layers that take vectors."""
    if getattr(layer, "flattens_input", False):
        values = tf.reshape(values, [-1, math.prod(values.shape[1:])])
    return layer(values)


def _shapes(layers: Sequence[keras.layers.Layer], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """What goes into each layer, flattened where it takes vectors, and what comes out of the last."""
    seen = []
    for layer in layers:
        shape = (math.prod(shape),) if getattr(layer, "flattens_input", False) else shape
        seen.append(shape)
        shape = layer.compute_output_shape((None, *shape))[1:]
    return [*seen, shape]


def _build_layers(layers: Sequence[keras.layers.Layer], shape: Shape) -> Shape:
    for layer in layers:
        if getattr(layer, "flattens_input", False):
            shape = (shape[0], math.prod(size for size in shape[1:] if size))
        layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape
