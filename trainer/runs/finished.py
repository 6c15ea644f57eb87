"""Detects that a run is already finished. Does not import TensorFlow."""

from typing import Any

from trainer.checkpoints import catalog
from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.errors import UsageError, option
from trainer.runs import report
from trainer.runs.directory import RunDirectory
from trainer.serving.server import command
from trainer.system import files
from trainer.system.logs import log

LONGER = f"a larger {option('steps')} or {option('epochs')}"


def is_finished(directory: RunDirectory, config: Config, data: Dataset) -> bool:
    """Returns True, and logs the summary of the run, if the run is finished and its newest checkpoint is intact.

    Raises:
      UsageError: the run has done more steps than --steps or --epochs.
    """
    total_steps = config.total_steps(len(data.train.examples))
    newest = catalog.newest(directory.checkpoints)
    reached = newest.step if newest else 0
    if reached > total_steps:
        raise UsageError(
            f"this run has already done {reached:,} steps, but only {total_steps:,} are requested",
            remedy=f"give {LONGER} to continue, or {option('restart', True)} to start again at step 0",
        )
    result = files.read_json(directory.result)
    if newest is None or result is None or result.get("step") != total_steps or reached != total_steps:
        return False
    if newest.data != data.fingerprint or not _is_exported(directory, config, result):
        return False  # Training reports changed data, and repeats a missing export.
    if not catalog.verify(directory.checkpoints, reached, rehash=True).manifest:
        return False
    try:
        lines = report.summary(result, directory, command(directory.root))
    except (KeyError, TypeError, ValueError):
        return False
    log.info(f"finished already: {directory.path}; {LONGER} continues it, {option('restart', True)} starts it again")
    for line in lines:
        log.info(line)
    return True


def _is_exported(directory: RunDirectory, config: Config, result: dict[str, Any]) -> bool:
    if config.run.export == "none":
        return True
    exported = directory.exported(str(result.get("exported"))) / "saved_model.pb"
    return result.get("export") == config.run.export and exported.exists()
