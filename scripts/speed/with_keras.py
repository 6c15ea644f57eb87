"""Keras's `fit`, and a plain `tf.function` per step, as users write them."""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from speed.protocol import Contender, serve
from speed.workloads import WORKLOADS, Inputs, Workload, activations, layers

OPTIMIZERS = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}


def dense(workload: Workload, inputs: Inputs) -> keras.Model:
    """Returns a network from [N, D] images in [0, 1] to reconstructions."""
    network = keras.Sequential([keras.Input((workload.widths[0],)), keras.layers.Rescaling(1.0, -inputs.mean.ravel())])
    for (kernel, bias), activation in zip(layers(inputs.weights), activations(workload), strict=True):
        layer = keras.layers.Dense(kernel.shape[1], activation)
        network.add(layer)
        layer.set_weights([kernel, bias])
    return network


class SubPixel(keras.layers.Layer):
    """Rearranges groups of four channels to squares of four pixels."""

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Maps [N, H, W, 4C] to [N, 2H, 2W, C]."""
        return tf.nn.depth_to_space(values, 2)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the output."""
        count, height, width, channels = shape
        return count, 2 * height, 2 * width, channels // 4


def convolutional(workload: Workload, inputs: Inputs) -> keras.Model:
    """Returns a network from [N, H, W, C] images in [0, 1] to reconstructions, with two stages of stride 2."""
    first, second, code = workload.hidden
    height, width, channels = workload.shape
    smallest = (height // 4, width // 4, second)
    kinds, weights = keras.layers, inputs.weights
    network = keras.Sequential(
        [
            keras.Input(workload.shape),
            kinds.Rescaling(1.0, -inputs.mean),
            kinds.Conv2D(first, 3, 2, "same", activation="relu", name="encoder_hidden_1"),
            kinds.Conv2D(second, 3, 2, "same", activation="relu", name="encoder_hidden_2"),
            kinds.Flatten(),
            kinds.Dense(code, name="encoder_code"),
            kinds.Dense(int(np.prod(smallest)), activation="relu", name="decoder_hidden_1"),
            kinds.Reshape(smallest),
            kinds.Conv2D(first * 4, 3, padding="same", activation="relu", name="decoder_hidden_2"),
            SubPixel(),
            kinds.Conv2D(channels * 4, 3, padding="same", use_bias=False, name="decoder_pixels"),
            SubPixel(),
            Bias(weights["decoder/bias"]),
        ]
    )
    for layer in network.layers:
        part, _, name = layer.name.partition("_")
        arrays = [weights.get(f"{part}/{name}/{kind}") for kind in ("kernel", "bias")]
        if arrays[0] is not None:
            layer.set_weights([array for array in arrays if array is not None])
    return network


class Bias(keras.layers.Layer):
    """Adds a trainable bias to each pixel."""

    def __init__(self, first: np.ndarray) -> None:
        super().__init__()
        self._first = first

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the biases."""
        self.bias = self.add_weight(shape=self._first.shape, initializer=lambda *_, **__: tf.constant(self._first))

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Returns the sum."""
        return values + self.bias


class _Trained:
    """The network, the optimizer and the loss."""

    def __init__(self, workload: Workload, inputs: Inputs, precision: str) -> None:
        keras.config.set_dtype_policy(precision)
        flat = workload.model == "dense"
        shape = (-1, workload.widths[0]) if flat else (-1, *workload.shape)
        self.images = inputs.images.reshape(shape).astype(np.float32) / 255
        self.network = (dense if flat else convolutional)(workload, inputs)
        self.optimizer = OPTIMIZERS[workload.optimizer](workload.learning_rate)
        self.workload = workload

    def loss(self) -> float:
        """Implements `protocol.Contender`."""
        losses = [
            np.square(np.asarray(self.network(part), np.float32) - part).mean(dtype=np.float64)
            for part in np.split(self.images, 10)
        ]
        return float(np.mean(losses))


class Fit(_Trained):
    """`compile` and `fit`; `best` sets the steps per call to an epoch, and uses XLA."""

    def __init__(self, workload: Workload, inputs: Inputs, precision: str, *, best: bool) -> None:
        super().__init__(workload, inputs, precision)
        options = {"steps_per_execution": workload.steps_per_epoch, "jit_compile": True} if best else {}
        self.network.compile(self.optimizer, "mse", **options)

    def epochs(self, count: int) -> None:
        """Implements `protocol.Contender`."""
        size, images = self.workload.batch_size, self.images[: self.workload.steps_per_epoch * self.workload.batch_size]
        self.network.fit(images, images, batch_size=size, epochs=count, verbose=0)


class Function(_Trained):
    """A `tf.function` per step over a `tf.data.Dataset`, as in TensorFlow's guides."""

    def __init__(self, workload: Workload, inputs: Inputs, precision: str) -> None:
        super().__init__(workload, inputs, precision)
        self._dataset = (
            tf.data.Dataset.from_tensor_slices(self.images)
            .shuffle(len(self.images))
            .batch(workload.batch_size, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )

        @tf.function
        def step(images: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(tf.cast(self.network(images), tf.float32) - images))
            variables = self.network.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            return loss

        self._step = step

    def epochs(self, count: int) -> None:
        """Implements `protocol.Contender`."""
        for _ in range(count):
            for images in self._dataset:
                loss = self._step(images)
        loss.numpy()


def main(name: str, folder: str, precision: str, kind: str) -> None:
    def make() -> Contender:
        workload, inputs = WORKLOADS[name], Inputs.read(pathlib.Path(folder))
        if kind == "function":
            return Function(workload, inputs, precision)
        return Fit(workload, inputs, precision, best=kind == "best")

    serve(make)


if __name__ == "__main__":
    main(*sys.argv[1:])
