"""Child processes, started as programs or by forking a process that has imported TensorFlow.

Importing TensorFlow takes five seconds, and `scripts/torture` starts hundreds of processes. `ForkServer` imports
TensorFlow once and forks a child for each start. It runs no TensorFlow operation, so TensorFlow's threads do not exist
yet when it forks. Each child has its own working directory and output, and can be killed.
"""

import contextlib
import ctypes
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
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

ROOT = pathlib.Path(__file__).resolve().parents[1]
LAUNCH = [sys.executable, str(ROOT / "launch.py")]
CPU = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
MESSAGE_BYTES = 1 << 16
SECONDS_TO_ANSWER = 180.0  # including the import of TensorFlow
SECONDS_BETWEEN_CHECKS = 0.001
PR_SET_PDEATHSIG = 1


def environment(**changes: str) -> dict[str, str]:
    """Returns the environment of a process that imports Hourglass and the scripts from this checkout."""
    paths = [str(ROOT), str(ROOT / "scripts"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    path = os.pathsep.join(dict.fromkeys(filter(None, paths)))
    # PYTHONSAFEPATH: modules of the same name in the working directory must not come first.
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **changes}


class Child:
    """A started process.

    Attributes:
      pid: process id.
      output: file with its stdout and stderr.
      started: `time.monotonic()` of the start.
      code: exit code, or minus the number of the signal that ended it; None until `wait` has seen the end.
    """

    def __init__(self, pid: int, output: pathlib.Path, started: float, reap: Callable[[], int]) -> None:
        self.pid, self.output, self.started, self._reap = pid, output, started, reap
        self._handle = os.pidfd_open(pid)  # Valid even if the process has ended: only `wait` reaps it.
        self.code: int | None = None

    def printed(self) -> str:
        """Returns the output so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: int) -> None:
        """Sends a signal, unless the process has ended."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def wait(self, seconds: float) -> int | None:
        """Waits for the end and returns `code`; None if the process is still running after `seconds`."""
        if self.code is None and select.select([self._handle], [], [], max(0.0, seconds))[0]:
            self.code = self._reap()
            os.close(self._handle)
        return self.code

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Returns True once `condition()` holds; False if the process ends first, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            if self.wait(SECONDS_BETWEEN_CHECKS) is not None:
                return False
        return False

    def kill(self) -> None:
        """Kills the process if it is running, and waits for its end."""
        self.signal(signal.SIGKILL)
        self.wait(SECONDS_TO_ANSWER)


def spawn(command: Sequence[str], output: pathlib.Path, environment: Mapping[str, str]) -> Child:
    """Starts a program; its output replaces the contents of `output`."""
    started = time.monotonic()
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=environment
        )
    return Child(process.pid, output, started, process.wait)


class ForkServer:
    """A process that has imported TensorFlow and forks children on request. Thread-safe.

    A context manager. On exit it kills the children that are still running. They also die with the server, and the
    server exits when the process that made it ends.
    """

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        self._log = tempfile.TemporaryFile()
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.settimeout(SECONDS_TO_ANSWER)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "processes", str(theirs.fileno())],
                env=environment(**CPU),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C reaches only the parent, which then ends the server.
            )
        try:
            self._receive()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        try:
            self._process.wait(SECONDS_TO_ANSWER)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def start(self, arguments: Sequence[str], output: pathlib.Path, program: str = "launch:main") -> Child:
        """Starts a process in the folder of its output file.

        Args:
          arguments: Command line.
          output: File for stdout and stderr; its contents are replaced.
          program: "module:function". The function is called with the arguments and returns the exit code.
        """
        output.write_bytes(b"")
        started = time.monotonic()
        pid = self._request(arguments=list(arguments), output=str(output), program=program)
        return Child(pid, output, started, lambda: self._request(reap=pid))

    def _request(self, **request: Any) -> int:
        with self._lock:
            self._connection.send(json.dumps(request).encode())
            return self._receive()

    def _receive(self) -> int:
        answer = self._connection.recv(MESSAGE_BYTES)
        if not answer:
            self._log.seek(0)
            log = self._log.read().decode(errors="replace")
            raise RuntimeError(f"the fork server ended with exit code {self._process.wait()}:\n{log}")
        return int(answer)


# The rest runs in the fork server's own process.


def main() -> int:
    """Imports TensorFlow and serves requests. Returns in the server at its end, and in each child."""
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import launch  # noqa: F401
    from trainer.runs import run  # noqa: F401

    server, connection = os.getpid(), socket.socket(fileno=int(sys.argv[1]))
    connection.send(b"0")
    request = _serve(connection)
    if request is None:
        return 0
    _exit_with(server)
    connection.close()
    return _run(request)


def _serve(connection: socket.socket) -> dict[str, Any] | None:
    """Returns a request in the child that was forked for it, and None in the server once its parent is gone."""
    running = set()
    while message := connection.recv(MESSAGE_BYTES):
        request = json.loads(message)
        if pid := request.get("reap"):
            running.remove(pid)
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                return request
            running.add(answer)
        connection.send(str(answer).encode())
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return None


def _exit_with(server: int) -> None:
    """Makes the kernel kill this process when the server ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:  # It ended before the call.
        os._exit(1)


def _run(request: dict[str, Any]) -> int:
    """Calls the requested function with the streams and the working directory of a separate process."""
    with open(request["output"], "ab") as output, open(os.devnull, "rb") as null:
        for file, standard in ((null, 0), (output, 1), (output, 2)):
            os.dup2(file.fileno(), standard)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", closefd=False)
    os.chdir(os.path.dirname(request["output"]))
    sys.argv = [request["program"], *request["arguments"]]
    module, function = request["program"].split(":")
    return getattr(importlib.import_module(module), function)(request["arguments"])


if __name__ == "__main__":
    sys.exit(main())
