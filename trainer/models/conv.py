"""Convolutional encoder and decoder (Masci, Meier, Ciresan and Schmidhuber, ICANN 2011), with strides for pooling."""

import keras
import tensorflow as tf

from trainer.models.layers import DECODER, ENCODER, LayerStack, NetworkSpec

KERNEL, STRIDE = 3, 2
LAYOUT = "channels_last"  # The default of Keras is an option of the user.


class SubPixel(keras.layers.Conv2D):
    """A sub-pixel convolution, which doubles height and width (Shi et al., CVPR 2016, section 3.2).

    Each pixel becomes 2x2 pixels. On a CPU it is as fast as a transposed convolution, and has more weights.

    Args:
      filters: channels of the output.
      size: (H, W) of the output: twice that of the input, or one less.
    """

    def __init__(self, filters: int, size: tuple[int, int], **options: object) -> None:
        super().__init__(filters * STRIDE**2, KERNEL, padding="same", data_format=LAYOUT, **options)
        self._output = (*size, filters)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns (N, H, W, filters)."""
        return input_shape[0], *self._output

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Enlarges the images, and crops them to the output size."""
        height, width, _ = self._output
        return tf.nn.depth_to_space(super().call(values), STRIDE)[:, :height, :width]


def conv(spec: NetworkSpec) -> LayerStack:
    """Returns stride-2 convolutions with the filters `hidden[:-1]`; `hidden[-1]` is the width of the code layer."""
    *filters, _ = spec.hidden
    *shape, channels = spec.shape
    sizes = [(shape[0], shape[1])]
    for _ in filters:
        sizes.append((-(-sizes[-1][0] // STRIDE), -(-sizes[-1][1] // STRIDE)))
    encoder = [
        keras.layers.Conv2D(
            count,
            KERNEL,
            strides=STRIDE,
            padding="same",
            data_format=LAYOUT,
            activation=spec.activation,
            name=f"hidden_{position + 1}",
            **spec.options(ENCODER, position),
        )
        for position, count in enumerate(filters)
    ]
    smallest = (*sizes[-1], filters[-1])
    decoder = [
        spec.dense(DECODER, 0, smallest[0] * smallest[1] * smallest[2]),
        keras.layers.Reshape(smallest, name="picture", dtype=spec.precision),
    ]
    decoder += [
        SubPixel(
            count,
            sizes[-2 - position],
            activation=spec.activation,
            name=f"hidden_{position + 2}",
            **spec.options(DECODER, position + 1),
        )
        for position, count in enumerate(filters[-2::-1])
    ]
    options = spec.options(DECODER, len(filters))
    pixels = SubPixel(channels, sizes[0], use_bias=False, name="pixels", **options)
    return LayerStack(encoder=encoder, decoder=decoder, pixels=pixels)
