"""A second copy of a run, on another disk or a mounted bucket, for machines that vanish. No TensorFlow.

Only files are written, each aside and renamed into place: no links, no locks, no renamed folders, which mounted
buckets do not have. In the copy, too, a checkpoint counts once its manifest stands.
"""

import contextlib
import logging
import os
import pathlib
import shutil

from trainer import files, rundir
from trainer.checkpoints import manifest as manifests
from trainer.checkpoints import shelves
from trainer.errors import CheckpointError, StorageError, UsageError, said
from trainer.rundir import CHECKPOINTS, FLAGS_FILE, HISTORY_FILE, RESULT_FILE, RUN_ID_FILE

log = logging.getLogger("hourglass")

UNFINISHED = ".restoring"  # stands in a run's folder while it is being brought back
# In this order: what a checkpoint vouches for is there before it.
BEFORE = (FLAGS_FILE, RUN_ID_FILE, HISTORY_FILE, "floors.json", "train", "eval", "floor")
AFTER = ("export", RESULT_FILE)


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
        folder = pathlib.Path(root).expanduser().absolute()
        if not folder.is_dir():
            raise StorageError(f"--mirror_dir={root} is not a folder", remedy="mount it or make it, then start again")
        self.path, self._run = folder / run.name, run
        if self.path.resolve() == run.resolve() or run.resolve() in self.path.resolve().parents:
            raise UsageError(f"--mirror_dir={root} holds the run itself", remedy="give a folder on another disk")
        self._failed = False

    def bring_back(self) -> int | None:
        """Restores the run's folder from the copy, where the folder is empty or gone. To be used under the lock.

        Returns:
          The newest step that was brought back; None where nothing had to be, or could be.

        Raises:
          CheckpointError: the copy has checkpoints, and none of them verifies.
        """
        marker = self._run / UNFINISHED
        has_something = any((self._run / name).exists() for name in rundir.CONTENTS)
        if (has_something and not marker.exists()) or not (self.path / FLAGS_FILE).exists():
            return None
        known = shelves.catalog(self.path / CHECKPOINTS, rehash=True)
        sound = [entry for entry in known if entry.manifest]
        if known and not sound:
            raise CheckpointError(
                f"no checkpoint in {self.path / CHECKPOINTS} can be used",
                found="; ".join(entry.reason for entry in known),
                remedy="bring back a sound copy, or leave --mirror_dir out to begin again",
            )
        marker.touch()
        for name in (*BEFORE, *AFTER):
            _copy_new(self.path / name, self._run / name)
        for entry in reversed(sound):
            target = self._run / CHECKPOINTS / entry.folder.relative_to(self.path / CHECKPOINTS)
            target.mkdir(parents=True, exist_ok=True)
            _copy_checkpoint(entry.folder, entry.step, target)
        marker.unlink()
        return sound[0].step if sound else 0

    def check(self) -> None:
        """Refuses to write over another run's copy.

        Raises:
          UsageError: it would.
        """
        ours, theirs = (_text(folder / RUN_ID_FILE) for folder in (self._run, self.path))
        if theirs and ours != theirs:
            raise UsageError(
                f"{self.path} is the copy of another run",
                found=f"run {theirs}, expected {ours or 'none yet'}",
                remedy=f"move {self._run} away to go on with the copy, or give another --mirror_dir",
            )

    def set_aside(self) -> None:
        """Makes room for a run that begins again."""
        if self.path.is_dir():
            rundir.set_aside(self.path)

    def update(self) -> None:
        """Brings the copy up to date. Where it cannot be written, training goes on: it is told, and tried again."""
        try:
            self._update()
            self._failed = False
        except (OSError, CheckpointError) as error:
            if not self._failed:
                log.warning(f"the copy in {self.path} cannot be brought up to date ({said(error)}): training goes on")
            self._failed = True

    def _update(self) -> None:
        self.path.mkdir(exist_ok=True)
        for name in BEFORE:
            _copy_new(self._run / name, self.path / name)
        here, there = self._run / CHECKPOINTS, self.path / CHECKPOINTS
        there.mkdir(exist_ok=True)
        wanted = shelves.committed(here)
        for step, place in reversed(wanted):
            target = there / place.relative_to(here)
            target.mkdir(exist_ok=True)
            _copy_checkpoint(place, step, target)
        # Only now: the newest of the run is there.
        kept = {(step, place.relative_to(here)) for step, place in wanted}
        for step, place in shelves.committed(there):
            if (step, place.relative_to(there)) not in kept:
                manifests.delete(place, step)
        for place in shelves.places(there):
            manifests.write_state_file(place)
        for name in AFTER:
            _copy_new(self._run / name, self.path / name)


def _copy_checkpoint(place: pathlib.Path, step: int, target: pathlib.Path) -> None:
    """Copies a checkpoint, its manifest last; what was copied is read back before."""
    name = f"{manifests.name_of(step)}.json"
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
    """Copies a file, or a folder's files, where size or time differ; removes from a folder what is there no more."""
    if source.is_dir():
        target.mkdir(exist_ok=True)
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
    return ours.st_size == theirs.st_size and int(ours.st_mtime) == int(theirs.st_mtime)


def _text(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
