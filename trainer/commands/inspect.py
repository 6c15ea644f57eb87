"""`--mode=inspect`: what a data set holds, and nothing else."""

import logging

from trainer import config as configs
from trainer.config import Config
from trainer.data import describe
from trainer.data.datasets import check_name
from trainer.errors import DONE
from trainer.runs.data import load

log = logging.getLogger("hourglass")


def inspect(config: Config, given: frozenset[str]) -> int:
    """Loads the data as training would, and tells what was found."""
    check_name(config.dataset)
    configs.check_switches(config)
    for line in describe.lines(load(config)):
        log.info(line)
    return DONE
