"""`--mode=checkpoints`."""

from trainer.checkpoints import catalog, retention
from trainer.config import Config
from trainer.errors import DONE, CheckpointError, UsageError, option
from trainer.runs import report
from trainer.runs.directory import RunDirectory
from trainer.system.logs import log


def checkpoints(config: Config, given: frozenset[str]) -> int:
    """Lists a run's checkpoints; with `--rollback`, makes an older one the newest. Listing changes nothing."""
    directory = RunDirectory(config)
    folder = directory.checkpoints
    if not folder.is_dir():
        raise UsageError(
            f"there are no checkpoints in {directory.path}",
            remedy=f"give the {option('run_dir')} of a run, or the flags that it was started with",
        )
    if config.command.rollback is not None:
        with directory.locked():
            moved = retention.roll_back(folder, config.command.rollback)
            where = ", ".join(str(path.relative_to(directory.path)) for path in moved)
            words = f"rolled back by hand; {f'set aside: {where}' if moved else 'nothing was newer'}"
            directory.append_history(config.command.rollback, words)
            log.info(f"step {config.command.rollback:,} is the newest now; {words}")
    entries = catalog.entries(folder, rehash=config.command.verify)
    for line in report.checkpoints(entries, folder, rehashed=config.command.verify):
        log.info(line)
    if entries and not any(entry.manifest for entry in entries):
        raise CheckpointError(
            f"no checkpoint in {folder} can be used",
            found=f"{len(entries)} are damaged",
            remedy=f"bring back a sound copy, or {option('restart', True)} to begin again (these are set aside)",
        )
    return DONE
