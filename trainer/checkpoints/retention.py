"""Which checkpoints stay: the rotation, the best, and those kept for good. No TensorFlow."""

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
    by_error,
    committed,
    committed_entry,
    error_of,
    folders,
    verify,
)
from trainer.system import files, intervals


def retain(folder: pathlib.Path, keep_every: int) -> None:
    """Puts on the shelves what deserves it of the rotation; whatever an earlier try has missed, too.

    Args:
      folder: the rotation's.
      keep_every: steps between those kept for good; 0: none.

    Raises:
      OSError: some of it could not be done; all of it has been tried.
    """
    failed = None
    for step in _due(folder, keep_every):
        try:
            link_into(folder, step, folder / KEPT)
            manifests.write_state_file(folder / KEPT)
        except OSError as error:
            failed = error
    for entry in by_error(folder, (folder, folder / BEST))[:1]:
        if entry.folder != folder / BEST:
            link_into(entry.folder, entry.step, folder / BEST)
            _prune_best(folder / BEST)
    if failed:
        raise failed


def _due(folder: pathlib.Path, keep_every: int) -> list[int]:
    """Those in rotation that are to be kept for good, and are not yet."""
    shelved = set(manifests.steps_in(folder / KEPT))
    return [n for n in manifests.steps_in(folder) if intervals.is_due(n, keep_every) and n not in shelved]


def rotate(folder: pathlib.Path, keep: int, keep_every: int) -> None:
    """Removes the oldest of the rotation, but nothing that should be on a shelf and is not."""
    best = [entry.step for entry in by_error(folder, (folder, folder / BEST))[:1] if entry.folder == folder]
    for step in manifests.steps_in(folder)[:-keep]:
        if step not in (*best, *_due(folder, keep_every)):
            manifests.delete(folder, step)


def check_best(folder: pathlib.Path) -> list[str]:
    """Sets a damaged best aside, so that it stands in no other's way; says so in words."""
    shelf = folder / BEST
    found = [verify(shelf, step, rehash=True) for step in manifests.steps_in(shelf)]
    return [set_aside(folder, entry) for entry in found if not entry.manifest]


def set_aside(folder: pathlib.Path, entry: Entry) -> str:
    """Sets a damaged checkpoint aside; says so in words."""
    aside = manifests.set_aside(entry.folder, entry.step)
    return f"checkpoint {entry.reason}; set aside as {aside.relative_to(folder)}"


def has_leftovers(folder: pathlib.Path) -> bool:
    """Whether something is there that only a save under way would have."""
    return any(any(manifests.find_leftovers(place)) for place in folders(folder))


def _prune_best(shelf: pathlib.Path) -> None:
    """Leaves the lowest error only; of equals the oldest."""
    there = sorted((verify(shelf, step, rehash=False) for step in manifests.steps_in(shelf)), key=error_of)
    for entry in there[1:]:
        if entry.manifest:
            manifests.delete(shelf, entry.step)
        else:
            manifests.set_aside(shelf, entry.step)
    manifests.write_state_file(shelf)


def link_into(place: pathlib.Path, step: int, target: pathlib.Path) -> None:
    """The same checkpoint in another place: linked, or copied where links are not to be had; its manifest last."""
    files.make_folder(target)
    name = f"{manifests.checkpoint_name(step)}.json"
    if (target / name).exists():
        return
    for path in manifests.files_of(place, step):
        (target / path.name).unlink(missing_ok=True)
        _link(path, target / path.name)
    files.fsync(target)
    files.write(target / name, (place / name).read_text(encoding="utf-8"))


def _link(source: pathlib.Path, target: pathlib.Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # Another disk, or a file system without links.
        files.copy(source, target)


def roll_back(folder: pathlib.Path, step: int) -> list[pathlib.Path]:
    """Makes an older checkpoint the newest; what is newer is moved aside, not removed. To be used under the lock.

    Returns:
      Where the newer ones are now: `was_rolled_back` knows them by that.

    Raises:
      UsageError: there is no such checkpoint.
      CheckpointError: it is damaged.
    """
    everything = committed(folder)
    link_into(committed_entry(folder, step).folder, step, folder)
    moved = [manifests.set_aside(place, number, ROLLED_BACK) for number, place in everything if number > step]
    for place in folders(folder):
        manifests.write_state_file(place)
    retain(folder, 0)
    return moved


def was_rolled_back(folder: pathlib.Path, step: int) -> bool:
    """Whether a checkpoint of this step is where `roll_back` puts them."""
    pattern = re.compile(rf"{ROLLED_BACK}-{step}(-\d+)?")
    return any(pattern.fullmatch(path.name) for place in folders(folder) for path in place.iterdir())


def remove_leftovers(folder: pathlib.Path) -> list[pathlib.Path]:
    """Removes what killed saves left in the rotation and on the shelves; see `manifest.remove_leftovers`."""
    moved = manifests.remove_leftovers(folder)
    for shelf in folders(folder)[1:]:
        manifests.remove_leftovers(shelf, only_ours=True)
        with contextlib.suppress(OSError):
            shelf.rmdir()  # if nothing is there
    if (folder / BEST).is_dir():
        _prune_best(folder / BEST)
    return moved
