"""The program, launched in this process over and over, with all that it must not do in a trial being forbidden."""

import contextlib
import importlib.abc
import io
import re
import socket
import subprocess
import sys
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

import launch
from hostile.workers import Outcome
from trainer import errors

FORBIDDEN = ("tensorflow", "keras", "tensorboard")
LAST = (
    "trainer.runs.run",
    "trainer.runs.trained",
)  # that import it, when all that can be checked without it is checked
DOCUMENTED = {kind.exit_code for kind in errors.HourglassError.__subclasses__()} | {errors.DONE}
ACCEPTED = "accepted"


class Reached(BaseException):
    """TensorFlow would be imported now, or a program started: all checks are passed."""


class _Gate(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name.partition(".")[0] in FORBIDDEN or name in LAST:
            raise Reached(name)


def forbid() -> None:
    """From now on: no TensorFlow, no other program, no network, no name looked up."""
    sys.meta_path.insert(0, _Gate())

    def refuse(error: BaseException) -> Callable[..., Any]:
        def refused(*arguments: Any, **options: Any) -> Any:
            raise error

        return refused

    subprocess.Popen = refuse(Reached("a program"))  # type: ignore[misc,assignment]
    urllib.request.urlopen = refuse(urllib.error.URLError("no network"))
    socket.getaddrinfo = refuse(socket.gaierror("no names"))


def outcome(arguments: Sequence[str]) -> Outcome:
    """Launches it; says what it must not have said, or how it must not have ended."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = launch.main(list(arguments))
    except Reached:
        return Outcome(ACCEPTED, _wrong_words(out.getvalue(), err.getvalue(), errors.DONE))
    except BaseException:
        return Outcome("an exception", f"{list(arguments)!r}: {traceback.format_exc()[-600:]}")
    # Who asks for tracebacks gets them.
    debug = any(argument.lstrip("-").startswith("debug") for argument in arguments)
    words = "" if debug else _wrong_words(out.getvalue(), err.getvalue(), code)
    if code not in DOCUMENTED or code == errors.BUG:
        words = f"exit {code}: {err.getvalue()[-600:]}"
    return Outcome(f"exit {code}", words and f"{list(arguments)!r}: {words}")


def _wrong_words(out: str, err: str, code: int) -> str:
    """What is wrong with what was said; empty: nothing."""
    if "Traceback" in out + err:
        return f"a traceback: {(out + err)[-600:]}"
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", out + err):
        return f"a control character: {(out + err)[-600:]!r}"
    lines = err.splitlines()
    if code == errors.DONE:
        return f"said to stderr: {err[-600:]}" if lines else ""
    if not 2 <= len(lines) <= 3 or not lines[0].startswith("error: ") or not lines[-1].startswith("remedy: "):
        return f"no error of two or three lines: {err[-600:]!r}"
    return ""
