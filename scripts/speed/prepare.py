"""Writes the data of a workload and Hourglass's initial weights, with which all contenders begin."""

import pathlib
import subprocess
import sys
from collections.abc import Sequence

from processes import environment

from speed.workloads import WORKLOADS, Inputs


def in_process(name: str, folder: str, flags: Sequence[str], **changes: str) -> None:
    """Calls `main` in a new process, so that this one does not import TensorFlow."""
    command = [sys.executable, "-m", "speed.prepare", name, folder, *flags]
    subprocess.run(command, env=environment(**changes), check=True, stderr=subprocess.DEVNULL)


def main(name: str, folder: str, *flags: str) -> None:
    from trainer import config as configs
    from trainer.runs import builder
    from trainer.runs.data import load

    config, _ = configs.parse([*WORKLOADS[name].flags("float32"), *flags])
    data = load(config)
    model = builder.network(config, data, "float32")
    weights = {v.path.removeprefix("autoencoder/"): v.numpy() for v in model.trainable_variables}
    Inputs(data.train.examples, model.mean.numpy(), weights).write(pathlib.Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
