"""Times a whole run against the bare compiled block, call by call, and prints the median ratio of several runs.

The run's time goes from the end of its first call to its last checkpoint, with everything in between: input, scalars,
evaluation, pictures, saving.
"""

import os
import statistics
import sys
import tempfile
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import tensorflow as tf

from trainer import config as configs
from trainer import datasets
from trainer import loop as loops
from trainer import run as runs
from trainer.rundir import RunDirectory

ROUNDS = 5


def pictures() -> datasets.Data:
    random = np.random.default_rng(0)
    splits = [random.integers(0, 256, (count, 32, 32, 1), dtype=np.uint8) for count in (5_000, 1_000)]
    train, evaluation = (datasets.Split(examples, np.zeros(len(examples), np.int64)) for examples in splits)
    return datasets.Data(
        name="random", train=train, evaluation=evaluation, label_names=("x",), scale=255.0, source="made here"
    )


def ratio(run: runs.Run) -> float:
    """Seconds of the bare block for the run's steps, by seconds of the run for them.

    After each call of the block that the run makes, the bare block does as many steps, its data at hand. So both see
    the same machine at the same time; on a shared one, timing them one after the other tells little.
    """
    plan, block, save = run.plan, run.block, run._save
    at_hand = tf.constant(
        np.resize(run.data.train.examples, (plan.steps_per_block, run.config.batch_size, *run.data.shape))
    )
    alone, times = [], []

    def timed_block(data: tf.Tensor, first: int, last: int) -> tf.Tensor:
        reports = block(data, first, last)
        reports.numpy()
        began = time.perf_counter()
        block(at_hand, 0, last - first).numpy()
        if times:  # The first call traces and compiles.
            alone.append(time.perf_counter() - began)
        times.append(time.perf_counter())
        return reports

    def timed_save(step: int, pending: loops.Pending) -> None:
        save(step, pending)
        times.append(time.perf_counter())

    run.block, run._save, run._finish = timed_block, timed_save, lambda step: None
    run.train()
    return sum(alone) / (times[-1] - times[0] - sum(alone))


def main() -> None:
    arguments = sys.argv[1:] or ["--hidden=100"]
    config, given = configs.parse(arguments)
    data = pictures()
    if "dataset" in given:
        data = datasets.load(config.dataset, datasets.Sources(config.data_dir, config.data_url), config.classes)
    ratios = []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            config = configs.parse([*arguments, f"--run_dir={folder}/run"])[0]
            directory = RunDirectory(config)
            with directory.locked():
                run = runs.Run(config, data, directory, None)
                run.floors.wait()  # They are computed once a data set, not again when a run goes on.
                ratios.append(ratio(run))
        print(f"round {number + 1}: {ratios[-1]:.1%}", flush=True)
    print(f"median: a whole run keeps {statistics.median(ratios):.1%} of the bare block's speed")


if __name__ == "__main__":
    main()
