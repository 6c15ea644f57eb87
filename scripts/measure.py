"""The wall time and the peak memory of a command.

`run` starts this file as a small program of its own, which starts the command: Linux counts the memory of the process
that starts a command as memory of the command.

    python measure.py SECONDS COMMAND...

prints, after the command's stdout, a line with the exit code, the seconds and the peak resident memory in KiB.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

SECONDS_BETWEEN_CHECKS = 0.002


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
    null = os.open(os.devnull, os.O_RDWR)
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 0)])
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            break
        if time.monotonic() - started > seconds:
            os.kill(pid, signal.SIGKILL)
        time.sleep(SECONDS_BETWEEN_CHECKS)
    print(f"\n{os.waitstatus_to_exitcode(status)} {time.monotonic() - started} {usage.ru_maxrss}")


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
