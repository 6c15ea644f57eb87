"""Trains one run, from its newest checkpoint or from the start, to its end or a signal."""

import contextlib
import shutil
import signal
from collections.abc import Sequence

import tensorflow as tf

from trainer.checkpoints.manager import CheckpointManager
from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.errors import DeviceError, HourglassError, StorageError, error_text, option
from trainer.runs import builder
from trainer.runs import session as sessions
from trainer.runs.builder import Objects
from trainer.runs.directory import RunDirectory
from trainer.runs.finish import finish
from trainer.runs.mirror import Mirror
from trainer.runs.outcome import Outcome
from trainer.runs.session import Session
from trainer.serving.server import start_server
from trainer.system.logs import log
from trainer.system.signals import Stop

FULL_BYTES = 1 << 20  # a disk with less room is full


def train(
    config: Config,
    data: Dataset,
    directory: RunDirectory,
    *,
    mirror: Mirror | None = None,
    arguments: Sequence[str] = (),
) -> Outcome:
    """Trains, or goes on training, one run; under its lock.

    Args:
      config, data, directory, mirror: of the run.
      arguments: of the command line, to be shown.

    Raises:
      HourglassError: whatever a person should know.
    """
    try:
        return train_objects(builder.build(config, data, directory), mirror=mirror, arguments=arguments)
    except (tf.errors.OpError, OSError) as error:
        refused = _explained(error, directory)
        if refused is None:
            raise
        raise refused from error


def _explained(error: tf.errors.OpError | OSError, directory: RunDirectory) -> HourglassError | None:
    """A full disk, or too little memory; None: another thing."""
    reason = error_text(error)[:200]
    # TensorFlow says "resource exhausted" of memory and of disks alike.
    full = "No space left" in str(error) or "quota" in str(error).lower()
    if isinstance(error, OSError) or full or shutil.disk_usage(directory.path).free < FULL_BYTES:
        return StorageError(
            f"the run directory {directory.path} can no longer be written",
            found=reason,
            remedy="make room or mend the disk; the same command then goes on from the last checkpoint",
        )
    if isinstance(error, tf.errors.ResourceExhaustedError):
        smaller = f"a smaller {option('batch_size')} or {option('hidden')}"
        return DeviceError(
            "out of memory",
            found=reason,
            remedy=f"free memory and type the same command, or {option('restart', True)} with {smaller}",
        )
    return None


def train_objects(objects: Objects, *, mirror: Mirror | None = None, arguments: Sequence[str] = ()) -> Outcome:
    """As `train`, of a run whose objects are built."""
    config, directory = objects.config, objects.directory
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(Stop())
        stack.enter_context(tf.device(objects.device.name))
        options = config.checkpoints
        store = CheckpointManager(
            directory.checkpoints, objects.state.checkpoint(), keep=options.keep, keep_every=options.keep_every
        )
        stack.callback(store.close)
        session = stack.enter_context(sessions.open_session(objects, store, mirror, arguments))
        serving = config.serving
        server = start_server(directory.root, serving.host, serving.port) if serving.tensorboard else None
        ending = stack.enter_context(contextlib.ExitStack())
        if server is not None:
            ending.callback(server.stop)

        step = session.train(stop)
        if step < objects.plan.total_steps:
            _log_stopped(session, step, stop.signal or 0)
            return Outcome(stop.signal, None)
        finish(session, step)
        if stop.signal is not None:  # It came too late to stop the training, but there is nobody to serve.
            return Outcome(None, None)
        ending.pop_all()  # It serves on.
        return Outcome(None, server)


def _log_stopped(session: Session, step: int, number: int) -> None:
    saved = ", saved" if step else ""
    total = session.objects.plan.total_steps
    log.info(f"stopped at step {step:,} of {total:,}{saved}; the same command goes on from there")
    session.append_history(step, f"stopped by {signal.Signals(number).name}{saved}")
    session.update_mirror()
