"""Which checkpoints there are, and which of them can be trusted. No TensorFlow.

A checkpoint `ckpt-N.index`, `ckpt-N.data-...` counts once its manifest `ckpt-N.json` stands, which names its files
with their sizes and SHA-256, and holds its own. The text file `checkpoint` of TensorFlow is written for others, and
never read.
"""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import re
import shutil
from typing import Any

from trainer.errors import CheckpointError, option
from trainer.system import files

SCHEMA = 1
SEAL = "sha256"  # the field of a manifest that vouches for the others
PREFIX = "ckpt"
STATE_FILE = "checkpoint"  # TensorFlow's own list
DAMAGED = "damaged"
ERROR = "eval/reconstruction/mse"  # the metric by which one checkpoint is better than another
ENDINGS = r"(?:index|data-\d{5}-of-\d{5})"  # of the files that TensorFlow writes
TEMPORARY = rf"{PREFIX}-\d+_temp|checkpoint\.tmp\w+|\.(?:checkpoint|{PREFIX}-\d+\.(?:json|{ENDINGS}))\.tmp"


class NewerError(CheckpointError):
    """A sound checkpoint that this version cannot read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is known of a checkpoint.

    Attributes:
      run_id: of the run that wrote it.
      step: steps done; its number.
      flags: the mathematical flags.
      data: the data set's fingerprint.
      numerics: what bits depend on beside the flags: device, precision, XLA, threads, versions.
      metrics: the last evaluation.
      evaluated: the step that it was made at; None where there was none.
      changes: what has changed since the first start that bits depend on: after any, none of them can be claimed.
      pending: sum and number of the losses since the last point in TensorBoard, and the sums of their parts, so that
        the next point is whole.
      seconds: of training so far.
      rollbacks: how often the run has gone back, after a divergence, to a lower learning rate.
      saved: when, in local time with its offset; for people.
      files: name -> {"size": bytes, "sha256": hex}.
      schema: of this file.
    """

    run_id: str
    step: int
    flags: dict[str, Any]
    data: str
    numerics: dict[str, Any]
    metrics: dict[str, float]
    changes: list[str]
    pending: tuple[float, ...]
    seconds: float
    files: dict[str, dict[str, Any]]
    evaluated: int | None = None
    rollbacks: int = 0
    saved: str = ""
    schema: int = SCHEMA

    @property
    def error(self) -> float | None:
        """Mean squared evaluation error of exactly these weights; None where they were not evaluated."""
        return self.metrics.get(ERROR) if self.evaluated == self.step else None

    @property
    def bytes(self) -> int:
        """Size of its files on the disk, without the manifest."""
        return sum(entry["size"] for entry in self.files.values())


def checkpoint_name(step: int) -> str:
    """A checkpoint's name, without folder and ending."""
    return f"{PREFIX}-{step}"


