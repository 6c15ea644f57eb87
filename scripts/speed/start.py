"""The time from the command to the first step, and to the error message for a mistyped flag."""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import tensorflow as tf
from processes import LAUNCH

from speed.workloads import WORKLOADS

ROUNDS = 5


def measure(flags: Sequence[str]) -> None:
    """Prints medians, beside the time of `import tensorflow` in the same round."""
    kinds = {"no flags": [], **{name: [*WORKLOADS[name].flags("float32"), *flags] for name in ("book", "unist")}}
    imports, errors = [], []
    first_steps: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        imports.append(_seconds([sys.executable, "-c", "import tensorflow"]))
        errors.append(_seconds([*LAUNCH, "--hidden=wide"]))
        for name, arguments in kinds.items():
            first_steps[name].append(_first_step(arguments))
    print(f"import tensorflow: {statistics.median(imports):.2f} s")
    print(f"a mistyped flag: {statistics.median(errors):.2f} s")
    for name, seconds in first_steps.items():
        beyond = statistics.median(first - alone for first, alone in zip(seconds, imports, strict=True))
        print(f"{name}: first step after {statistics.median(seconds):.2f} s, {beyond:.2f} s more than the import")


def _seconds(command: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=False)
    return time.perf_counter() - started


def _first_step(flags: Sequence[str]) -> float:
    """Returns the seconds from the command to the first step in TensorBoard."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.time()
        command = [*LAUNCH, *flags, "--steps=2", "--log_every=1", f"--run_dir={folder}/run"]
        subprocess.run(command, capture_output=True, check=True)
        for path in pathlib.Path(folder).glob("run/train/events*"):
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                if event.step == 1 and any(value.tag == "loss" for value in event.summary.value):
                    return event.wall_time - started
    raise RuntimeError("the first step is not in the event files")
