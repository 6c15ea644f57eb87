"""A run's data, as its flags say."""

import logging

from trainer.config import Config
from trainer.data import datasets
from trainer.data.dataset import Data
from trainer.data.options import Wanted
from trainer.data.sources import Sources

log = logging.getLogger("hourglass")


def load(config: Config) -> Data:
    """Loads, checks and filters them, and tells what takes long.

    Raises:
      UsageError, DataError: as `datasets.load`.
    """
    wanted = Wanted(
        classes=config.classes,
        image_size=config.image_size,
        color=config.color,
        fit=config.fit,
        label_column=config.label_column,
        standardise=config.standardise,
        eval_fraction=config.eval_fraction,
        on_bad_file=config.on_bad_file,
    )
    sources = Sources(config.data_dir, config.data_url, log.info, wanted, config.cache_dir)
    return datasets.load(config.dataset, sources)
