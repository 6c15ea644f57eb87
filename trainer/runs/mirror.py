"""A second copy of a run, on another disk or a mounted bucket, for machines that vanish. No TensorFlow.

Only files are written, each aside and renamed into place: no links, no locks, no renamed folders, which mounted
buckets do not have. In the copy, too, a checkpoint counts once its manifest stands. What is newer than all that the
run has is never removed from the copy, but where the run was rolled back by hand.
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

SMALL_BYTES = 1 << 16  # compared by content


class Mirror:
    """The copy of one run.

    Args:
      root: where copies are; it must exist, since what is not mounted is a folder of the very disk that may vanish.
      run: the run's folder.

    Attributes:
      path: the copy: a folder of the same name in `root`.

    Raises:
      StorageError: there is no such folder.
      UsageError: the copy would be the run itself.
    """

    def __init__(self, root: str, run: pathlib.Path) -> None:
        folder = pathlib.Path(os.path.abspath(os.path.expanduser(root)))
        if not folder.is_dir():
            raise StorageError(
                f"{option('mirror_dir', root)} is not a folder", remedy="mount it or make it, then start again"
            )
        self.path = folder / run.name
        self._copy, self._run = RunFiles(self.path), RunFiles(run)
        if self.path.resolve() == run.resolve() or run.resolve() in self.path.resolve().parents:
            raise UsageError(
                f"{option('mirror_dir', root)} holds the run itself", remedy="give a folder on another disk"
            )
        self._failed = False

    def bring_back(self) -> int | None:
        """Restores the run from the copy, where the run is empty or gone, or has lost its newest checkpoints.

        To be used under the run's lock.

        Returns:
          The newest step that was brought back; None where nothing had to be, or could be.

        Raises:
          UsageError: it is the copy of another run.
          CheckpointError: nothing is left of the run, the copy has checkpoints, and none of them verifies.
        """
        marker = self._run.restoring
        is_new = not any(path.exists() for path in self._run.contents)
        if not self._copy.flags.exists():
            return None
        if not is_new and not marker.exists():
            self.check()
        known = catalog.entries(self._copy.checkpoints, rehash=True)
        sound = [entry for entry in known if entry.manifest]
        if is_new and known and not sound:
            raise CheckpointError(
                f"no checkpoint in {self._copy.checkpoints} can be used",
                found="; ".join(entry.reason for entry in known),
                remedy=f"bring back a sound copy, or leave {option('mirror_dir')} out to begin again",
            )
        if not (is_new or marker.exists() or self._has_newer(sound)):
            return None
        self._bring(sound, marker)
        return sound[0].step if sound else 0

    def _has_newer(self, sound: list[Entry]) -> bool:
        """Whether the copy has what the run has lost; not what was rolled back by hand."""
        ours = [entry.step for entry in catalog.entries(self._run.checkpoints, rehash=True) if entry.manifest]
        newest = max(ours, default=-1)
        return any(e.step > newest and not retention.was_rolled_back(self._run.checkpoints, e.step) for e in sound)

    def _bring(self, sound: list[Entry], marker: pathlib.Path) -> None:
        marker.touch()
        for entry in catalog.entries(self._run.checkpoints, rehash=True):
            if not entry.manifest:
                log.warning(retention.set_aside(self._run.checkpoints, entry))
        copied = (*self._copy.copied_first, *self._copy.copied_last)
        ours = (*self._run.copied_first, *self._run.copied_last)
        for source, target in zip(copied, ours, strict=True):
            if source.exists():
                _copy_new(source, target)
        for entry in reversed(sound):
            target = self._run.checkpoints / entry.folder.relative_to(self._copy.checkpoints)
            files.make_folder(target)
            _copy_checkpoint(entry.folder, entry.step, target)
        marker.unlink()

    def check(self) -> None:
        """Refuses to touch another run's copy.

        Raises:
          UsageError: it is one.
        """
        ours, theirs = _text(self._run.run_id), _text(self._copy.run_id)
        if theirs and ours != theirs:
            raise UsageError(
                f"{self.path} is the copy of another run",
                found=f"run {theirs}, expected {ours or 'none yet'}",
                remedy=f"move {self._run.path} away to go on with the copy, or give another {option('mirror_dir')}",
            )

    def claim(self) -> None:
        """Makes it this run's copy, before anything is trained: from then on no other run may have it."""
        with self._telling():
            self.check()
            if self._copy.checkpoints.is_dir():
                retention.remove_leftovers(self._copy.checkpoints)  # Of a copy that was killed.
            self._update()

    def set_aside(self) -> None:
        """Makes room for a run that begins again: file by file, since buckets do not rename folders."""
        target = files.unused_path(self._copy.set_aside / "run")
        for content in self._copy.contents:
            for path in [*_files_in(content)]:
                aside = target / path.relative_to(self.path)
                aside.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, aside)
            shutil.rmtree(content, ignore_errors=True)

    def update(self) -> bool:
        """Brings the copy up to date; where it cannot be written, training goes on: it is told, and tried again.

        Returns:
          Whether it is up to date.
        """
        with self._telling():
            self.check()
            self._update()
        return not self._failed

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
            self._failed = False
        except (OSError, ValueError, CheckpointError, UsageError) as error:
            if not self._failed:
                log.warning(
                    f"the copy in {self.path} cannot be brought up to date ({error_text(error)}): training goes on"
                )
            self._failed = True

    def _update(self) -> None:
        self.path.mkdir(exist_ok=True)
        for source, target in zip(self._run.copied_first, self._copy.copied_first, strict=True):
            _copy_new(source, target)
        self._copy.checkpoints.mkdir(exist_ok=True)
        wanted = catalog.committed(self._run.checkpoints)
        failed = [error for step, place in wanted if (error := self._copied(step, place))]
        if wanted and not failed:
            self._remove_but(wanted)
        for source, target in zip(self._run.copied_last, self._copy.copied_last, strict=True):
            _copy_new(source, target)
        if failed:
            raise failed[0]

    def _copied(self, step: int, place: pathlib.Path) -> Exception | None:
        """Copies one checkpoint; one that cannot be copied does not keep the others from it."""
        try:
            target = self._copy.checkpoints / place.relative_to(self._run.checkpoints)
            target.mkdir(exist_ok=True)
            _copy_checkpoint(place, step, target)
        except (OSError, ValueError, CheckpointError) as error:
            return error
        return None

    def _remove_but(self, wanted: list[tuple[int, pathlib.Path]]) -> None:
        """Removes what the run has rotated away, now that all it has is in the copy."""
        kept = {(step, place.relative_to(self._run.checkpoints)) for step, place in wanted}
        newest = max(step for step, _ in kept)
        for step, place in catalog.committed(self._copy.checkpoints):
            is_lost = step > newest and not retention.was_rolled_back(self._run.checkpoints, step)
            if (step, place.relative_to(self._copy.checkpoints)) not in kept and not is_lost:
                manifests.delete(place, step)
        for place in catalog.folders(self._copy.checkpoints):
            manifests.write_state_file(place)


