"""TensorBoard as a process of its own. No TensorFlow."""

import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from trainer.errors import UsageError, said
from trainer.serving import addresses, running
from trainer.serving.running import Claim
from trainer.system.logs import log

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
    while os.read(0, 1):  # not sys.stdin: its lock, held by a thread, would abort Python where it ends
        pass
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
from tensorboard import main
sys.exit(main.run_main())
"""


class Server:
    """Serves a folder of runs.

    The training's Ctrl-C does not end it, and its own end does not touch the training.

    Args:
      root: the folder.
      host: what to listen on.
      port: a free one.
      claims: that the server has from now on.
    """

    def __init__(self, root: pathlib.Path, host: str, port: int, claims: Sequence[Claim] = ()) -> None:
        self.url = addresses.url(host, port)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the server
        arguments = [*_arguments(root), "--host", host, "--port", str(port)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WATCHED, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
            pass_fds=[claim.descriptor for claim in claims if claim.descriptor is not None],
        )
        for claim in claims:
            claim.tell(self.url)

    def wait(self) -> str | None:
        """Serves on until a signal comes, and ends then; or until it ends by itself: then says how."""
        try:
            # Not the handler of SIGINT: it is ignored where a script has started this in the background.
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
        """Ends the server."""
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def serve(root: pathlib.Path, host: str, port: int) -> Server | None:
    """A server of a folder; None where one is running already, whoever has started it.

    Args:
      root: the folder.
      host: what to listen on.
      port: wanted; another free one is taken where it is in use.

    Raises:
      UsageError: nothing can be bound to that host.
      OSError: no process can be started.
    """
    is_public = addresses.is_public(host)
    with Claim(f"{os.path.realpath(root)} at {host}") as on_folder, Claim(f"port {port}") as on_port:
        url = on_folder.url or running.find(root, host)
        if url is not None:
            log.info(f"TensorBoard {url} (running already)")
            return None
        free = addresses.free_port(host, port if on_port.url is None else 0)
        server = Server(root, host, free, [on_folder, on_port] if free == port else [on_folder])
    log.info(f"TensorBoard {server.url}")
    if is_public:
        log.warning(f"TensorBoard has no password: everybody who can reach port {free} of this machine sees the runs")
    return server


def start_server(root: pathlib.Path, host: str, port: int) -> Server | None:
    """Like `serve`, and None where none can be started: training does not depend on it."""
    try:
        return serve(root, host, port)
    except (OSError, UsageError) as error:
        log.warning(f"TensorBoard cannot be started: {said(error)}")
        return None
