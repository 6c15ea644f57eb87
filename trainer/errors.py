"""What can go wrong, said in three lines at most, each kind with its exit code.

An error names what is wrong and where, what was found against what was expected, and the remedy.
Everything raised for a user is a `HourglassError`; any other exception is a bug of ours (exit 70).

Messages name options by `option`, which keeps the name: whoever shows a message decides how an option is called there,
`--data_dir` on the command line, `data_dir=` in Python.
"""

import contextlib
import re
from collections.abc import Callable, Iterator

DONE = 0
BUG = 70  # EX_SOFTWARE of sysexits.h
# Around the name of an option in a message, and between it and its value: characters that no text has.
_OPEN, _VALUE, _CLOSE = "\ue000", "\ue001", "\ue002"
# Control characters, and what turns the direction of text around.
_HARMFUL = r"\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
_NO_TEXT = re.compile(f"[{_HARMFUL}{_OPEN}{_VALUE}{_CLOSE}\u2028\u2029\ud800-\udfff]")
_OPTION = re.compile(f"{_OPEN}([^{_OPEN}{_VALUE}{_CLOSE}]*)(?:{_VALUE}([^{_OPEN}{_CLOSE}]*))?{_CLOSE}")

OptionStyle = Callable[[str, str | None], str]


def as_flag(name: str, value: str | None) -> str:
    """An option on the command line: `--restart`, `--hidden=32`."""
    return f"--{name}" if value in (None, "True") else f"--{name}={value}"


def as_keyword(name: str, value: str | None) -> str:
    """An option in Python: `restart=True`, `hidden='32'`."""
    is_literal = value in (None, "True", "False") or re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", value or "")
    return f"{name}={value or ''}" if is_literal else f"{name}={value!r}"


_style: OptionStyle = as_keyword


def option(name: str, value: object = None) -> str:
    """An option, with or without a value, to be put into a message."""
    return f"{_OPEN}{name}{_CLOSE}" if value is None else f"{_OPEN}{name}{_VALUE}{printable(value)}{_CLOSE}"


def shown(text: str) -> str:
    """A message as it is shown here: its options are called as `options_shown_as` says."""
    return _OPTION.sub(lambda match: _style(match[1], match[2]), text)


@contextlib.contextmanager
def options_shown_as(style: OptionStyle) -> Iterator[None]:
    """Within, options are called so in all messages of this process."""
    global _style  # There is one person at a time.
    before, _style = _style, style
    try:
        yield
    finally:
        _style = before


class HourglassError(Exception):
    """An error to show to a person, without a traceback.

    Args:
      what: what is wrong and where, one line.
      found: what was found and what was expected, one line; may be empty.
      remedy: what to do now, one line.
    """

    exit_code = BUG

    def __init__(self, what: str, *, found: str = "", remedy: str) -> None:
        self.what, self.found, self.remedy = map(_one_line, (what, found, remedy))
        super().__init__(self.what)

    def __str__(self) -> str:
        """Three lines at most, options called as they are here."""
        return shown("\n".join(filter(None, (self.what, self.found, f"remedy: {self.remedy}"))))

    def __reduce__(self) -> tuple[Callable[..., Exception], tuple[type, str, str, str]]:
        """Another process may have met it."""
        return _again, (type(self), self.what, self.found, self.remedy)


def _again(kind: type[HourglassError], what: str, found: str, remedy: str) -> HourglassError:
    return kind(what, found=found, remedy=remedy)


class UsageError(HourglassError):
    """A flag, a value or a combination of flags that cannot be meant."""

    exit_code = 1


class DataError(HourglassError):
    """Data that is absent, damaged, or not what it claims to be."""

    exit_code = 2


class DivergedError(HourglassError):
    """The loss is no longer a finite number."""

    exit_code = 3


class CheckpointError(HourglassError):
    """Checkpoints exist and none of them can be used."""

    exit_code = 4


class LockedError(HourglassError):
    """Another process trains in this run directory."""

    exit_code = 5


class StorageError(HourglassError):
    """The run directory cannot be written, or is full."""

    exit_code = 6


class DeviceError(HourglassError):
    """The device asked for is absent, or out of memory."""

    exit_code = 7


class ServerError(HourglassError):
    """TensorBoard, and nothing else, was asked for and does not stay up."""

    exit_code = 8


def said(error: Exception) -> str:
    """What an exception says, in one line, without what TensorFlow wraps around it."""
    if isinstance(error, HourglassError):
        return error.what
    text = (error.strerror if isinstance(error, OSError) else "") or next(iter(str(error).splitlines()), "")
    return re.sub(r"^\{\{function_node [^}]*\}\} | \[Op:\w+\].*$", "", text)


def is_line(text: str) -> bool:
    """Whether it is one line of text, which does nothing to a terminal and means nothing to `shown`."""
    return _NO_TEXT.search(text) is None


def printable(name: object) -> str:
    """Words in one line, with ? for what does something to a terminal or is no text: a file's name can be anything."""
    return re.sub(f"[{_OPEN}{_VALUE}{_CLOSE}]", "?", _one_line(name))


def _one_line(text: object) -> str:
    """As `printable`, of a message, which may name options."""
    return re.sub(f"[{_HARMFUL}]", "?", " ".join(str(text).encode(errors="replace").decode().split()))
