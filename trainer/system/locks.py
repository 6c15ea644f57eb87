"""Advisory locks on open files: the kernel frees them however a process ends."""

import contextlib
import fcntl
import pathlib
from collections.abc import Iterator
from typing import IO, Any


def acquire(file: IO[Any]) -> None:
    """Takes a file's lock; waits for it."""
    fcntl.flock(file, fcntl.LOCK_EX)


def try_acquire(file: IO[Any]) -> None:
    """Takes a file's lock at once.

    Raises:
      BlockingIOError: another process has it.
      OSError: there can be no locks here.
    """
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def held(path: pathlib.Path) -> Iterator[None]:
    """Makes a file, waits for its lock, and holds it."""
    with open(path, "a") as file:
        acquire(file)
        yield
