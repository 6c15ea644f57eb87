"""Mirrors a run to another disk or a mounted bucket, in case the machine is lost. Does not import TensorFlow.

Writes each file under a temporary name and renames it. Uses no links, no locks and no renames of folders, because
mounted buckets do not have them. In the mirror, as in the run, a checkpoint is committed by its manifest. Checkpoints
newer than all those of the run are deleted from the mirror only if the user has rolled back the run.
"""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator

from trainer.checkpoints import catalog, retention
from trainer.checkpoints import manifest as manifests
from trainer.checkpoints.catalog import Entry
from trainer.errors import CheckpointError, StorageError, UsageError, error_text, option
from trainer.runs.directory import RunFiles
from trainer.system import files
from trainer.system.logs import log

SMALL_BYTES = 1 << 16  # Files up to this size are compared by content, larger ones by size and time.


class Mirror:
    """The mirror of a run.

    Args:
      root: the folder of mirrors. It must exist: if it were created while the other disk is not mounted, the mirror
        would be on the same disk as the run.
      run: the run directory.

    Attributes:
      path: the mirror, a folder in `root` with the name of the run directory.

    Raises:
      StorageError: `root` does not exist.
      UsageError: the mirror would be in the run directory.
    """

    def __init__(self, root: str, run: pathlib.Path) -> None:
        folder = pathlib.Path(os.path.abspath(os.path.expanduser(root)))
        if not folder.is_dir():
            raise StorageError(
                f"{option('mirror_dir', root)} is not a folder", remedy="mount or create it, then repeat the command"
            )
        self.path = folder / run.name
        self._copy, self._run = RunFiles(self.path), RunFiles(run)
        if self.path.resolve() == run.resolve() or run.resolve() in self.path.resolve().parents:
            raise UsageError(
                f"{option('mirror_dir', root)} contains the run itself", remedy="give a folder on another disk"
            )
        self._failed = False

    def restore(self) -> int | None:
        """Restores the run from the mirror if the run is empty or has lost its newest checkpoints.

        The caller holds the lock of the run.

        Returns:
          The newest step that was restored; None if there was nothing to restore.

        Raises:
          UsageError: the mirror is of another run.
          CheckpointError: the run is empty, and all checkpoints of the mirror are damaged.
        """
        marker = self._run.restoring
        is_new = not any(path.exists() for path in self._run.contents)
        if not self._copy.flags.exists():
            return None
        if not is_new and not marker.exists():
            self.check()
        entries = catalog.entries(self._copy.checkpoints, rehash=True)
        intact = [entry for entry in entries if entry.manifest]
        if is_new and entries and not intact:
            raise CheckpointError(
                f"no checkpoint in {self._copy.checkpoints} can be used",
                found="; ".join(entry.reason for entry in entries),
                remedy=f"restore an intact copy, or omit {option('mirror_dir')} to start again at step 0",
            )
        if not (is_new or marker.exists() or self._has_newer(intact)):
            return None
        self._restore(intact, marker)
        return intact[0].step if intact else 0

    def _has_newer(self, intact: list[Entry]) -> bool:
        """Returns True if the mirror has newer checkpoints than the run, except those that the user rolled back."""
        run_steps = [entry.step for entry in catalog.entries(self._run.checkpoints, rehash=True) if entry.manifest]
        newest = max(run_steps, default=-1)
        return any(e.step > newest and not retention.was_rolled_back(self._run.checkpoints, e.step) for e in intact)

    def _restore(self, intact: list[Entry], marker: pathlib.Path) -> None:
        marker.touch()
        for entry in catalog.entries(self._run.checkpoints, rehash=True):
            if not entry.manifest:
                log.warning(retention.set_aside(self._run.checkpoints, entry))
        sources = (*self._copy.before_checkpoints, *self._copy.after_checkpoints)
        targets = (*self._run.before_checkpoints, *self._run.after_checkpoints)
        for source, target in zip(sources, targets, strict=True):
            if source.exists():
                _sync(source, target)
        for entry in reversed(intact):
            target = self._run.checkpoints / entry.folder.relative_to(self._copy.checkpoints)
            files.make_folder(target)
            _copy_checkpoint(entry.folder, entry.step, target)
        marker.unlink()

    def check(self) -> None:
        """Refuses the mirror of another run.

        Raises:
          UsageError: the run IDs differ.
        """
        run_id, mirror_id = _text(self._run.run_id), _text(self._copy.run_id)
        if mirror_id and run_id != mirror_id:
            raise UsageError(
                f"{self.path} is the mirror of another run",
                found=f"run {mirror_id}, expected {run_id or 'none yet'}",
                remedy=f"move {self._run.path} away to resume from the mirror, or give another {option('mirror_dir')}",
            )

    def claim(self) -> None:
        """Updates the mirror before training, so that no other run can use it."""
        with self._log_failure():
            self.check()
            if self._copy.checkpoints.is_dir():
                retention.remove_leftovers(self._copy.checkpoints)  # A killed process may have left partial copies.
            self._update()

    def set_aside(self) -> None:
        """Moves all files into a new folder in `set_aside`, one by one, because buckets cannot rename folders."""
        folder = files.unused_path(self._copy.set_aside / "run")
        for content in self._copy.contents:
            for path in [*_files_in(content)]:
                target = folder / path.relative_to(self.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
            shutil.rmtree(content, ignore_errors=True)

    def update(self) -> bool:
        """Copies new files to the mirror. Logs errors of the mirror instead of raising, so that training continues.

        Returns:
          True if the mirror is up to date.
        """
        with self._log_failure():
            self.check()
            self._update()
        return not self._failed

    @contextlib.contextmanager
    def _log_failure(self) -> Iterator[None]:
        try:
            yield
            self._failed = False
        except (OSError, ValueError, CheckpointError, UsageError) as error:
            if not self._failed:
                log.warning(f"the mirror {self.path} cannot be updated ({error_text(error)}): training continues")
            self._failed = True

    def _update(self) -> None:
        self.path.mkdir(exist_ok=True)
        for source, target in zip(self._run.before_checkpoints, self._copy.before_checkpoints, strict=True):
            _sync(source, target)
        self._copy.checkpoints.mkdir(exist_ok=True)
        committed = catalog.committed(self._run.checkpoints)
        errors = [error for step, folder in committed if (error := self._try_copy(step, folder))]
        if committed and not errors:
            self._delete_others(committed)
        for source, target in zip(self._run.after_checkpoints, self._copy.after_checkpoints, strict=True):
            _sync(source, target)
        if errors:
            raise errors[0]

    def _try_copy(self, step: int, folder: pathlib.Path) -> Exception | None:
        """Copies a checkpoint. Returns errors instead of raising, so that the other checkpoints are copied too."""
        try:
            target = self._copy.checkpoints / folder.relative_to(self._run.checkpoints)
            target.mkdir(exist_ok=True)
            _copy_checkpoint(folder, step, target)
        except (OSError, ValueError, CheckpointError) as error:
            return error
        return None

    def _delete_others(self, committed: list[tuple[int, pathlib.Path]]) -> None:
        """Deletes checkpoints that the run has deleted. All checkpoints of the run have been copied before."""
        run_checkpoints = {(step, folder.relative_to(self._run.checkpoints)) for step, folder in committed}
        newest = max(step for step, _ in run_checkpoints)
        for step, folder in catalog.committed(self._copy.checkpoints):
            is_lost = step > newest and not retention.was_rolled_back(self._run.checkpoints, step)
            if (step, folder.relative_to(self._copy.checkpoints)) not in run_checkpoints and not is_lost:
                manifests.delete(folder, step)
        for folder in catalog.folders(self._copy.checkpoints):
            manifests.write_state_file(folder)


def _copy_checkpoint(folder: pathlib.Path, step: int, target: pathlib.Path) -> None:
    """Copies a checkpoint. Verifies the copied files before it writes the manifest."""
    name = f"{manifests.checkpoint_name(step)}.json"
    text = (folder / name).read_text(encoding="utf-8")
    if _text(target / name) == text.strip():
        return
    (target / name).unlink(missing_ok=True)  # An older checkpoint of the same step.
    for path in manifests.files_of(folder, step):
        files.copy(path, target / path.name)
    files.fsync(target)
    manifests.check_files(target, text)
    files.write(target / name, text)


def _sync(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a file or folder, except unchanged files. Deletes files of `target` that `source` does not contain."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in source.iterdir() if not path.name.startswith(".")}
        for name in sorted(names):
            _sync(source / name, target / name)
        for path in target.iterdir():
            if path.name not in names:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif source.exists() and not _is_same(source, target):
        files.copy(source, target)
        with contextlib.suppress(OSError):  # A bucket may not store times; then large files are copied every time.
            os.utime(target, (source.stat().st_mtime, source.stat().st_mtime))


def _is_same(source: pathlib.Path, target: pathlib.Path) -> bool:
    if not target.exists():
        return False
    source_stat, target_stat = source.stat(), target.stat()
    if source_stat.st_size != target_stat.st_size:
        return False
    if source_stat.st_size <= SMALL_BYTES:
        return source.read_bytes() == target.read_bytes()
    return int(source_stat.st_mtime) == int(target_stat.st_mtime)


def _files_in(path: pathlib.Path) -> Iterator[pathlib.Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (inner for inner in path.rglob("*") if inner.is_file())


def _text(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
