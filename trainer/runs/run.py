"""Trains a run from its newest checkpoint, or from step 0, to its end or until a signal."""

import contextlib
import shutil
import signal
from collections.abc import Sequence

import tensorflow as tf

from trainer.checkpoints.manager import CheckpointManager
from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.errors import HourglassError, StorageError, error_text, is_out_of_memory, out_of_memory
from trainer.runs import builder
from trainer.runs import session as sessions
from trainer.runs.builder import RunComponents
from trainer.runs.directory import RunDirectory
from trainer.runs.finish import finish
from trainer.runs.mirror import Mirror
from trainer.runs.outcome import Outcome
from trainer.runs.session import Session
from trainer.serving.server import start_server
from trainer.system.logs import log
from trainer.system.signals import Stop

MIN_FREE_BYTES = 1 << 20  # A disk with less free space is treated as full.


def train(
    config: Config,
    data: Dataset,
    directory: RunDirectory,
    *,
    mirror: Mirror | None = None,
    arguments: Sequence[str] = (),
) -> Outcome:
    """Starts or resumes training. The caller holds the lock of the directory.

    Args:
      config, data, directory, mirror: config, data set, directory and mirror of the run.
      arguments: the command-line arguments, to show in TensorBoard.

    Raises:
      HourglassError: training fails.
    """
    try:
        return train_components(builder.build(config, data, directory), mirror=mirror, arguments=arguments)
    except (tf.errors.OpError, OSError, MemoryError) as error:
        translated = _translate_error(error, directory)
        if translated is None:
            raise
        raise translated from error


def _translate_error(error: Exception, directory: RunDirectory) -> HourglassError | None:
    """Returns a `StorageError` for disk errors, a `DeviceError` if memory is exhausted, and None for other errors."""
    if is_out_of_memory(error) and not isinstance(error, tf.errors.OpError):
        return out_of_memory(error)
    reason = error_text(error)[:200]
    # TensorFlow raises ResourceExhaustedError for memory and for disks.
    is_full = "No space left" in str(error) or "quota" in str(error).lower()
    if isinstance(error, OSError) or is_full or shutil.disk_usage(directory.path).free < MIN_FREE_BYTES:
        return StorageError(
            f"the run directory {directory.path} can no longer be written",
            found=reason,
            remedy="free disk space or repair the disk, then repeat the command to resume from the last checkpoint",
        )
    return out_of_memory(error) if isinstance(error, tf.errors.ResourceExhaustedError) else None


def train_components(
    components: RunComponents, *, mirror: Mirror | None = None, arguments: Sequence[str] = ()
) -> Outcome:
    """Trains a run whose components have been built; see `train`."""
    config, directory = components.config, components.directory
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(Stop())
        stack.enter_context(tf.device(components.device.name))
        options = config.checkpoints
        store = CheckpointManager(
            directory.checkpoints, components.state.checkpoint(), keep=options.keep, keep_every=options.keep_every
        )
        stack.callback(store.close)
        session = stack.enter_context(sessions.open_session(components, store, mirror, arguments))
        serving = config.serving
        server = start_server(directory.root, serving.host, serving.port) if serving.tensorboard else None
        server_stack = stack.enter_context(contextlib.ExitStack())
        if server is not None:
            server_stack.callback(server.stop)

        step = session.train(stop)
        if not session.recorder.run_evaluator.is_last(step):
            _log_stopped(session, step, stop.signal or 0)
            return Outcome(stop.signal, None)
        finish(session, step)
        if stop.signal is not None:  # The signal came after the last step: stop the server too.
            return Outcome(None, None)
        server_stack.pop_all()  # The caller waits for the server.
        return Outcome(None, server)


def _log_stopped(session: Session, step: int, signal_number: int) -> None:
    saved = ", saved" if step else ""
    total = session.components.plan.total_steps
    log.info(f"stopped at step {step:,} of {total:,}{saved}; repeat the command to resume")
    session.append_history(step, f"stopped by {signal.Signals(signal_number).name}{saved}")
    session.update_mirror()
