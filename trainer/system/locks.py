"""Advisory locks on open files. The kernel releases them when the process ends, even if it is killed."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator
from typing import IO, Any


def acquire(file: IO[Any] | int) -> None:
    """Acquires a file's lock; waits until it is free."""
    fcntl.flock(file, fcntl.LOCK_EX)


def try_acquire(file: IO[Any]) -> None:
    """Acquires a file's lock without waiting.

    Raises:
      BlockingIOError: another process holds the lock.
      OSError: the file system does not support locks.
    """
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def held(path: pathlib.Path) -> Iterator[None]:
    """Creates a lock file if it does not exist, and holds its lock within a `with` block."""
    with open(path, "a") as file:
        acquire(file)
        yield


@contextlib.contextmanager
def held_folder(path: pathlib.Path) -> Iterator[None]:
    """Holds the lock of an existing folder within a `with` block, where folders have locks; leaves no file behind."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # NFS locks only what is open for writing.
            acquire(descriptor)
        yield
    finally:
        os.close(descriptor)
