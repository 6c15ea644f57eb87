"""Convolutional encoder and decoder (Masci, Meier, Ciresan and Schmidhuber, ICANN 2011), with strides for pooling."""

import keras
import tensorflow as tf

from trainer.models.layers import DECODER, ENCODER, LayerStack, NetworkSpec

KERNEL, STRIDE = 3, 2


class SubPixel(keras.layers.Conv2D):
    """A convolution to pictures of twice the height and width, or one less: Shi et al., CVPR 2016, section 3.2.

    Each pixel becomes a square of four. On a CPU as fast as a transposed convolution, which has fewer weights for it.

    Args:
      filters: channels of the output.
      size: (H, W) of the output.
    """

    def __init__(self, filters: int, size: tuple[int, int], **options: object) -> None:
        super().__init__(filters * STRIDE**2, KERNEL, padding="same", **options)
        self._output = (*size, filters)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(N, H, W, filters)."""
        return input_shape[0], *self._output

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Enlarges, and cuts off the row and the column that are too many."""
        height, width, _ = self._output
        return tf.nn.depth_to_space(super().call(values), STRIDE)[:, :height, :width]


def conv(blueprint: NetworkSpec) -> LayerStack:
    """A convolution of stride 2 for each number of filters in `hidden`, whose last is the width of a dense code."""
    *filters, _ = blueprint.hidden
    *shape, channels = blueprint.shape
    sizes = [(shape[0], shape[1])]
    for _ in filters:
        sizes.append((-(-sizes[-1][0] // STRIDE), -(-sizes[-1][1] // STRIDE)))
    encoder = [
        keras.layers.Conv2D(
            count,
            KERNEL,
            strides=STRIDE,
            padding="same",
            activation=blueprint.activation,
            name=f"hidden_{position + 1}",
            **blueprint.options(ENCODER, position),
        )
        for position, count in enumerate(filters)
    ]
    smallest = (*sizes[-1], filters[-1])
    decoder = [
        blueprint.dense(DECODER, 0, smallest[0] * smallest[1] * smallest[2]),
        keras.layers.Reshape(smallest, name="picture", dtype=blueprint.precision),
    ]
    decoder += [
        SubPixel(
            count,
            sizes[-2 - position],
            activation=blueprint.activation,
            name=f"hidden_{position + 2}",
            **blueprint.options(DECODER, position + 1),
        )
        for position, count in enumerate(filters[-2::-1])
    ]
    options = blueprint.options(DECODER, len(filters))
    pixels = SubPixel(channels, sizes[0], use_bias=False, name="pixels", **options)
    return LayerStack(encoder=encoder, decoder=decoder, pixels=pixels)
