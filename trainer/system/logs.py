"""The logger "hourglass", which writes to the terminal and to run.log."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from trainer.errors import render, sanitize

log = logging.getLogger("hourglass")


def _render_options(record: logging.LogRecord) -> bool:
    """Replaces the option references in a message; see `errors.render`."""
    record.msg, record.args = render(record.getMessage()), None
    return True


log.addFilter(_render_options)

MAX_RECORDS = 1_000  # records that are buffered until the log file is known


class _Buffer(logging.Handler):
    """A handler that buffers the first records until the log file is known.

    `logging.handlers.MemoryHandler` is not used, because its module imports socket and pickle, which takes 6 ms.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Buffers a record, up to `MAX_RECORDS`."""
        if len(self.records) < MAX_RECORDS:
            self.records.append(record)


def start_logging() -> None:
    """Logs to stdout, and buffers the records for `log_to`. `log_error` prints errors to stderr."""
    logging.raiseExceptions = False  # Training continues when the terminal is closed.
    log.setLevel(logging.DEBUG)
    log.propagate = False
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    terminal = logging.StreamHandler(sys.stdout)
    terminal.setLevel(logging.INFO)
    terminal.addFilter(lambda record: record.levelno < logging.ERROR)
    log.addHandler(terminal)
    log.addHandler(_Buffer())


def log_to(path: os.PathLike[str]) -> None:
    """Adds a log file with time stamps; the buffered records come first. Replaces an earlier log file."""
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for handler in list(log.handlers):
        if isinstance(handler, _Buffer):
            for record in handler.records:
                file.handle(record)
        if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler):
            log.removeHandler(handler)
            handler.close()
    log.addHandler(file)


class _Stderr(logging.StreamHandler):
    """Writes to what is `sys.stderr` at the time, because `redirect_native_stderr` replaces it."""

    @property
    def stream(self) -> TextIO:
        """The current stderr."""
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        pass


def log_to_stderr() -> None:
    """Logs to stderr instead of stdout, which is for data then."""
    for handler in list(log.handlers):
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            log.removeHandler(handler)
            terminal = _Stderr()
            terminal.setLevel(handler.level)
            terminal.addFilter(lambda record: record.levelno < logging.ERROR)
            log.addHandler(terminal)


def log_error(text: str, trace: str, *, debug: bool) -> None:
    """Prints an error to stderr and logs it with its traceback; `debug` prints the traceback too."""
    log.error(text)
    log.debug(trace)
    with contextlib.suppress(OSError):  # A closed terminal must not change the exit code.
        print(trace + text if debug else text, file=sys.stderr, flush=True)


def _last_words(path: os.PathLike[str], *, is_terminal: bool) -> str:
    reason = "could not be kept" if os.fspath(path) == os.devnull else f"are in {sanitize(os.fspath(path))}"
    text = f"error: native code has ended this process; its messages {reason}\n"
    return f"\033[?25h\n{text}" if is_terminal else text  # Shows the cursor, which the progress bar hides.


@contextlib.contextmanager
def redirect_native_stderr(path: os.PathLike[str]) -> Iterator[None]:
    """Redirects the stderr of native code, such as TensorFlow's C++, to a file. Python's stderr is unchanged.

    If native code ends the process, the terminal names the file.
    """
    from trainer.system.last_words import last_words  # 4 ms, which a mistyped flag need not wait for.

    sys.stderr.flush()
    terminal = os.dup(2)
    python_stderr = sys.stderr
    with (
        open(path, "ab") as file,
        open(terminal, "w", buffering=1, encoding="utf-8", errors="replace") as stderr,
        last_words(terminal, _last_words(path, is_terminal=os.isatty(terminal))),
    ):
        os.dup2(file.fileno(), 2)
        sys.stderr = stderr
        try:
            yield
        finally:
            sys.stderr = python_stderr
            os.dup2(terminal, 2)
