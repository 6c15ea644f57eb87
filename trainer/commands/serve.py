"""`--mode=serve`: serves TensorBoard."""

from trainer.config import Config
from trainer.errors import DONE, ServerError, option
from trainer.runs.directory import RunDirectory
from trainer.serving import server as servers
from trainer.serving.server import command


def serve(config: Config, given: frozenset[str]) -> int:
    """Serves TensorBoard until SIGINT or SIGTERM.

    Acquires no lock and writes no file, so that runs in the same folder can train at the same time.

    Raises:
      UsageError: the folder does not exist, or no socket can be bound to --host.
      ServerError: TensorBoard has ended by itself.
    """
    directory = RunDirectory(config)
    root = directory.root
    if not root.is_dir():
        raise directory.no_run(
            f"the folder {root} does not exist",
            remedy=f"train a run first, or set {option('run_dir')} to an existing run",
        )
    server = servers.serve(root, config.serving.host, config.serving.port)
    if (how := server.wait()) is not None:
        raise ServerError(
            "TensorBoard has ended by itself",
            found=how,
            remedy=f"run this command to see its messages: {command(root)}",
        )
    return DONE
