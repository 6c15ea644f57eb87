"""Where words go: what is logged under "hourglass" reaches the terminal, and the run's log."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from trainer.errors import shown

log = logging.getLogger("hourglass")


def _show_options(record: logging.LogRecord) -> bool:
    """Calls the options in a message as they are called here."""
    record.msg, record.args = shown(record.getMessage()), None
    return True


log.addFilter(_show_options)

MAX_RECORDS = 1_000  # kept for a file that is not known yet


class _Kept(logging.Handler):
    """Keeps the first records for a file that is not known yet.

    `logging.handlers.MemoryHandler` would do, but its module imports sockets and pickles: 6 ms of a 90 ms answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a record, while there is room."""
        if len(self.records) < MAX_RECORDS:
            self.records.append(record)


def start_logging() -> None:
    """What is logged goes to the terminal, as it is: words to stdout, errors to stderr."""
    logging.raiseExceptions = False  # A closed terminal is no reason to stop.
    log.setLevel(logging.DEBUG)
    log.propagate = False
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    terminal = logging.StreamHandler(sys.stdout)
    terminal.setLevel(logging.INFO)
    terminal.addFilter(lambda record: record.levelno < logging.ERROR)
    log.addHandler(terminal)
    log.addHandler(_Kept())


def log_to(path: os.PathLike[str]) -> None:
    """What is logged, and has been since the start, goes to this file too, with the time."""
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for handler in list(log.handlers):
        if isinstance(handler, _Kept):
            for record in handler.records:
                file.handle(record)
        if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler):
            log.removeHandler(handler)
            handler.close()
    log.addHandler(file)


def log_error(text: str, trace: str, *, debug: bool) -> None:
    """An error: its text to stderr, the traceback to the log, and with `debug` to stderr too."""
    log.error(text)
    log.debug(trace)
    with contextlib.suppress(OSError):  # A closed terminal is no reason for another exit code.
        print(trace + text if debug else text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def redirect_native_stderr(path: os.PathLike[str]) -> Iterator[None]:
    """What TensorFlow's C++ prints goes to the log; what Python prints to stderr still reaches the terminal."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    sys.stderr.flush()
    terminal = os.dup(2)
    python_stderr = sys.stderr
    with open(path, "ab") as noise, open(terminal, "w", buffering=1, encoding="utf-8", errors="replace") as stderr:
        os.dup2(noise.fileno(), 2)
        sys.stderr = stderr
        try:
            yield
        finally:
            sys.stderr = python_stderr
            os.dup2(terminal, 2)
