"""What grows with the step number, with the data, and with the length of a run: time a step, bytes on the disk."""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from speed.contenders import CHECKOUT
from trainer.training import pipeline

ROUNDS, BLOCKS, BATCH, STEPS_A_BLOCK = 7, 20, 256, 100


def measure() -> None:
    """Prints it."""
    random = np.random.default_rng(0)
    few = random.integers(0, 256, (60_000, 28, 28, 1), dtype=np.uint8)
    many = np.concatenate([few] * 10)
    cases = {
        "60,000 rows, from step 0": _blocks(few, 0),
        "60,000 rows, from step 1,000,000": _blocks(few, 1_000_000),
        "600,000 rows, from step 0": _blocks(many, 0),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, run in cases.items():
            times[name].append(run())
    for name, seconds in times.items():
        print(f"input of a step of {BATCH}, {name}: {statistics.median(seconds) * 1e6:.0f} us")
    for steps in (2_000, 8_000, 32_000):
        print(_run(steps))


def _blocks(images: np.ndarray, start: int) -> Callable[[], float]:
    blocks = pipeline.blocks(images, batch_size=BATCH, steps_per_block=STEPS_A_BLOCK, seed=0, start_step=start)

    def run() -> float:
        began = time.perf_counter()
        for _ in range(BLOCKS):
            tf.identity(next(blocks))
        return (time.perf_counter() - began) / BLOCKS / STEPS_A_BLOCK

    run()
    return run


def _run(steps: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(CHECKOUT / "launch.py"), f"--steps={steps}", f"--run_dir={folder}/run"]
        subprocess.run(command, capture_output=True, check=True)
        run = pathlib.Path(folder) / "run"
        manifests = sorted((run / "checkpoints").glob("ckpt-*.json"), key=lambda path: path.stat().st_mtime)
        newest = sum(path.stat().st_size for path in (run / "checkpoints").glob(f"{manifests[-1].stem}.*"))
        events = sum(path.stat().st_size for path in run.rglob("*tfevents*"))
    return f"a run of {steps:,} steps: {events:,} bytes of event files, {newest:,} of a checkpoint"
