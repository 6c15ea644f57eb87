"""Detects that a run is already finished. Does not import TensorFlow."""

from typing import Any

from trainer import config as configs
from trainer.checkpoints import catalog
from trainer.checkpoints.manifest import Manifest
from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.errors import UsageError, option
from trainer.evaluation import stopping
from trainer.runs import report, schema_file
from trainer.runs.directory import RunDirectory
from trainer.serving.server import command
from trainer.system import files
from trainer.system.logs import log

LONGER = f"a larger {option('steps')} or {option('epochs')}"
MORE_PATIENCE = f"a larger {option('early_stopping')}, or {option('early_stopping', 0)},"


def is_finished(directory: RunDirectory, config: Config, data: Dataset) -> bool:
    """Returns True, and logs the summary of the run, if the run is finished and its newest checkpoint is intact.

    Raises:
      UsageError: the run has done more steps than --steps or --epochs, or no step is left for a new learning rate.
    """
    total_steps = config.total_steps(len(data.train.examples))
    newest = catalog.newest(directory.checkpoints)
    reached = newest.step if newest else 0
    if reached > total_steps:
        raise UsageError(
            f"this run has already done {reached:,} steps, but only {total_steps:,} are requested",
            remedy=f"give {LONGER} to continue, or {option('restart', True)} to start again at step 0",
        )
    if newest is None or not (reached == total_steps or _has_stopped(newest, config)):
        return False
    _check_learning_rate(newest, config)
    result = files.read_json(directory.result)
    if result is None or result.get("step") != reached:
        return False
    if newest.data != data.fingerprint or not _is_exported(directory, config, result):
        return False  # Training reports changed data, and repeats a missing export.
    if newest.columns and newest.columns != schema_file.digest(directory.schema):
        return False  # Training writes the columns again.
    if not catalog.verify(directory.checkpoints, reached, rehash=True).manifest:
        return False
    try:
        lines = report.summary(result, directory, command(directory.root))
    except (KeyError, TypeError, ValueError):
        return False
    longer = LONGER if reached == total_steps else MORE_PATIENCE
    log.info(f"finished already: {directory.path}; {longer} continues it, {option('restart', True)} starts it again")
    for line in lines:
        log.info(line)
    return True


def _has_stopped(newest: Manifest, config: Config) -> bool:
    """Returns True if early stopping has ended the run with its newest checkpoint."""
    return newest.evaluated == newest.step and stopping.has_stopped(newest.metrics, config.training.early_stopping)


def _check_learning_rate(newest: Manifest, config: Config) -> None:
    rate = config.training.learning_rate
    if configs.with_defaults(newest.flags)["learning_rate"] != rate:
        raise UsageError(
            f"the run is finished: no step is left for {option('learning_rate_from_now', rate)}",
            remedy=f"give {LONGER} too, or remove {option('learning_rate_from_now')}",
        )


def _is_exported(directory: RunDirectory, config: Config, result: dict[str, Any]) -> bool:
    if config.export == "none":
        return True
    exported = directory.exported(str(result.get("exported"))) / "saved_model.pb"
    return result.get("export") == config.export and exported.exists()
