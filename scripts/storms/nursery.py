"""Starts real training processes quickly: one process imports TensorFlow and forks a child for each start.

Importing TensorFlow takes five seconds, and a storm starts hundreds of processes. The nursery imports and runs no
operation, so no thread of TensorFlow's runtime exists when it forks. Each child is a process of its own: it has its own
working folder, environment and output, calls `launch.main`, ends as the interpreter ends, and can be killed.
No child outlives the nursery, and the nursery does not outlive the storm.
"""

import contextlib
import ctypes
import dataclasses
import importlib
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
HOURGLASS = "launch:main"
MESSAGE_BYTES = 1 << 16
SECONDS_TO_IMPORT = 180.0
SECONDS_TO_FORK = 30.0
PR_SET_PDEATHSIG = 1


def python_path() -> str:
    """Where a new interpreter finds the trainer and the storms."""
    return os.pathsep.join([str(ROOT), str(ROOT / "scripts"), *filter(None, [os.environ.get("PYTHONPATH")])])


@dataclasses.dataclass(frozen=True)
class Child:
    """A process that was started.

    Attributes:
      pid: its id.
      output: the file with what it writes to stdout and stderr.
    """

    pid: int
    output: pathlib.Path

    def said(self) -> str:
        """What it has written so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")


class Nursery:
    """Starts processes, and learns how they end. A context manager: on leaving, nothing is left running."""

    def __enter__(self) -> Self:
        self._ends: dict[int, int] = {}  # id -> how it ended
        self._handles: dict[int, int] = {}  # id -> what names this process, and no later one of the same id
        self._noise = tempfile.TemporaryFile()
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "storms.nursery", str(theirs.fileno())],
                env={**os.environ, **ENVIRONMENT, "PYTHONPATH": python_path()},
                pass_fds=[theirs.fileno()],
                stderr=self._noise,
                start_new_session=True,  # Ctrl-C is for the storm, which then ends this.
            )
        try:
            self._expect("ready", SECONDS_TO_IMPORT)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()  # It kills its children then, and ends.
        try:
            self._process.wait(SECONDS_TO_FORK)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for handle in self._handles.values():
            os.close(handle)
        self._noise.close()

    def start(
        self,
        arguments: Sequence[str],
        output: pathlib.Path,
        *,
        folder: pathlib.Path,
        environment: Mapping[str, str] | None = None,
        program: str = HOURGLASS,
    ) -> Child:
        """Starts a process.

        Args:
          arguments: of the command line.
          output: the file for its stdout and stderr; anew.
          folder: its working folder.
          environment: what it has in addition.
          program: "module:function", called with the arguments; returns the exit code.
        """
        request = {
            "arguments": list(arguments),
            "output": str(output),
            "folder": str(folder),
            "environment": dict(environment or {}),
            "program": program,
        }
        output.write_bytes(b"")
        self._connection.send(json.dumps(request).encode())
        pid = self._expect("began", SECONDS_TO_FORK)
        self._handles[pid] = os.pidfd_open(pid)  # Even if it has ended: the nursery waits for our word, then reaps.
        self._connection.send(b"{}")
        return Child(pid, output)

    def signal(self, child: Child, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if child.pid in self._handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handles[child.pid], number)

    def wait(self, child: Child, seconds: float) -> int | None:
        """How it ended: the exit code, or minus the signal's number; None where it runs on after so many seconds."""
        until = time.monotonic() + seconds
        while child.pid not in self._ends:
            if not self._read(max(0.0, until - time.monotonic())):
                return None
        return self._ends[child.pid]

    def wait_until(self, child: Child, is_so: Callable[[], bool], seconds: float, every: float = 0.001) -> bool:
        """Whether it came to be so while the child ran; False once the child ends, or after so many seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if is_so():
                return True
            if self.wait(child, every) is not None:
                return False
        return False

    def _expect(self, word: str, seconds: float) -> int:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            message = self._read(max(0.0, until - time.monotonic()))
            if message and word in message:
                return int(message[word])
        raise TimeoutError(f"the nursery did not say {word!r} within {seconds:.0f} s")

    def _read(self, seconds: float) -> dict[str, Any] | None:
        """The next message, or None; how a child ended is noted."""
        if not select.select([self._connection], [], [], seconds)[0]:
            return None
        text = self._connection.recv(MESSAGE_BYTES)
        if not text:
            self._noise.seek(0)
            said = self._noise.read().decode(errors="replace")
            raise RuntimeError(f"the nursery has ended with {self._process.wait()}:\n{said}")
        message = json.loads(text)
        if "began" in message:
            self._ends.pop(message["began"], None)  # An id may come again.
        elif "ended" in message:
            self._ends[message["ended"]] = message["code"]
            os.close(self._handles.pop(message["ended"]))
        return message


# What follows happens in the nursery's own process.


def main() -> int:
    """Imports, says so, and forks a child for each request, until the storm is gone. Comes back in each child too."""
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import launch  # noqa: F401
    from trainer.runs import run  # noqa: F401

    connection = socket.socket(fileno=int(sys.argv[1]))
    children: dict[int, int] = {}  # handle -> id
    connection.send(b'{"ready": 1}')
    nursery = os.getpid()
    request = _serve(connection, children)
    if request is None:
        for handle, pid in children.items():
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.waitpid(pid, 0)
        return 0
    _die_with(nursery)
    for handle in children:
        os.close(handle)
    connection.close()
    return _become(request)


def _serve(connection: socket.socket, children: dict[int, int]) -> dict[str, Any] | None:
    """Comes back in each child with its request, and in the nursery with None once the storm is gone."""
    while True:
        ready = select.select([connection, *children], [], [])[0]
        if connection in ready:
            text = connection.recv(MESSAGE_BYTES)
            if not text:
                return None
            pid = os.fork()
            if pid == 0:
                return json.loads(text)
            children[os.pidfd_open(pid)] = pid
            connection.send(json.dumps({"began": pid}).encode())
            connection.recv(MESSAGE_BYTES)  # It has its handle.
        for handle in ready:
            if handle is not connection:
                _reap(connection, handle, children.pop(handle))


def _reap(connection: socket.socket, handle: int, pid: int) -> None:
    os.close(handle)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        connection.send(json.dumps({"ended": pid, "code": code}).encode())


def _die_with(parent: int) -> None:
    """The kernel kills this process when its parent ends, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # It has ended before the kernel knew.
        os._exit(1)


def _become(request: dict[str, Any]) -> int:
    """Calls the program that was asked for, with streams, folder and environment as a process of its own has them."""
    with open(request["output"], "ab") as output, open(os.devnull, "rb") as nothing:
        for file, standard in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(file.fileno(), standard)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", closefd=False)
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    sys.argv = [request["program"], *request["arguments"]]
    module, function = request["program"].split(":")
    return getattr(importlib.import_module(module), function)(request["arguments"])


if __name__ == "__main__":
    sys.exit(main())
