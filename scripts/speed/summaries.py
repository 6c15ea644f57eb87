"""What TensorBoard costs: the time spent on what it is given, and run about run, with it and without.

    scripts/benchmark summaries --dataset=cifar_horse --hidden=100 --steps=50000

Flags as for training; without any: 5,000 grey pictures of 32x32, --hidden=100.
"""

import contextlib
import dataclasses
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import tensorflow as tf

from trainer import config as configs
from trainer.data.dataset import Data, Split
from trainer.runs import builder, session
from trainer.runs import run as runs
from trainer.runs.builder import Objects
from trainer.runs.data import load
from trainer.runs.directory import RunDirectory
from trainer.summaries.recorder import Recorder
from trainer.training import loop as loops

ROUNDS = 5


def pictures() -> Data:
    random = np.random.default_rng(0)
    splits = [random.integers(0, 256, (count, 32, 32, 1), dtype=np.uint8) for count in (5_000, 1_000)]
    train, evaluation = (Split(examples, np.zeros(len(examples), np.int64)) for examples in splits)
    return Data(name="random", train=train, evaluation=evaluation, label_names=("x",), scale=255.0, source="made here")


# What the recorder does between the first step and the last.
RECORDED = {"log": None, "evaluate": "", "picture": None, "saved": None, "flush": None}


def summaries(objects: Objects, *, wanted: bool) -> tuple[float, float]:
    """Seconds from the end of the first call to the last checkpoint, and of these on what TensorBoard is given.

    Args:
      objects: of the run to be trained.
      wanted: else none of it is done.
    """
    block, save, began = objects.block, session.Session.save, []
    spent, ended = 0.0, 0.0

    def timed_block(*arguments: object) -> tf.Tensor:
        reports = block(*arguments)
        if not began:
            reports.numpy()
            began.append(time.perf_counter())
        return reports

    def timed_save(run: session.Session, step: int, pending: loops.Pending) -> None:
        nonlocal ended
        save(run, step, pending)
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

    with contextlib.ExitStack() as stack:
        patched = [(Recorder, name, timed(name)) for name in RECORDED]
        for owner, name, replacement in [
            *patched,
            (session.Session, "save", timed_save),
            (runs, "finish", lambda *arguments: None),
        ]:
            stack.enter_context(mock.patch.object(owner, name, replacement))
        runs.train_objects(dataclasses.replace(objects, block=timed_block))
    return ended - began[0], spent


def compare(arguments: list[str]) -> None:
    arguments = arguments or ["--hidden=100"]
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
    with made(folder, arguments) as objects:
        return summaries(objects, wanted=wanted)


@contextlib.contextmanager
def made(folder: str, arguments: list[str]) -> Iterator[Objects]:
    """A run's objects in this folder, its floors known: they are computed once a data set."""
    config, given = configs.parse([*arguments, f"--run_dir={folder}"])
    data = pictures()
    if "dataset" in given:
        data = load(config)
    directory = RunDirectory(config)
    with directory.locked():
        objects = builder.build(config, data, directory)
        objects.baselines.wait()
        yield objects
