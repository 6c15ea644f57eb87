"""`--mode=inspect`: what a data set holds, and nothing else."""

import logging

from trainer import config as configs
from trainer.config import Config
from trainer.datasets import check_name, findings
from trainer.errors import DONE
from trainer.modes.loading import load

log = logging.getLogger("hourglass")


def inspect(config: Config, given: frozenset[str]) -> int:
    """Loads the data as training would, and tells what was found."""
    check_name(config.dataset)
    configs.check_switches(config)
    for line in findings.lines(load(config)):
        log.info(line)
    return DONE
