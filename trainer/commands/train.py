"""`--mode=train`. All that can be checked without TensorFlow is checked before it is imported."""

import itertools
import pathlib
from typing import Any

import numpy as np

from trainer import config as configs
from trainer.checkpoints import catalog
from trainer.checkpoints import manifest as manifests
from trainer.config import Config
from trainer.data import datasets, describe
from trainer.data.dataset import Data
from trainer.data.options import OWN
from trainer.errors import DONE, CheckpointError, UsageError, option
from trainer.models import networks
from trainer.runs import directory as rundir
from trainer.runs import report
from trainer.runs.data import load
from trainer.runs.directory import CHECKPOINTS, FLAGS_FILE, LOG_FILE, RESTORING, RESULT_FILE, RunDirectory
from trainer.runs.mirror import Mirror
from trainer.serving.server import Server, command, start_server
from trainer.system import files, logs
from trainer.system.logs import log

LONGER = f"{option('steps')} or {option('epochs')}"


def train(config: Config, given: frozenset[str]) -> int:
    """Trains, or goes on; says so and does nothing where the run is finished."""
    arguments = configs.given_again(config, given)
    datasets.check_name(config.data.dataset)
    networks.check_name(config.model.model)  # With --hidden and the rest as soon as an existing run's are known.
    directory = RunDirectory(config)
    mirror = Mirror(config.run.mirror_dir, directory.path) if config.run.mirror_dir is not None else None
    with directory.locked():
        if not config.run.restart:
            _bring_back(directory, mirror)
        if (directory / FLAGS_FILE).exists():
            logs.log_to(directory / LOG_FILE)
        if not config.run.restart:
            directory.check_ours()
        config = directory.adopt_flags(config, given)
        _check_model(config)
        configs.check_idle(config)
        data = _load(config)
        _check_fits(config, data)
        if config.run.init_from is not None and (config.run.restart or not catalog.committed(directory / CHECKPOINTS)):
            _check_beginning(pathlib.Path(config.run.init_from), config, directory)
        if config.run.restart:
            _set_aside(directory, mirror)
        if _is_finished(directory, config, data):
            if mirror:
                mirror.update()
            server = (
                start_server(directory.root, config.serving.host, config.serving.port)
                if config.serving.tensorboard
                else None
            )
        else:
            logs.log_to(directory / LOG_FILE)
            with logs.noise_to(directory / LOG_FILE):
                from trainer.runs import (
                    run,  # Seconds of TensorFlow: everything that a person can get wrong comes before.
                )

                outcome = run.train(config, data, directory, mirror=mirror, arguments=arguments)
            if outcome.signal is not None:
                return 128 + outcome.signal
            server = outcome.server
    if server is not None:
        _serve_on(server)
    return DONE


def _load(config: Config) -> Data:
    data = load(config)
    if config.data.loader in OWN:
        for line in describe.lines(data):
            log.info(line)
    return data


def _serve_on(server: Server) -> None:
    log.info(f"TensorBoard goes on at {server.url} until Ctrl-C")
    if (how := server.wait()) is not None:
        log.warning(f"TensorBoard has ended by itself: {how}")


def _bring_back(directory: RunDirectory, mirror: Mirror | None) -> None:
    """From the mirror, if the run has lost something; refuses to begin at step 0 what has come further."""
    if mirror and (step := mirror.bring_back()) is not None:
        log.info(f"brought back up to step {step:,} from {mirror.path}")
        directory.remember(step, f"brought back from {mirror.path}")
    if (directory / RESTORING).exists():
        raise CheckpointError(
            f"{directory.path} was being brought back from a mirror, and is not yet whole",
            remedy=f"give the {option('mirror_dir')} again",
        )
    reached = directory.reached()
    if reached and not catalog.committed(directory / CHECKPOINTS):
        raise CheckpointError(
            f"{directory.path} has come to step {reached:,}, and holds none of its checkpoints",
            remedy=f"bring them back, or {option('restart', True)} to begin again (what is left is set aside)",
        )


def _set_aside(directory: RunDirectory, mirror: Mirror | None) -> None:
    if mirror:
        mirror.check()
        mirror.set_aside()
    if aside := rundir.set_aside(directory.path):
        log.info(f"restart     what was there is in {aside}")


