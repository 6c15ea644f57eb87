"""SIGINT and SIGTERM: the first asks for a stop, a second exits at once."""

import contextlib
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import NoReturn, Self


class Terminated(BaseException):
    """SIGTERM before training has begun, when there is nothing to save."""


def hear_sigterm() -> None:
    """From now on SIGTERM ends the program as Ctrl-C does: by an exception, so that what is open is closed."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)


class Stop:
    """Hears SIGINT and SIGTERM: the first asks for a stop after the running block, a second exits at once.

    Attributes:
      signal: the number of the first; None before it.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            _say("\033[?25h")  # The progress bar has hidden the cursor.
            os._exit(128 + number)  # The last committed checkpoint is whole, whatever is being written now.
        self.signal = number
        _say("\nstopping when the running block is done and saved; once more ends at once\n")


def _say(text: str) -> None:
    """To a terminal, past all buffers: the handler may have interrupted somebody who is writing."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), text.encode())
