"""What every network here is: an encoder and a decoder, around the training mean."""

import keras
import numpy as np
import tensorflow as tf


class Autoencoder(keras.Model):
    """images -> codes -> reconstructions.

    The encoder sees images less the training mean, so that the exported network takes plain ones, and tanh codes
    start in their linear range. The decoder returns logits: what the output activation is applied to.

    Args:
      encoder: [N, ...] centred float32 images -> [N, K] float32 codes.
      decoder: [N, K] codes -> [N, ...] float32 logits.
      output_activation: a Keras activation's name.
      mean: the training mean, the shape of one example.
    """

    def __init__(
        self, encoder: keras.layers.Layer, decoder: keras.layers.Layer, output_activation: str, mean: np.ndarray
    ) -> None:
        # Float32 here and in the encoder's and decoder's shells: only the layers inside follow the precision.
        super().__init__(name="autoencoder", dtype="float32")
        self.encoder = encoder
        self.decoder = decoder
        self.output_activation = keras.activations.get(output_activation)
        self.mean = self.add_weight(
            name="mean", shape=mean.shape, initializer=constant(mean), trainable=False, dtype="float32"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes all variables."""
        self.decoder.build(self.encoder.compute_output_shape(input_shape))
        self.encoder.build(input_shape)
        self.built = True

    def encode(self, images: tf.Tensor) -> tf.Tensor:
        """[N, ...] float32, pictures in [0, 1] -> codes [N, K] float32."""
        with tf.name_scope("centring"):  # for those who look at the graph
            centred = images - self.mean
        return self.encoder(centred)

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
