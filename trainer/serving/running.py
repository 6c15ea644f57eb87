"""The TensorBoard that serves a folder already, whoever has started it. No TensorFlow, and none of its code."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import tempfile
import time
from types import TracebackType
from typing import Any, Self

from trainer.serving import addresses
from trainer.system import files, locks

INFO_FILES = ".tensorboard-info/pid-*.info"  # in the folder for temporary files: where every TensorBoard registers
PATIENCE = 1.0  # seconds that one may take to answer
MAX_ANSWER = 1 << 16
ROUNDS = 150  # of 20 ms: the one that holds a claim may be asking around


def find(root: pathlib.Path, host: str) -> str | None:
    """The URL of a TensorBoard on this machine that serves `root` and is reached at `host`; None: there is none."""
    for path in sorted(pathlib.Path(tempfile.gettempdir()).glob(INFO_FILES)):
        # Those that were killed leave theirs behind, and anybody may write there: it counts only who answers.
        with contextlib.suppress(
            OSError, LookupError, TypeError, ValueError, RecursionError, http.client.HTTPException
        ):
            info = (files.read_json(path) if path.is_file() else None) or {}
            started_in = json.loads(base64.b64decode(info["cache_key"]))["working_directory"]
            if not _is_same(root, started_in, info["logdir"]):
                continue
            answer = _ask(addresses.name(host), info["port"], info["path_prefix"] + "/data/environment")
            if _is_same(root, started_in, answer["data_location"]) and _is_open_enough(host, answer):
                return addresses.url(host, info["port"], info["path_prefix"])
    return None


def _is_same(root: pathlib.Path, started_in: str, location: str) -> bool:
    """Whether a `--logdir` given in the folder `started_in` is `root`."""
    return os.path.realpath(os.path.join(started_in, os.path.expanduser(location))) == os.path.realpath(root)


def _is_open_enough(host: str, answer: dict[str, Any]) -> bool:
    """Whether others can look, if `host` is for others: a machine's name may lead to itself alone, seen from itself."""
    bound = answer.get("debug", {}).get("flags", {})
    return (
        bound.get("bind_all", False)
        or not addresses.is_public(host)
        or addresses.is_public(bound.get("host") or "localhost")
    )


def _ask(host: str, port: int, path: str) -> dict[str, Any]:
    """A JSON object, past all proxies."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return json.loads(connection.getresponse().read(MAX_ANSWER))


class Claim:
    """The right to serve a folder, or to listen on a port: of two that come at once, one gets it.

    A lock, which TensorBoard's process inherits and holds until it ends, however it ends. For TensorBoard needs seconds
    before it answers, has its port, and can be found.

    Args:
      what: is claimed, in any words; on this machine, and of the same person's.

    Attributes:
      url: of the one that has it; None if it is ours, or if there can be no locks here.
      descriptor: what a process has to inherit to have it; None if there can be no locks here.
    """

    def __init__(self, what: str) -> None:
        self.url: str | None = None
        self.descriptor: int | None = None
        key = hashlib.sha256(os.fsencode(what)).hexdigest()[:16]
        path = pathlib.Path(tempfile.gettempdir(), f".hourglass-tensorboard-{os.getuid()}-{key}")
        with contextlib.suppress(OSError):  # Without locks, two that come at once get it.
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            if os.fstat(self.descriptor).st_uid == os.getuid():  # Anybody may write there.
                self.url = _take(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)

    def tell(self, url: str) -> None:
        """Tells those who come for it where the server is."""
        if self.descriptor is not None:
            with contextlib.suppress(OSError):
                os.write(self.descriptor, f"{url}\n".encode())


def _take(descriptor: int) -> str | None:
    """Takes the lock; or returns what the one that has it says."""
    for _ in range(ROUNDS):
        try:
            locks.try_acquire(descriptor)
            os.ftruncate(descriptor, 0)
            return None
        except BlockingIOError:
            text = os.pread(descriptor, MAX_ANSWER, 0).decode(errors="replace")
            if text.endswith("\n"):
                return text.strip()
        time.sleep(0.02)
    return None
