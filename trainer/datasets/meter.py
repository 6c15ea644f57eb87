"""Progress of what takes long: a bar with rate and time left on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress

SECONDS_BETWEEN_LINES = 10.0


def size(num_bytes: float) -> str:
    """Bytes for people, in decimal units."""
    return f"{num_bytes / 1e6:,.1f} MB"


class Meter:
    """Tells how far something has come.

    Args:
      name: of it.
      total: bytes, or whatever `unit` says.
      say: is told it, a line at a time, where there is no terminal.
      verb: what is done to it.
      unit: what is counted; None: bytes.
    """

    def __init__(
        self, name: str, total: int, say: Callable[[str], None], verb: str = "downloading", unit: str | None = None
    ) -> None:
        self._name, self._total, self._say, self._verb, self._unit = name, total, say, verb, unit
        self._done = self._start = 0
        self._began = self._said = time.monotonic()
        self._bar = _bar(verb, unit) if sys.stderr.isatty() else None
        self._task = self._bar.add_task(name, total=total) if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        else:
            self._say(f"{self._verb} {self._name}" + ("" if self._unit else f", {size(self._total)}"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, count: int) -> None:
        """Counts what has been done; of bytes, the first call tells how many were there already."""
        if not self._done and self._unit is None:
            self._start = count
        self._done += count
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self._done)
        elif (now := time.monotonic()) - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            rate = (self._done - self._start) / (now - self._began)
            left = (self._total - self._done) / rate if rate else float("inf")
            pace = f"{rate:,.0f} {self._unit}/s" if self._unit else f"{size(rate)}/s"
            self._say(f"{self._verb} {self._name}: {self._done / self._total:.0%}, {pace}, {left:.0f} s left")


def _bar(verb: str, unit: str | None) -> "Progress":
    from rich import progress  # A tenth of a second: only for those who wait.
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn(f"{verb} {{task.description}}"),
        progress.BarColumn(),
        *([progress.MofNCompleteColumn()] if unit else [progress.DownloadColumn(), progress.TransferSpeedColumn()]),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
    )
