"""Loads the data set of a run."""

from trainer.config import Config
from trainer.data import datasets
from trainer.data.dataset import Dataset
from trainer.data.sources import Sources
from trainer.system.logs import log


def load(config: Config) -> Dataset:
    """Loads, checks and filters the data set, and logs the progress of slow steps.

    Raises:
      UsageError, DataError: as `datasets.load`.
    """
    return datasets.load(config.data.dataset, Sources(config.data, log.info))
