"""Where checkpoints are beside the rotation: the best, and those kept for good. No TensorFlow.

Each shelf is a folder inside the checkpoints' own, whose checkpoints are committed and verified in the same way. They
are hard links where the disk has them, so they cost nothing while the rotation still holds the same checkpoint.
"""

import contextlib
import dataclasses
import math
import os
import pathlib
import re
from collections.abc import Iterable

from trainer import files, progress
from trainer.checkpoints import manifest as manifests
from trainer.checkpoints.manifest import Manifest
from trainer.errors import CheckpointError, UsageError, said

BEST, KEPT = "best", "kept"
ROLLED_BACK = "rolled_back"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One checkpoint in one place.

    Attributes:
      step: its number.
      folder: where it is: the rotation, or a shelf.
      manifest: None where it is damaged.
      reason: what is damaged; empty where nothing is.
    """

    step: int
    folder: pathlib.Path
    manifest: Manifest | None
    reason: str = ""


def places(folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """The rotation's folder and the shelves that exist."""
    return tuple(place for place in (folder, folder / KEPT, folder / BEST) if place.is_dir())


def committed(folder: pathlib.Path) -> list[tuple[int, pathlib.Path]]:
    """(step, place) of all that have a manifest, newest first; of one step, the rotation's first."""
    found = [(step, place) for place in places(folder) for step in manifests.steps_in(place)]
    return sorted(found, key=lambda item: -item[0])


def look(place: pathlib.Path, step: int, *, rehash: bool) -> Entry:
    """What is known of a checkpoint.

    Raises:
      NewerError: it is sound, and was written by a later version of Hourglass.
      OSError: it cannot be read, which is not to say that it is damaged.
    """
    try:
        return Entry(step, place, manifests.read(place, step, rehash=rehash))
    except manifests.NewerError:
        raise
    except CheckpointError as error:
        what, found, *_ = str(error).split("\n")
        return Entry(step, place, None, f"{what}: {found}")


def catalog(folder: pathlib.Path, *, rehash: bool) -> list[Entry]:
    """All that have a manifest, newest first; nothing is changed, and nothing raised."""
    entries = []
    for step, place in committed(folder):
        try:
            entry = look(place, step, rehash=rehash)
        except (OSError, CheckpointError) as error:
            entry = Entry(step, place, None, f"{manifests.name_of(step)} cannot be used: {said(error)}")
        # A run that goes on meanwhile may have removed it.
        if entry.manifest or (place / f"{manifests.name_of(step)}.json").exists():
            entries.append(entry)
    return entries


def newest(folder: pathlib.Path) -> Manifest | None:
    """The newest that is complete, by its files' sizes, wherever it is.

    Raises:
      NewerError: as `look`.
    """
    for step, place in committed(folder):
        if manifest := look(place, step, rehash=False).manifest:
            return manifest
    return None


def best(folder: pathlib.Path) -> Entry | None:
    """The checkpoint with the lowest evaluation error that verifies, wherever it is; of equals the older."""
    for entry in _by_error(folder, places(folder)):
        if look(entry.folder, entry.step, rehash=True).manifest:
            return entry
    return None


def _by_error(folder: pathlib.Path, among: Iterable[pathlib.Path]) -> list[Entry]:
    """Those that are complete and know their error, the lowest first."""
    entries = (look(place, step, rehash=False) for place in among for step in manifests.steps_in(place))
    known = [entry for entry in entries if math.isfinite(_error(entry))]
    # Of the same checkpoint in several places, its own shelf's.
    return sorted(known, key=lambda entry: (_error(entry), entry.step, entry.folder != folder / BEST))


def find(path: pathlib.Path, passed_over: list[str] | None = None) -> Entry:
    """The checkpoint that a person means: this one (`.../ckpt-N`), or the newest that verifies in a run's folder.

    Args:
      path: of one or the other.
      passed_over: takes what is said of newer ones, which are damaged.

    Raises:
      CheckpointError: there is none, or it is damaged.
    """
    match = re.fullmatch(rf"{manifests.PREFIX}-(\d+)(\.(?:json|{manifests.ENDINGS}))?", path.name)
    if match and not path.is_dir():
        there = [(n, path.parent) for n in manifests.steps_in(path.parent) if n == int(match[1])]
    else:
        there = committed(path / "checkpoints" if (path / "checkpoints").is_dir() else path)
    damaged: list[str] = []
    for step, place in there:
        try:
            entry = look(place, step, rehash=True)
        except OSError as error:
            entry = Entry(step, place, None, f"{manifests.name_of(step)} cannot be used: {said(error)}")
        if entry.manifest:
            if passed_over is not None:
                passed_over += damaged
            return entry
        damaged.append(entry.reason)
    raise CheckpointError(
        f"there is no checkpoint that can be used in {path}",
        found="; ".join(damaged) or "none is committed there",
        remedy="give a run's folder, or a checkpoint: .../checkpoints/ckpt-N",
    )


