"""Peak memory of a whole run beside that of bare TensorFlow, which holds the same data, network and optimizer."""

import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from speed.contenders import CHECKOUT
from speed.workloads import WORKLOADS

STEPS = 200


def measure(names: Sequence[str], flags: Sequence[str]) -> None:
    """Prints both, and the ratio, for each workload."""
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, "-m", "speed.prepare", name, folder, *flags], cwd=CHECKOUT, check=True)
            bare = _peak([sys.executable, "-m", "speed.memory", name, folder])
            given = [*WORKLOADS[name].flags("float32"), *flags, f"--steps={STEPS}", f"--run_dir={folder}/run"]
            whole = _peak([sys.executable, str(CHECKOUT / "launch.py"), *given])
        print(f"{name}: {whole / 2**20:,.0f} MiB in a run, {bare / 2**20:,.0f} MiB bare: {whole / bare:.2f} times")


def _peak(command: Sequence[str]) -> int:
    """Bytes of resident memory that a process has had at most, as the kernel counts them; seen shortly before its end.

    Not `ru_maxrss`, which starts with what the process that forked it had.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, StopIteration):
            lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak = int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} has ended with {process.returncode}")
    return peak


def hold(name: str, folder: str) -> None:
    """Loads the data as they are stored, makes network and optimizer with Keras, and ends."""
    import tensorflow as tf

    from speed.with_keras import OPTIMIZERS, convolutional, dense
    from speed.workloads import Inputs

    workload, inputs = WORKLOADS[name], Inputs.read(pathlib.Path(folder))
    images = tf.constant(inputs.images)
    network = (dense if workload.model == "dense" else convolutional)(workload, inputs)
    optimizer = OPTIMIZERS[workload.optimizer](workload.learning_rate)
    optimizer.build(network.trainable_variables)
    assert images.shape[0] == workload.examples


if __name__ == "__main__":
    hold(*sys.argv[1:])
