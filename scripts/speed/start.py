"""How long from the command to the first step, and to the answer to a mistyped flag; `import tensorflow` beside it."""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import tensorflow as tf

from speed.contenders import CHECKOUT
from speed.workloads import WORKLOADS

ROUNDS = 5


def measure(flags: Sequence[str]) -> None:
    """Prints medians, each round's measured one after the other."""
    kinds = {"no flags": [], **{name: [*WORKLOADS[name].flags("float32"), *flags] for name in ("book", "unist")}}
    imports, refusals = [], []
    firsts: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        imports.append(_seconds([sys.executable, "-c", "import tensorflow"]))
        refusals.append(_seconds([sys.executable, str(CHECKOUT / "launch.py"), "--hidden=wide"]))
        for name, given in kinds.items():
            firsts[name].append(_first_step(given))
    print(f"import tensorflow: {statistics.median(imports):.2f} s")
    print(f"a mistyped flag: {statistics.median(refusals):.2f} s")
    for name, seconds in firsts.items():
        beyond = statistics.median(first - alone for first, alone in zip(seconds, imports, strict=True))
        print(f"{name}: first step after {statistics.median(seconds):.2f} s, {beyond:.2f} s more than the import")


def _seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, capture_output=True, check=False)
    return time.perf_counter() - began


def _first_step(flags: Sequence[str]) -> float:
    """Seconds from the command to the point of the first step in TensorBoard."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(CHECKOUT / "launch.py"), *flags, "--steps=2", "--log_every=1"]
        began = time.time()
        subprocess.run([*command, f"--run_dir={folder}/run"], capture_output=True, check=True)
        for path in pathlib.Path(folder).glob("run/train/events*"):
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                if event.step == 1 and any(value.tag == "loss" for value in event.summary.value):
                    return event.wall_time - began
    raise RuntimeError("the first step left no point")