def of_step(folder: pathlib.Path, step: int) -> Entry:
    """The checkpoint of one step that verifies, wherever it is.

    Raises:
      UsageError: there is no such checkpoint.
      CheckpointError: it is damaged.
    """
    everything = committed(folder)
    here = [place for number, place in everything if number == step]
    if not here:
        known = ", ".join(f"{number:,}" for number in sorted({number for number, _ in everything})) or "none"
        raise UsageError(
            f"there is no checkpoint of step {step:,} in {folder}",
            found=f"there are: {known}",
            remedy="give one of these; --mode=checkpoints lists them",
        )
    found = [look(place, step, rehash=True) for place in here]
    for entry in found:
        if entry.manifest:
            return entry
    manifests.read(here[0], step)  # It raises, and says what is wrong.
    return found[0]


def fill(folder: pathlib.Path, keep_every: int) -> None:
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
            put(folder, step, folder / KEPT)
            manifests.write_state_file(folder / KEPT)
        except OSError as error:
            failed = error
    for entry in _by_error(folder, (folder, folder / BEST))[:1]:
        if entry.folder != folder / BEST:
            put(entry.folder, entry.step, folder / BEST)
            _prune_best(folder / BEST)
    if failed:
        raise failed


def _due(folder: pathlib.Path, keep_every: int) -> list[int]:
    """Those in rotation that are to be kept for good, and are not yet."""
    shelved = set(manifests.steps_in(folder / KEPT))
    return [n for n in manifests.steps_in(folder) if progress.is_due(n, keep_every) and n not in shelved]


def rotate(folder: pathlib.Path, keep: int, keep_every: int) -> None:
    """Removes the oldest of the rotation, but nothing that should be on a shelf and is not."""
    best = [entry.step for entry in _by_error(folder, (folder, folder / BEST))[:1] if entry.folder == folder]
    for step in manifests.steps_in(folder)[:-keep]:
        if step not in (*best, *_due(folder, keep_every)):
            manifests.delete(folder, step)


def check_best(folder: pathlib.Path) -> list[str]:
    """Sets a damaged best aside, so that it stands in no other's way; says so in words."""
    shelf = folder / BEST
    found = [look(shelf, step, rehash=True) for step in manifests.steps_in(shelf)]
    return [set_aside(folder, entry) for entry in found if not entry.manifest]


def set_aside(folder: pathlib.Path, entry: Entry) -> str:
    """Sets a damaged checkpoint aside; says so in words."""
    aside = manifests.set_aside(entry.folder, entry.step)
    return f"checkpoint {entry.reason}; set aside as {aside.relative_to(folder)}"


def is_littered(folder: pathlib.Path) -> bool:
    """Whether something is there that only a save under way would have."""
    return any(any(manifests.litter(place)) for place in places(folder))


def _prune_best(shelf: pathlib.Path) -> None:
    """Leaves the lowest error only; of equals the oldest."""
    there = sorted((look(shelf, step, rehash=False) for step in manifests.steps_in(shelf)), key=_error)
    for entry in there[1:]:
        if entry.manifest:
            manifests.delete(shelf, entry.step)
        else:
            manifests.set_aside(shelf, entry.step)
    manifests.write_state_file(shelf)


def _error(entry: Entry) -> float:
    return entry.manifest.error if entry.manifest and entry.manifest.error is not None else math.inf


def put(place: pathlib.Path, step: int, target: pathlib.Path) -> None:
    """The same checkpoint in another place: linked, or copied where links are not to be had; its manifest last."""
    files.make_folder(target)
    name = f"{manifests.name_of(step)}.json"
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
    put(of_step(folder, step).folder, step, folder)
    moved = [manifests.set_aside(place, number, ROLLED_BACK) for number, place in everything if number > step]
    for place in places(folder):
        manifests.write_state_file(place)
    fill(folder, 0)
    return moved


def was_rolled_back(folder: pathlib.Path, step: int) -> bool:
    """Whether a checkpoint of this step is where `roll_back` puts them."""
    pattern = re.compile(rf"{ROLLED_BACK}-{step}(-\d+)?")
    return any(pattern.fullmatch(path.name) for place in places(folder) for path in place.iterdir())


def sweep(folder: pathlib.Path) -> list[pathlib.Path]:
    """Removes what killed saves left in the rotation and on the shelves; see `manifest.sweep`."""
    moved = manifests.sweep(folder)
    for shelf in places(folder)[1:]:
        manifests.sweep(shelf, only_ours=True)
        with contextlib.suppress(OSError):
            shelf.rmdir()  # if nothing is there
    if (folder / BEST).is_dir():
        _prune_best(folder / BEST)
    return moved
