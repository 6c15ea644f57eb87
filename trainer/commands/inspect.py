"""`--mode=inspect`: what a data set holds, and nothing else."""

from trainer import config as configs
from trainer.config import Config
from trainer.data import describe
from trainer.data.datasets import check_name
from trainer.errors import DONE
from trainer.runs.data import load
from trainer.system.logs import log


def inspect(config: Config, given: frozenset[str]) -> int:
    """Loads the data as training would, and tells what was found."""
    check_name(config.data.dataset)
    configs.check_idle(config)
    for line in describe.summary_lines(load(config)):
        log.info(line)
    return DONE
