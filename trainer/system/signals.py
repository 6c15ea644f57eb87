"""Handling of SIGINT and SIGTERM: the first signal stops training, a second signal exits at once."""

import contextlib
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import NoReturn, Self


class Terminated(BaseException):
    """Raised on SIGTERM outside a `Stop` context."""


def handle_sigterm() -> None:
    """Makes SIGTERM raise `Terminated`, as SIGINT raises KeyboardInterrupt, so that open resources are closed."""

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminate)


class Stop:
    """Records the first SIGINT or SIGTERM, so that training stops after the current block; exits at the second.

    Python runs signal handlers between bytecode instructions, which may be seconds apart while TensorFlow compiles.
    Therefore a thread counts the signals.

    Attributes:
      signal: the number of the first signal; None before it.
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
                self._previous[number] = signal.signal(number, self._record)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._pipe:
            signal.set_wakeup_fd(-1)
            os.close(self._pipe[1])  # Ends the thread.

    def _record(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or number


def _count(pipe: int) -> None:
    """Reads signal numbers from the pipe; prints a message at the first signal, and exits at the second."""
    count = 0
    while number := os.read(pipe, 1):
        if number[0] in (signal.SIGINT, signal.SIGTERM):
            count += 1
            if count == 2:
                _print("\033[?25h\n")  # Shows the cursor, which the progress bar hides.
                os._exit(128 + number[0])  # Safe at any time: an interrupted save leaves older checkpoints intact.
            _print("\nstopping after the current block and a checkpoint; a second signal exits at once\n")
    os.close(pipe)


def _print(text: str) -> None:
    """Prints to stderr if it is a terminal, without Python's buffers and locks."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), text.encode())
