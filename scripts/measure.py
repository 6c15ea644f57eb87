"""The wall time and the peak memory of a command.

`run` starts this file as a small program of its own, which starts the command: Linux counts the memory of the process
that starts a command as memory of the command.

    python measure.py SECONDS COMMAND...

prints, after the command's stdout, a line with the exit code, the seconds and the peak resident memory in KiB.
"""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Measured(NamedTuple):
    """The exit code (or minus the number of a signal), output, wall time and peak memory of a command."""

    code: int
    out: str
    err: str
    seconds: float
    peak_bytes: int


def run(
    command: Sequence[str], *, folder: str | os.PathLike[str], environment: Mapping[str, str], seconds: float = 3600.0
) -> Measured:
    """Runs a command, which is killed after `seconds`, and measures it."""
    done = subprocess.run(
        [sys.executable, "-S", __file__, str(seconds), *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    *out, last = done.stdout.splitlines()
    code, taken, kibibytes = last.split()
    return Measured(int(code), "\n".join(out), done.stderr, float(taken), int(kibibytes) * 1024)


def main(seconds: float, command: list[str]) -> None:
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    code = process.wait()
    timer.cancel()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"\n{code} {time.monotonic() - started} {peak}")


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
