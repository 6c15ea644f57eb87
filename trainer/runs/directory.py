"""A run's folder: its name, its lock, the flags it was started with. No TensorFlow."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
import socket
import time
from collections.abc import Iterator
from typing import IO, Any

from trainer import config as configs
from trainer.config import Config
from trainer.data.options import OWN_FILES
from trainer.errors import LockedError, StorageError, UsageError, option, said, shown
from trainer.system import files
from trainer.system.options import MATHEMATICS

ROOT = pathlib.Path("runs")
FLAGS_FILE = "flags.txt"
RESULT_FILE = "result.json"
LOG_FILE = "run.log"
LOCK_FILE = ".lock"
HISTORY_FILE = "history.txt"
RUN_ID_FILE = "run_id"
CHECKPOINTS = "checkpoints"
RESTORING = ".restoring"  # stands while a mirror brings the run back
SET_ASIDE = "set_aside"

# All that a run makes, but for the lock. A folder may hold other things of its owner's.
CONTENTS = (
    *(FLAGS_FILE, RESULT_FILE, LOG_FILE, HISTORY_FILE, RUN_ID_FILE, RESTORING, "floors.json"),
    *("train", "eval", "floor", CHECKPOINTS, "export"),
    *configs.USING,
)


class RunDirectory:
    """The folder of one run.

    Attributes:
      path: the folder, absolute.
      root: what TensorBoard is pointed at: `runs`, or the folder itself where the person named it.
    """

    def __init__(self, config: Config) -> None:
        named = config.run.run_dir
        if named is not None and re.match(r"[a-z0-9+.-]+://", named, re.IGNORECASE):
            raise UsageError(
                f"{option('run_dir', named)} is an address, not a folder",
                found="checkpoints need rename, lock and fsync, which object stores do not have",
                remedy="give a folder on a disk, or mount the bucket and give the mount",
            )
        try:
            self.path = (pathlib.Path(named).expanduser() if named else ROOT / name_of(config)).absolute()
            self.root = self.path if named else ROOT.absolute()
        except (OSError, RuntimeError) as error:  # No such person; or the working folder is gone.
            raise UsageError(option("run_dir", named), found=str(error), remedy="give an absolute path") from error

    def __truediv__(self, name: str) -> pathlib.Path:
        return self.path / name

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder, takes its lock, and holds it; the kernel frees it however this process ends.

        A folder that was made here and in which nothing came to be is removed again.

        Raises:
          StorageError: the folder cannot be made or written, or lacks what checkpoints need.
          LockedError: another process holds the lock.
        """
        try:
            made = [path for path in (self.path, *self.path.parents) if not path.exists()]
            files.make_folder(self.path)
            lock = (self / LOCK_FILE).open("a+b", buffering=0)
        except OSError as error:
            raise self._unusable(error) from error
        with lock:
            self._lock(lock)
            if not self._is_current(lock):  # The one who held it before has removed an empty folder's lock.
                raise LockedError(f"{self.path} was just being removed", remedy="type the same command again")
            try:
                yield
            finally:
                if made and [path.name for path in self.path.iterdir()] == [LOCK_FILE]:
                    (self / LOCK_FILE).unlink()
                    with contextlib.suppress(OSError):  # Another run has come to be beside it.
                        for path in made:
                            path.rmdir()

    def _lock(self, lock: IO[bytes]) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%F %T')}\n".encode())
            os.fsync(lock.fileno())
            self._probe()
        except BlockingIOError as error:
            raise LockedError(
                f"{self.path} is in use",
                found=f"locked by {_owner(lock)}",
                remedy=f"wait for it or stop it, or give another {option('run_dir')}",
            ) from error
        except OSError as error:
            raise self._unusable(error) from error

    def _is_current(self, lock: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.fstat(lock.fileno()), (self / LOCK_FILE).stat())
        except FileNotFoundError:
            return False

    def _probe(self) -> None:
        """Does what a commit does: write, fsync, rename, fsync of the folder."""
        probe = self / ".probe"
        files.write(probe, "probe\n")
        probe.unlink()

    def _unusable(self, error: OSError) -> StorageError:
        return StorageError(
            f"the run directory {self.path} cannot be used",
            found=error.strerror or str(error),
            remedy=f"give a {option('run_dir')} on a disk that you may write to and that has room",
        )

    def check_ours(self) -> None:
        """Refuses a folder that holds files of a run's names, but no run of ours: they are somebody's.

        Raises:
          UsageError: it does.
        """
        found = [name for name in CONTENTS if name != LOG_FILE and (self / name).exists()]
        if found and not (self / FLAGS_FILE).exists():
            raise UsageError(
                f"{self.path} holds {', '.join(found)}, and no {FLAGS_FILE}",
                found="so these are not a run's of Hourglass, and would be overwritten",
                remedy=f"give another {option('run_dir')}; {option('restart', True)} would move them into set_aside/",
            )

    def adopt_flags(self, given: Config, given_names: frozenset[str]) -> Config:
        """The config to run with: an existing run's own, with what may change as given now.

        With `--restart` everything may change, and flags that cannot be read are no obstacle.

        Raises:
          UsageError: a mathematical flag differs, or `flags.txt` cannot be read.
        """
        path = self / FLAGS_FILE
        if not path.exists():
            return given
        try:
            stored = configs.from_flagfile(path.read_text(encoding="utf-8-sig"))
        except (UsageError, UnicodeDecodeError, OSError) as error:
            if given.run.restart:
                return given
            raise UsageError(
                f"{path} cannot be read",
                found=said(error),
                remedy=f"mend it, or {option('restart', True)} to begin again",
            ) from error
        return configs.adopt(stored, given, given_names, guard=not given.run.restart)

    def reached(self) -> int:
        """The furthest step that the run's own papers know of, whatever has become of its checkpoints."""
        steps = [step.removeprefix("step ").replace(",", "") for _, step, _ in self.history()]
        result = files.read_json(self / RESULT_FILE) or {}
        return max((int(text) for text in (*steps, str(result.get("step", 0))) if text.isdecimal()), default=0)

    def write_flags(self, config: Config) -> None:
        """Writes `flags.txt`, a flagfile that repeats the run."""
        text = configs.to_flagfile(config)
        path = self / FLAGS_FILE
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            files.write(path, text)

    def remember(self, step: int, what: str) -> None:
        """Adds a line to the run's history: starts, stops, and whatever went otherwise than planned."""
        with (self / HISTORY_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%F %T%z')}\tstep {step:,}\t{shown(' '.join(what.split()))}\n")
            file.flush()
            os.fsync(file.fileno())

    def history(self) -> list[list[str]]:
        """[when, step, what] of each line, oldest first."""
        path = self / HISTORY_FILE
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return [line.split("\t") for line in text.splitlines() if line.count("\t") == 2]

    def write_result(self, result: dict[str, Any]) -> None:
        """Marks the run as finished."""
        files.write_json(self / RESULT_FILE, result)


def _owner(lock: IO[bytes]) -> str:
    """What the lock's owner has written there; it may have taken the lock only just now."""
    for _ in range(20):
        lock.seek(0)
        text = lock.read().decode(errors="replace")
        if text.endswith("\n"):
            return text.strip()
        time.sleep(0.02)
    return "another process"


def set_aside(run: pathlib.Path) -> pathlib.Path | None:
    """Moves the run so far into a sub-folder; None where there was none."""
    contents = [run / name for name in CONTENTS if (run / name).exists()]
    if not contents:
        return None
    (run / SET_ASIDE).mkdir(exist_ok=True)
    target = files.unused(run / SET_ASIDE / "run")
    target.mkdir()
    for path in contents:
        path.rename(target / path.name)
    return target


def _data_name(config: Config) -> str:
    """The data set; of a person's own data, what their folder or file is called too."""
    if config.data.dataset not in OWN_FILES or config.data.data_dir is None:
        return config.data.dataset.replace(":", "-").replace("/", "-")
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", pathlib.Path(config.data.data_dir).stem)
    return f"{config.data.dataset}-{stem}" if stem.strip("._-") else config.data.dataset


def name_of(config: Config) -> str:
    """<dataset>-<model>-<hidden>, then 8 hex digits of the other mathematical flags if any is not its default."""
    default = configs.defaults()
    named = ("dataset", "model", "hidden")
    others = {
        name: config[name]
        for name in sorted(configs.names(MATHEMATICS))
        if name not in named and config[name] != default[name]
    }
    name = f"{_data_name(config)}-{config.model.model}-{'-'.join(map(str, config.model.hidden))}"
    if len(name) > 100:
        others["hidden"] = config.model.hidden
        name = name[:100]
    if not others:
        return name
    return f"{name}-{hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()[:8]}"
