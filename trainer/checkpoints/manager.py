"""Writes checkpoints with TensorFlow's manager, commits them, and restores the newest that can be trusted."""

import contextlib
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from trainer.checkpoints import catalog, retention
from trainer.checkpoints import manifest as manifests
from trainer.checkpoints.manifest import Manifest
from trainer.errors import CheckpointError, StorageError, UsageError, error_text, option
from trainer.system import files
from trainer.system.logs import log

# What TensorFlow calls these in a checkpoint.
MEAN, UNIT = (f"model/{name}/.ATTRIBUTES/VARIABLE_VALUE" for name in ("mean", "unit"))

# What TensorFlow raises about a sound checkpoint of another structure.
MISFITS = (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, ValueError, AssertionError, KeyError)


@dataclasses.dataclass(frozen=True)
class Restored:
    """What was restored.

    Attributes:
      manifest: the checkpoint's.
      passed_over: newer ones that are damaged, each in words, with what it is called now.
    """

    manifest: Manifest
    passed_over: tuple[str, ...]


class CheckpointManager:
    """The checkpoints of one run. To be used under the run's lock.

    Args:
      folder: theirs alone.
      checkpoint: what is saved and restored.
      keep: how many stay in rotation.
      keep_every: those of steps that are its multiples stay for good; 0: none.
    """

    def __init__(
        self, folder: pathlib.Path, checkpoint: tf.train.Checkpoint, *, keep: int, keep_every: int = 0
    ) -> None:
        files.make_folder(folder)
        self._folder, self._checkpoint, self._keep, self._keep_every = folder, checkpoint, keep, keep_every
        self._cleanup = contextlib.ExitStack()
        self._tf_folder = self._cleanup.enter_context(without_globs(folder))
        for moved in retention.remove_leftovers(folder):
            log.warning(f"a checkpoint that was never committed is set aside as {moved.name}")
        self._manager: tf.train.CheckpointManager | None = None

    def restore_newest(self, check_compatible: Callable[[Manifest], None]) -> Restored | None:
        """Restores the newest checkpoint that verifies, wherever it is; newer ones, being damaged, are set aside.

        Args:
          accept: raises if this checkpoint, sound as it is, may not be used in this run.

        Returns:
          None where there is no checkpoint.

        Raises:
          CheckpointError: checkpoints exist, and none verifies; or a sound one does not fit. They stay where they are.
        """
        damaged: list[catalog.Entry] = []
        for step, place in catalog.committed(self._folder):
            entry = self._look(place, step)
            if entry.manifest is None:
                damaged.append(entry)
                continue
            check_compatible(entry.manifest)
            self.restore(entry)
            words = [retention.set_aside(self._folder, bad) for bad in damaged]
            words += retention.check_best(self._folder)
            retention.link_into(place, step, self._folder)
            retention.retain(self._folder, self._keep_every)
            manifests.write_state_file(self._folder)
            self._manager = None
            return Restored(entry.manifest, tuple(words))
        if damaged:
            raise CheckpointError(
                f"no checkpoint in {self._folder} can be used",
                found="; ".join(entry.reason for entry in damaged),
                remedy=f"bring back a sound copy, or {option('restart', True)} to begin again (these are set aside)",
            )
        return None

    def _look(self, place: pathlib.Path, step: int) -> catalog.Entry:
        try:
            return catalog.verify(place, step, rehash=True)
        except OSError as error:  # A cable may be loose: it is not passed over, nor called damaged.
            raise StorageError(
                f"checkpoint {manifests.checkpoint_name(step)} in {place} cannot be read",
                found=error_text(error),
                remedy=f"mend the disk; or take an older one: {option('mode', 'checkpoints')} lists them,"
                f" {option('rollback', 'STEP')} chooses",
            ) from error

    def restore(self, entry: catalog.Entry) -> None:
        """Restores a checkpoint whose files are known to be sound.

        Raises:
          CheckpointError: it has another structure.
        """
        path = os.path.join(
            self._tf_folder, entry.folder.relative_to(self._folder), manifests.checkpoint_name(entry.step)
        )
        try:
            self._checkpoint.restore(path).assert_consumed()
        except MISFITS as error:  # Its files are sound, so an older one would not fit either.
            raise CheckpointError(
                f"{manifests.checkpoint_name(entry.step)} does not restore into this network",
                found=str(error).split("\n")[0],
                remedy="go on with the versions of Hourglass and TensorFlow that wrote it, or "
                + option("restart", True),
            ) from error

    def load_weights_from(self, source: pathlib.Path, model: tf.Module) -> str:
        """Takes the weights, and nothing else, of a checkpoint of any run with the same network.

        Args:
          source: see `catalog.find`.
          model: theirs and ours; a child of that name in both checkpoints.

        Returns:
          The checkpoint's path.

        Raises:
          CheckpointError: there is none, or it is damaged.
          UsageError: its arrays have other shapes.
        """
        entry = catalog.find(source)
        restore_weights(entry, model)
        return str(entry.folder / manifests.checkpoint_name(entry.step))

    def save(self, manifest: Manifest) -> None:
        """Saves, reads back, commits, and only then removes the oldest. A step that is committed is not saved twice.

        Raises:
          StorageError: the disk does not take it; older checkpoints are as they were.
        """
        step = manifest.step
        try:
            if step in manifests.steps_in(self._folder):
                return
            self._write(step)
            self._read_back(step)
            described = manifests.describe(self._folder, step)
            manifests.write(self._folder, dataclasses.replace(manifest, files=described))
        except (tf.errors.OpError, OSError) as error:
            # The manager counts it as kept, and would remove a good one for it: the next save asks a new one.
            self._manager = None
            with contextlib.suppress(OSError):
                manifests.delete(self._folder, step)
                manifests.remove_leftovers(self._folder)
            raise StorageError(
                f"the checkpoint of step {step:,} could not be saved in {self._folder}",
                found=error_text(error),
                remedy="make room or mend the disk, then type the same command to go on from the last checkpoint",
            ) from error
        self._tidy(step)

    def _tidy(self, step: int) -> None:
        """What follows a commit: the shelves, the oldest, and what failed saves have left. The next one mends it."""
        try:
            retention.retain(self._folder, self._keep_every)
        except OSError as error:
            log.warning(f"checkpoint {step:,} is saved, but best/ and kept/ cannot be written: {error_text(error)}")
        try:
            retention.rotate(self._folder, self._keep, self._keep_every)
            if len(manifests.steps_in(self._folder)) > self._keep:
                self._manager = None  # It would remove what is spared.
            if retention.has_leftovers(self._folder):
                retention.remove_leftovers(self._folder)
        except OSError as error:
            log.warning(f"checkpoint {step:,} is saved, but older files cannot be removed: {error_text(error)}")

    def _write(self, step: int) -> None:
        if self._manager is None:
            manifests.write_state_file(self._folder)  # From it the manager knows what there is.
            # One more than there are or may be: the manager deletes before the new checkpoint is committed.
            most = max(self._keep, len(manifests.steps_in(self._folder))) + 1
            self._manager = tf.train.CheckpointManager(
                self._checkpoint, self._tf_folder, max_to_keep=most, checkpoint_name=manifests.PREFIX
            )
        self._manager.save(checkpoint_number=step)

    def _read_back(self, step: int) -> None:
        """Reads every tensor: TensorFlow checks their CRCs."""
        reader = tf.train.load_checkpoint(self._path(step))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)

    def _path(self, step: int) -> str:
        return os.path.join(self._tf_folder, manifests.checkpoint_name(step))

    def close(self) -> None:
        """Removes what helped with odd paths."""
        self._cleanup.close()


