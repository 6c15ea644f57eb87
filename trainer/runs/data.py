"""Loads the data set of a run."""

import os
from collections.abc import Container

from trainer import config as configs
from trainer.checkpoints.manifest import Manifest
from trainer.config import Config
from trainer.data import datasets
from trainer.data.dataset import Dataset
from trainer.data.options import OWN_FILES
from trainer.data.sources import Sources
from trainer.errors import DataError, HourglassError, UsageError, option
from trainer.system.logs import log


def load(config: Config, given: Container[str] = ("data_dir", "eval_file")) -> Dataset:
    """Loads, checks and filters the data set, and logs the progress of slow steps.

    Args:
      config: the config.
      given: the names of the options that the user passed. The others are stored in the run.

    Raises:
      UsageError, DataError: as `datasets.load`.
      DataError: the stored path of custom data does not exist.
    """
    paths = config.data.own_paths if config.data.dataset in OWN_FILES else {}
    for name, path in paths.items():
        if name not in given and not os.path.exists(path):
            raise DataError(
                f"the stored path of the data does not exist: {path}",
                found="the run was trained on data that were there, perhaps on another machine",
                remedy=f"give the path of the same data: {option(name, 'path/to/it')}",
            )
    return datasets.load(config.data.dataset, Sources(config.data, log.info))


def changed_data_error(source: str, fingerprint: str, manifest: Manifest, remedy: str) -> HourglassError:
    """Returns the error for data with another fingerprint than that of a checkpoint.

    Args:
      source: name and path of the data set.
      fingerprint: its fingerprint.
      manifest: the manifest of the checkpoint.
      remedy: what to do if the data have changed.

    Returns:
      A `DataError`; or a `UsageError` if the run was started by a version that read some custom data in another way.
    """
    what = f"{source} is not what this run was trained on"
    found = f"fingerprint {fingerprint[:16]}, expected {manifest.data[:16]}"
    loader = str(manifest.flags.get("dataset", "")).partition(":")[0]
    if not configs.free_options(manifest.flags, loader):
        return DataError(what, found=found, remedy=remedy)
    ways = []
    if loader == "table":
        ways.append(f"give {option('heading', 'no')} if the first line was trained on as a row")
    if manifest.flags.get("classes"):
        ways.append(f"give {option('classes')} with the labels themselves if the run selected them by number")
    new_run = f"give another {option('run_dir')} to train on the data as they are read now"
    return UsageError(
        what,
        found=f"{found}; an older version started this run, and read some tables, labels and folders in another way",
        remedy="; or ".join([*ways, new_run, "restore the original data if they have changed"]),
    )
