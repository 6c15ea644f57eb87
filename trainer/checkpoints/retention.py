"""Retention of checkpoints: the rotation, best/ and kept/; rollback and cleanup. No TensorFlow."""

import contextlib
import os
import pathlib
import re

from trainer.checkpoints import manifest as manifests
from trainer.checkpoints.catalog import (
    BEST,
    KEPT,
    ROLLED_BACK,
    Entry,
    committed,
    committed_entry,
    error_or_inf,
    folders,
    sorted_by_error,
    verify,
)
from trainer.system import files, intervals


def retain(root: pathlib.Path, keep_every: int) -> None:
    """Links the checkpoints that must stay into kept/ and best/, including those that an earlier call failed to link.

    Args:
      root: the folder of the rotation.
      keep_every: checkpoints whose step is a multiple of this are kept for good; 0: none.

    Raises:
      OSError: a checkpoint could not be linked. An error for kept/ is raised after best/ is updated.
    """
    failure = None
    for step in _missing_in_kept(root, keep_every):
        try:
            link_into(root, step, root / KEPT)
            manifests.write_state_file(root / KEPT)
        except OSError as error:
            failure = error
    for entry in sorted_by_error(root, (root, root / BEST))[:1]:
        if entry.folder != root / BEST:
            link_into(entry.folder, entry.step, root / BEST)
            _prune_best(root / BEST)
    if failure:
        raise failure


def _missing_in_kept(root: pathlib.Path, keep_every: int) -> list[int]:
    """Returns the steps in the rotation that belong into kept/ and are not there yet."""
    kept = set(manifests.steps_in(root / KEPT))
    return [step for step in manifests.steps_in(root) if intervals.is_due(step, keep_every) and step not in kept]


def rotate(root: pathlib.Path, keep: int, keep_every: int) -> None:
    """Deletes the oldest checkpoints of the rotation, except those that belong into best/ or kept/ but are missing."""
    best = [entry.step for entry in sorted_by_error(root, (root, root / BEST))[:1] if entry.folder == root]
    for step in manifests.steps_in(root)[:-keep]:
        if step not in (*best, *_missing_in_kept(root, keep_every)):
            manifests.delete(root, step)


def set_aside_damaged_best(root: pathlib.Path) -> list[str]:
    """Sets damaged checkpoints in best/ aside, so that others can replace them; returns a message for each."""
    entries = [verify(root / BEST, step, rehash=True) for step in manifests.steps_in(root / BEST)]
    return [set_aside(root, entry) for entry in entries if not entry.manifest]


def set_aside(root: pathlib.Path, entry: Entry) -> str:
    """Sets a damaged checkpoint aside; returns a message with the reason and the new path."""
    target = manifests.set_aside(entry.folder, entry.step)
    return f"checkpoint {entry.reason}; set aside as {target.relative_to(root)}"


def has_leftovers(root: pathlib.Path) -> bool:
    """Returns True if there are temporary files or uncommitted checkpoints."""
    return any(any(manifests.find_leftovers(folder)) for folder in folders(root))


def _prune_best(folder: pathlib.Path) -> None:
    """Deletes all checkpoints in best/ except the one with the lowest error; the older one of two with equal errors."""
    entries = sorted((verify(folder, step, rehash=False) for step in manifests.steps_in(folder)), key=error_or_inf)
    for entry in entries[1:]:
        if entry.manifest:
            manifests.delete(folder, entry.step)
        else:
            manifests.set_aside(folder, entry.step)
    manifests.write_state_file(folder)


def link_into(source: pathlib.Path, step: int, target: pathlib.Path) -> None:
    """Links a checkpoint into another folder, manifest last. Copies it if the file system has no hard links."""
    files.make_folder(target)
    name = f"{manifests.checkpoint_name(step)}.json"
    if (target / name).exists():
        return
    for path in manifests.files_of(source, step):
        (target / path.name).unlink(missing_ok=True)
        _link(path, target / path.name)
    files.fsync(target)
    files.write(target / name, (source / name).read_text(encoding="utf-8"))


def _link(source: pathlib.Path, target: pathlib.Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # The target is on another disk, or its file system has no hard links.
        files.copy(source, target)


def roll_back(root: pathlib.Path, step: int) -> list[pathlib.Path]:
    """Makes the checkpoint of `step` the newest by setting newer ones aside. The caller must hold the run's lock.

    Returns:
      The folders of the newer checkpoints.

    Raises:
      UsageError: the step has no checkpoint.
      CheckpointError: the checkpoint is damaged.
    """
    available = committed(root)
    link_into(committed_entry(root, step).folder, step, root)
    moved = [manifests.set_aside(folder, newer, ROLLED_BACK) for newer, folder in available if newer > step]
    for folder in folders(root):
        manifests.write_state_file(folder)
    retain(root, 0)
    return moved


def was_rolled_back(root: pathlib.Path, step: int) -> bool:
    """Returns True if `roll_back` has set a checkpoint of this step aside."""
    pattern = re.compile(rf"{ROLLED_BACK}-{step}(-\d+)?")
    return any(pattern.fullmatch(path.name) for folder in folders(root) for path in folder.iterdir())


def remove_leftovers(root: pathlib.Path) -> list[pathlib.Path]:
    """Deletes the leftovers of interrupted saves in all folders; see `manifest.remove_leftovers`."""
    moved = manifests.remove_leftovers(root)
    for folder in folders(root)[1:]:
        manifests.remove_leftovers(folder, only_ours=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # Fails if the folder is not empty.
    if (root / BEST).is_dir():
        _prune_best(root / BEST)
    return moved
