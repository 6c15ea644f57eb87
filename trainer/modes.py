"""What `--mode` can do. All that can be checked without TensorFlow is checked before it is imported."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator

from trainer import console, datasets, files, models, report
from trainer.checkpoints import manifest as manifests
from trainer.config import Config
from trainer.datasets import Data
from trainer.errors import DONE, CheckpointError, UsageError
from trainer.rundir import FLAGS_FILE, LOG_FILE, RESULT_FILE, RunDirectory
from trainer.summaries.server import command, start_server

log = logging.getLogger("hourglass")


def start(config: Config, given: frozenset[str]) -> int:
    """Does what `--mode` says.

    Args:
      config: as given on the command line.
      given: the names of the flags that were given.

    Returns:
      The exit code.
    """
    if config.mode not in MODES:
        known = ", ".join(MODES)
        raise UsageError(f"--mode={config.mode} is unknown", found=f"known: {known}", remedy="give one of them")
    return MODES[config.mode](config, given)


def train(config: Config, given: frozenset[str]) -> int:
    """Trains, or goes on; says so and does nothing where the run is finished."""
    datasets.check_name(config.dataset)
    models.check_name(config.model)
    directory = RunDirectory(config)
    with directory.locked():
        if (directory / FLAGS_FILE).exists():
            console.log_to(directory / LOG_FILE)
        if not config.restart:
            directory.check_ours()
        config = directory.adopt_flags(config, given)
        data = datasets.load(
            config.dataset, datasets.Sources(config.data_dir, config.data_url, log.info), config.classes
        )
        _check_fits(config, data)
        if config.restart and (aside := directory.set_aside()):
            log.info(f"restart     what was there is in {aside}")
        if _is_finished(directory, config, data):
            server = start_server(directory.root, config.port) if config.tensorboard else None
        else:
            console.log_to(directory / LOG_FILE)
            with _native_noise_to(directory / LOG_FILE):
                from trainer import run  # Seconds of TensorFlow: everything that a person can get wrong comes before.

                outcome = run.train(config, data, directory)
            if outcome.signal is not None:
                return 128 + outcome.signal
            server = outcome.server
    if server is not None:
        log.info(f"TensorBoard goes on at {server.url} until Ctrl-C")
        server.wait()
    return DONE


def _check_fits(config: Config, data: Data) -> None:
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
    newest = manifests.newest(directory / "checkpoints")
    reached = newest.step if newest else 0
    if reached > total_steps:
        raise UsageError(
            f"this run has done {reached:,} steps already, and is asked for {total_steps:,}",
            remedy="give a larger --steps or --epochs to go on, or --restart to begin again",
        )
    result = files.read_json(directory / RESULT_FILE)
    if result and not newest and not manifests.steps_in(directory / "checkpoints"):
        raise CheckpointError(
            f"{directory.path} holds a finished run's result, and none of its checkpoints",
            remedy="bring them back, or --restart to begin again (what is left is set aside)",
        )
    exported = directory / "export" / str(total_steps) / "saved_model.pb"
    if newest is None or result is None or result.get("step") != total_steps or reached != total_steps:
        return False
    if newest.data != data.fingerprint or (config.export != "none" and not exported.exists()):
        return False  # The way through TensorFlow says what is wrong, or exports.
    try:
        lines = report.summary(result, directory.path, command(directory.root))
    except (KeyError, TypeError, ValueError):
        return False
    log.info(f"finished already: {directory.path}; a larger --steps or --epochs goes on, --restart begins again")
    for line in lines:
        log.info(line)
    return True


@contextlib.contextmanager
def _native_noise_to(path: os.PathLike[str]) -> Iterator[None]:
    """What TensorFlow's C++ prints goes to the log; what Python prints to stderr still reaches the terminal."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    sys.stderr.flush()
    terminal = os.dup(2)
    python_stderr = sys.stderr
    with open(path, "ab") as noise, open(terminal, "w", buffering=1, encoding="utf-8", errors="replace") as stderr:
        os.dup2(noise.fileno(), 2)
        sys.stderr = stderr
        try:
            yield
        finally:
            sys.stderr = python_stderr
            os.dup2(terminal, 2)


MODES: dict[str, Callable[[Config, frozenset[str]], int]] = {
    "train": train,
}