def _check_beginning(source: pathlib.Path, config: Config, directory: RunDirectory) -> None:
    """Refuses `--init_from` before anything is moved for its sake: of the run itself, or of another network."""
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
            f"{entry.folder / manifests.name_of(entry.step)} is of another network",
            found="; ".join(changed) + " (stored -> given)",
            remedy="give the network's flags of that run",
        )


def _check_model(config: Config) -> None:
    networks.check(config.model, layerwise=config.training.pretrain == "layerwise")


def _check_fits(config: Config, data: Data) -> None:
    """Refuses what cannot be done with these data.

    Raises:
      UsageError: it is so.
    """
    networks.check_fits(config.model.model, data.shape)
    for flag, is_wanted in (
        (option("shift", config.training.shift), config.training.shift),
        (option("binarise"), config.training.binarise),
    ):
        if is_wanted and not data.is_pictures:
            raise UsageError(f"{flag} with {data.name}", found="it is for pictures", remedy="leave it out")
    if config.training.shift and config.training.shift >= min(data.shape[:2]):
        raise UsageError(
            f"{option('shift', config.training.shift)} moves pictures out of sight",
            found=f"{data.name} has pictures of {data.shape[0]}x{data.shape[1]}",
            remedy=f"give a smaller one, such as {option('shift', 1)}",
        )
    if config.training.loss == "bernoulli" and not data.is_pictures:
        seen = data.train.examples / np.float32(data.scale)
        low, high = seen.min(), seen.max()
        if low < 0 or high > 1:
            raise UsageError(
                f"{option('loss', 'bernoulli')} with {data.name}",
                found=f"its values go from {low:g} to {high:g}; chances from 0 to 1 are expected",
                remedy=f"give another {option('loss')}, or {option('loss', 'gaussian')}",
            )
    total = config.total_steps(len(data.train.examples))
    ends = (0, *config.stage_ends, total)
    if ends[-2] >= total:
        raise UsageError(
            f"{option('pretrain_steps', config.training.pretrain_steps)} leaves no step for all layers together",
            found=f"{len(config.model.hidden)} layers take {ends[-2]:,} steps; the run has {total:,}",
            remedy=f"give a larger {option('steps')} or {option('epochs')}, or a smaller {option('pretrain_steps')}",
        )
    shortest = min(last - first for first, last in itertools.pairwise(ends))
    if config.training.warmup >= shortest:
        raise UsageError(
            f"{option('warmup', config.training.warmup)} leaves no step at the full learning rate",
            found=f"the run, or its shortest stage, has {shortest:,} steps",
            remedy="give a smaller one",
        )
    count = len(data.train.examples)
    if config.training.batch_size > count:
        raise UsageError(
            f"{option('batch_size', config.training.batch_size)} is larger than the data",
            found=f"{data.name} has {count:,} examples to train on",
            remedy=f"give {option('batch_size', count)} or less",
        )


def _is_finished(directory: RunDirectory, config: Config, data: Data) -> bool:
    """Whether there is nothing left to do; if so, says what the run has reached."""
    total_steps = config.total_steps(len(data.train.examples))
    newest = catalog.newest(directory / CHECKPOINTS)
    reached = newest.step if newest else 0
    if reached > total_steps:
        raise UsageError(
            f"this run has done {reached:,} steps already, and is asked for {total_steps:,}",
            remedy=f"give a larger {LONGER} to go on, or {option('restart', True)} to begin again",
        )
    result = files.read_json(directory / RESULT_FILE)
    if newest is None or result is None or result.get("step") != total_steps or reached != total_steps:
        return False
    if newest.data != data.fingerprint or not _is_exported(directory, config, result):
        return False  # The way through TensorFlow says what is wrong, or exports.
    if not catalog.look(directory / CHECKPOINTS, reached, rehash=True).manifest:
        return False
    try:
        lines = report.summary(result, directory.path, command(directory.root))
    except (KeyError, TypeError, ValueError):
        return False
    log.info(f"finished already: {directory.path}; a larger {LONGER} goes on, {option('restart', True)} begins again")
    for line in lines:
        log.info(line)
    return True


def _is_exported(directory: RunDirectory, config: Config, result: dict[str, Any]) -> bool:
    if config.run.export == "none":
        return True
    exported = directory / "export" / str(result.get("exported")) / "saved_model.pb"
    return result.get("export") == config.run.export and exported.exists()
