"""Manifests, which commit and verify the checkpoints of one folder. No TensorFlow.

A checkpoint `ckpt-N.index`, `ckpt-N.data-...` is committed once its manifest `ckpt-N.json` exists. The manifest lists
the sizes and SHA-256 of these files, and contains the SHA-256 of itself. TensorFlow's text file `checkpoint` is
written for other programs and never read.
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

SCHEMA = 2  # 1: without `scores` and `columns`
SEAL = "sha256"  # the field with the SHA-256 of the manifest itself
PREFIX = "ckpt"
STATE_FILE = "checkpoint"  # TensorFlow's list of checkpoints
DAMAGED = "damaged"
ERROR = "eval/reconstruction/mse"  # the metric that selects the best checkpoint
SUFFIXES = r"(?:index|data-\d{5}-of-\d{5})"  # of the files that TensorFlow writes
TEMPORARY = rf"{PREFIX}-\d+_temp|checkpoint\.tmp\w+|\.(?:checkpoint|{PREFIX}-\d+\.(?:json|{SUFFIXES}))\.tmp"


class NewerError(CheckpointError):
    """A checkpoint of a newer version of Hourglass, which this version cannot read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """The metadata of a checkpoint.

    Attributes:
      run_id: the ID of the run.
      step: the number of completed training steps.
      flags: the mathematical options.
      data: the fingerprint of the data set.
      numerics: the other settings that affect the bits of the result: device, precision, XLA, threads, versions.
      metrics: the results of the last evaluation.
      evaluated: the step of the last evaluation; None if there was none.
      changes: changes of `numerics` and of the learning rate since the first start. The result is bit-identical only if
        there are none.
      pending: sum and count of the losses since the last point in TensorBoard, and the sums of the loss terms.
      seconds: training time so far.
      rollbacks: the number of rollbacks to a lower learning rate after a divergence.
      saved: the local time of the save, with its UTC offset.
      files: file name to {"size": bytes, "sha256": hex}.
      scores: the calibration of anomaly scores by the evaluation examples, as `Calibration.to_json` returns it; None
        unless this step was evaluated.
      columns: SHA-256 of `schema.json`; empty if there is none.
      schema: the version of the manifest's format.
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
    scores: dict[str, Any] | None = None
    columns: str = ""
    schema: int = SCHEMA

    @property
    def error(self) -> float | None:
        """Mean squared evaluation error of these weights; None if this step was not evaluated."""
        return self.metrics.get(ERROR) if self.evaluated == self.step else None

    @property
    def bytes(self) -> int:
        """Total size of the files, without the manifest."""
        return sum(file["size"] for file in self.files.values())


def checkpoint_name(step: int) -> str:
    """Returns a checkpoint's name, without folder and suffix."""
    return f"{PREFIX}-{step}"


