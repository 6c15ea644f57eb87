"""Hourglass, launched in this process over and over, with TensorFlow, other programs and the network forbidden."""

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

# Modules that are imported only after everything that can be checked without TensorFlow has been checked.
FORBIDDEN = ("tensorflow", "keras", "tensorboard", "trainer.runs.run", "trainer.runs.trained")
DOCUMENTED = {kind.exit_code for kind in errors.HourglassError.__subclasses__()} | {errors.DONE}
ACCEPTED = "accepted"


class Accepted(BaseException):
    """All checks passed: TensorFlow would be imported now, or a program started."""


class _ImportGuard(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name in FORBIDDEN or name.partition(".")[0] in FORBIDDEN:
            raise Accepted(name)


def forbid() -> None:
    """Forbids TensorFlow, other programs and the network in this process."""
    sys.meta_path.insert(0, _ImportGuard())

    def raiser(error: BaseException) -> Callable[..., Any]:
        def raise_error(*arguments: Any, **options: Any) -> Any:
            raise error

        return raise_error

    subprocess.Popen = raiser(Accepted("a program"))  # type: ignore[misc,assignment]
    urllib.request.urlopen = raiser(urllib.error.URLError("no network"))
    socket.getaddrinfo = raiser(socket.gaierror("no names"))


def outcome(arguments: Sequence[str]) -> Outcome:
    """Launches Hourglass; the problem is a wrong message or a wrong exit code."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = launch.main(list(arguments))
    except Accepted:
        return Outcome(ACCEPTED, _message_problem(out.getvalue(), err.getvalue(), errors.DONE))
    except BaseException:
        return Outcome("an exception", f"{list(arguments)!r}: {traceback.format_exc()[-600:]}")
    debug = any(argument.lstrip("-").startswith("debug") for argument in arguments)  # asks for tracebacks
    problem = "" if debug else _message_problem(out.getvalue(), err.getvalue(), code)
    if code not in DOCUMENTED or code == errors.BUG:
        problem = f"exit {code}: {err.getvalue()[-600:]}"
    return Outcome(f"exit {code}", problem and f"{list(arguments)!r}: {problem}")


def is_error(err: str) -> bool:
    """Returns True if this is an error message of two or three lines, the last of which is a remedy."""
    lines = err.splitlines()
    return 2 <= len(lines) <= 3 and lines[0].startswith("error: ") and lines[-1].startswith("remedy: ")


def _message_problem(out: str, err: str, code: int) -> str:
    """Returns what is wrong with the printed text; empty if it is as it should be."""
    if "Traceback" in out + err:
        return f"a traceback: {(out + err)[-600:]}"
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", out + err):
        return f"a control character: {(out + err)[-600:]!r}"
    if code == errors.DONE:
        return f"printed to stderr: {err[-600:]}" if err.splitlines() else ""
    return "" if is_error(err) else f"no error message of two or three lines: {err[-600:]!r}"
