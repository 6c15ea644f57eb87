"""`--mode=checkpoints`: lists checkpoints, or rolls back to one."""

from trainer.checkpoints import catalog, retention
from trainer.config import Config
from trainer.errors import DONE, CheckpointError, option
from trainer.runs import report
from trainer.runs.directory import RunDirectory
from trainer.system.logs import log


def checkpoints(config: Config, given: frozenset[str]) -> int:
    """Lists the checkpoints of a run. With `--rollback`, first makes an older checkpoint the newest."""
    directory = RunDirectory(config)
    folder = directory.checkpoints
    if not folder.is_dir():
        raise directory.no_run(
            f"there are no checkpoints in {directory.path}",
            remedy=f"set {option('run_dir')} to the folder of a run, or give the flags that started the run",
        )
    if config.command.rollback is not None:
        with directory.locked():
            moved = retention.roll_back(folder, config.command.rollback)
            names = ", ".join(str(path.relative_to(directory.path)) for path in moved)
            event = f"rolled back by the user; {f'set aside: {names}' if moved else 'there were no newer checkpoints'}"
            directory.append_history(config.command.rollback, event)
            log.info(f"step {config.command.rollback:,} is the newest now; {event}")
    entries = catalog.entries(folder, rehash=config.command.verify)
    for line in report.checkpoints(entries, folder, rehashed=config.command.verify):
        log.info(line)
    if entries and not any(entry.manifest for entry in entries):
        raise CheckpointError(
            f"no checkpoint in {folder} can be used",
            found=f"damaged: {len(entries)}",
            remedy=f"restore an intact copy, or give {option('restart', True)} to set them aside and start at step 0",
        )
    return DONE
