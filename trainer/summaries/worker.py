"""A thread that does work which training need not wait for."""

import queue
import threading
from collections.abc import Callable

from trainer.summaries.guard import Guard


class Worker:
    """Does jobs one after the other, in the order in which they are submitted, in a thread of its own.

    The thread is a daemon: a process that ends without `wait` abandons the jobs that are left.

    Args:
      guard: logs errors of jobs instead of raising them.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._jobs: queue.SimpleQueue[tuple[str, Callable[[], object]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def submit(self, name: str, job: Callable[[], object]) -> None:
        """Adds a job; `name` says what it writes, for the log."""
        if self._thread.ident is None:
            self._thread.start()
        self._jobs.put((name, job))

    def wait(self) -> None:
        """Returns when all jobs that were submitted are done."""
        if self._thread.ident is not None:
            done = threading.Event()
            self._jobs.put(("", done.set))
            done.wait()

    def _work(self) -> None:
        while True:
            name, job = self._jobs.get()
            with self._guard(name):
                job()