def steps_in(folder: pathlib.Path) -> list[int]:
    """The numbers that have a manifest, ascending."""
    if not folder.is_dir():
        return []
    matches = (re.fullmatch(rf"{PREFIX}-(\d+)\.json", path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def write(folder: pathlib.Path, manifest: Manifest) -> None:
    """Commits a checkpoint whose files are on the disk."""
    files.write(folder / f"{checkpoint_name(manifest.step)}.json", _seal(dataclasses.asdict(manifest)))


def _seal(content: dict[str, Any]) -> str:
    """The text of a manifest, with the SHA-256 of all of it but these 64 digits."""
    text = files.to_json({**content, SEAL: ""})
    return text.replace(f'"{SEAL}": ""', f'"{SEAL}": "{_digest(text)}"')


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read(folder: pathlib.Path, step: int, *, rehash: bool = True) -> Manifest:
    """A checkpoint's manifest, after a look at the files it names.

    Args:
      folder: where it is.
      step: its number.
      rehash: compare the files' SHA-256; else their sizes only.

    Raises:
      NewerError: it is sound, and was written by a later version of Hourglass.
      CheckpointError: anything about it is not as it was when it was committed.
    """
    path = folder / f"{checkpoint_name(step)}.json"
    try:
        manifest = _parse(path.read_text(encoding="utf-8"))
        if manifest.step != step:
            raise ValueError(f"it is of step {manifest.step:,}")
        for name, expected in manifest.files.items():
            _verify(folder / name, expected, rehash=rehash)
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError) as error:
        remedy = f"an older checkpoint is taken; {option('restart', True)} begins again"
        found = (
            f"{pathlib.Path(error.filename).name} is missing" if isinstance(error, FileNotFoundError) else str(error)
        )
        raise CheckpointError(f"{path.name} is damaged", found=found, remedy=remedy) from error
    return manifest


def _parse(text: str) -> Manifest:
    content = json.loads(text)
    seal = content.pop(SEAL)
    if _digest(text.replace(seal, "", 1)) != seal:
        raise ValueError("it is not as it was written")
    if content["schema"] > SCHEMA:
        raise NewerError(
            f"checkpoint {content['step']} was written by a newer Hourglass",
            found=f"schema {content['schema']}, expected {SCHEMA}",
            remedy=f"go on with that version, or {option('restart', True)} to begin again",
        )
    return Manifest(**content)


def check_files(folder: pathlib.Path, text: str) -> None:
    """Compares a checkpoint's files with a manifest that is not there yet.

    Raises:
      CheckpointError: they differ.
    """
    try:
        for name, expected in _parse(text).files.items():
            _verify(folder / name, expected, rehash=True)
    except (FileNotFoundError, ValueError, TypeError, KeyError) as error:
        remedy = "bring back a sound copy"
        raise CheckpointError(f"a checkpoint in {folder} is damaged", found=str(error), remedy=remedy) from error


def newest(folder: pathlib.Path) -> Manifest | None:
    """The newest checkpoint of one folder that verifies, or None; nothing is changed.

    Raises:
      NewerError: as `read`.
    """
    for step in reversed(steps_in(folder)):
        try:
            return read(folder, step)
        except NewerError:
            raise
        except CheckpointError:
            continue
    return None


def _verify(path: pathlib.Path, expected: dict[str, Any], *, rehash: bool) -> None:
    size = path.stat().st_size
    if size != expected["size"]:
        raise ValueError(f"{path.name} has {size:,} bytes; expected {expected['size']:,}")
    if not rehash:
        return
    found = files.sha256(path)
    if found != expected["sha256"]:
        raise ValueError(f"{path.name} has SHA-256 {found[:12]}...; expected {expected['sha256'][:12]}...")


def describe(folder: pathlib.Path, step: int) -> dict[str, dict[str, Any]]:
    """Sizes and hashes of a checkpoint's files, which are forced to the disk first."""
    found = {}
    for path in sorted(files_of(folder, step)):
        files.fsync(path)
        found[path.name] = {"size": path.stat().st_size, "sha256": files.sha256(path)}
    files.fsync(folder)
    return found


def files_of(folder: pathlib.Path, step: int) -> list[pathlib.Path]:
    """A checkpoint's files, without its manifest."""
    return [path for path in folder.iterdir() if re.fullmatch(rf"{PREFIX}-{step}\.{ENDINGS}", path.name)]


def delete(folder: pathlib.Path, step: int) -> None:
    """Removes a checkpoint: first what makes it count, so that a kill in between leaves an orphan, not a ruin."""
    manifest = folder / f"{checkpoint_name(step)}.json"
    if manifest.exists():
        manifest.unlink()
        with contextlib.suppress(OSError):  # So that a loss of power leaves no ruin either.
            files.fsync(folder)
    for path in files_of(folder, step):
        path.unlink(missing_ok=True)


def set_aside(folder: pathlib.Path, step: int, why: str = DAMAGED) -> pathlib.Path:
    """Moves a checkpoint out of the way, to `folder`/<why>-<step>, for people to look at."""
    target = files.unused_path(folder / f"{why}-{step}")
    target.mkdir()
    for path in (*files_of(folder, step), folder / f"{checkpoint_name(step)}.json"):
        if path.exists():
            path.rename(target / path.name)
    return target


def remove_leftovers(folder: pathlib.Path, *, only_ours: bool = False) -> list[pathlib.Path]:
    """Removes what killed saves left behind: temporary files, and checkpoints that were never committed.

    Where not a single one is committed, these may be somebody's own, or a copy that lost its manifests: they are
    moved, not removed, unless `only_ours` says that nobody else's can be there.

    Returns:
      Where they were moved to.
    """
    temporary, uncommitted = find_leftovers(folder)
    for path in temporary:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    is_run = only_ours or bool(steps_in(folder))
    moved = []
    for step in uncommitted:
        usable = (folder / f"{checkpoint_name(step)}.index").exists()
        if is_run or not usable:
            delete(folder, step)
        else:
            moved.append(set_aside(folder, step))
    write_state_file(folder)
    return moved


def find_leftovers(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[int]]:
    """Temporary files, and the numbers of checkpoints that were never committed."""
    paths = list(folder.iterdir())
    temporary = [path for path in paths if re.fullmatch(TEMPORARY, path.name)]
    matches = (re.fullmatch(rf"{PREFIX}-(\d+)\.{ENDINGS}", path.name) for path in paths)
    return temporary, sorted({int(match[1]) for match in matches if match} - set(steps_in(folder)))


def write_state_file(folder: pathlib.Path) -> None:
    """Writes TensorFlow's list anew from the manifests: its manager forgets everything when the file is damaged."""
    steps = steps_in(folder)
    if not steps:
        (folder / STATE_FILE).unlink(missing_ok=True)
        return
    lines = [f'model_checkpoint_path: "{checkpoint_name(steps[-1])}"']
    lines += [f'all_model_checkpoint_paths: "{checkpoint_name(step)}"' for step in steps]
    files.write(folder / STATE_FILE, "\n".join(lines) + "\n", durably=False)  # It is never trusted.
