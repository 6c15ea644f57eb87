"""How fast something is, and what the person sees meanwhile: a bar on a terminal, a line now and then elsewhere."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from trainer.system.logs import log

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

SECONDS_BETWEEN_LINES = 10.0


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

    def stop(self) -> None:
        """Stands still for good."""
        self._seconds, self._since = self.seconds, None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stands still within."""
        self._seconds, self._since = self.seconds, None
        try:
            yield
        finally:
            self._since = self._now()


class _Display:
    """A bar on a terminal, or lines that are some seconds apart.

    Args:
      bar: where there is a terminal.
      now: the clock, in seconds.
    """

    def __init__(self, bar: "Progress | None", now: Callable[[], float]) -> None:
        self._bar, self._now = bar, now
        self._began = self._said = now()

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def _is_line_due(self) -> bool:
        """Whether the last line is long enough ago; if so, the next one is said now."""
        now = self._now()
        is_due = now - self._said >= SECONDS_BETWEEN_LINES
        if is_due:
            self._said = now
        return is_due


class Bar(_Display):
    """One line that says how far training is."""

    def __init__(self, total_steps: int, console: "Console | None" = None) -> None:
        from rich.console import Console

        self._total = total_steps
        console = console or Console(stderr=True)
        super().__init__(_training_bar(console) if console.is_terminal else None, time.monotonic)
        self._task = self._bar.add_task("train", total=total_steps, text="") if self._bar else None

    def update(self, step: int, steps_per_second: float, text: str) -> None:
        """Tells the step reached, the pace, and what else there is to say."""
        left = (self._total - step) / steps_per_second if steps_per_second else math.inf
        line = f"step {step:,}/{self._total:,}  {steps_per_second:,.0f} steps/s  {text}  {time_left(left)}"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=step, text=line)
        elif self._is_line_due():
            log.info(line)


class Meter(_Display):
    """Tells how far something that is counted has come.

    Args:
      name: of it.
      total: bytes, or whatever `unit` says.
      say: is told it, a line at a time, where there is no terminal.
      verb: what is done to it.
      unit: what is counted; None: bytes.
      now: the clock, in seconds.
    """

    def __init__(
        self,
        name: str,
        total: int,
        say: Callable[[str], None],
        verb: str = "downloading",
        unit: str | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(_counting_bar(verb, unit) if sys.stderr.isatty() else None, now)
        self._name, self._total, self._say, self._verb, self._unit = name, total, say, verb, unit
        self._done = self._start = 0
        self._task = self._bar.add_task(name, total=total) if self._bar else None

    def __enter__(self) -> Self:
        if not self._bar:
            self._say(f"{self._verb} {self._name}" + ("" if self._unit else f", {size(self._total)}"))
        return super().__enter__()

    def advance(self, count: int) -> None:
        """Counts what has been done; of bytes, the first call tells how many were there already."""
        if not self._done and self._unit is None:
            self._start = count
        self._done += count
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self._done)
        elif self._is_line_due():
            rate = (self._done - self._start) / (self._said - self._began)
            left = (self._total - self._done) / rate if rate else float("inf")
            pace = f"{rate:,.0f} {self._unit}/s" if self._unit else f"{size(rate)}/s"
            self._say(f"{self._verb} {self._name}: {self._done / self._total:.0%}, {pace}, {left:.0f} s left")


def time_left(seconds: float) -> str:
    """Seconds for people."""
    if not math.isfinite(seconds):
        return ""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"


def size(num_bytes: float) -> str:
    """Bytes for people, in decimal units."""
    return f"{num_bytes / 1e6:,.1f} MB"


def _training_bar(console: "Console") -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=20), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.fields[text]}"))
    return Progress(*columns, console=console, transient=True)


def _counting_bar(verb: str, unit: str | None) -> "Progress":
    from rich import progress  # A tenth of a second: only for those who wait.
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn(f"{verb} {{task.description}}"),
        progress.BarColumn(),
        *([progress.MofNCompleteColumn()] if unit else [progress.DownloadColumn(), progress.TransferSpeedColumn()]),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
    )