def steps_in(folder: pathlib.Path) -> list[int]:
    """Returns the steps of the committed checkpoints in one folder, ascending."""
    if not folder.is_dir():
        return []
    matches = (re.fullmatch(rf"{PREFIX}-(\d+)\.json", path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def write(folder: pathlib.Path, manifest: Manifest) -> None:
    """Commits a checkpoint, whose files must be on the disk, by writing its manifest."""
    files.write(folder / f"{checkpoint_name(manifest.step)}.json", _seal(dataclasses.asdict(manifest)))


def _seal(content: dict[str, Any]) -> str:
    """Returns the text of a manifest with its SHA-256, which is computed with an empty SHA-256 field."""
    text = files.to_json({**content, SEAL: ""})
    return text.replace(f'"{SEAL}": ""', f'"{SEAL}": "{_digest(text)}"')


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read(folder: pathlib.Path, step: int, *, rehash: bool = True) -> Manifest:
    """Returns a checkpoint's manifest, after verifying the manifest and the files that it lists.

    Args:
      folder: the folder of the checkpoint.
      step: the step of the checkpoint.
      rehash: compare the SHA-256 of the files; otherwise compares only their sizes.

    Raises:
      NewerError: the checkpoint was written by a newer version of Hourglass.
      CheckpointError: the manifest or a file is missing or has changed.
    """
    path = folder / f"{checkpoint_name(step)}.json"
    try:
        manifest = _parse(path.read_text(encoding="utf-8"))
        if manifest.step != step:
            raise ValueError(f"it belongs to step {manifest.step:,}")
        for name, expected in manifest.files.items():
            _verify(folder / name, expected, rehash=rehash)
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error)
        if isinstance(error, FileNotFoundError):
            reason = f"{pathlib.Path(error.filename).name} is missing"
        remedy = f"use an older checkpoint, or pass {option('restart', True)} to start again"
        raise CheckpointError(f"{path.name} is damaged", found=reason, remedy=remedy) from error
    return manifest


def _parse(text: str) -> Manifest:
    content = json.loads(text)
    seal = content.pop(SEAL)
    if _digest(text.replace(seal, "", 1)) != seal:
        raise ValueError("its content does not match its SHA-256")
    if content["schema"] > SCHEMA:
        raise NewerError(
            f"checkpoint {content['step']} was written by a newer Hourglass",
            found=f"schema {content['schema']}, expected {SCHEMA}",
            remedy=f"resume with that version, or pass {option('restart', True)} to start again",
        )
    return Manifest(**content)


def check_files(folder: pathlib.Path, text: str) -> None:
    """Compares a checkpoint's files with the text of a manifest that is not written yet.

    Raises:
      CheckpointError: a file is missing or differs.
    """
    try:
        for name, expected in _parse(text).files.items():
            _verify(folder / name, expected, rehash=True)
    except (FileNotFoundError, ValueError, TypeError, KeyError) as error:
        remedy = "restore an intact copy"
        raise CheckpointError(f"a checkpoint in {folder} is damaged", found=str(error), remedy=remedy) from error


def newest(folder: pathlib.Path) -> Manifest | None:
    """Returns the manifest of the newest checkpoint in one folder that verifies, or None.

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
    digest = files.sha256(path)
    if digest != expected["sha256"]:
        raise ValueError(f"{path.name} has SHA-256 {digest[:12]}...; expected {expected['sha256'][:12]}...")


def describe(folder: pathlib.Path, step: int) -> dict[str, dict[str, Any]]:
    """Flushes a checkpoint's files to the disk, and returns their sizes and SHA-256 by file name."""
    descriptions = {}
    for path in sorted(files_of(folder, step)):
        files.fsync(path)
        descriptions[path.name] = {"size": path.stat().st_size, "sha256": files.sha256(path)}
    files.fsync(folder)
    return descriptions


def files_of(folder: pathlib.Path, step: int) -> list[pathlib.Path]:
    """Returns the paths of a checkpoint's files, without its manifest."""
    return [path for path in folder.iterdir() if re.fullmatch(rf"{PREFIX}-{step}\.{SUFFIXES}", path.name)]


def delete(folder: pathlib.Path, step: int) -> None:
    """Deletes a checkpoint, manifest first, so that a committed checkpoint never has missing files."""
    manifest = folder / f"{checkpoint_name(step)}.json"
    if manifest.exists():
        manifest.unlink()
        with contextlib.suppress(OSError):  # Keeps this order in a loss of power, too.
            files.fsync(folder)
    for path in files_of(folder, step):
        path.unlink(missing_ok=True)


def set_aside(folder: pathlib.Path, step: int, prefix: str = DAMAGED) -> pathlib.Path:
    """Moves a checkpoint to the subfolder <prefix>-<step>, and returns that subfolder."""
    target = files.unused_path(folder / f"{prefix}-{step}")
    target.mkdir()
    for path in (*files_of(folder, step), folder / f"{checkpoint_name(step)}.json"):
        if path.exists():
            path.rename(target / path.name)
    return target


def remove_leftovers(folder: pathlib.Path, *, only_ours: bool = False) -> list[pathlib.Path]:
    """Deletes temporary files and uncommitted checkpoints, which interrupted saves leave behind.

    If no checkpoint is committed, uncommitted ones may come from another program, or from a copy without manifests.
    They are then moved, not deleted, unless `only_ours` is set.

    Returns:
      The folders of the moved checkpoints.
    """
    temporary, uncommitted = find_leftovers(folder)
    for path in temporary:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    is_run = only_ours or bool(steps_in(folder))
    moved = []
    for step in uncommitted:
        is_restorable = (folder / f"{checkpoint_name(step)}.index").exists()
        if is_run or not is_restorable:
            delete(folder, step)
        else:
            moved.append(set_aside(folder, step))
    write_state_file(folder)
    return moved


def find_leftovers(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[int]]:
    """Returns the temporary files, and the steps of the uncommitted checkpoints."""
    paths = list(folder.iterdir())
    temporary = [path for path in paths if re.fullmatch(TEMPORARY, path.name)]
    matches = (re.fullmatch(rf"{PREFIX}-(\d+)\.{SUFFIXES}", path.name) for path in paths)
    return temporary, sorted({int(match[1]) for match in matches if match} - set(steps_in(folder)))


def write_state_file(folder: pathlib.Path) -> None:
    """Writes TensorFlow's list of checkpoints, from which `tf.train.CheckpointManager` starts, from the manifests."""
    steps = steps_in(folder)
    if not steps:
        (folder / STATE_FILE).unlink(missing_ok=True)
        return
    lines = [f'model_checkpoint_path: "{checkpoint_name(steps[-1])}"']
    lines += [f'all_model_checkpoint_paths: "{checkpoint_name(step)}"' for step in steps]
    files.write(folder / STATE_FILE, "\n".join(lines) + "\n", durably=False)  # Rewritten at every start.
