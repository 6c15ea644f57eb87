"""`--mode=serve`."""

from trainer.config import Config
from trainer.errors import DONE, ServerError, UsageError, option
from trainer.runs.directory import RunDirectory
from trainer.serving import server as servers
from trainer.serving.server import command


def serve(config: Config, given: frozenset[str]) -> int:
    """Serves TensorBoard alone, until a signal. It takes no lock and writes nothing: runs may go on meanwhile."""
    root = RunDirectory(config).root
    if not root.is_dir():
        raise UsageError(
            f"there is no folder {root}", remedy=f"train first, or give the {option('run_dir')} of runs to look at"
        )
    server = servers.serve(root, config.serving.host, config.serving.port)
    if server is not None and (how := server.wait()) is not None:
        raise ServerError(
            "TensorBoard has ended by itself",
            found=how,
            remedy=f"see what it says: {command(root)}",
        )
    return DONE
