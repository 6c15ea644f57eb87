"""`--mode=train`. All that can be checked without TensorFlow is checked before it is imported."""

import itertools
import logging
import pathlib
from typing import Any

import numpy as np

from trainer import config as configs
from trainer.checkpoints import catalog
from trainer.checkpoints import manifest as manifests
from trainer.config import Config
from trainer.data import datasets, describe
from trainer.data.dataset import Data
from trainer.errors import DONE, CheckpointError, UsageError
from trainer.models import networks
from trainer.runs import directory as rundir
from trainer.runs import report
from trainer.runs.data import load
from trainer.runs.directory import CHECKPOINTS, FLAGS_FILE, LOG_FILE, RESTORING, RESULT_FILE, RunDirectory
from trainer.runs.mirror import Mirror
from trainer.serving.server import Server, command, start_server
from trainer.system import files, logs

log = logging.getLogger("hourglass")


def train(config: Config, given: frozenset[str]) -> int:
    """Trains, or goes on; says so and does nothing where the run is finished."""
    arguments = configs.arguments(config, given)
    datasets.check_name(config.dataset)
    networks.check(config.model)  # With --hidden and the rest as soon as an existing run's are known.
    directory = RunDirectory(config)
    mirror = Mirror(config.mirror_dir, directory.path) if config.mirror_dir is not None else None
    with directory.locked():
        if not config.restart:
            _bring_back(directory, mirror)
        if (directory / FLAGS_FILE).exists():
            logs.log_to(directory / LOG_FILE)
        if not config.restart:
            directory.check_ours()
        config = directory.adopt_flags(config, given)
        _check_model(config)
        configs.check_switches(config)
        data = _load(config)
        _check_fits(config, data)
        if config.init_from is not None and (config.restart or not catalog.committed(directory / CHECKPOINTS)):
            _check_beginning(pathlib.Path(config.init_from), config, directory)
        if config.restart:
            _set_aside(directory, mirror)
        if _is_finished(directory, config, data):
            if mirror:
                mirror.update()
            server = start_server(directory.root, config.host, config.port) if config.tensorboard else None
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
    if config.dataset.partition(":")[0] in configs.OWN:
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
            remedy="give the --mirror_dir again",
        )
    reached = directory.reached()
    if reached and not catalog.committed(directory / CHECKPOINTS):
        raise CheckpointError(
            f"{directory.path} has come to step {reached:,}, and holds none of its checkpoints",
            remedy="bring them back, or --restart to begin again (what is left is set aside)",
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
            f"--init_from={source} is this run itself",
            remedy="give another --run_dir for the new run",
        )
    entry = catalog.find(source)
    theirs = configs.network(entry.manifest.flags if entry.manifest else {})
    ours = configs.network(configs.mathematics(config))
    changed = [f"--{name}: {theirs[name]} -> {ours[name]}" for name in ours if theirs[name] != ours[name]]
    if changed:
        raise UsageError(
            f"{entry.folder / manifests.name_of(entry.step)} is of another network",
            found="; ".join(changed) + " (stored -> given)",
            remedy="give the network's flags of that run",
        )


def _check_model(config: Config) -> None:
    networks.check(config.model, hidden=config.hidden, tied=config.tied, layerwise=config.pretrain == "layerwise")


def _check_fits(config: Config, data: Data) -> None:
    """Refuses what cannot be done with these data.

    Raises:
      UsageError: it is so.
    """
    networks.check_fits(config.model, data.shape)
    for flag, is_wanted in ((f"--shift={config.shift}", config.shift), ("--binarise", config.binarise)):
        if is_wanted and not data.is_pictures:
            raise UsageError(f"{flag} with {data.name}", found="it is for pictures", remedy="leave it out")
    if config.shift and config.shift >= min(data.shape[:2]):
        raise UsageError(
            f"--shift={config.shift} moves pictures out of sight",
            found=f"{data.name} has pictures of {data.shape[0]}x{data.shape[1]}",
            remedy="give a smaller one, such as --shift=1",
        )
    if config.loss == "bernoulli" and not data.is_pictures:
        seen = data.train.examples / np.float32(data.scale)
        low, high = seen.min(), seen.max()
        if low < 0 or high > 1:
            raise UsageError(
                f"--loss=bernoulli with {data.name}",
                found=f"its values go from {low:g} to {high:g}; chances from 0 to 1 are expected",
                remedy="give another --loss, or --loss=gaussian",
            )
    total = config.total_steps(len(data.train.examples))
    ends = (0, *config.stage_ends, total)
    if ends[-2] >= total:
        raise UsageError(
            f"--pretrain_steps={config.pretrain_steps} leaves no step for all layers together",
            found=f"{len(config.hidden)} layers take {ends[-2]:,} steps; the run has {total:,}",
            remedy="give a larger --steps or --epochs, or a smaller --pretrain_steps",
        )
    shortest = min(last - first for first, last in itertools.pairwise(ends))
    if config.warmup >= shortest:
        raise UsageError(
            f"--warmup={config.warmup} leaves no step at the full learning rate",
            found=f"the run, or its shortest stage, has {shortest:,} steps",
            remedy="give a smaller one",
        )
    count = len(data.train.examples)
    if config.batch_size > count:
        raise UsageError(
            f"--batch_size={config.batch_size} is larger than the data",
            found=f"{data.name} has {count:,} examples to train on",
            remedy=f"give --batch_size={count} or less",
        )


def _is_finished(directory: RunDirectory, config: Config, data: Data) -> bool:
    """Whether there is nothing left to do; if so, says what the run has reached."""
    total_steps = config.total_steps(len(data.train.examples))
    newest = catalog.newest(directory / CHECKPOINTS)
    reached = newest.step if newest else 0
    if reached > total_steps:
        raise UsageError(
            f"this run has done {reached:,} steps already, and is asked for {total_steps:,}",
            remedy="give a larger --steps or --epochs to go on, or --restart to begin again",
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
    log.info(f"finished already: {directory.path}; a larger --steps or --epochs goes on, --restart begins again")
    for line in lines:
        log.info(line)
    return True


def _is_exported(directory: RunDirectory, config: Config, result: dict[str, Any]) -> bool:
    if config.export == "none":
        return True
    exported = directory / "export" / str(result.get("exported")) / "saved_model.pb"
    return result.get("export") == config.export and exported.exists()
