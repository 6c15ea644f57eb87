"""When something is due, how fast training is, and what the person sees meanwhile."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

log = logging.getLogger("hourglass")

SECONDS_BETWEEN_LINES = 10.0


def is_due(step: int, every: int) -> bool:
    """Whether something that happens `every` so many steps happens after this one; 0 is never."""
    return bool(every) and step % every == 0


def next_due(step: int, every: int) -> float:
    """The first step after `step` at which it is due."""
    return (step // every + 1) * every if every else math.inf


def sensible_interval(total_steps: int, times: int) -> int:
    """An interval of 1, 2 or 5 times a power of ten (or the whole run) that gives about `times` of it."""
    wanted = max(total_steps / times, 1.0)
    power = 10 ** math.floor(math.log10(wanted))
    return next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= wanted)


def picture_steps(total_steps: int, every: int | None, limit: int) -> list[int]:
    """When pictures are due: always at step 0 and at the last.

    Args:
      total_steps: of the run.
      every: steps between pictures; 0: none between; None: 1, 2, 5, 10, 20, ... (the last eight of them), so that
        there are at most ten, which is what TensorBoard keeps of a tag unless told otherwise, and that a longer run
        has those of a shorter one.
      limit: at most so many; a smaller interval is widened.
    """
    if every is None:
        decades = (factor * 10**power for power in range(len(str(total_steps))) for factor in (1, 2, 5))
        between = [step for step in decades if step < total_steps][-8:]
    elif every:
        widened = every * -(-(total_steps // every) // (limit - 2))
        between = list(range(widened, total_steps, widened)) if widened else []
    else:
        between = []
    return [0, *between, total_steps]


def aligned(interval: int, other: int) -> int:
    """The next larger interval that divides the other one, or is its multiple."""
    if interval > other:
        return -(-interval // other) * other
    return next(other // parts for parts in range(other // interval, 0, -1) if other % parts == 0)


class Clock:
    """Counts the seconds of training, and only those: it stands still while paused."""

    def __init__(self, seconds: float = 0.0, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._seconds = seconds
        self._since: float | None = now()

    @property
    def seconds(self) -> float:
        """Seconds that it has run."""
        return self._seconds + (self._now() - self._since if self._since is not None else 0.0)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stands still within."""
        self._seconds, self._since = self.seconds, None
        try:
            yield
        finally:
            self._since = self._now()


class Bar:
    """One line that says how far training is: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, total_steps: int, console: "Console | None" = None) -> None:
        from rich.console import Console

        self._total = total_steps
        self._said = time.monotonic()
        console = console or Console(stderr=True)
        self._bar = _bar(console) if console.is_terminal else None
        self._task = self._bar.add_task("train", total=total_steps, text="") if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, step: int, steps_per_second: float, text: str) -> None:
        """Tells the step reached, the pace, and what else there is to say."""
        now = time.monotonic()
        left = (self._total - step) / steps_per_second if steps_per_second else math.inf
        line = f"step {step:,}/{self._total:,}  {steps_per_second:,.0f} steps/s  {text}  {time_left(left)}"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=step, text=line)
        elif now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            log.info(line)


def time_left(seconds: float) -> str:
    """Seconds for people."""
    if not math.isfinite(seconds):
        return ""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"


def _bar(console: "Console") -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=20), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.fields[text]}"))
    return Progress(*columns, console=console, transient=True)
