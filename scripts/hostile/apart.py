"""Runs a command; then prints, as the last line, its exit code, its seconds, and the kilobytes that it had at most.

A program of its own, and a small one: Linux counts the memory of the one that starts a process as that process's too.

    python apart.py SECONDS_TO_HANG COMMAND...
"""

import os
import signal
import sys
import time


def main(seconds: float, command: list[str]) -> None:
    began = time.monotonic()
    null = os.open(os.devnull, os.O_RDWR)
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 0)])
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            break
        if time.monotonic() - began > seconds:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    print(os.waitstatus_to_exitcode(status), time.monotonic() - began, usage.ru_maxrss)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
