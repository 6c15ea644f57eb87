"""TensorBoard as a process of its own. No TensorFlow."""

import contextlib
import logging
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys

log = logging.getLogger("hourglass")

PICTURES_KEPT = 1_000  # TensorBoard keeps 10 of a tag unless told.


def command(root: pathlib.Path) -> str:
    """What a person types to look."""
    # Where the virtual environment is not activated, its folder is not on the PATH.
    program = "tensorboard" if shutil.which("tensorboard") else str(pathlib.Path(sys.executable).parent / "tensorboard")
    return shlex.join([program, *_arguments(root)])


def _arguments(root: pathlib.Path) -> list[str]:
    return ["--logdir", str(root), "--samples_per_plugin", f"images={PICTURES_KEPT}"]


# TensorBoard, in a process that ends when its standard input does: whatever becomes of the one that started it.
_WATCHED = """
import os, sys, threading
def watch():
    sys.stdin.buffer.read()
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
from tensorboard import main
sys.exit(main.run_main())
"""


class Server:
    """Serves a folder of runs on localhost.

    The training's Ctrl-C does not end it, and its own end does not touch the training.

    Args:
      root: the folder.
      port: wanted; another free one is taken where it is in use.
    """

    def __init__(self, root: pathlib.Path, port: int) -> None:
        port = _free_port(port)
        self.url = f"http://localhost:{port}/"
        arguments = [*_arguments(root), "--host", "localhost", "--port", str(port)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WATCHED, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self) -> None:
        """Serves on until it ends by itself, or a signal comes; it is ended then."""
        try:
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
            self._process.wait()
        except KeyboardInterrupt:
            pass
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends the server."""
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()


def start_server(root: pathlib.Path, port: int) -> Server | None:
    """A server, or None where none can be started: training does not depend on it."""
    try:
        server = Server(root, port)
    except OSError as error:
        log.warning(f"TensorBoard cannot be started: {error}")
        return None
    log.info(f"TensorBoard {server.url}")
    return server


def _free_port(wanted: int) -> int:
    """The wanted port, or any free one where it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("localhost", port))
            return int(probe.getsockname()[1])
    return wanted
