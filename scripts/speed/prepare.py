"""Writes a workload's data and Hourglass's first weights, for all contenders to begin with."""

import pathlib
import sys

from speed.workloads import WORKLOADS, Inputs
from trainer import config as configs
from trainer.runs import builder
from trainer.runs.data import load


def main(name: str, folder: str, *flags: str) -> None:
    config, _ = configs.parse([*WORKLOADS[name].flags("float32"), *flags])
    data = load(config)
    model = builder.network(config, data, "float32")
    weights = {v.path.removeprefix("autoencoder/"): v.numpy() for v in model.trainable_variables}
    Inputs(data.train.examples, model.mean.numpy(), weights).write(pathlib.Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
