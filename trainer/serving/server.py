"""Runs TensorBoard in a child process. Does not import TensorFlow."""

import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

from trainer.errors import UsageError, error_text
from trainer.serving import addresses
from trainer.system.logs import log

IMAGES_KEPT = 1_000  # images of a tag that TensorBoard keeps; its default is 10


def command(root: pathlib.Path) -> str:
    """Returns the shell command that serves the folder `root`."""
    # Use the full path if the virtual environment is not activated.
    program = "tensorboard" if shutil.which("tensorboard") else str(pathlib.Path(sys.executable).parent / "tensorboard")
    return shlex.join([program, *_arguments(root)])


def _arguments(root: pathlib.Path) -> list[str]:
    return ["--logdir", str(root), "--samples_per_plugin", f"images={IMAGES_KEPT}"]


# Runs TensorBoard until standard input is closed, so that the server ends when its parent process ends or is killed.
_WATCHED = """
import os, sys, threading
def watch():
    while os.read(0, 1):  # sys.stdin has a lock; a thread that holds the lock would abort Python at its exit.
        pass
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
from tensorboard import main
sys.exit(main.run_main())
"""


class Server:
    """A TensorBoard process that serves a folder of runs.

    Ctrl-C in the terminal does not end the process, and the end of the process does not affect training.

    Args:
      root: the folder of runs.
      host: the host name or address to listen on.
      port: a free port.

    Attributes:
      url: the URL of the server.
    """

    def __init__(self, root: pathlib.Path, host: str, port: int) -> None:
        self.url = addresses.url(host, port)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        arguments = [*_arguments(root), "--host", host, "--port", str(port)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WATCHED, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
        )

    def wait(self) -> str | None:
        """Waits for SIGINT, SIGTERM or the end of the server, and stops the server.

        Returns:
          None after a signal; otherwise the exit code of the server and the last line of its standard error.
        """
        try:
            # The current handler of SIGINT may be SIG_IGN: a shell sets it for background processes of a script.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            return self._last_words(self._process.wait())
        except KeyboardInterrupt:
            return None
        finally:
            self.stop()

    def _last_words(self, code: int) -> str:
        if code < 0:
            return f"signal {-code} ({signal.strsignal(-code)})"
        size = os.fstat(self._errors.fileno()).st_size
        text = os.pread(self._errors.fileno(), 4096, max(0, size - 4096)).decode(errors="replace").strip()
        return f"exit code {code}: {text.splitlines()[-1][:200]}" if text else f"exit code {code}"

    def stop(self) -> None:
        """Terminates the server; kills the server after 5 seconds."""
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def serve(root: pathlib.Path, host: str, port: int) -> Server:
    """Starts a TensorBoard server, and logs its URL.

    Args:
      root: the folder of runs.
      host: the host name or address to listen on.
      port: the preferred port; if the port is in use, the server uses the next free port.

    Raises:
      UsageError: no socket can be bound to `host`.
      OSError: the process cannot be started.
    """
    is_public = addresses.is_public(host)
    port = addresses.free_port(host, port)
    server = Server(root, host, port)
    log.info(f"TensorBoard {server.url}")
    if is_public:
        log.warning(f"TensorBoard has no password: everybody who can reach port {port} of this machine sees the runs")
    return server


def start_server(root: pathlib.Path, host: str, port: int) -> Server | None:
    """Calls `serve`; if the server cannot be started, logs a warning and returns None, so that training continues."""
    try:
        return serve(root, host, port)
    except (OSError, UsageError) as error:
        log.warning(f"TensorBoard cannot be started: {error_text(error)}")
        return None
