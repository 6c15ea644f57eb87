"""A download's progress: a bar with rate and time left on a terminal, a line now and then elsewhere."""

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
    """Tells how far a download of `total` bytes has come."""

    def __init__(self, name: str, total: int, say: Callable[[str], None]) -> None:
        self._name, self._total, self._say = name, total, say
        self._done = self._start = 0
        self._began = self._said = time.monotonic()
        self._bar = _bar() if sys.stderr.isatty() else None
        self._task = self._bar.add_task(name, total=total) if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        else:
            self._say(f"downloading {self._name}, {size(self._total)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, num_bytes: int) -> None:
        """Counts bytes that have arrived; the first call tells how many were there already."""
        if not self._done:
            self._start = num_bytes
        self._done += num_bytes
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self._done)
        elif (now := time.monotonic()) - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            rate = (self._done - self._start) / (now - self._began)
            left = (self._total - self._done) / rate if rate else float("inf")
            self._say(f"downloading {self._name}: {self._done / self._total:.0%}, {size(rate)}/s, {left:.0f} s left")


def _bar() -> "Progress":
    from rich import progress  # A tenth of a second: only for those who download.
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("downloading {task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
    )
