"""What can go wrong, said in three lines at most, each kind with its exit code.

An error names what is wrong and where, what was found against what was expected, and the remedy.
Everything raised for a user is a `HourglassError`; any other exception is a bug of ours (exit 70).
"""

import re
from collections.abc import Callable

DONE = 0
BUG = 70  # EX_SOFTWARE of sysexits.h
HARMFUL = r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"  # control characters, and what turns the direction around


class HourglassError(Exception):
    """An error to show to a person, without a traceback.

    Args:
      what: what is wrong and where, one line.
      found: what was found and what was expected, one line; may be empty.
      remedy: what to do now, one line.
    """

    exit_code = BUG

    def __init__(self, what: str, *, found: str = "", remedy: str) -> None:
        lines = [what, found, f"remedy: {remedy}"]
        super().__init__("\n".join(map(printable, filter(None, lines))))

    def __reduce__(self) -> tuple[Callable[..., Exception], tuple[type, str]]:
        """Another process may have met it."""
        return _again, (type(self), str(self))


def _again(kind: type[HourglassError], words: str) -> HourglassError:
    error = kind.__new__(kind, words)
    error.args = (words,)
    return error


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
    text = (error.strerror if isinstance(error, OSError) else "") or next(iter(str(error).splitlines()), "")
    return re.sub(r"^\{\{function_node [^}]*\}\} | \[Op:\w+\].*$", "", text)


def printable(name: object) -> str:
    """Words in one line, with ? for what does something to a terminal or is no text: a file's name can be anything."""
    return re.sub(HARMFUL, "?", " ".join(str(name).encode(errors="replace").decode().split()))
