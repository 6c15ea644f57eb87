"""A run whose network is to be used: its options, one of its checkpoints, its data.

It takes no lock and changes nothing that training has made: training may go on meanwhile.
"""

import contextlib
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trainer.checkpoints import catalog, retention
from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.errors import CheckpointError, DataError, UsageError, option
from trainer.models import networks
from trainer.runs.data import load
from trainer.runs.directory import RunDirectory
from trainer.system import logs
from trainer.system.logs import log

if TYPE_CHECKING:
    from trainer.runs.trained import TrainedModel

TRIES = 3  # A run that goes on training may remove a checkpoint while it is looked at.


class LoadedRun:
    """One run, and one of its checkpoints: the newest that verifies, or that of a step.

    Args:
      config: as given; the run's own options are adopted.
      given: the names of the options that were given.

    Attributes:
      directory, config: of the run.
      entry: the checkpoint, in a place of its own.

    Raises:
      UsageError: there is no such run, or checkpoint.
      CheckpointError: it is damaged.
    """

    def __init__(self, config: Config, given: frozenset[str]) -> None:
        self.directory = RunDirectory(config)
        if not self.directory.flags.exists():
            raise UsageError(
                f"there is no run in {self.directory.path}",
                remedy=f"give the {option('run_dir')} of a run, or the flags that it was started with",
            )
        self.config = self.directory.resolve_config(config, given)
        networks.check(self.config.model)
        self._kept = tempfile.TemporaryDirectory(prefix="hourglass-")
        self.entry = self._keep()

    def _keep(self) -> catalog.Entry:
        """The checkpoint, in a place of its own: a run that goes on training removes its oldest ones."""
        folder = pathlib.Path(self._kept.name)
        for tries_left in reversed(range(TRIES)):
            entry = self._find()
            try:
                retention.link_into(entry.folder, entry.step, folder)
                return dataclasses.replace(entry, folder=folder)
            except FileNotFoundError:
                if not tries_left:
                    raise
        raise AssertionError

    def _find(self) -> catalog.Entry:
        step = self.config.command.at_step
        if step is None:
            damaged: list[str] = []
            entry = catalog.find(self.directory.path, damaged)
            for words in damaged:
                log.warning(f"{words}; the one of step {entry.step:,} is used")
            return entry
        try:
            return catalog.committed_entry(self.directory.checkpoints, step)
        except CheckpointError as error:
            remedy = f"give another {option('at_step')}, or leave it out"
            raise CheckpointError(error.what, found=error.found, remedy=remedy) from error

    @contextlib.contextmanager
    def network(self) -> Iterator["TrainedModel"]:
        """The network with the checkpoint's weights; within, TensorFlow's own words go to the run's log."""
        run_log = self.directory.log  # It may be somebody else's.
        with logs.redirect_native_stderr(run_log if os.access(run_log, os.W_OK) else pathlib.Path(os.devnull)):
            from trainer.runs import trained  # Seconds of TensorFlow: what can be wrong with flags comes before.

            log.info(f"network     {self.directory.path}, step {self.entry.step:,}")
            yield trained.TrainedModel.load(self.config, self.entry)

    def data(self) -> Dataset:
        """What the run was trained on.

        Raises:
          DataError: they are not the same any more.
        """
        data = load(self.config)
        trained_on = self.entry.manifest.data if self.entry.manifest else data.fingerprint
        if data.fingerprint != trained_on:
            raise DataError(
                f"{data.name} in {data.source} is not what this run was trained on",
                found=f"fingerprint {data.fingerprint[:16]}, expected {trained_on[:16]}",
                remedy="bring back the same data",
            )
        return data
