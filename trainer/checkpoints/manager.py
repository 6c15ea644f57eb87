"""Saves and commits checkpoints, and restores the newest one that verifies."""

import contextlib
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.checkpoints import catalog, retention
from trainer.checkpoints import manifest as manifests
from trainer.checkpoints.manifest import Manifest
from trainer.errors import CheckpointError, StorageError, UsageError, error_text, option
from trainer.system import files
from trainer.system.logs import log

# Names of variables in a checkpoint; see `TrainingStatistics`.
MEAN, UNIT, OFFSET = (f"model/{name}/.ATTRIBUTES/VARIABLE_VALUE" for name in ("mean", "unit", "offset"))

# Errors that TensorFlow raises if an intact checkpoint has other variables or shapes.
STRUCTURE_ERRORS = (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, ValueError, AssertionError, KeyError)


@dataclasses.dataclass(frozen=True)
class Restored:
    """The result of `CheckpointManager.restore_newest`.

    Attributes:
      manifest: the manifest of the restored checkpoint.
      skipped: a message for each damaged checkpoint that was set aside.
    """

    manifest: Manifest
    skipped: tuple[str, ...]


class CheckpointManager:
    """The checkpoints of one run. The caller must hold the run's lock.

    Args:
      folder: the folder for the checkpoints, which no other run uses.
      checkpoint: the objects to save and restore.
      keep: the number of checkpoints in the rotation.
      keep_every: checkpoints whose step is a multiple of this are kept for good; 0: none.
    """

    def __init__(
        self, folder: pathlib.Path, checkpoint: tf.train.Checkpoint, *, keep: int, keep_every: int = 0
    ) -> None:
        files.make_folder(folder)
        self._folder, self._checkpoint, self._keep, self._keep_every = folder, checkpoint, keep, keep_every
        self._cleanup = contextlib.ExitStack()
        self._tf_folder = self._cleanup.enter_context(glob_free_path(folder))
        for moved in retention.remove_leftovers(folder):
            log.warning(f"an uncommitted checkpoint was set aside as {moved.name}")
        self._manager: tf.train.CheckpointManager | None = None

    def restore_newest(self, check_compatible: Callable[[Manifest], None]) -> Restored | None:
        """Restores the newest checkpoint that verifies, from any folder, and sets newer, damaged ones aside.

        Args:
          check_compatible: raises if the checkpoint is intact but must not be used in this run.

        Returns:
          The result; None if there are no checkpoints.

        Raises:
          CheckpointError: no checkpoint verifies, or the structure of an intact one differs. Nothing is moved.
        """
        damaged: list[catalog.Entry] = []
        for step, folder in catalog.committed(self._folder):
            entry = self._verify(folder, step)
            if entry.manifest is None:
                damaged.append(entry)
                continue
            check_compatible(entry.manifest)
            self.restore(entry)
            skipped = [retention.set_aside(self._folder, damaged_entry) for damaged_entry in damaged]
            skipped += retention.set_aside_damaged_best(self._folder)
            retention.link_into(folder, step, self._folder)
            retention.retain(self._folder, self._keep_every)
            manifests.write_state_file(self._folder)
            self._manager = None
            return Restored(entry.manifest, tuple(skipped))
        if damaged:
            raise CheckpointError(
                f"no checkpoint in {self._folder} can be used",
                found="; ".join(entry.reason for entry in damaged),
                remedy=f"restore an intact copy, or pass {option('restart', True)} to set these aside and start again",
            )
        return None

    def _verify(self, folder: pathlib.Path, step: int) -> catalog.Entry:
        try:
            return catalog.verify(folder, step, rehash=True)
        except OSError as error:  # May be temporary, so the checkpoint is neither skipped nor marked as damaged.
            raise StorageError(
                f"checkpoint {manifests.checkpoint_name(step)} in {folder} cannot be read",
                found=error_text(error),
                remedy=f"repair the disk, or roll back to an older checkpoint: {option('mode', 'checkpoints')} with"
                f" {option('rollback', 'STEP')}",
            ) from error

    def restore(self, entry: catalog.Entry) -> None:
        """Restores a verified checkpoint.

        Raises:
          CheckpointError: the checkpoint has other variables or shapes.
        """
        path = os.path.join(
            self._tf_folder, entry.folder.relative_to(self._folder), manifests.checkpoint_name(entry.step)
        )
        try:
            self._checkpoint.restore(path).assert_consumed()
        except STRUCTURE_ERRORS as error:  # An older checkpoint of this run has the same structure.
            raise CheckpointError(
                f"{manifests.checkpoint_name(entry.step)} does not match this network",
                found=str(error).split("\n")[0],
                remedy="use the versions of Hourglass and TensorFlow that wrote it, or pass "
                f"{option('restart', True)} to start again",
            ) from error

    def load_weights_from(self, source: pathlib.Path, model: tf.Module) -> str:
        """Loads only the weights from a checkpoint of any run with the same network.

        Args:
          source: a checkpoint or a run directory; see `catalog.find`.
          model: receives the weights; the checkpoint's root object has it as `model`.

        Returns:
          The path of the checkpoint.

        Raises:
          CheckpointError: there is no checkpoint, or it is damaged.
          UsageError: the weights have other shapes, or are for rows in other units.
        """
        entry = catalog.find(source)
        path = entry.folder / manifests.checkpoint_name(entry.step)
        _check_units(path, training_statistics(entry), model)
        restore_weights(entry, model)
        return str(path)

    def save(self, manifest: Manifest) -> None:
        """Saves a checkpoint, reads it back, commits it, and then deletes the oldest. Skips steps that are committed.

        Raises:
          StorageError: the disk is full or fails. Older checkpoints are unchanged.
        """
        step = manifest.step
        try:
            if step in manifests.steps_in(self._folder):
                return
            self._write(step)
            self._read_back(step)
            descriptions = manifests.describe(self._folder, step)
            manifests.write(self._folder, dataclasses.replace(manifest, files=descriptions))
        except (tf.errors.OpError, OSError) as error:
            # TensorFlow's manager counts the failed save, and would delete a good checkpoint for it.
            self._manager = None
            with contextlib.suppress(OSError):
                manifests.delete(self._folder, step)
                manifests.remove_leftovers(self._folder)
            raise StorageError(
                f"the checkpoint of step {step:,} could not be saved in {self._folder}",
                found=error_text(error),
                remedy="free space or repair the disk, then run the same command to resume from the last checkpoint",
            ) from error
        self._clean_up(step)

    def _clean_up(self, step: int) -> None:
        """Updates best/ and kept/, and deletes old checkpoints and leftovers. The next save retries what fails."""
        try:
            retention.retain(self._folder, self._keep_every)
        except OSError as error:
            log.warning(f"checkpoint {step:,} is saved, but best/ or kept/ cannot be written: {error_text(error)}")
        try:
            retention.rotate(self._folder, self._keep, self._keep_every)
            if len(manifests.steps_in(self._folder)) > self._keep:
                self._manager = None  # It would delete checkpoints that must stay until they are in best/ or kept/.
            if retention.has_leftovers(self._folder):
                retention.remove_leftovers(self._folder)
        except OSError as error:
            log.warning(f"checkpoint {step:,} is saved, but old files cannot be deleted: {error_text(error)}")

    def _write(self, step: int) -> None:
        if self._manager is None:
            manifests.write_state_file(self._folder)  # TensorFlow's manager reads it.
            # TensorFlow's manager deletes before the new checkpoint is committed, so it must keep one more.
            max_to_keep = max(self._keep, len(manifests.steps_in(self._folder))) + 1
            self._manager = tf.train.CheckpointManager(
                self._checkpoint, self._tf_folder, max_to_keep=max_to_keep, checkpoint_name=manifests.PREFIX
            )
        self._manager.save(checkpoint_number=step)

    def _read_back(self, step: int) -> None:
        """Reads every tensor, so that TensorFlow checks its CRC."""
        reader = tf.train.load_checkpoint(self._path(step))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)

    def _path(self, step: int) -> str:
        return os.path.join(self._tf_folder, manifests.checkpoint_name(step))

    def close(self) -> None:
        """Deletes the temporary link of `glob_free_path`."""
        self._cleanup.close()


