"""The run directory: its paths, its lock, its stored flags and its history. Does not import TensorFlow."""

import contextlib
import difflib
import os
import pathlib
import re
import socket
import time
from collections.abc import Iterator
from typing import IO, Any

from trainer import config as configs
from trainer.config import Config
from trainer.data.formats.depth import FULL, MAX_VALUE, Depth
from trainer.data.schema import Schema
from trainer.errors import CheckpointError, LockedError, StorageError, UsageError, error_text, option, render, sanitize
from trainer.runs import schema_file
from trainer.runs.naming import checkpoint_name
from trainer.system import files, locks
from trainer.system.options import DURATION, MATHEMATICS

ROOT = pathlib.Path("runs")
LOCK_FILE = ".lock"
MAX_RUNS_SHOWN = 5


class RunFiles:
    """The paths of the files of a run, in its directory or in its mirror.

    Attributes:
      path: the directory.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.flags = path / "flags.txt"
        self.run_id = path / "run_id"
        self.history = path / "history.txt"
        self.log = path / "run.log"
        self.result = path / "result.json"
        self.baselines = path / "floors.json"
        self.depth = path / "depth.json"  # exists if the run's --depth may stretch 16-bit images
        self.schema = path / "schema.json"  # exists if the run is trained on custom rows
        self.restoring = path / ".restoring"  # exists while the run is being restored from its mirror
        # Folders.
        self.checkpoints = path / "checkpoints"
        self.train, self.eval, self.baseline_curves = path / "train", path / "eval", path / "floor"
        self.exports = path / "export"
        self.set_aside = path / "set_aside"

    @property
    def before_checkpoints(self) -> tuple[pathlib.Path, ...]:
        """The files that a checkpoint refers to. A mirror copies them before the checkpoints."""
        files_of_start = self.flags, self.run_id, self.depth, self.schema, self.history, self.baselines
        return *files_of_start, self.train, self.eval, self.baseline_curves

    @property
    def after_checkpoints(self) -> tuple[pathlib.Path, ...]:
        """The files that are derived from checkpoints. A mirror copies them after the checkpoints."""
        return self.exports, self.result

    @property
    def contents(self) -> tuple[pathlib.Path, ...]:
        """All files and folders of a run except the lock. The user may keep other files in the directory."""
        mode_outputs = (self.path / mode for mode in configs.WRITING)
        rest = (self.log, self.restoring, *mode_outputs)
        return *self.before_checkpoints, self.checkpoints, *self.after_checkpoints, *rest

    def exported(self, step: int | str) -> pathlib.Path:
        """Returns the path of the SavedModel of a step."""
        return self.exports / str(step)

    def output(self, mode: str, step: int) -> pathlib.Path:
        """Returns the default folder for the output of a mode that uses the checkpoint of a step."""
        return self.path / mode / str(step)


class RunDirectory(RunFiles):
    """The directory of a run, with its lock, its stored flags and its history.

    Attributes:
      path: the directory, absolute.
      root: the folder that TensorBoard serves: `path` if --run_dir is given, otherwise `runs`.
    """

    def __init__(self, config: Config) -> None:
        run_dir = config.run.run_dir
        if run_dir is not None and re.match(r"[a-z0-9+.-]+://", run_dir, re.IGNORECASE):
            raise UsageError(
                f"{option('run_dir', run_dir)} is a URL, not a folder",
                found="checkpoints need rename, lock and fsync, which object stores do not have",
                remedy="give a folder on a disk, or mount the bucket and give its mount point",
            )
        try:
            path = pathlib.Path(run_dir).expanduser() if run_dir else ROOT / checkpoint_name(config)
            super().__init__(path.absolute())
            self.root = self.path if run_dir else ROOT.absolute()
        except (OSError, RuntimeError) as error:  # Unknown user in ~user; or the working directory was deleted.
            raise UsageError(option("run_dir", run_dir), found=str(error), remedy="give an absolute path") from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Creates the directory and holds its lock. The kernel releases the lock when the process ends.

        Deletes the directory on exit if it was created here and is empty.

        Raises:
          StorageError: the directory cannot be created or written, or its file system lacks an operation of commits.
          LockedError: another process holds the lock.
        """
        try:
            created = [path for path in (self.path, *self.path.parents) if not path.exists()]
            files.make_folder(self.path)
            lock = (self.path / LOCK_FILE).open("a+b", buffering=0)
        except OSError as error:
            raise self._unusable(error) from error
        with lock:
            self._lock(lock)
            if not self._is_current(lock):  # The previous owner has deleted its empty directory.
                raise LockedError(f"another process has just deleted {self.path}", remedy="repeat the command")
            try:
                yield
            finally:
                if created and [path.name for path in self.path.iterdir()] == [LOCK_FILE]:
                    (self.path / LOCK_FILE).unlink()
                    with contextlib.suppress(OSError):  # A parent may contain another run by now.
                        for path in created:
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
                remedy=f"wait for this process or stop it, or give another {option('run_dir')}",
            ) from error
        except OSError as error:
            raise self._unusable(error) from error

    def _is_current(self, lock: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.fstat(lock.fileno()), (self.path / LOCK_FILE).stat())
        except FileNotFoundError:
            return False

    def _probe(self) -> None:
        """Tests the operations of a commit: write, fsync, rename, fsync of the directory."""
        probe = self.path / ".probe"
        files.write(probe, "probe\n")
        probe.unlink()

    def _unusable(self, error: OSError) -> StorageError:
        return StorageError(
            f"the run directory {self.path} cannot be used",
            found=error.strerror or str(error),
            remedy=f"set {option('run_dir')} to a writable folder on a disk with free space",
        )

    def check_is_run_directory(self) -> None:
        """Refuses a directory that has files with the names of a run's files, but that is not a run directory.

        Raises:
          UsageError: such files exist, and `flags.txt` does not.
        """
        names = [path.name for path in self.contents if path != self.log and path.exists()]
        if names and not self.flags.exists():
            raise UsageError(
                f"{self.path} contains {', '.join(names)}, but no {self.flags.name}",
                found="these files are not of a run of Hourglass, and would be overwritten",
                remedy=f"give another {option('run_dir')}; {option('restart', True)} would move them into set_aside/",
            )

    def resolve_config(self, given: Config, given_names: frozenset[str]) -> Config:
        """Returns the stored config of an existing run, updated with the given flags; otherwise the given config.

        With `--restart`, all flags may change, and an unreadable `flags.txt` is ignored.

        Raises:
          UsageError: a mathematical flag differs, `flags.txt` cannot be read, or there is no run and no flag for one.
        """
        if not self.flags.exists():
            self._check_describes_run(given, given_names)
            return given
        try:
            text = self.flags.read_text(encoding="utf-8-sig")
            stored = configs.from_flagfile(text)
        except (UsageError, UnicodeDecodeError, OSError) as error:
            if given.run.restart:
                self._check_describes_run(given, given_names)
                return given
            raise UsageError(
                f"{self.flags} cannot be read",
                found=error_text(error),
                remedy="correct this file; the manifests of the checkpoints have its mathematical options"
                if given.command.mode != "train"
                else f"correct this file, or give {option('restart', True)} and all flags of the run to start again",
            ) from error
        stored_names = {line.partition("=")[0].removeprefix("--") for line in text.splitlines()}
        free = configs.free_options(stored_names, stored.data.loader)
        return configs.merge(stored, given, given_names, guard=not given.run.restart, free=free, run=str(self.path))

    def _check_describes_run(self, given: Config, given_names: frozenset[str]) -> None:
        """Refuses to start a run with the default flags in a --run_dir that holds no run: it may be a typing error.

        Also refuses a flag that only an existing run can have.
        """
        if (rate := given.training.learning_rate_from_now) is not None:
            raise self.no_run(
                f"there is no run in {self.path} whose learning rate could change",
                remedy=f"correct {option('run_dir')}, or give {option('learning_rate', rate)} to start a new run",
            )
        if given.run.run_dir is not None and not given_names & {*configs.option_names(MATHEMATICS, DURATION)}:
            raise self.no_run(
                f"there is no run in {self.path}",
                remedy=f"correct {option('run_dir')}, or give flags to start a new run there, such as"
                f" {option('dataset', given.data.dataset)}",
            )

    def no_run(self, what: str, remedy: str) -> UsageError:
        """Returns the error for a directory without a run. It names the runs in this directory, or those beside it."""
        for folder in (self.path, self.path.parent):
            if names := _names_of_runs(folder):
                closest = difflib.get_close_matches(self.path.name, names, MAX_RUNS_SHOWN, cutoff=0)
                more = f", and {len(names) - len(closest):,} more" if len(names) > len(closest) else ""
                found = f"runs in {sanitize(folder)}: {', '.join(map(sanitize, closest))}{more}"
                return UsageError(what, found=found, remedy=remedy)
        is_in_run = RunFiles(self.path.parent).flags.exists()
        found = f"{sanitize(self.path.parent)} is a run" if is_in_run else ""
        return UsageError(what, found=found, remedy=remedy)

    def furthest_step(self) -> int:
        """Returns the highest step in the history and the result, which may be higher than that of all checkpoints."""
        steps = [step.removeprefix("step ").replace(",", "") for _, step, _ in self.read_history()]
        result = files.read_json(self.result) or {}
        return max((int(text) for text in (*steps, str(result.get("step", 0))) if text.isdecimal()), default=0)

    def write_flags(self, config: Config) -> None:
        """Writes the stored flags to `flags.txt`, a flagfile that repeats the run."""
        text = configs.to_flagfile(config)
        if not self.flags.exists() or self.flags.read_text(encoding="utf-8") != text:
            files.write(self.flags, text)

    def write_depth(self, config: Config, depth: Depth) -> None:
        """Writes the depth of the data set, from which the inputs of the trained network are converted, too."""
        if configs.may_stretch(config):
            low, high = depth
            files.write_json(self.depth, {"low": low, "high": high})

    def read_depth(self, config: Config) -> Depth:
        """Returns the depth of the data set that the run was trained on.

        Raises:
          CheckpointError: the file is missing or damaged.
        """
        if not configs.may_stretch(config):
            return FULL
        content = files.read_json(self.depth) or {}
        low, high = content.get("low"), content.get("high")
        if isinstance(low, int) and isinstance(high, int) and 0 <= low < high <= MAX_VALUE:
            return low, high
        raise CheckpointError(
            f"{self.depth} is missing or damaged",
            found=f"the run has {option('depth', config.data.depth)}, and this file has the range of its 16-bit images",
            remedy="copy it from the original run, or resume the run with its data, which writes it again",
        )

    def read_schema(self, stored: str = "") -> Schema | None:
        """Returns the columns of the run's table; see `schema_file.read`."""
        return schema_file.read(self.schema, stored)

    def append_history(self, step: int, event: str) -> None:
        """Appends a line to the history: a start, a stop or a problem."""
        with self.history.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%F %T%z')}\tstep {step:,}\t{render(' '.join(event.split()))}\n")
            file.flush()
            os.fsync(file.fileno())

    def read_history(self) -> list[list[str]]:
        """Returns [time, step, event] of each line, oldest first."""
        exists = self.history.exists()
        text = self.history.read_text(encoding="utf-8", errors="replace") if exists else ""
        return [line.split("\t") for line in text.splitlines() if line.count("\t") == 2]

    def write_result(self, result: dict[str, Any]) -> None:
        """Writes `result.json`, which marks the run as finished."""
        files.write_json(self.result, result)


def _names_of_runs(folder: pathlib.Path) -> list[str]:
    """Returns the names of the runs in a folder; none if it cannot be read."""
    try:
        return sorted(path.name for path in folder.iterdir() if RunFiles(path).flags.is_file())
    except OSError:
        return []


def _owner(lock: IO[bytes]) -> str:
    """Returns the description that the owner writes into the lock. Waits, as the owner may have only just locked it."""
    for _ in range(20):
        lock.seek(0)
        text = lock.read().decode(errors="replace")
        if text.endswith("\n"):
            return text.strip()
        time.sleep(0.02)
    return "another process"


def set_aside(run: RunFiles) -> pathlib.Path | None:
    """Moves all files of a run into a new folder in `set_aside`, and returns the folder; None if there are no files."""
    contents = [path for path in run.contents if path.exists()]
    if not contents:
        return None
    run.set_aside.mkdir(exist_ok=True)
    target = files.unused_path(run.set_aside / "run")
    target.mkdir()
    for path in contents:
        path.rename(target / path.name)
    return target
