"""Which checkpoints there are, and which of them can be trusted. No TensorFlow.

A checkpoint `ckpt-N.index`, `ckpt-N.data-...` counts once its manifest `ckpt-N.json` stands, which names its files
with their sizes and SHA-256. The text file `checkpoint` of TensorFlow is written for others, and never read.
"""

import dataclasses
import json
import pathlib
import re
import shutil
from typing import Any

from trainer import files
from trainer.errors import CheckpointError

SCHEMA = 1
PREFIX = "ckpt"
STATE_FILE = "checkpoint"  # TensorFlow's own list
DAMAGED = "damaged"
ENDINGS = r"(?:index|data-\d{5}-of-\d{5})"  # of the files that TensorFlow writes


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
      changes: what has changed since the first start that bits depend on: after any, none of them can be claimed.
      pending: sum and number of the losses since the last point in TensorBoard, so that the next point is whole.
      seconds: of training so far.
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
    pending: tuple[float, int]
    seconds: float
    files: dict[str, dict[str, Any]]
    schema: int = SCHEMA


def name_of(step: int) -> str:
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
    files.write_json(folder / f"{name_of(manifest.step)}.json", dataclasses.asdict(manifest))


def read(folder: pathlib.Path, step: int) -> Manifest:
    """A verified checkpoint's manifest.

    Raises:
      CheckpointError: anything about it is not as it was when it was committed.
    """
    path = folder / f"{name_of(step)}.json"
    try:
        manifest = Manifest(**json.loads(path.read_text(encoding="utf-8")))
        if manifest.schema != SCHEMA or manifest.step != step:
            raise ValueError(f"schema {manifest.schema}, step {manifest.step}; expected {SCHEMA}, {step}")
        _check_types(manifest)
        for name, expected in manifest.files.items():
            _verify(folder / name, expected)
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError) as error:
        remedy = "an older checkpoint is taken; --restart begins again"
        raise CheckpointError(f"{path.name} is damaged", found=str(error), remedy=remedy) from error
    return manifest


def newest(folder: pathlib.Path) -> Manifest | None:
    """The newest checkpoint that verifies, or None; nothing is changed."""
    for step in reversed(steps_in(folder)):
        try:
            return read(folder, step)
        except CheckpointError:
            continue
    return None


def _check_types(manifest: Manifest) -> None:
    """JSON holds anything: what is read later must be what it is taken for."""
    total, count = manifest.pending
    kinds: dict[Any, tuple[Any, ...]] = {
        dict: (manifest.flags, manifest.numerics, manifest.metrics, manifest.files),
        str: (manifest.run_id, manifest.data, *manifest.changes),
        (int, float): (manifest.seconds, total, count, *manifest.metrics.values()),
    }
    for kind, values in kinds.items():
        wrong = [value for value in values if not isinstance(value, kind)]
        if wrong:
            raise ValueError(f"it holds {wrong[0]!r} in a wrong place")


def _verify(path: pathlib.Path, expected: dict[str, Any]) -> None:
    size = path.stat().st_size
    if size != expected["size"]:
        raise ValueError(f"{path.name} has {size:,} bytes; expected {expected['size']:,}")
    found = files.sha256(path)
    if found != expected["sha256"]:
        raise ValueError(f"{path.name} has SHA-256 {found}; expected {expected['sha256']}")


def describe(folder: pathlib.Path, step: int) -> dict[str, dict[str, Any]]:
    """Sizes and hashes of a checkpoint's files, which are forced to the disk first."""
    found = {}
    for path in sorted(_files_of(folder, step)):
        files.fsync(path)
        found[path.name] = {"size": path.stat().st_size, "sha256": files.sha256(path)}
    files.fsync(folder)
    return found


def _files_of(folder: pathlib.Path, step: int) -> list[pathlib.Path]:
    """A checkpoint's files, without its manifest."""
    return [path for path in folder.iterdir() if re.fullmatch(rf"{PREFIX}-{step}\.{ENDINGS}", path.name)]


def delete(folder: pathlib.Path, step: int) -> None:
    """Removes a checkpoint: first what makes it count, so that a kill in between leaves an orphan, not a ruin."""
    for path in (folder / f"{name_of(step)}.json", *_files_of(folder, step)):
        path.unlink(missing_ok=True)


def set_aside(folder: pathlib.Path, step: int) -> pathlib.Path:
    """Moves a damaged checkpoint out of the way, for people to look at."""
    target = files.unused(folder / f"{DAMAGED}-{step}")
    target.mkdir()
    for path in (*_files_of(folder, step), folder / f"{name_of(step)}.json"):
        if path.exists():
            path.rename(target / path.name)
    return target


def sweep(folder: pathlib.Path) -> list[pathlib.Path]:
    """Removes what killed saves left behind: temporary files, and checkpoints that were never committed.

    Where not a single one is committed, these may be somebody's own, or a copy that lost its manifests: they are
    moved, not removed.

    Returns:
      Where they were moved to.
    """
    for path in folder.iterdir():
        if re.fullmatch(rf"{PREFIX}-\d+_temp|checkpoint\.tmp\w+|\.(checkpoint|{PREFIX}-\d+\.json)\.tmp", path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    matches = (re.fullmatch(rf"{PREFIX}-(\d+)\.{ENDINGS}", path.name) for path in folder.iterdir())
    committed = set(steps_in(folder))
    uncommitted = sorted({int(match[1]) for match in matches if match} - committed)
    moved = []
    for step in uncommitted:
        if committed:
            delete(folder, step)
        else:
            moved.append(set_aside(folder, step))
    write_state_file(folder)
    return moved


def write_state_file(folder: pathlib.Path) -> None:
    """Writes TensorFlow's list anew from the manifests: its manager forgets everything when the file is damaged."""
    steps = steps_in(folder)
    if not steps:
        (folder / STATE_FILE).unlink(missing_ok=True)
        return
    lines = [f'model_checkpoint_path: "{name_of(steps[-1])}"']
    lines += [f'all_model_checkpoint_paths: "{name_of(step)}"' for step in steps]
    files.write(folder / STATE_FILE, "\n".join(lines) + "\n")
