"""Hourglass's compiled block with its input pipeline, without scalars, evaluation, images or checkpoints."""

import pathlib
import sys
import tempfile

import numpy as np
import tensorflow as tf

from speed.protocol import serve
from speed.workloads import WORKLOADS, Inputs, Workload
from trainer import config as configs
from trainer.data.dataset import Dataset, Split
from trainer.runs import builder, planning
from trainer.training import pipeline


class Block:
    """Trains in compiled blocks of steps."""

    def __init__(self, workload: Workload, inputs: Inputs, flags: list[str]) -> None:
        self._workload = workload
        config, _ = configs.parse([*flags, "--log_every=0"])
        data = Dataset(
            name=workload.dataset,
            train=Split(inputs.images, np.zeros(len(inputs.images), np.int64)),
            evaluation=Split(inputs.images[:1], np.zeros(1, np.int64)),
            label_names=("x",),
            scale=255.0,
            source="",
        )
        device = builder.device(config, pathlib.Path(tempfile.gettempdir()))
        plan = planning.plan(config, data)
        with tf.device(device.name):
            model = builder.network(config, data, config.compute.precision)
            state = builder.state(config, model)
            for variable in model.trainable_variables:
                variable.assign(inputs.weights[variable.path.removeprefix("autoencoder/")])
            self._block = builder.block(config, data, state, plan, device)
            self._evaluator = builder.evaluator(config, data, model, device)
        self._device, self._images, self._size = device, inputs.images, plan.steps_per_block
        self._blocks = pipeline.blocks(
            inputs.images,
            batch_size=workload.batch_size,
            steps_per_block=self._size,
            seed=0,
            start_step=0,
        )
        self._data, self._offset = None, self._size

    def epochs(self, count: int) -> None:
        """Implements `protocol.Contender`."""
        remaining = count * self._workload.steps_per_epoch
        with tf.device(self._device.name):
            while remaining:
                if self._offset == self._size:
                    self._data, self._offset = tf.identity(next(self._blocks)), 0
                steps = min(remaining, self._size - self._offset)
                self._block(self._data, self._offset, self._offset + steps).numpy()
                remaining, self._offset = remaining - steps, self._offset + steps

    def loss(self) -> float:
        """Implements `protocol.Contender`."""
        with tf.device(self._device.name):
            return self._evaluator.evaluate(self._images).loss


def main(name: str, folder: str, precision: str, *flags: str) -> None:
    workload = WORKLOADS[name]
    serve(lambda: Block(workload, Inputs.read(pathlib.Path(folder)), [*workload.flags(precision), *flags]))


if __name__ == "__main__":
    main(*sys.argv[1:])
