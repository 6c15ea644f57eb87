"""Trials by number, done by several processes that are watched: one that ends or stands still costs one trial."""

import collections
import dataclasses
import multiprocessing
import resource
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized

BATCH = 200  # trials that are reported together
Trial = Callable[[int], "Outcome"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one trial.

    Attributes:
      kind: by which they are counted.
      wrong: what should not have been; empty: nothing.
    """

    kind: str
    wrong: str = ""


@dataclasses.dataclass
class Tally:
    """What came of many trials.

    Attributes:
      tried: how many there were.
      kinds: how many of which kind.
      wrong: of some that went wrong, the number, and how.
      num_wrong: how many did.
      longest: the longest trial: its seconds, and its number.
      memory: the most that one process had, in bytes.
    """

    tried: int = 0
    kinds: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    wrong: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    num_wrong: int = 0
    longest: tuple[float, int] = (0.0, 0)
    memory: int = 0

    def add(self, other: "Tally") -> None:
        """Counts another's trials too."""
        self.tried += other.tried
        self.kinds += other.kinds
        self.wrong = (self.wrong + other.wrong)[:100]
        self.num_wrong += other.num_wrong
        self.longest = max(self.longest, other.longest)
        self.memory = max(self.memory, other.memory)


def run(
    make: Callable[[int], Trial],
    count: int,
    *,
    first: int = 0,
    processes: int = 2,
    seconds: float = 10.0,
    say: Callable[[Tally], object] = lambda tally: None,
) -> Tally:
    """Does so many trials.

    Args:
      make: given a worker's number, makes what does a trial; importable, for it is called in another process.
      count: of trials.
      first: number of them.
      processes: that share them.
      seconds: after which a trial stands still.
      say: is told how far it is, now and then.
    """
    whole, lock = Tally(), threading.Lock()
    starts = iter(range(first, first + count, BATCH))

    def supervise(number: int) -> None:
        worker = _Worker(make, number)
        try:
            while True:
                with lock:
                    start = next(starts, None)
                if start is None:
                    return
                numbers = range(start, min(start + BATCH, first + count))
                found = worker.do(numbers, seconds)
                with lock:
                    whole.add(found)
                    say(whole)
        finally:
            worker.end()

    threads = [threading.Thread(target=supervise, args=(number,)) for number in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return whole


class _Worker:
    """A process that does trials, begun again where it has ended."""

    def __init__(self, make: Callable[[int], Trial], number: int) -> None:
        self._make, self._number = make, number
        self._context = multiprocessing.get_context("spawn")
        self._begin()

    def _begin(self) -> None:
        self._mine, theirs = self._context.Pipe()
        self._current: Synchronized[int] = self._context.Value("q", -1)
        self._process = self._context.Process(
            target=_work, args=(theirs, self._current, self._make, self._number), daemon=True
        )
        self._process.start()
        theirs.close()

    def do(self, numbers: Sequence[int], seconds: float) -> Tally:
        whole = Tally()
        left = list(numbers)
        while left:
            self._current.value = -1
            self._mine.send(left)
            found, ended = self._wait(seconds)
            if found is not None:
                whole.add(found)
                return whole
            # What it did before is not told: those trials are done again, without this one.
            struck = self._current.value
            whole.add(Tally(1, collections.Counter([ended]), [(struck, ended)], 1, (seconds, struck)))
            left.remove(struck)
            self.end()
            self._begin()
        return whole

    def _wait(self, seconds: float) -> tuple[Tally | None, str]:
        """What the process tells of its trials; None: it has ended, or stands still."""
        current, since = self._current.value, time.monotonic()
        while True:
            try:
                if self._mine.poll(0.2):
                    return self._mine.recv(), ""
            except (EOFError, OSError):
                self._process.join(5)
                return None, f"the process ended with {self._process.exitcode}"
            if self._current.value != current:
                current, since = self._current.value, time.monotonic()
            elif current >= 0 and time.monotonic() - since > seconds:
                return None, f"no answer within {seconds:g} s"

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._mine.close()


def _work(connection: Connection, current: "Synchronized[int]", make: Callable[[int], Trial], number: int) -> None:
    trial = make(number)
    while True:
        try:
            numbers = connection.recv()
        except EOFError:
            return
        tally = Tally()
        for one in numbers:
            current.value = one
            began = time.monotonic()
            outcome = trial(one)
            tally.longest = max(tally.longest, (time.monotonic() - began, one))
            tally.tried += 1
            tally.kinds[outcome.kind] += 1
            if outcome.wrong:
                tally.num_wrong += 1
                tally.wrong = [*tally.wrong, (one, outcome.wrong)][:10]
        tally.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        connection.send(tally)
