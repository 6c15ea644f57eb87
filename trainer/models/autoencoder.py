"""The base of all networks: an encoder and a decoder around the training mean."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

Shape = tuple[int | None, ...]


class Posterior(NamedTuple):
    """The codes of N images, or their distributions in a variational network.

    Attributes:
      mean: [N, K] float32: the codes, or the means of their distributions.
      log_variance: [N, K] float32: log-variances of a diagonal Gaussian; None unless the network is variational.
    """

    mean: tf.Tensor
    log_variance: tf.Tensor | None


class Encoder(keras.layers.Layer):
    """The encoder: [N, ...] float32 images -> `Posterior`.

    Args:
      hidden: the layers before the code layer.
      code: the layer that returns the code, or its mean.
      log_variance: the layer that returns the log-variance (Kingma and Welling 2014, appendix C.2), or None.
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
        """The hidden layers and the code layer, in order."""
        return [*self.hidden, self.code]

    @property
    def is_variational(self) -> bool:
        """True if the encoder returns distributions of codes."""
        return hasattr(self, "log_variance")

    def build(self, input_shape: Shape) -> None:
        """Creates the variables."""
        features = _build_layers(self.hidden, input_shape)
        _build_layers([self.code], features)
        if self.is_variational:
            _build_layers([self.log_variance], features)
        self.built = True

    def call(self, images: tf.Tensor) -> Posterior:
        """Returns the codes or their distributions."""
        features = images
        for layer in self.hidden:
            features = apply_layer(layer, features)
        mean = tf.cast(apply_layer(self.code, features), tf.float32)
        if not self.is_variational:
            return Posterior(mean, None)
        return Posterior(mean, tf.cast(apply_layer(self.log_variance, features), tf.float32))


class Decoder(keras.layers.Layer):
    """The decoder: [N, K] codes -> [N, ...] float32 logits.

    Args:
      hidden: the layers before the output layer.
      pixels: the output layer, without activation and bias.
      bias: the initial output bias, in the shape of one example.
    """

    def __init__(self, hidden: Sequence[keras.layers.Layer], pixels: keras.layers.Layer, bias: np.ndarray) -> None:
        super().__init__(name="decoder", dtype="float32")
        self.hidden = list(hidden)
        self.pixels = pixels
        # Not in the output layer: the bias is added in float32, because bfloat16 has too few bits for pixel values.
        self.bias = self.add_weight(name="bias", shape=bias.shape, initializer=constant_initializer(bias))

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """All layers, in order."""
        return [*self.hidden, self.pixels]

    def build(self, input_shape: Shape) -> None:
        """Creates the variables."""
        _build_layers(self.layers, input_shape)
        self.built = True

    def call(self, codes: tf.Tensor) -> tf.Tensor:
        """Returns the logits."""
        values = codes
        for layer in self.hidden:
            values = apply_layer(layer, values)
        return self.to_logits(apply_layer(self.pixels, values))

    def to_logits(self, values: tf.Tensor) -> tf.Tensor:
        """Reshapes the output of the last layer to [N, ...] float32, and adds the bias."""
        return tf.reshape(tf.cast(values, tf.float32), [-1, *self.bias.shape]) + self.bias


