"""`--mode=inspect`: prints a summary of a data set."""

from trainer import config as configs
from trainer.config import Config
from trainer.data import describe
from trainer.data.datasets import check_name
from trainer.errors import DONE
from trainer.runs.data import load
from trainer.system.logs import log


def inspect(config: Config, given: frozenset[str]) -> int:
    """Loads the data set as training would, and logs a summary."""
    check_name(config.data.dataset)
    configs.check_unused(config)
    for line in describe.summary_lines(load(config)):
        log.info(line)
    return DONE
