"""TensorBoard as a process of its own. No TensorFlow."""

import contextlib
import pathlib
import shlex
import shutil
import socket
import subprocess
import sys

PICTURES_KEPT = 1_000  # TensorBoard keeps 10 of a tag unless told.


def command(root: pathlib.Path) -> str:
    """What a person types to look."""
    # Where the virtual environment is not activated, its folder is not on the PATH.
    program = "tensorboard" if shutil.which("tensorboard") else str(pathlib.Path(sys.executable).parent / "tensorboard")
    return shlex.join([program, *_arguments(root)])


def _arguments(root: pathlib.Path) -> list[str]:
    return ["--logdir", str(root), "--samples_per_plugin", f"images={PICTURES_KEPT}"]


class Server:
    """Serves a folder of runs on localhost.

    The training's Ctrl-C does not end it, and its own end does not touch the training.

    Args:
      root: the folder.
      port: wanted; another free one is taken where it is in use.
      log_path: what it prints goes there.
    """

    def __init__(self, root: pathlib.Path, port: int, log_path: pathlib.Path) -> None:
        port = _free_port(port)
        self.url = f"http://localhost:{port}/"
        arguments = [*_arguments(root), "--host", "localhost", "--port", str(port)]
        with open(log_path, "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tensorboard.main", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Returns when the server ends, or on Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt):
            self._process.wait()

    def stop(self) -> None:
        """Ends the server."""
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()


def _free_port(wanted: int) -> int:
    """The wanted port, or any free one where it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("localhost", port))
            return int(probe.getsockname()[1])
    return wanted