def _check_units(path: pathlib.Path, stored: "TrainingStatistics", model: tf.Module) -> None:
    """Raises `UsageError` if only one of a checkpoint and a model is for rows that are standardized, or centered."""
    remedies = {
        "unit": ("standardized", f"{'give' if stored.unit is not None else 'remove'} {option('standardise')}"),
        "offset": ("centered before the conversion to float32", "use data that are read in the same way"),
    }
    for name, (verb, remedy) in remedies.items():
        was, now = (getattr(holder, name) is not None for holder in (stored, model))
        if was != now:
            this = f"those of this run are{'' if now else ' not'}"
            raise UsageError(
                f"{path} has weights for rows in other units",
                found=f"columns of its data were {'' if was else 'not '}{verb}; {this}",
                remedy=remedy,
            )


def restore_weights(entry: catalog.Entry, model: tf.Module) -> None:
    """Restores only the weights of a checkpoint.

    Args:
      entry: a verified checkpoint.
      model: receives the weights; the checkpoint's root object has it as `model`.

    Raises:
      UsageError: the weights have other shapes.
    """
    name = manifests.checkpoint_name(entry.step)
    # TensorFlow does not track layers in lists, so the optimizer's list of variables is the complete one.
    weights = tf.Module()
    weights._trainable_variables = list(model.trainable_variables)
    try:
        with glob_free_path(entry.folder) as folder:
            status = tf.train.Checkpoint(model=model, optimizer=weights).restore(os.path.join(folder, name))
            status.expect_partial().assert_existing_objects_matched()
    except STRUCTURE_ERRORS as error:
        raise UsageError(
            f"{entry.folder / name} is a checkpoint of another network",
            found=str(error).split("\n")[0],
            remedy="use the same network flags as that run, and data of the same shape",
        ) from error


class TrainingStatistics(NamedTuple):
    """Statistics of the training set that are part of the network, and of its checkpoints.

    Attributes:
      mean: the mean in the network's units, in the shape of one example.
      unit: the standard deviations of a standardized table, [D] float32, or None.
      offset: see `Dataset.offset`.
    """

    mean: np.ndarray
    unit: np.ndarray | None
    offset: np.ndarray | None


def training_statistics(entry: catalog.Entry) -> TrainingStatistics:
    """Reads the statistics of the training set from a checkpoint."""
    with glob_free_path(entry.folder) as folder:
        reader = tf.train.load_checkpoint(os.path.join(folder, manifests.checkpoint_name(entry.step)))
        unit, offset = (reader.get_tensor(key) if reader.has_tensor(key) else None for key in (UNIT, OFFSET))
        return TrainingStatistics(reader.get_tensor(MEAN), unit, offset)


@contextlib.contextmanager
def glob_free_path(folder: pathlib.Path) -> Iterator[str]:
    """Yields a path to the folder without glob characters; if necessary, a temporary symbolic link.

    TensorFlow uses globs to find and delete checkpoints: it finds none in `run[1]`, and those of other runs in `run*`.
    """
    if not set(str(folder)) & set("*?[]\\"):
        yield str(folder)
        return
    with tempfile.TemporaryDirectory(prefix="hourglass-") as temporary:
        link = os.path.join(temporary, "folder")
        os.symlink(folder, link)
        yield link
