"""A run's folder: its name, its lock, the flags it was started with. No TensorFlow."""

import contextlib
import os
import pathlib
import re
import socket
import time
from collections.abc import Iterator
from typing import IO, Any

from trainer import config as configs
from trainer.config import Config
from trainer.errors import LockedError, StorageError, UsageError, error_text, option, shown
from trainer.runs.naming import checkpoint_name
from trainer.system import files, locks

ROOT = pathlib.Path("runs")
LOCK_FILE = ".lock"


class RunFiles:
    """The paths of what a run makes: in its folder, or in a copy of it.

    Attributes:
      path: the folder.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.flags = path / "flags.txt"
        self.run_id = path / "run_id"
        self.history = path / "history.txt"
        self.log = path / "run.log"
        self.result = path / "result.json"
        self.baselines = path / "floors.json"
        self.restoring = path / ".restoring"  # stands while a mirror brings the run back
        # Folders.
        self.checkpoints = path / "checkpoints"
        self.train, self.eval, self.baseline_curves = path / "train", path / "eval", path / "floor"
        self.exports = path / "export"
        self.set_aside = path / "set_aside"

    @property
    def copied_first(self) -> tuple[pathlib.Path, ...]:
        """What a checkpoint vouches for: a copy has it before the checkpoint."""
        return self.flags, self.run_id, self.history, self.baselines, self.train, self.eval, self.baseline_curves

    @property
    def copied_last(self) -> tuple[pathlib.Path, ...]:
        """What follows from checkpoints: a copy has it after them."""
        return self.exports, self.result

    @property
    def contents(self) -> tuple[pathlib.Path, ...]:
        """All that a run makes, but for the lock. A folder may hold other things of its owner's."""
        of_modes = (self.path / mode for mode in configs.USING)
        rest = (self.log, self.restoring, *of_modes)
        return *self.copied_first, self.checkpoints, *self.copied_last, *rest

    def exported(self, step: int | str) -> pathlib.Path:
        """The SavedModel of a step's weights."""
        return self.exports / str(step)

    def output(self, mode: str, step: int) -> pathlib.Path:
        """The folder for what a mode makes of a step's weights."""
        return self.path / mode / str(step)


class RunDirectory(RunFiles):
    """The folder of one run: its lock, its flags, its history.

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
            super().__init__((pathlib.Path(named).expanduser() if named else ROOT / checkpoint_name(config)).absolute())
            self.root = self.path if named else ROOT.absolute()
        except (OSError, RuntimeError) as error:  # No such person; or the working folder is gone.
            raise UsageError(option("run_dir", named), found=str(error), remedy="give an absolute path") from error

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
            lock = (self.path / LOCK_FILE).open("a+b", buffering=0)
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
                    (self.path / LOCK_FILE).unlink()
                    with contextlib.suppress(OSError):  # Another run has come to be beside it.
                        for path in made:
                            path.rmdir()

    def _lock(self, lock: IO[bytes]) -> None:
        try:
            locks.try_acquire(lock)
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
            return os.path.samestat(os.fstat(lock.fileno()), (self.path / LOCK_FILE).stat())
        except FileNotFoundError:
            return False

    def _probe(self) -> None:
        """Does what a commit does: write, fsync, rename, fsync of the folder."""
        probe = self.path / ".probe"
        files.write(probe, "probe\n")
        probe.unlink()

    def _unusable(self, error: OSError) -> StorageError:
        return StorageError(
            f"the run directory {self.path} cannot be used",
            found=error.strerror or str(error),
            remedy=f"give a {option('run_dir')} on a disk that you may write to and that has room",
        )

    def check_is_run(self) -> None:
        """Refuses a folder that holds files of a run's names, but no run of ours: they are somebody's.

        Raises:
          UsageError: it does.
        """
        found = [path.name for path in self.contents if path != self.log and path.exists()]
        if found and not self.flags.exists():
            raise UsageError(
                f"{self.path} holds {', '.join(found)}, and no {self.flags.name}",
                found="so these are not a run's of Hourglass, and would be overwritten",
                remedy=f"give another {option('run_dir')}; {option('restart', True)} would move them into set_aside/",
            )

    def resolve_config(self, given: Config, given_names: frozenset[str]) -> Config:
        """The config to run with: an existing run's own, with what may change as given now.

        With `--restart` everything may change, and flags that cannot be read are no obstacle.

        Raises:
          UsageError: a mathematical flag differs, or `flags.txt` cannot be read.
        """
        if not self.flags.exists():
            return given
        try:
            stored = configs.from_flagfile(self.flags.read_text(encoding="utf-8-sig"))
        except (UsageError, UnicodeDecodeError, OSError) as error:
            if given.run.restart:
                return given
            raise UsageError(
                f"{self.flags} cannot be read",
                found=error_text(error),
                remedy=f"mend it, or {option('restart', True)} to begin again",
            ) from error
        return configs.adopt(stored, given, given_names, guard=not given.run.restart)

    def furthest_step(self) -> int:
        """The furthest step that the run's own papers know of, whatever has become of its checkpoints."""
        steps = [step.removeprefix("step ").replace(",", "") for _, step, _ in self.read_history()]
        result = files.read_json(self.result) or {}
        return max((int(text) for text in (*steps, str(result.get("step", 0))) if text.isdecimal()), default=0)

    def write_flags(self, config: Config) -> None:
        """Writes `flags.txt`, a flagfile that repeats the run."""
        text = configs.to_flagfile(config)
        if not self.flags.exists() or self.flags.read_text(encoding="utf-8") != text:
            files.write(self.flags, text)

    def append_history(self, step: int, what: str) -> None:
        """Adds a line to the run's history: starts, stops, and whatever went otherwise than planned."""
        with self.history.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%F %T%z')}\tstep {step:,}\t{shown(' '.join(what.split()))}\n")
            file.flush()
            os.fsync(file.fileno())

    def read_history(self) -> list[list[str]]:
        """[when, step, what] of each line, oldest first."""
        exists = self.history.exists()
        text = self.history.read_text(encoding="utf-8", errors="replace") if exists else ""
        return [line.split("\t") for line in text.splitlines() if line.count("\t") == 2]

    def write_result(self, result: dict[str, Any]) -> None:
        """Marks the run as finished."""
        files.write_json(self.result, result)


def _owner(lock: IO[bytes]) -> str:
    """What the lock's owner has written there; it may have taken the lock only just now."""
    for _ in range(20):
        lock.seek(0)
        text = lock.read().decode(errors="replace")
        if text.endswith("\n"):
            return text.strip()
        time.sleep(0.02)
    return "another process"


def set_aside(run: RunFiles) -> pathlib.Path | None:
    """Moves the run so far into a sub-folder; None where there was none."""
    contents = [path for path in run.contents if path.exists()]
    if not contents:
        return None
    run.set_aside.mkdir(exist_ok=True)
    target = files.unused_path(run.set_aside / "run")
    target.mkdir()
    for path in contents:
        path.rename(target / path.name)
    return target
