"""Progress displays and the training clock. Without a terminal, progress is printed in lines, not as a bar."""

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
    """A clock of training time that can be paused."""

    def __init__(self, seconds: float = 0.0, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._seconds = seconds
        self._resumed: float | None = now()

    @property
    def seconds(self) -> float:
        """Training time in seconds, without pauses."""
        return self._seconds + (self._now() - self._resumed if self._resumed is not None else 0.0)

    def stop(self) -> None:
        """Stops the clock permanently."""
        self._seconds, self._resumed = self.seconds, None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pauses the clock within a `with` block."""
        self._seconds, self._resumed = self.seconds, None
        try:
            yield
        finally:
            self._resumed = self._now()


class _Display:
    """A progress bar on a terminal, or else a line every `SECONDS_BETWEEN_LINES`.

    Args:
      bar: the progress bar; None without a terminal.
      now: returns the time in seconds.
    """

    def __init__(self, bar: "Progress | None", now: Callable[[], float]) -> None:
        self._bar, self._now = bar, now
        self._started = self._last_line = now()

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
        """Returns True, and resets the interval, if it is time for the next line."""
        now = self._now()
        is_due = now - self._last_line >= SECONDS_BETWEEN_LINES
        if is_due:
            self._last_line = now
        return is_due


class Bar(_Display):
    """The progress display of training."""

    def __init__(self, total_steps: int, console: "Console | None" = None) -> None:
        from rich.console import Console

        self._total = total_steps
        console = console or Console(stderr=True)
        super().__init__(_training_bar(console) if console.is_terminal else None, time.monotonic)
        self._task = self._bar.add_task("train", total=total_steps, text="") if self._bar else None

    def update(self, step: int, steps_per_second: float, text: str) -> None:
        """Shows the current step, the speed, `text`, and the remaining time."""
        seconds = (self._total - step) / steps_per_second if steps_per_second else math.inf
        line = f"step {step:,}/{self._total:,}  {steps_per_second:,.0f} steps/s  {text}  {time_left(seconds)}"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=step, text=line)
        elif self._is_line_due():
            log.info(line)


class Meter(_Display):
    """The progress display of a task that counts bytes or other units.

    Args:
      name: the name of the processed object, such as a file name.
      total: the number of bytes or units.
      report: prints a line; called only without a terminal.
      verb: the action, such as "downloading".
      unit: the name of the units, in the plural; None for bytes.
      now: returns the time in seconds.
    """

    def __init__(
        self,
        name: str,
        total: int,
        report: Callable[[str], None],
        verb: str = "downloading",
        unit: str | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(_counting_bar(verb, unit) if sys.stderr.isatty() else None, now)
        self._name, self._total, self._report, self._verb, self._unit = name, total, report, verb, unit
        self._done = self._start = 0
        self._task = self._bar.add_task(name, total=total) if self._bar else None

    def __enter__(self) -> Self:
        if not self._bar:
            self._report(f"{self._verb} {self._name}" + ("" if self._unit else f", {size(self._total)}"))
        return super().__enter__()

    def advance(self, count: int) -> None:
        """Adds to the count. With bytes, the first call adds those of an earlier, partial download."""
        if not self._done and self._unit is None:
            self._start = count
        self._done += count
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self._done)
        elif self._is_line_due():
            rate = (self._done - self._start) / (self._last_line - self._started)
            seconds = (self._total - self._done) / rate if rate else float("inf")
            speed = f"{rate:,.0f} {self._unit}/s" if self._unit else f"{size(rate)}/s"
            self._report(f"{self._verb} {self._name}: {self._done / self._total:.0%}, {speed}, {seconds:.0f} s left")


def time_left(seconds: float) -> str:
    """Formats a remaining time as [h:]mm:ss; empty if it is not finite."""
    if not math.isfinite(seconds):
        return ""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"


def size(num_bytes: float) -> str:
    """Formats a number of bytes in MB (10^6 bytes)."""
    return f"{num_bytes / 1e6:,.1f} MB"


def _training_bar(console: "Console") -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=20), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.fields[text]}"))
    return Progress(*columns, console=console, transient=True)


def _counting_bar(verb: str, unit: str | None) -> "Progress":
    from rich import progress  # Takes 0.1 s, so it is imported only if a bar is shown.
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn(f"{verb} {{task.description}}"),
        progress.BarColumn(),
        *([progress.MofNCompleteColumn()] if unit else [progress.DownloadColumn(), progress.TransferSpeedColumn()]),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
    )
