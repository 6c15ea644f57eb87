"""Numbered trials in worker processes. A trial that crashes or blocks its process fails; the other trials continue."""

import collections
import concurrent.futures
import dataclasses
import multiprocessing
import resource
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import NamedTuple

SECONDS_TO_END = 5.0
MAX_PROBLEMS = 100  # that are listed
Trial = Callable[[int], "Outcome"]


class Outcome(NamedTuple):
    """The kind of a trial's outcome, by which trials are counted, and its problem, which is empty if it passed."""

    kind: str
    problem: str = ""


@dataclasses.dataclass
class Tally:
    """The outcomes of many trials.

    Attributes:
      tried, failed: numbers of trials.
      kinds: numbers of trials by kind.
      problems: number and problem of the first failed trials.
      longest: seconds and number of the longest trial.
      memory: largest resident memory of a worker, in bytes.
    """

    tried: int = 0
    failed: int = 0
    kinds: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    problems: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    longest: tuple[float, int] = (0.0, 0)
    memory: int = 0

    def add(self, number: int, outcome: Outcome, seconds: float, memory: int) -> None:
        """Adds a trial."""
        self.tried += 1
        self.kinds[outcome.kind] += 1
        self.longest = max(self.longest, (seconds, number))
        self.memory = max(self.memory, memory)
        if outcome.problem:
            self.failed += 1
            self.problems = [*self.problems, (number, outcome.problem)][:MAX_PROBLEMS]


def run(
    make: Callable[[], Trial],
    count: int,
    *,
    first: int = 0,
    processes: int = 2,
    seconds: float = 10.0,
    progress: Callable[[Tally], object] = lambda tally: None,
) -> Tally:
    """Runs trials in worker processes.

    Args:
      make: Called in each worker; returns the function that runs a trial. It must be importable.
      count: Number of trials.
      first: Number of the first trial.
      processes: Number of workers.
      seconds: Time limit of a trial.
      progress: Called after each trial.
    """
    tally, lock = Tally(), threading.Lock()
    numbers = iter(range(first, first + count))

    def supervise() -> None:
        worker = _Worker(make)
        try:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                started = time.monotonic()
                outcome, memory = worker.attempt(number, seconds)
                with lock:
                    tally.add(number, outcome, time.monotonic() - started, memory)
                    progress(tally)
        finally:
            worker.end()

    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        for future in [pool.submit(supervise) for _ in range(processes)]:
            future.result()
    return tally


class _Worker:
    """A process that runs trials; it is started again after a trial that ended or blocked it."""

    def __init__(self, make: Callable[[], Trial]) -> None:
        self._make = make
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # Forked modules would include TensorFlow.
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._make), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()  # The worker is ready.

    def attempt(self, number: int, seconds: float) -> tuple[Outcome, int]:
        """Runs a trial; returns its outcome and the peak memory of the process in bytes."""
        try:
            self._connection.send(number)
            if self._connection.poll(seconds):
                return self._connection.recv()
            problem = f"no answer within {seconds:g} s"
        except (EOFError, OSError):
            self._process.join(SECONDS_TO_END)
            problem = f"the process ended with exit code {self._process.exitcode}"
        self.end()
        self._start()
        return Outcome(problem, problem), 0

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()


def _work(connection: Connection, make: Callable[[], Trial]) -> None:
    trial = make()
    connection.send(None)
    while True:
        try:
            number = connection.recv()
        except EOFError:
            return
        outcome = trial(number)
        connection.send((outcome, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
