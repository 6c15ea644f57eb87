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


def handle_sigterm() -> None:
    """From now on SIGTERM ends the program as Ctrl-C does: by an exception, so that what is open is closed."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)


class Stop:
    """Hears SIGINT and SIGTERM: the first asks for a stop after the running block, a second exits at once.

    Python's handlers run between two instructions of Python, which may be seconds apart while TensorFlow compiles. So
    a thread counts the signals as they come.

    Attributes:
      signal: the number of the first; None before it.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, object] = {}
        self._pipe: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            reading, writing = self._pipe = os.pipe()
            os.set_blocking(writing, False)
            signal.set_wakeup_fd(writing)
            threading.Thread(target=_count, args=(reading,), daemon=True).start()
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._pipe:
            signal.set_wakeup_fd(-1)
            os.close(self._pipe[1])  # The thread ends then.

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or number


def _count(pipe: int) -> None:
    """Reads the number of each signal from the pipe: says what the first will do, and exits at the second."""
    heard = 0
    while number := os.read(pipe, 1):
        if number[0] in (signal.SIGINT, signal.SIGTERM):
            heard += 1
            if heard == 2:
                _say("\033[?25h\n")  # The progress bar has hidden the cursor.
                os._exit(128 + number[0])  # The last committed checkpoint is whole, whatever is being written now.
            _say("\nstopping when the running block is done and saved; once more ends at once\n")
    os.close(pipe)


def _say(text: str) -> None:
    """To a terminal, past all buffers and locks."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), text.encode())
