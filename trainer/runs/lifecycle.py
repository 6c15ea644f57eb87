"""Prepares a run for training: locks it, resolves its flags, restores it from its mirror, or restarts it.

Imports TensorFlow, which takes seconds, only after all checks that do not need it.
"""

import pathlib
from collections.abc import Callable, Sequence

from trainer import config as configs
from trainer.checkpoints import catalog
from trainer.checkpoints import manifest as manifests
from trainer.compute import frameworks
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
    """Starts or resumes a run. Only logs the summary of a finished run.

    Args:
      config: the given config. The stored flags of an existing run replace those that are not given.
      given: the names of the given flags.
      arguments: the command-line arguments, to show in TensorBoard.
      on_data: called after the data set has been loaded.

    Raises:
      HourglassError: the run cannot be started, or fails.
    """
    datasets.check_name(config.data.dataset)
    networks.check_name(config.model.model)  # The other model flags are checked with the stored flags.
    directory = RunDirectory(config)
    mirror = Mirror(config.run.mirror_dir, directory.path) if config.run.mirror_dir is not None else None
    with directory.locked():
        config = _resolve_config(directory, mirror, config, given)
        data = load(config, given)
        on_data(config, data)
        check_fits(config, data)
        _prepare_start(directory, mirror, config)
        if finished.is_finished(directory, config, data):
            if not {"data_dir", "eval_file"}.isdisjoint(given):
                directory.write_flags(config)  # The data may have been moved.
            return _serve_finished(directory, mirror, config)
        return _train(directory, mirror, config, data, arguments)


def _resolve_config(directory: RunDirectory, mirror: Mirror | None, given: Config, names: frozenset[str]) -> Config:
    """Restores lost files from the mirror, and resolves and checks the config; refuses a directory of other files."""
    if not given.run.restart:
        _restore_from_mirror(directory, mirror)
    if directory.flags.exists():
        logs.log_to(directory.log)
    if not given.run.restart:
        directory.check_is_run_directory()
    config = directory.resolve_config(given, names)
    networks.check(config.model, layerwise=config.training.pretrain == "layerwise")
    configs.check_unused(config)
    return config


def _prepare_start(directory: RunDirectory, mirror: Mirror | None, config: Config) -> None:
    """Checks --init_from for a new run, and sets the old run aside for --restart."""
    is_new = config.run.restart or not catalog.committed(directory.checkpoints)
    if config.run.init_from is not None and is_new:
        _check_initial_weights(pathlib.Path(config.run.init_from), config, directory)
    if config.run.restart:
        if mirror:
            mirror.check()
            mirror.set_aside()
        if folder := directories.set_aside(directory):
            log.info(f"restart     the previous run is in {folder}")


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
        frameworks.load()  # Imports TensorFlow, after all checks of flags and data.
        from trainer.runs import run

        return run.train(config, data, directory, mirror=mirror, arguments=arguments)


def _restore_from_mirror(directory: RunDirectory, mirror: Mirror | None) -> None:
    """Restores lost files from the mirror. Refuses to start at step 0 if the checkpoints of a run are missing."""
    if mirror and (step := mirror.restore()) is not None:
        log.info(f"restored up to step {step:,} from {mirror.path}")
        directory.append_history(step, f"restored from {mirror.path}")
    if directory.restoring.exists():
        raise CheckpointError(
            f"{directory.path} has been restored from its mirror only partly",
            remedy=f"give the same {option('mirror_dir')} again",
        )
    reached = directory.furthest_step()
    if reached and not catalog.committed(directory.checkpoints):
        raise CheckpointError(
            f"{directory.path} has been trained to step {reached:,}, but contains no checkpoint",
            remedy=f"copy them back, or give {option('restart', True)} to set its files aside and start at step 0",
        )


def _check_initial_weights(source: pathlib.Path, config: Config, directory: RunDirectory) -> None:
    """Refuses initial weights of this run or of a different network. Called before any file is moved."""
    if directory.path.resolve() in (source.resolve(), *source.resolve().parents):
        raise UsageError(
            f"{option('init_from', source)} is in the directory of this run",
            remedy=f"give another {option('run_dir')} for the new run",
        )
    entry = catalog.find(source)
    stored = configs.network_options(entry.manifest.flags if entry.manifest else {})
    given = configs.network_options(configs.mathematical_options(config))
    changed = [f"{option(name)}: {stored[name]} -> {given[name]}" for name in given if stored[name] != given[name]]
    if changed:
        raise UsageError(
            f"{entry.folder / manifests.checkpoint_name(entry.step)} is a checkpoint of another network",
            found="; ".join(changed) + " (stored -> given)",
            remedy="give the network flags of that run",
        )
