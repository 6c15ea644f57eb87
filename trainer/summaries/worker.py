"""A thread that does work which training need not wait for."""

import queue
import threading
from collections.abc import Callable

from trainer.summaries.guard import Guard


class Worker:
    """Does jobs one after the other, in the order in which they are submitted, in a thread of its own.

    The thread is a daemon: a process that ends without `close` abandons the jobs that are left.

    Args:
      guard: logs errors of jobs instead of raising them.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._jobs: queue.SimpleQueue[tuple[str, Callable[[], object]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def submit(self, name: str, job: Callable[[], object]) -> None:
        """Adds a job; `name` says what it writes, for the log."""
        if self._thread.ident is None:
            self._thread.start()
        self._jobs.put((name, job))

    def wait(self) -> None:
        """Returns when all jobs that were submitted are done."""
        if self._thread.is_alive():
            done = threading.Event()
            self._jobs.put(("", done.set))
            done.wait()

    def close(self) -> None:
        """Does the jobs that are left, and ends the thread. No job may be submitted afterwards."""
        if self._thread.ident is not None:
            self._jobs.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (submitted := self._jobs.get()) is not None:
            name, job = submitted
            with self._guard(name):
                job()
