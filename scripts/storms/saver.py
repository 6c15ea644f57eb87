"""Saves and restores, on command, a tiny checkpoint whose values tell its step.

`python -m storms.saver FOLDER` obeys `save N`, `restore` and `quit`, a line each, on stdin. Importing TensorFlow takes
seconds, so `Savers` does it once, and forks each saver from there: before any operation has run, a fork is safe.
Savers are spoken to through sockets: recvfrom and sendto are not among the calls that storms tamper with.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator

from storms.nursery import ENVIRONMENT, python_path
from trainer.checkpoints import manifest as manifests
from trainer.errors import StorageError

KEEP = 2
FLOATS = 256
MESSAGE = 65_536
PATIENCE = 60.0  # seconds for any single answer; the slowest, TensorFlow's import, takes about five


class Tiny:
    """A state whose every value is the step, in a store. Imports TensorFlow.

    Args:
      folder: of the checkpoints.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        import tensorflow as tf

        from trainer.checkpoints.manager import Store

        self.vector, self.step = tf.Variable(tf.zeros([FLOATS])), tf.Variable(0, dtype=tf.int64)
        self.store = Store(folder, tf.train.Checkpoint(vector=self.vector, step=self.step), keep=KEEP)

    def restore(self) -> str:
        """`restored N`, or `restored none`; anything else if it is not what was saved."""
        found = self.store.restore_newest(lambda manifest: None)
        if found is None:
            return "restored none"
        step, values = found.manifest.step, {int(self.step.numpy()), *self.vector.numpy().tolist()}
        return f"restored {step}" if values == {step} else f"wrong {step} holds {values}"

    def save(self, step: int) -> str:
        """`saved N`, `failed N <reason>` as the store says it, or `broke N <reason>` if it says anything else."""
        self.step.assign(step)
        self.vector.assign([float(step)] * FLOATS)
        try:
            self.store.save(manifest(step))
        except StorageError as error:
            return f"failed {step} {' '.join(str(error).split())}"
        except Exception as error:
            return f"broke {step} {type(error).__name__}: {' '.join(str(error).split())}"
        return f"saved {step}"

    def close(self) -> None:
        """Gives the store back what it holds."""
        self.store.close()


def manifest(step: int) -> manifests.Manifest:
    """What a run would say of its checkpoint."""
    return manifests.Manifest(
        run_id="storm",
        step=step,
        flags={},
        data="none",
        numerics={},
        metrics={manifests.ERROR: error(step)},
        evaluated=step,
        changes=[],
        pending=(0.0, 0),
        seconds=float(step),
        files={},
    )


def error(step: int) -> float:
    """Every third step is better than all before, so that the best leaves the rotation before there is a better one."""
    return 1 / step if step % 3 == 0 else 1.0


def obey(folder: pathlib.Path, commands: Iterable[str], answer: Callable[[str], object]) -> None:
    """Restores the newest, says so, then does as it is told until it is told nothing more."""
    with contextlib.closing(Tiny(folder)) as tiny:
        answer(tiny.restore())
        for command in commands:
            verb, *steps = command.split()
            if verb == "quit":
                return
            answer(tiny.save(int(steps[0])) if verb == "save" else tiny.restore())


def received(end: socket.socket) -> Iterator[str]:
    """The messages from a socket, until its other end is closed."""
    while message := end.recv(MESSAGE):
        yield message.decode()


