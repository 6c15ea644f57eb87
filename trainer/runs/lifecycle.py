"""A run's life: its lock, its flags, its mirror, a restart, and whether there is anything left to do.

All that can be checked without TensorFlow is checked before it is imported.
"""

import pathlib
from collections.abc import Callable, Sequence

from trainer import config as configs
from trainer.checkpoints import catalog
from trainer.checkpoints import manifest as manifests
from trainer.config import Config
from trainer.config.fits import check_fits
from trainer.data import datasets
from trainer.data.dataset import Dataset
from trainer.errors import CheckpointError, UsageError, option
from trainer.models import networks
from trainer.runs import directory as directories
from trainer.runs import finished
from trainer.runs.data import load
from trainer.runs.directory import RunDirectory
from trainer.runs.mirror import Mirror
from trainer.runs.outcome import Outcome
from trainer.serving.server import start_server
from trainer.system import logs
from trainer.system.logs import log


def train(
    config: Config,
    given: frozenset[str],
    *,
    arguments: Sequence[str] = (),
    on_data: Callable[[Config, Dataset], None] = lambda config, data: None,
) -> Outcome:
    """Starts a run, or goes on with it; says so and does nothing where it is finished.

    Args:
      config: as given; an existing run's own flags are adopted.
      given: the names of the options that were given.
      arguments: of the command line, to be shown.
      on_data: called as soon as the data are loaded.

    Raises:
      HourglassError: whatever a person should know.
    """
    datasets.check_name(config.data.dataset)
    networks.check_name(config.model.model)  # The rest as soon as an existing run's flags are known.
    directory = RunDirectory(config)
    mirror = Mirror(config.run.mirror_dir, directory.path) if config.run.mirror_dir is not None else None
    with directory.locked():
        config = _adopt(directory, mirror, config, given)
        data = load(config)
        on_data(config, data)
        check_fits(config, data)
        _begin(directory, mirror, config)
        if finished.is_finished(directory, config, data):
            return _serve_finished(directory, mirror, config)
        return _train(directory, mirror, config, data, arguments)


def _adopt(directory: RunDirectory, mirror: Mirror | None, given: Config, names: frozenset[str]) -> Config:
    """Brings back what a run has lost, and adopts its flags; refuses a folder that is no run's."""
    if not given.run.restart:
        _bring_back(directory, mirror)
    if directory.flags.exists():
        logs.log_to(directory.log)
    if not given.run.restart:
        directory.check_is_run()
    config = directory.resolve_config(given, names)
    networks.check(config.model, layerwise=config.training.pretrain == "layerwise")
    configs.check_idle(config)
    return config


def _begin(directory: RunDirectory, mirror: Mirror | None, config: Config) -> None:
    """Checks what a new run begins with, and sets an old one aside for it."""
    is_new = config.run.restart or not catalog.committed(directory.checkpoints)
    if config.run.init_from is not None and is_new:
        _check_beginning(pathlib.Path(config.run.init_from), config, directory)
    if config.run.restart:
        if mirror:
            mirror.check()
            mirror.set_aside()
        if aside := directories.set_aside(directory):
            log.info(f"restart     what was there is in {aside}")


def _serve_finished(directory: RunDirectory, mirror: Mirror | None, config: Config) -> Outcome:
    if mirror:
        mirror.update()
    serving = config.serving
    server = start_server(directory.root, serving.host, serving.port) if serving.tensorboard else None
    return Outcome(None, server)


def _train(
    directory: RunDirectory, mirror: Mirror | None, config: Config, data: Dataset, arguments: Sequence[str]
) -> Outcome:
    logs.log_to(directory.log)
    with logs.redirect_native_stderr(directory.log):
        from trainer.runs import run  # Seconds of TensorFlow: everything that a person can get wrong comes before.

        return run.train(config, data, directory, mirror=mirror, arguments=arguments)


def _bring_back(directory: RunDirectory, mirror: Mirror | None) -> None:
    """From the mirror, if the run has lost something; refuses to begin at step 0 what has come further."""
    if mirror and (step := mirror.bring_back()) is not None:
        log.info(f"brought back up to step {step:,} from {mirror.path}")
        directory.append_history(step, f"brought back from {mirror.path}")
    if directory.restoring.exists():
        raise CheckpointError(
            f"{directory.path} was being brought back from a mirror, and is not yet whole",
            remedy=f"give the {option('mirror_dir')} again",
        )
    reached = directory.furthest_step()
    if reached and not catalog.committed(directory.checkpoints):
        raise CheckpointError(
            f"{directory.path} has come to step {reached:,}, and holds none of its checkpoints",
            remedy=f"bring them back, or {option('restart', True)} to begin again (what is left is set aside)",
        )


def _check_beginning(source: pathlib.Path, config: Config, directory: RunDirectory) -> None:
    """Refuses weights to begin with before anything is moved: of the run itself, or of another network."""
    if directory.path.resolve() in (source.resolve(), *source.resolve().parents):
        raise UsageError(
            f"{option('init_from', source)} is this run itself",
            remedy=f"give another {option('run_dir')} for the new run",
        )
    entry = catalog.find(source)
    theirs = configs.network(entry.manifest.flags if entry.manifest else {})
    ours = configs.network(configs.guarded(config))
    changed = [f"{option(name)}: {theirs[name]} -> {ours[name]}" for name in ours if theirs[name] != ours[name]]
    if changed:
        raise UsageError(
            f"{entry.folder / manifests.checkpoint_name(entry.step)} is of another network",
            found="; ".join(changed) + " (stored -> given)",
            remedy="give the network's flags of that run",
        )
