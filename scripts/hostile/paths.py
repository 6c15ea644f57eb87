"""The time from a command with a wrong path to its error message."""

import statistics
import sys
import tempfile

import measure
import processes
from claims import Claim

SECONDS = 0.5
COMMANDS = {
    "images": ["--dataset=images", "--data_dir=nowhere"],
    "array": ["--dataset=array", "--data_dir=nowhere.npy"],
    "table": ["--dataset=table", "--data_dir=nowhere.csv"],
    "cifar10": ["--dataset=cifar10", "--data_dir=nowhere"],
    "reconstruct": ["--mode=reconstruct", "--run_dir=nowhere", "--input=1"],
}


def run_trials(rounds: int) -> Claim:
    """Checks the median time of each command."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, flags in COMMANDS.items():
                times[name].append(_seconds(flags, folder))
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    detail = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in medians.items())
    detail += f"; at most {max(map(max, times.values())):.2f} s"
    passed = sum(seconds <= SECONDS for seconds in medians.values())
    return Claim("a wrong path is reported within 0.5 s (median)", passed, len(medians), detail)


def _seconds(flags: list[str], folder: str) -> float:
    command = [sys.executable, "-m", "launch", *flags]
    done = measure.run(command, folder=folder, environment=processes.environment())
    if done.code not in (1, 2):
        raise AssertionError(f"{flags} ended with exit code {done.code}: {done.err}")
    return done.seconds