class Saver:
    """A process that saves and restores. Made by `Savers`; as a context manager, it ends.

    Attributes:
      pid: its process.
      restored: the step that it began with; None where there was no checkpoint.
      dead: whether it was found dead when it was asked.
    """

    def __init__(self, pid: int, end: socket.socket, reap: Callable[[int], int]) -> None:
        self.pid, self._end, self._reap = pid, end, reap
        self._status: int | None = None
        self.dead = False
        self.restored = self._read_start()

    def _read_start(self) -> int | None:
        try:
            answer = self._receive()
            verb, step, *_ = answer.split()
            if verb != "restored":
                raise RuntimeError(answer)
        except BaseException:
            self.end()
            raise
        return None if step == "none" else int(step)

    def _receive(self) -> str:
        """The next message; a reset connection is a death too."""
        with contextlib.suppress(ConnectionError):
            if message := self._end.recv(MESSAGE):
                return message.decode()
        self.dead = True
        raise EOFError("the saver is dead")

    def ask(self, command: str) -> str:
        """Its answer to `save N` or `restore`.

        Raises:
          EOFError: it died.
          TimeoutError: it does not answer.
        """
        with contextlib.suppress(ConnectionError):  # What is received tells.
            self._end.send(command.encode())
        return self._receive()

    def end(self) -> int:
        """Ends it and says how it ended: its exit code, or less than 0: by which signal."""
        if self._status is None:
            with contextlib.suppress(OSError):
                self._end.send(b"quit")
            try:
                while self._end.recv(MESSAGE):
                    pass
            except OSError:
                os.kill(self.pid, signal.SIGKILL)  # Not reaped yet, so the number is still its own.
            self._end.close()
            self._status = self._reap(self.pid)
        return self._status

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Savers:
    """Where savers come from: a process that has imported TensorFlow and forks. To be used in a `with`."""

    def __enter__(self) -> "Savers":
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(PATIENCE)
        self._errors = tempfile.TemporaryFile()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "storms.saver", f"--fork={theirs.fileno()}"],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **ENVIRONMENT, "PYTHONPATH": python_path()},
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def start(self, folder: pathlib.Path) -> Saver:
        """A saver that has restored the newest checkpoint in `folder`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(PATIENCE)
        with theirs:
            pid = self._request(f"fork {folder}", [theirs.fileno()])
        try:
            return Saver(pid, ours, lambda pid: self._request(f"reap {pid}"))
        except EOFError as error:
            raise RuntimeError(f"a saver cannot start: {self._last_words()}") from error

    def _request(self, request: str, descriptors: Iterable[int] = ()) -> int:
        answer = b""
        with self._lock, contextlib.suppress(ConnectionError):
            socket.send_fds(self._control, [request.encode()], descriptors)
            answer = self._control.recv(MESSAGE)
        if not answer:
            raise RuntimeError(f"the process that forks savers is dead: {self._last_words()}")
        return int(answer)

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()[-500:]


def fork_on_request(control: socket.socket) -> None:
    """Forks a saver for each socket that arrives, and reaps it when told to, until nobody can ask any more."""
    alive = set()
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, MESSAGE, 1)
        if not request:
            break
        verb, argument = request.decode().split(" ", 1)
        if verb == "fork":
            alive.add(pid := _fork(pathlib.Path(argument), descriptors[0], control))
            control.send(str(pid).encode())
        else:
            alive.remove(int(argument))
            control.send(str(os.waitstatus_to_exitcode(os.waitpid(int(argument), 0)[1])).encode())
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _fork(folder: pathlib.Path, descriptor: int, control: socket.socket) -> int:
    """A saver that listens to the descriptor."""
    pid = os.fork()
    if pid:
        os.close(descriptor)
        return pid
    status = 1
    try:
        control.close()  # Else it would keep the one that forks from noticing that nobody asks any more.
        with socket.socket(fileno=descriptor) as end:
            obey(folder, received(end), lambda text: end.send(text.encode()))
        status = 0
    except BaseException as error:
        print(f"saver {os.getpid()}: {error!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=pathlib.Path)
    parser.add_argument("--fork", type=int, help="a socket: fork savers for whoever asks through it")
    arguments = parser.parse_args()
    if arguments.fork is None:
        obey(arguments.folder, sys.stdin, lambda text: print(text, flush=True))
        return
    import tensorflow  # noqa: F401

    from trainer.checkpoints import manager  # noqa: F401

    with socket.socket(fileno=arguments.fork) as control:
        fork_on_request(control)


if __name__ == "__main__":
    main()
