"""`--mode=train`: trains a run."""

from trainer import config as configs
from trainer.config import Config
from trainer.data import describe
from trainer.data.dataset import Dataset
from trainer.data.options import OWN
from trainer.errors import DONE
from trainer.runs import lifecycle
from trainer.serving.server import Server
from trainer.system.logs import log


def train(config: Config, given: frozenset[str]) -> int:
    """Starts or resumes a run, then serves TensorBoard if requested. Only logs the summary of a finished run."""
    outcome = lifecycle.train(config, given, arguments=configs.to_arguments(config, given), on_data=_describe)
    if outcome.signal is not None:
        return 128 + outcome.signal
    if outcome.server is not None:
        _wait_for_server(outcome.server)
    return DONE


def _describe(config: Config, data: Dataset) -> None:
    """Logs a summary of custom data before training."""
    if config.data.loader in OWN:
        for line in describe.summary_lines(data):
            log.info(line)


def _wait_for_server(server: Server) -> None:
    log.info(f"TensorBoard continues at {server.url} until Ctrl-C")
    if (how := server.wait()) is not None:
        log.warning(f"TensorBoard has ended by itself: {how}")
