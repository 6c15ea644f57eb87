"""`--mode=train`."""

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
    """Trains, or goes on; says so and does nothing where the run is finished."""
    outcome = lifecycle.train(config, given, arguments=configs.given_again(config, given), on_data=_describe)
    if outcome.signal is not None:
        return 128 + outcome.signal
    if outcome.server is not None:
        _serve_on(outcome.server)
    return DONE


def _describe(config: Config, data: Dataset) -> None:
    """Says what a person's own data hold, before they are trained on."""
    if config.data.loader in OWN:
        for line in describe.summary_lines(data):
            log.info(line)


def _serve_on(server: Server) -> None:
    log.info(f"TensorBoard goes on at {server.url} until Ctrl-C")
    if (how := server.wait()) is not None:
        log.warning(f"TensorBoard has ended by itself: {how}")
