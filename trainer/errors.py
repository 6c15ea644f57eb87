"""Exceptions with exit codes and error messages of at most three lines.

A message states what is wrong, the details, and the remedy. Errors caused by the user or the system are
`HourglassError`s. Any other exception is a bug of Hourglass (exit code 70).

Messages refer to options through `option`. `render` writes them as flags on the command line (`--data_dir`), and as
keyword arguments in Python (`data_dir=`).
"""

import contextlib
import errno
import re
from collections.abc import Callable, Iterator

DONE = 0
BUG = 70  # EX_SOFTWARE of sysexits.h
# Private-use characters that mark an option's name and value within a message.
_OPEN, _VALUE, _CLOSE = "\ue000", "\ue001", "\ue002"
# Control characters, and characters that change the direction of text.
_HARMFUL = r"\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
_UNPRINTABLE = re.compile(f"[{_HARMFUL}{_OPEN}{_VALUE}{_CLOSE}\u2028\u2029\ud800-\udfff]")
_OPTION = re.compile(f"{_OPEN}([^{_OPEN}{_VALUE}{_CLOSE}]*)(?:{_VALUE}([^{_OPEN}{_CLOSE}]*))?{_CLOSE}")

OptionStyle = Callable[[str, str | None], str]


def as_flag(name: str, value: str | None) -> str:
    """Returns an option as a command-line flag: `--restart`, `--hidden=32`."""
    return f"--{name}" if value in (None, "True") else f"--{name}={value}"


def as_keyword(name: str, value: str | None) -> str:
    """Returns an option as a Python keyword argument: `restart=True`, `hidden='32'`."""
    is_literal = value in (None, "True", "False") or re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", value or "")
    return f"{name}={value or ''}" if is_literal else f"{name}={value!r}"


_style: OptionStyle = as_keyword


def option(name: str, value: object = None) -> str:
    """Returns a reference to an option, with or without a value, for use in a message."""
    return f"{_OPEN}{name}{_CLOSE}" if value is None else f"{_OPEN}{name}{_VALUE}{sanitize(value)}{_CLOSE}"


def render(text: str) -> str:
    """Returns a message with its option references replaced by flags or keyword arguments; see `option_style`."""
    return _OPTION.sub(lambda match: _style(match[1], match[2]), text)


@contextlib.contextmanager
def option_style(style: OptionStyle) -> Iterator[None]:
    """Sets how `render` writes options, for all threads of this process, within a `with` block."""
    global _style
    before, _style = _style, style
    try:
        yield
    finally:
        _style = before


class HourglassError(Exception):
    """An error that is shown to the user without a traceback.

    Args:
      what: what is wrong and where, in one line.
      found: the details, such as the actual and the expected value, in one line; may be empty.
      remedy: what the user can do, in one line.
    """

    exit_code = BUG

    def __init__(self, what: str, *, found: str = "", remedy: str) -> None:
        self.what, self.found, self.remedy = map(_one_line, (what, found, remedy))
        super().__init__(self.what)

    def __str__(self) -> str:
        """Returns the message: two or three lines."""
        return render("\n".join(filter(None, (self.what, self.found, f"remedy: {self.remedy}"))))

    def __reduce__(self) -> tuple[Callable[..., Exception], tuple[type, str, str, str]]:
        """Supports pickling, so that worker processes can raise these errors."""
        return _unpickle, (type(self), self.what, self.found, self.remedy)


def _unpickle(kind: type[HourglassError], what: str, found: str, remedy: str) -> HourglassError:
    return kind(what, found=found, remedy=remedy)


class UsageError(HourglassError):
    """An invalid flag, value, or combination of flags."""

    exit_code = 1


class DataError(HourglassError):
    """Missing, damaged, or invalid data."""

    exit_code = 2


class DivergedError(HourglassError):
    """A loss that is not finite."""

    exit_code = 3


class CheckpointError(HourglassError):
    """Missing, damaged, or incompatible checkpoints."""

    exit_code = 4


class LockedError(HourglassError):
    """A run directory that is in use by another process."""

    exit_code = 5


class StorageError(HourglassError):
    """A failure to read or write the run directory, such as a full disk."""

    exit_code = 6


class DeviceError(HourglassError):
    """A device that is missing or out of memory."""

    exit_code = 7


def is_out_of_memory(error: Exception) -> bool:
    """Returns True if an exception was raised because memory is exhausted."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    # The class of TensorFlow is compared by name, because this module does not import it.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    # A shared library cannot be loaded; a thread has no memory for its stack.
    texts = ("failed to map segment", "Cannot allocate memory", "can't start new thread")
    return isinstance(error, ImportError | RuntimeError) and any(text in str(error) for text in texts)


def out_of_memory(error: Exception) -> DeviceError:
    """Returns the error that reports an exception for which `is_out_of_memory` is True."""
    return DeviceError(
        "out of memory",
        found=error_text(error)[:200],
        remedy="free memory and repeat the command,"
        f" or give {option('restart', True)} and a smaller {option('batch_size')} or {option('hidden')}",
    )


class ServerError(HourglassError):
    """A failure of TensorBoard in `--mode=serve`."""

    exit_code = 8


def error_text(error: Exception) -> str:
    """Returns an exception's message in one line, without TensorFlow's function and op names."""
    if isinstance(error, HourglassError):
        return error.what
    text = (error.strerror if isinstance(error, OSError) else "") or next(iter(str(error).splitlines()), "")
    return re.sub(r"^\{\{function_node [^}]*\}\} | \[Op:\w+\].*$", "", text)


def is_printable_line(text: str) -> bool:
    """Returns True if the text is one line without control characters and without the marks of `option`."""
    return _UNPRINTABLE.search(text) is None


def sanitize(name: object) -> str:
    """Returns text from outside, such as a file name, in one line; unprintable characters become question marks."""
    return re.sub(f"[{_OPEN}{_VALUE}{_CLOSE}]", "?", _one_line(name))


def _one_line(text: object) -> str:
    """Returns a message in one line, like `sanitize`, but keeps its option references."""
    return re.sub(f"[{_HARMFUL}]", "?", " ".join(str(text).encode(errors="replace").decode().split()))