def _copy_checkpoint(place: pathlib.Path, step: int, target: pathlib.Path) -> None:
    """Copies a checkpoint, its manifest last; what was copied is read back before."""
    name = f"{manifests.checkpoint_name(step)}.json"
    text = (place / name).read_text(encoding="utf-8")
    if _text(target / name) == text.strip():
        return
    (target / name).unlink(missing_ok=True)  # Of the same number, and of another time.
    for path in manifests.files_of(place, step):
        files.copy(path, target / path.name)
    files.fsync(target)
    manifests.check_files(target, text)
    files.write(target / name, text)


def _copy_new(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a file, or a folder's files, where they differ; removes from a folder what is there no more."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in source.iterdir() if not path.name.startswith(".")}
        for name in sorted(names):
            _copy_new(source / name, target / name)
        for path in target.iterdir():
            if path.name not in names:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif source.exists() and not _is_same(source, target):
        files.copy(source, target)
        with contextlib.suppress(OSError):  # A bucket may not keep times: then it is copied again.
            os.utime(target, (source.stat().st_mtime, source.stat().st_mtime))


def _is_same(source: pathlib.Path, target: pathlib.Path) -> bool:
    if not target.exists():
        return False
    ours, theirs = source.stat(), target.stat()
    if ours.st_size != theirs.st_size:
        return False
    if ours.st_size <= SMALL_BYTES:
        return source.read_bytes() == target.read_bytes()
    return int(ours.st_mtime) == int(theirs.st_mtime)


def _files_in(path: pathlib.Path) -> Iterator[pathlib.Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (inner for inner in path.rglob("*") if inner.is_file())


def _text(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
