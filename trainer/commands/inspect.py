"""`--mode=inspect`: prints a summary of a data set."""

from trainer import config as configs
from trainer.config import Config
from trainer.data import describe
from trainer.data.datasets import check_name
from trainer.errors import DONE
from trainer.runs.data import load
from trainer.runs.directory import RunDirectory
from trainer.system.logs import log


def inspect(config: Config, given: frozenset[str]) -> int:
    """Loads the data set as training would, and logs a summary. With `--run_dir`, uses the stored flags of the run."""
    check_name(config.data.dataset)
    if config.run.run_dir is not None:
        config = RunDirectory(config).resolve_config(config, given)
    configs.check_unused(config)
    for line in describe.summary_lines(load(config, given)):
        log.info(line)
    return DONE
