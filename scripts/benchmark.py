"""Times a whole run against the bare compiled block, call by call, and prints the median ratio of several runs.

The run's time goes from the end of its first call to its last checkpoint, with everything in between: input, scalars,
evaluation, pictures, saving. `summaries [flags]` times instead what of it is TensorBoard's, evaluation included: the
time spent on it, and, run about run, the whole time with all of it and with none.
"""

import contextlib
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import tensorflow as tf

from trainer import config as configs
from trainer import datasets
from trainer import loop as loops
from trainer import run as runs
from trainer.recorder import Recorder
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


# What the recorder does between the first step and the last.
RECORDED = {"log": None, "evaluate": "", "picture": None, "saved": None, "flush": None}


def summaries(run: runs.Run, *, wanted: bool) -> tuple[float, float]:
    """Seconds from the end of the first call to the last checkpoint, and of these on what TensorBoard is given.

    Args:
      run: to be trained.
      wanted: else none of it is done.
    """
    block, save, began = run.block, run._save, []
    spent, ended = 0.0, 0.0

    def timed_block(*arguments: object) -> tf.Tensor:
        reports = block(*arguments)
        if not began:
            reports.numpy()
            began.append(time.perf_counter())
        return reports

    def timed_save(step: int, pending: loops.Pending) -> None:
        nonlocal ended
        save(step, pending)
        ended = time.perf_counter()

    def timed(name: str) -> Callable:
        method = getattr(Recorder, name)

        def call(*arguments: object) -> object:
            nonlocal spent
            start = time.perf_counter()
            found = method(*arguments) if wanted else RECORDED[name]
            if began:
                spent += time.perf_counter() - start
            return found

        return call

    methods = {name: getattr(Recorder, name) for name in RECORDED}
    run.block, run._save, run._finish = timed_block, timed_save, lambda step: None
    for name in RECORDED:
        setattr(Recorder, name, timed(name))
    try:
        run.train()
    finally:
        for name, method in methods.items():
            setattr(Recorder, name, method)
    return ended - began[0], spent


def compare_summaries(arguments: list[str]) -> None:
    shares, differences = [], []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            with_all, spent = summaries_in(f"{folder}/with", arguments, wanted=True)
            size = sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*tfevents*"))
            without, _ = summaries_in(f"{folder}/without", arguments, wanted=False)
        shares.append(spent / with_all)
        differences.append(with_all - without)
        print(
            f"round {number + 1}: {with_all:.2f} s, {spent:.2f} s of them for TensorBoard ({shares[-1]:.1%}, {size:,}"
            f" bytes); {without:.2f} s without",
            flush=True,
        )
    print(
        f"median: {statistics.median(shares):.1%}; with all against with none {statistics.median(differences):+.2f} s"
    )


def summaries_in(folder: str, arguments: list[str], *, wanted: bool) -> tuple[float, float]:
    with made(folder, arguments) as run:
        return summaries(run, wanted=wanted)


@contextlib.contextmanager
def made(folder: str, arguments: list[str]) -> Iterator[runs.Run]:
    """A run in this folder, its floors known: they are computed once a data set, not again when a run goes on."""
    config, given = configs.parse([*arguments, f"--run_dir={folder}"])
    data = pictures()
    if "dataset" in given:
        data = datasets.load(config.dataset, datasets.Sources(config.data_dir, config.data_url), config.classes)
    directory = RunDirectory(config)
    with directory.locked():
        run = runs.Run(config, data, directory)
        run.floors.wait()
        yield run


def main() -> None:
    if sys.argv[1:2] == ["summaries"]:
        compare_summaries(sys.argv[2:] or ["--hidden=100"])
        return
    ratios = []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder, made(f"{folder}/run", sys.argv[1:] or ["--hidden=100"]) as run:
            ratios.append(ratio(run))
        print(f"round {number + 1}: {ratios[-1]:.1%}", flush=True)
    print(f"median: a whole run keeps {statistics.median(ratios):.1%} of the bare block's speed")


if __name__ == "__main__":
    main()