def restore_weights(entry: catalog.Entry, model: tf.Module) -> None:
    """Takes a checkpoint's weights, and nothing else of it.

    Args:
      entry: whose files are known to be sound.
      model: of the same network; a child of that name in the checkpoint.

    Raises:
      UsageError: its arrays have other shapes.
    """
    name = manifests.checkpoint_name(entry.step)
    # Of a network, TensorFlow does not see layers in lists: of all trained weights it knows through the optimizer.
    weights = tf.Module()
    weights._trainable_variables = list(model.trainable_variables)
    try:
        with without_globs(entry.folder) as folder:
            status = tf.train.Checkpoint(model=model, optimizer=weights).restore(os.path.join(folder, name))
            status.expect_partial().assert_existing_objects_matched()
    except MISFITS as error:
        raise UsageError(
            f"{entry.folder / name} is of another network",
            found=str(error).split("\n")[0],
            remedy="give the network's flags of that run, and data of the same shape",
        ) from error


def training_mean(entry: catalog.Entry) -> tuple[np.ndarray, np.ndarray | None]:
    """What a network is built around, as a checkpoint holds it.

    Returns:
      The training mean, the shape of one example; the unit of a standardised table, [D], or None.
    """
    with without_globs(entry.folder) as folder:
        reader = tf.train.load_checkpoint(os.path.join(folder, manifests.checkpoint_name(entry.step)))
        return reader.get_tensor(MEAN), reader.get_tensor(UNIT) if reader.has_tensor(UNIT) else None


@contextlib.contextmanager
def without_globs(folder: pathlib.Path) -> Iterator[str]:
    """A path to the folder that holds no glob character.

    TensorFlow looks checkpoints up, and deletes them, by glob: in `run[1]` it finds none, in `run*` others'.
    """
    if not set(str(folder)) & set("*?[]\\"):
        yield str(folder)
        return
    with tempfile.TemporaryDirectory(prefix="hourglass-") as temporary:
        link = os.path.join(temporary, "folder")
        os.symlink(folder, link)
        yield link
