"""The peak memory of a run, compared with that of bare TensorFlow with the same data, network and optimizer."""

import os
import pathlib
import sys
import tempfile
from collections.abc import Sequence

import measure as measuring
from processes import LAUNCH, environment

from speed import prepare
from speed.workloads import WORKLOADS, Inputs

STEPS = 200


def measure(names: Sequence[str], flags: Sequence[str]) -> None:
    """Prints both, and their ratio, for each workload."""
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            prepare.in_process(name, folder, flags)
            bare = _peak([sys.executable, "-m", "speed.memory", name, folder])
            run_flags = [*WORKLOADS[name].flags("float32"), *flags, f"--steps={STEPS}", f"--run_dir={folder}/run"]
            run = _peak([*LAUNCH, *run_flags])
        print(f"{name}: {run / 2**20:,.0f} MiB in a run, {bare / 2**20:,.0f} MiB bare: {run / bare:.2f} times")


def _peak(command: Sequence[str]) -> int:
    done = measuring.run(command, folder=os.curdir, environment=environment())
    if done.code:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {done.code}:\n{done.err[-3000:]}")
    return done.peak_bytes


def hold(name: str, folder: str) -> None:
    """Loads the data, and builds the network and the optimizer with Keras."""
    import tensorflow as tf

    from speed.with_keras import OPTIMIZERS, convolutional, dense

    workload, inputs = WORKLOADS[name], Inputs.read(pathlib.Path(folder))
    images = tf.constant(inputs.images)
    network = (dense if workload.model == "dense" else convolutional)(workload, inputs)
    optimizer = OPTIMIZERS[workload.optimizer](workload.learning_rate)
    optimizer.build(network.trainable_variables)
    assert images.shape[0] == workload.examples


if __name__ == "__main__":
    hold(*sys.argv[1:])
