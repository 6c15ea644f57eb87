"""Writes checkpoints with TensorFlow's manager, commits them, and restores the newest that can be trusted."""

import contextlib
import dataclasses
import logging
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator

import tensorflow as tf

from trainer.checkpoints import manifest as manifests
from trainer.checkpoints.manifest import Manifest
from trainer.errors import CheckpointError, StorageError

log = logging.getLogger("hourglass")

# What TensorFlow raises about a sound checkpoint of another structure.
MISFITS = (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, ValueError, AssertionError, KeyError)


class Store:
    """The checkpoints of one run. To be used under the run's lock.

    Args:
      folder: theirs alone.
      checkpoint: what is saved and restored.
      keep: how many stay.
    """

    def __init__(self, folder: pathlib.Path, checkpoint: tf.train.Checkpoint, *, keep: int) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._checkpoint, self._keep = folder, checkpoint, keep
        self._cleanup = contextlib.ExitStack()
        self._tf_folder = self._cleanup.enter_context(without_globs(folder))
        for moved in manifests.sweep(folder):
            log.warning(f"a checkpoint that was never committed is set aside as {moved.name}")
        self._manager: tf.train.CheckpointManager | None = None

    def restore_newest(self, accept: Callable[[Manifest], None]) -> Manifest | None:
        """Restores the newest checkpoint that verifies; damaged ones are set aside, each with a line.

        Args:
          accept: raises if this checkpoint, sound as it is, may not be used in this run.

        Returns:
          Its manifest, or None where there is no checkpoint.

        Raises:
          CheckpointError: checkpoints exist, and none verifies; or a sound one does not fit. They stay where they are.
        """
        damaged: dict[int, str] = {}
        for step in reversed(manifests.steps_in(self._folder)):
            try:
                manifest = manifests.read(self._folder, step)
            except CheckpointError as error:
                damaged[step] = str(error).replace("\n", ": ").split(": remedy")[0]
                continue
            accept(manifest)
            self._restore(step)
            for bad, reason in damaged.items():
                log.warning(f"checkpoint {reason}; set aside as {manifests.set_aside(self._folder, bad).name}")
            manifests.write_state_file(self._folder)
            return manifest
        if damaged:
            raise CheckpointError(
                f"no checkpoint in {self._folder} can be used",
                found="; ".join(damaged.values()),
                remedy="bring back a sound copy, or --restart to begin again (these are set aside)",
            )
        return None

    def _restore(self, step: int) -> None:
        try:
            self._checkpoint.restore(self._path(step)).assert_consumed()
        except MISFITS as error:  # Its files are sound, so an older one would not fit either.
            raise CheckpointError(
                f"{manifests.name_of(step)} does not restore into this network",
                found=str(error).split("\n")[0],
                remedy="go on with the versions of Hourglass and TensorFlow that wrote it, or --restart",
            ) from error

    def save(self, manifest: Manifest) -> None:
        """Saves, reads back, commits, and only then removes the oldest. A step that is committed is not saved twice.

        Raises:
          StorageError: the disk does not take it; older checkpoints are as they were.
        """
        step = manifest.step
        if step in manifests.steps_in(self._folder):
            return
        try:
            self._write(step)
            self._read_back(step)
            described = manifests.describe(self._folder, step)
            manifests.write(self._folder, dataclasses.replace(manifest, files=described))
        except (tf.errors.OpError, OSError) as error:
            with contextlib.suppress(OSError):
                manifests.delete(self._folder, step)
                manifests.sweep(self._folder)
            raise StorageError(
                f"the checkpoint of step {step:,} could not be saved in {self._folder}",
                found=str(error).split("\n")[0],
                remedy="make room or mend the disk, then type the same command to go on from the last checkpoint",
            ) from error
        for old in manifests.steps_in(self._folder)[: -self._keep]:
            manifests.delete(self._folder, old)

    def _write(self, step: int) -> None:
        if self._manager is None:
            # One more than we keep: the manager deletes before the new checkpoint is committed.
            self._manager = tf.train.CheckpointManager(
                self._checkpoint, self._tf_folder, max_to_keep=self._keep + 1, checkpoint_name=manifests.PREFIX
            )
        self._manager.save(checkpoint_number=step)

    def _read_back(self, step: int) -> None:
        """Reads every tensor: TensorFlow checks their CRCs."""
        reader = tf.train.load_checkpoint(self._path(step))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)

    def _path(self, step: int) -> str:
        return os.path.join(self._tf_folder, manifests.name_of(step))

    def close(self) -> None:
        """Removes what helped with odd paths."""
        self._cleanup.close()


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
