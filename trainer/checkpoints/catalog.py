"""Lists and finds checkpoints in the rotation, in best/ and in kept/. No TensorFlow.

best/ and kept/ are subfolders of the checkpoints folder. Their checkpoints are committed and verified like those of the
rotation. They are hard links if possible, so they take no space while the rotation has the same checkpoint.
"""

import dataclasses
import math
import pathlib
import re
from collections.abc import Iterable

from trainer.checkpoints import manifest as manifests
from trainer.checkpoints.manifest import Manifest
from trainer.errors import CheckpointError, UsageError, error_text, option

BEST, KEPT = "best", "kept"
ROLLED_BACK = "rolled_back"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A checkpoint in one folder.

    Attributes:
      step: the step of the checkpoint.
      folder: the folder of the rotation, best/ or kept/.
      manifest: None if the checkpoint is damaged.
      reason: describes the damage; empty if there is none.
    """

    step: int
    folder: pathlib.Path
    manifest: Manifest | None
    reason: str = ""

    @property
    def prefix(self) -> pathlib.Path:
        """Path of the checkpoint, without the suffixes of its files."""
        return self.folder / manifests.checkpoint_name(self.step)


def folders(root: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """Returns the folders that exist: the rotation (`root`), kept/ and best/."""
    return tuple(folder for folder in (root, root / KEPT, root / BEST) if folder.is_dir())


def committed(root: pathlib.Path) -> list[tuple[int, pathlib.Path]]:
    """Returns (step, folder) of all committed checkpoints, newest first; equal steps are in the order of `folders`."""
    result = [(step, folder) for folder in folders(root) for step in manifests.steps_in(folder)]
    return sorted(result, key=lambda item: -item[0])


def verify(folder: pathlib.Path, step: int, *, rehash: bool) -> Entry:
    """Reads a checkpoint's manifest and checks its files by size, and by SHA-256 if `rehash`.

    Raises:
      NewerError: the checkpoint was written by a newer version of Hourglass.
      OSError: the checkpoint cannot be read, but it may be intact.
    """
    try:
        return Entry(step, folder, manifests.read(folder, step, rehash=rehash))
    except manifests.NewerError:
        raise
    except CheckpointError as error:
        return Entry(step, folder, None, f"{error.what}: {error.found}")


def entries(root: pathlib.Path, *, rehash: bool) -> list[Entry]:
    """Returns the verified entries of all committed checkpoints, newest first. Never raises for a bad checkpoint."""
    result = []
    for step, folder in committed(root):
        try:
            entry = verify(folder, step, rehash=rehash)
        except (OSError, CheckpointError) as error:
            entry = _unusable(folder, step, error)
        # A training process may have deleted the checkpoint in the meantime.
        if entry.manifest or (folder / f"{manifests.checkpoint_name(step)}.json").exists():
            result.append(entry)
    return result


def _unusable(folder: pathlib.Path, step: int, error: Exception) -> Entry:
    return Entry(step, folder, None, f"{manifests.checkpoint_name(step)} cannot be used: {error_text(error)}")


def newest(root: pathlib.Path) -> Manifest | None:
    """Returns the manifest of the newest complete checkpoint; checks only file sizes. May raise `NewerError`."""
    for step, folder in committed(root):
        if manifest := verify(folder, step, rehash=False).manifest:
            return manifest
    return None


def best(root: pathlib.Path) -> Entry | None:
    """Returns the verified checkpoint with the lowest evaluation error; the older one of two with equal errors."""
    for entry in sorted_by_error(root, folders(root)):
        if verify(entry.folder, entry.step, rehash=True).manifest:
            return entry
    return None


def sorted_by_error(root: pathlib.Path, searched: Iterable[pathlib.Path]) -> list[Entry]:
    """Returns the complete checkpoints in the `searched` folders that have an evaluation error, lowest first."""
    complete = (verify(folder, step, rehash=False) for folder in searched for step in manifests.steps_in(folder))
    evaluated = [entry for entry in complete if math.isfinite(error_or_inf(entry))]
    # If a checkpoint is in several folders, the one in best/ comes first.
    return sorted(evaluated, key=lambda entry: (error_or_inf(entry), entry.step, entry.folder != root / BEST))


def find(path: pathlib.Path, skipped: list[str] | None = None) -> Entry:
    """Finds the checkpoint at a path (`.../ckpt-N`), or the newest one that verifies in a run directory.

    Args:
      path: a checkpoint, a run directory, or a folder of checkpoints.
      skipped: is extended by the reasons why newer checkpoints cannot be used.

    Raises:
      CheckpointError: there is no checkpoint, or all are damaged.
    """
    match = re.fullmatch(rf"{manifests.PREFIX}-(\d+)(\.(?:json|{manifests.SUFFIXES}))?", path.name)
    if match and not path.is_dir():
        candidates = [(step, path.parent) for step in manifests.steps_in(path.parent) if step == int(match[1])]
    else:
        candidates = committed(path / "checkpoints" if (path / "checkpoints").is_dir() else path)
    damaged: list[str] = []
    for step, folder in candidates:
        try:
            entry = verify(folder, step, rehash=True)
        except OSError as error:
            entry = _unusable(folder, step, error)
        if entry.manifest:
            if skipped is not None:
                skipped += damaged
            return entry
        damaged.append(entry.reason)
    raise CheckpointError(
        f"{path} has no usable checkpoint",
        found="; ".join(damaged) or "there is no committed checkpoint",
        remedy="wait for the first checkpoint of the run, resume it, or give another run directory",
    )


def committed_entry(root: pathlib.Path, step: int) -> Entry:
    """Returns the checkpoint of a step, from the first folder in which it verifies.

    Raises:
      UsageError: the step has no checkpoint.
      CheckpointError: the checkpoint is damaged.
    """
    available = committed(root)
    candidates = [folder for saved_step, folder in available if saved_step == step]
    if not candidates:
        steps = ", ".join(f"{saved_step:,}" for saved_step in sorted({saved_step for saved_step, _ in available}))
        raise UsageError(
            f"there is no checkpoint of step {step:,} in {root}",
            found=f"available steps: {steps or 'none'}",
            remedy=f"use one of these steps; {option('mode', 'checkpoints')} lists them",
        )
    results = [verify(folder, step, rehash=True) for folder in candidates]
    for entry in results:
        if entry.manifest:
            return entry
    manifests.read(candidates[0], step)  # Raises an error that describes the damage.
    return results[0]


def error_or_inf(entry: Entry) -> float:
    """Returns the checkpoint's evaluation error; infinity if it is unknown."""
    return entry.manifest.error if entry.manifest and entry.manifest.error is not None else math.inf
