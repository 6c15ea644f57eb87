"""The peak memory of a run, compared with that of bare TensorFlow with the same data, network and optimizer."""

import os
import pathlib
import sys
import tempfile
from collections.abc import Sequence

import measure as measuring
from processes import LAUNCH, environment

from speed import prepare
from speed.workloads import WORKLOADS, Inputs, Workload

STEPS = 200
BUILT, TRAINED = "built", "trained"


def measure(names: Sequence[str], flags: Sequence[str]) -> None:
    """Prints the peaks for each workload.

    The first run computes the baselines. The second continues it for as many steps, and reads them from a file.
    """
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            prepare.in_process(name, folder, flags)
            bare = {
                kind: _peak([sys.executable, "-m", "speed.memory", name, folder, kind]) for kind in (BUILT, TRAINED)
            }
            run_flags = [*WORKLOADS[name].flags("float32"), *flags, f"--run_dir={folder}/run"]
            first, second = (_peak([*LAUNCH, *run_flags, f"--steps={times * STEPS}"]) for times in (1, 2))
        print(f"{name}: MiB of bare TensorFlow: {_mib(bare[BUILT])} {BUILT}, {_mib(bare[TRAINED])} {TRAINED}")
        for title, peak in (("a run", first), ("continued", second)):
            print(f"{name}: {_mib(peak)} MiB in {title}: {', '.join(_ratios(peak, bare))}")


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.0f}"


def _ratios(peak: int, bare: dict[str, int]) -> list[str]:
    return [f"{peak / num_bytes:.2f} times {kind}" for kind, num_bytes in bare.items()]


def _peak(command: Sequence[str]) -> int:
    done = measuring.run(command, folder=os.curdir, environment=environment())
    if done.code:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {done.code}:\n{done.err[-3000:]}")
    return done.peak_bytes


def hold(name: str, folder: str, kind: str) -> None:
    """Loads the data, and builds the network and the optimizer with Keras. `TRAINED`: trains it for `STEPS` steps."""
    import tensorflow as tf

    from speed.with_keras import OPTIMIZERS, convolutional, dense

    workload, inputs = WORKLOADS[name], Inputs.read(pathlib.Path(folder))
    images = tf.constant(inputs.images)
    network = (dense if workload.model == "dense" else convolutional)(workload, inputs)
    optimizer = OPTIMIZERS[workload.optimizer](workload.learning_rate)
    optimizer.build(network.trainable_variables)
    assert images.shape[0] == workload.examples
    if kind == TRAINED:
        _train(network, optimizer, images, workload)


def _train(network, optimizer, images, workload: Workload) -> None:
    import tensorflow as tf

    @tf.function
    def step(batch: tf.Tensor) -> None:
        batch = tf.reshape(tf.cast(batch, tf.float32) / 255, [len(batch), *network.input_shape[1:]])
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(network(batch) - batch))
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for index in range(STEPS):
        start = index % workload.steps_per_epoch * workload.batch_size
        step(images[start : start + workload.batch_size])


if __name__ == "__main__":
    hold(*sys.argv[1:])
