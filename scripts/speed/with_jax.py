"""JAX: one compiled `lax.scan` per epoch, optimizers as in the papers; dense networks only."""

import pathlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from speed.protocol import serve
from speed.workloads import WORKLOADS, Inputs, Workload, activations, layers

ACTIVATIONS = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "linear": lambda values: values}
Tree = Any


def rmsprop(rate: float, weights: Tree, slots: Tree, gradients: Tree, step: jax.Array) -> tuple[Tree, Tree]:
    """Applies RMSProp (Hinton, lecture 6e) with Keras's constants."""
    means = jax.tree.map(lambda v, g: 0.9 * v + 0.1 * g * g, slots[0], gradients)
    return jax.tree.map(lambda w, v, g: w - rate * g * jax.lax.rsqrt(v + 1e-7), weights, means, gradients), (means,)


def adam(rate: float, weights: Tree, slots: Tree, gradients: Tree, step: jax.Array) -> tuple[Tree, Tree]:
    """Applies Adam (Kingma and Ba 2015, section 2) with Keras's constants."""
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, slots[0], gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, slots[1], gradients)
    rate = rate * jnp.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    return jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, first, second), (first, second)


OPTIMIZERS = {"rmsprop": (rmsprop, 1), "adam": (adam, 2)}


class Scan:
    """Trains an epoch per call; the state is donated, so that it is updated in place."""

    def __init__(self, workload: Workload, inputs: Inputs, precision: str) -> None:
        update, num_slots = OPTIMIZERS[workload.optimizer]
        kinds = [ACTIVATIONS[name] for name in activations(workload)]
        mean = jnp.asarray(inputs.mean.ravel())
        dtype = jnp.bfloat16 if precision == "mixed_bfloat16" else jnp.float32
        self._images = jnp.asarray(inputs.images.reshape(len(inputs.images), -1))
        weights = [tuple(map(jnp.asarray, pair)) for pair in layers(inputs.weights)]
        self._state = (weights, tuple(jax.tree.map(jnp.zeros_like, weights) for _ in range(num_slots)), jnp.zeros(()))
        self._workload, self._random = workload, np.random.default_rng(0)

        def loss(weights: Tree, images: jax.Array) -> jax.Array:
            values = (images - mean).astype(dtype)
            for (kernel, bias), activation in zip(weights, kinds, strict=True):
                values = activation(values @ kernel.astype(dtype) + bias.astype(dtype))
            return jnp.square(values.astype(jnp.float32) - images).mean()

        def step(state: Tree, images: jax.Array) -> tuple[Tree, jax.Array]:
            weights, slots, count = state
            value, gradients = jax.value_and_grad(loss)(weights, images.astype(jnp.float32) / 255)
            weights, slots = update(workload.learning_rate, weights, slots, gradients, count + 1)
            return (weights, slots, count + 1), value

        def epoch(state: Tree, images: jax.Array, order: jax.Array) -> tuple[Tree, jax.Array]:
            return jax.lax.scan(lambda state, rows: step(state, images[rows]), state, order)

        self._epoch = jax.jit(epoch, donate_argnums=0)
        self._loss = jax.jit(lambda weights, images: loss(weights, images.astype(jnp.float32) / 255))

    def epochs(self, count: int) -> None:
        """Implements `protocol.Contender`."""
        size, steps = self._workload.batch_size, self._workload.steps_per_epoch
        for _ in range(count):
            order = self._random.permutation(len(self._images))[: steps * size].reshape(steps, size)
            self._state, losses = self._epoch(self._state, self._images, order)
        losses.block_until_ready()

    def loss(self) -> float:
        """Implements `protocol.Contender`."""
        parts = jnp.split(self._images, 10)
        return float(np.mean([float(self._loss(self._state[0], part)) for part in parts]))


def main(name: str, folder: str, precision: str) -> None:
    serve(lambda: Scan(WORKLOADS[name], Inputs.read(pathlib.Path(folder)), precision))


if __name__ == "__main__":
    main(*sys.argv[1:])