class Autoencoder(keras.Model):
    """An autoencoder: images -> codes -> reconstructions.

    The network subtracts the training mean from its input, so that the exported network accepts original images, and
    tanh codes start in their linear range. The decoder returns logits, to which the output activation is applied.

    Args:
      encoder: [N, ...] centered float32 images -> codes or their distributions.
      decoder: [N, K] codes -> [N, ...] float32 logits.
      output_activation: name of a Keras activation.
      mean: the training mean, in the shape of one example.
      unit: [D] divisors that standardize the columns of a table; None: the examples are not standardized.
      offset: see `Dataset.offset`; the other arguments refer to examples from which it was subtracted.
      fills_missing: replace NaN in the input by the mean.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        output_activation: str,
        mean: np.ndarray,
        unit: np.ndarray | None = None,
        offset: np.ndarray | None = None,
        *,
        fills_missing: bool = False,
    ) -> None:
        # The model, the encoder and the decoder are float32. Only the layers inside use the chosen precision.
        super().__init__(name="autoencoder", dtype="float32")
        self.encoder = encoder
        self.decoder = decoder
        self.output_activation = keras.activations.get(output_activation)
        self._fills_missing = fills_missing
        self.mean = self.add_weight(
            name="mean", shape=mean.shape, initializer=constant_initializer(mean), trainable=False, dtype="float32"
        )
        self.unit: keras.Variable | None = None
        if unit is not None:
            self.unit = self.add_weight(
                name="unit", shape=unit.shape, initializer=constant_initializer(unit), trainable=False, dtype="float32"
            )
        self.offset: keras.Variable | None = None
        if offset is not None:
            self.offset = self.add_weight(
                name="offset",
                shape=offset.shape,
                initializer=constant_initializer(offset),
                trainable=False,
                dtype="float64",
            )

    @property
    def code_size(self) -> int:
        """Width of the code."""
        return self.encoder.code.units

    @property
    def is_variational(self) -> bool:
        """True if the encoder returns distributions of codes; `encode` then returns their means."""
        return self.encoder.is_variational

    def build(self, input_shape: Shape) -> None:
        """Creates all variables."""
        self.decoder.build((None, self.code_size))
        self.encoder.build(input_shape)
        self.built = True

    def shape_summary(self) -> str:
        """Returns the shapes of the values between layers as text, such as `64 -> 9 -> 2 -> 9 -> 64`."""
        shapes = [*_shapes(self.encoder.layers, self.mean.shape)]
        shapes += _shapes(self.decoder.layers, (self.code_size,))[1:]
        texts = ["x".join(map(str, shape)) for shape in shapes]
        return " -> ".join(text for text, previous in zip(texts, [None, *texts], strict=False) if text != previous)

    def standardize(self, examples: tf.Tensor) -> tf.Tensor:
        """Converts [N, ...] float32 examples from their original units (images: [0, 1]) to the network's units."""
        return examples if self.unit is None else examples / self.unit

    def unstandardize(self, examples: tf.Tensor) -> tf.Tensor:
        """Converts [N, ...] float32 examples from the network's units to their original units."""
        return examples if self.unit is None else examples * self.unit

    def subtract_offset(self, examples: tf.Tensor) -> tf.Tensor:
        """Converts [N, ...] float32 examples as in the source to examples as the training set stores them."""
        return examples if self.offset is None else tf.cast(tf.cast(examples, tf.float64) - self.offset, tf.float32)

    def add_offset(self, examples: tf.Tensor) -> tf.Tensor:
        """Converts [N, ...] float32 examples as the training set stores them to examples as in the source."""
        return examples if self.offset is None else tf.cast(tf.cast(examples, tf.float64) + self.offset, tf.float32)

    def posterior(self, images: tf.Tensor) -> Posterior:
        """Returns the codes, or their distributions, of [N, ...] float32 examples (images in [0, 1])."""
        return self.encoder(self.centered(images))

    def centered(self, images: tf.Tensor) -> tf.Tensor:
        """Returns [N, ...] float32 examples minus the mean, 0 for missing numbers: the input of the encoder."""
        with tf.name_scope("centring"):  # shown in TensorBoard's graph
            centered = images - self.mean
            if self._fills_missing:
                centered = tf.where(tf.math.is_nan(centered), tf.zeros_like(centered), centered)
            return centered

    def encode(self, images: tf.Tensor) -> tf.Tensor:
        """Encodes [N, ...] float32 examples (images in [0, 1]) to codes [N, K] float32."""
        return self.posterior(images).mean

    def logits(self, codes: tf.Tensor) -> tf.Tensor:
        """Decodes codes [N, K] to logits [N, ...] float32, before the output activation."""
        return self.decoder(codes)

    def decode(self, codes: tf.Tensor) -> tf.Tensor:
        """Decodes codes [N, K] to reconstructions [N, ...] float32."""
        return self.output_activation(self.logits(codes))

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Reconstructs [N, ...] float32 examples (images in [0, 1])."""
        return self.decode(self.encode(images))


def constant_initializer(value: np.ndarray) -> keras.initializers.Initializer:
    """Returns an initializer with the values of an array; Keras's own accepts only scalars."""
    return lambda shape, dtype=None: tf.constant(value, dtype or tf.float32, shape)


def apply_layer(layer: keras.layers.Layer, values: tf.Tensor) -> tf.Tensor:
    """Applies a layer; reshapes [N, ...] to [N, D] for layers that take vectors."""
    if getattr(layer, "flattens_input", False):
        values = tf.reshape(values, [-1, math.prod(values.shape[1:])])
    return layer(values)


def _shapes(layers: Sequence[keras.layers.Layer], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Returns the input shape of each layer, flattened for layers that take vectors, and the last output shape."""
    shapes = []
    for layer in layers:
        shape = (math.prod(shape),) if getattr(layer, "flattens_input", False) else shape
        shapes.append(shape)
        shape = layer.compute_output_shape((None, *shape))[1:]
    return [*shapes, shape]


def _build_layers(layers: Sequence[keras.layers.Layer], shape: Shape) -> Shape:
    for layer in layers:
        if getattr(layer, "flattens_input", False):
            shape = (shape[0], math.prod(size for size in shape[1:] if size))
        layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape
