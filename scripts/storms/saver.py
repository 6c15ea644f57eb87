"""A process that saves, on request, a small checkpoint in which every value is the step.

It is asked through a socket: `recvfrom` and `sendto` are not among the system calls that `syscalls` makes fail.
"""

import contextlib
import dataclasses
import os
import pathlib
import socket
import tempfile
from collections.abc import Iterator
from typing import Self

from processes import MESSAGE_BYTES, ForkServer

from trainer.checkpoints import manifest as manifests
from trainer.errors import StorageError

KEEP = 2
VALUES = 256
SECONDS_TO_ANSWER = 60.0
DIED = "died"


@contextlib.contextmanager
def new_folder() -> Iterator[pathlib.Path]:
    """Yields the path of a folder for checkpoints, which does not exist yet and is deleted on exit."""
    with tempfile.TemporaryDirectory(prefix="hourglass-saves-") as temporary:
        yield pathlib.Path(temporary).resolve() / "checkpoints"


class Saver:
    """A process that has restored the newest checkpoint in a folder. A context manager; on exit the process is ended.

    Args:
      server: Forks the process.
      folder: Folder of the checkpoints.

    Attributes:
      pid: process id.
      restored: step that was restored; None if there was no checkpoint.
      dead: True once the process failed to answer because it had died.
    """

    def __init__(self, server: ForkServer, folder: pathlib.Path) -> None:
        self.dead = False
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind("")  # Linux chooses an unused abstract address.
            listener.listen(1)
            listener.settimeout(SECONDS_TO_ANSWER)
            arguments = [str(folder), listener.getsockname().decode()]
            self._child = server.start(arguments, folder.parent / "saver.out", "storms.saver:main")
            self.pid = self._child.pid
            self._socket, _ = listener.accept()
        self._socket.settimeout(SECONDS_TO_ANSWER)
        answer, _, step = self._receive().partition(" ")
        if answer != "restored":
            self.end()
            raise RuntimeError(f"the saver could not restore: {answer} {step}\n{self._child.printed()}")
        self.restored = int(step) if step else None

    def save(self, step: int) -> str:
        """Saves a step.

        Returns:
          `saved N`; `failed N <reason>` after a StorageError; `broke N <reason>` after any other error; `died`.
        """
        with contextlib.suppress(ConnectionError):  # The missing answer shows that the process died.
            self._socket.send(str(step).encode())
        return self._receive()

    def end(self) -> int | None:
        """Ends the process and returns its exit code, or minus the number of the signal that ended it."""
        self._socket.close()
        self._child.wait(SECONDS_TO_ANSWER)
        self._child.kill()
        return self._child.code

    def _receive(self) -> str:
        with contextlib.suppress(ConnectionError):
            if message := self._socket.recv(MESSAGE_BYTES):
                return message.decode()
        self.dead = True
        return DIED

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def error(step: int) -> float:
    """Returns the evaluation error of a step.

    Every third step is better than all before, so that the best checkpoint leaves the rotation before a better one.
    """
    return 1 / step if step % 3 == 0 else 1.0


def make_manifest(step: int, **fields: object) -> manifests.Manifest:
    """Returns the manifest of a checkpoint without a run; `fields` replace its defaults."""
    manifest = manifests.Manifest(
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
    return dataclasses.replace(manifest, **fields)


# The rest runs in the saver's own process.


def main(arguments: list[str]) -> int:
    """Restores the newest checkpoint in a folder, then saves each step that is requested through a socket."""
    import tensorflow as tf

    from trainer.checkpoints.manager import CheckpointManager

    folder, address = arguments
    vector, counter = tf.Variable(tf.zeros([VALUES])), tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(vector=vector, step=counter)
    manager = CheckpointManager(pathlib.Path(folder), checkpoint, keep=KEEP)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as end, contextlib.closing(manager):
        end.connect(address)
        newest = manager.restore_newest(lambda manifest: None)
        values = {int(counter.numpy()), *vector.numpy().tolist()}
        if newest is None:
            end.send(b"restored")
        elif values == {newest.manifest.step}:
            end.send(f"restored {newest.manifest.step}".encode())
        else:
            end.send(f"wrong: step {newest.manifest.step} contains {values}".encode())
        while message := end.recv(MESSAGE_BYTES):
            step = int(message)
            counter.assign(step)
            vector.assign([float(step)] * VALUES)
            end.send(_save(manager, step).encode())
    os._exit(0)  # Skips the interpreter's exit, which takes longer than a save.


def _save(manager: "CheckpointManager", step: int) -> str:  # noqa: F821 - imported in `main`
    try:
        manager.save(make_manifest(step))
    except StorageError as error:
        return f"failed {step} {' '.join(str(error).split())}"
    except Exception as error:
        return f"broke {step} {type(error).__name__}: {' '.join(str(error).split())}"
    return f"saved {step}"
