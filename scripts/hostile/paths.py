"""How long it takes until a person is told that a path is wrong, from the command on."""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from claims import Claim

from hostile.malice import CHECKOUT

SECONDS = 0.5
COMMANDS = {
    "images": ["--dataset=images", "--data_dir=nowhere"],
    "array": ["--dataset=array", "--data_dir=nowhere.npy"],
    "table": ["--dataset=table", "--data_dir=nowhere.csv"],
    "cifar10": ["--dataset=cifar10", "--data_dir=nowhere"],
    "reconstruct": ["--mode=reconstruct", "--run_dir=nowhere", "--input=1"],
}


def storm(rounds: int) -> Claim:
    """The median of each command's times is to be below the limit."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, flags in COMMANDS.items():
                times[name].append(_seconds(flags, pathlib.Path(folder)))
    medians = {name: statistics.median(found) for name, found in times.items()}
    words = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in medians.items())
    longest = max(max(found) for found in times.values())
    passed = sum(seconds <= SECONDS for seconds in medians.values())
    return Claim(
        "a wrong path is told within 0.5 s (median)", passed, len(medians), f"{words}; {longest:.2f} s at most"
    )


def _seconds(flags: list[str], folder: pathlib.Path) -> float:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "launch", *flags], cwd=folder, env=environment, capture_output=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode not in (1, 2):
        raise AssertionError(f"{flags} ended with {done.returncode}: {done.stderr.decode()}")
    return seconds
