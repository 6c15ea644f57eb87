"""Where checkpoints are beside the rotation: the best, and those kept for good. No TensorFlow.

Each shelf is a folder inside the checkpoints' own, whose checkpoints are committed and verified in the same way. They
are hard links where the disk has them, so they cost nothing while the rotation still holds the same checkpoint.
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


def folders(folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """The rotation's folder and the shelves that exist."""
    return tuple(place for place in (folder, folder / KEPT, folder / BEST) if place.is_dir())


def committed(folder: pathlib.Path) -> list[tuple[int, pathlib.Path]]:
    """(step, place) of all that have a manifest, newest first; of one step, the rotation's first."""
    found = [(step, place) for place in folders(folder) for step in manifests.steps_in(place)]
    return sorted(found, key=lambda item: -item[0])


def verify(place: pathlib.Path, step: int, *, rehash: bool) -> Entry:
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
        return Entry(step, place, None, f"{error.what}: {error.found}")


def entries(folder: pathlib.Path, *, rehash: bool) -> list[Entry]:
    """All that have a manifest, newest first; nothing is changed, and nothing raised."""
    found = []
    for step, place in committed(folder):
        try:
            entry = verify(place, step, rehash=rehash)
        except (OSError, CheckpointError) as error:
            entry = Entry(step, place, None, f"{manifests.checkpoint_name(step)} cannot be used: {error_text(error)}")
        # A run that goes on meanwhile may have removed it.
        if entry.manifest or (place / f"{manifests.checkpoint_name(step)}.json").exists():
            found.append(entry)
    return found


def newest(folder: pathlib.Path) -> Manifest | None:
    """The newest that is complete, by its files' sizes, wherever it is.

    Raises:
      NewerError: as `look`.
    """
    for step, place in committed(folder):
        if manifest := verify(place, step, rehash=False).manifest:
            return manifest
    return None


def best(folder: pathlib.Path) -> Entry | None:
    """The checkpoint with the lowest evaluation error that verifies, wherever it is; of equals the older."""
    for entry in by_error(folder, folders(folder)):
        if verify(entry.folder, entry.step, rehash=True).manifest:
            return entry
    return None


def by_error(folder: pathlib.Path, among: Iterable[pathlib.Path]) -> list[Entry]:
    """Those that are complete and know their error, the lowest first."""
    entries = (verify(place, step, rehash=False) for place in among for step in manifests.steps_in(place))
    known = [entry for entry in entries if math.isfinite(error_of(entry))]
    # Of the same checkpoint in several places, its own shelf's.
    return sorted(known, key=lambda entry: (error_of(entry), entry.step, entry.folder != folder / BEST))


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
            entry = verify(place, step, rehash=True)
        except OSError as error:
            entry = Entry(step, place, None, f"{manifests.checkpoint_name(step)} cannot be used: {error_text(error)}")
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


def committed_entry(folder: pathlib.Path, step: int) -> Entry:
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
            remedy=f"give one of these; {option('mode', 'checkpoints')} lists them",
        )
    found = [verify(place, step, rehash=True) for place in here]
    for entry in found:
        if entry.manifest:
            return entry
    manifests.read(here[0], step)  # It raises, and says what is wrong.
    return found[0]


def error_of(entry: Entry) -> float:
    """Its evaluation error; infinite where it is not known."""
    return entry.manifest.error if entry.manifest and entry.manifest.error is not None else math.inf
