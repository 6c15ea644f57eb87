"""Loads a trained run for use: its config, a checkpoint, its data set.

Acquires no lock and does not change the files of training, so the run can be trained at the same time.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from trainer.checkpoints import bundle, catalog, retention
from trainer.compute import frameworks
from trainer.config import Config
from trainer.data.dataset import Dataset
from trainer.data.formats.depth import Depth
from trainer.data.schema import Schema
from trainer.errors import CheckpointError, HourglassError, option
from trainer.evaluation.calibration import Calibration
from trainer.models import networks
from trainer.runs import portable_model
from trainer.runs.data import changed_data_error, load
from trainer.runs.directory import RunDirectory
from trainer.runs.model import Model
from trainer.system import logs
from trainer.system.logs import log

if TYPE_CHECKING:
    from trainer.runs.trained import TrainedModel

# NumPy computes at most this; see `portable.Network.cost`. One thread of an Intel Xeon takes at most 0.45 s: 0.45 s for
# 24 examples and 3072-4096-1024, 0.4 s for 72,000 and --model=conv --hidden=4,3, 0.05 s for 700 and 784-500-250-30.
MAX_COST = 800_000_000
TRIES = 3  # A training process may delete a checkpoint while it is being linked.


class LoadedRun:
    """A run, and its newest intact checkpoint or the checkpoint of --at_step.

    Args:
      config: the given config. The stored flags of the run replace those that are not given.
      given: the names of the given flags.

    Attributes:
      directory, config: directory and config of the run.
      entry: the checkpoint, linked into a temporary folder.

    Raises:
      UsageError: the run or the checkpoint does not exist.
      CheckpointError: the checkpoint is damaged.
    """

    def __init__(self, config: Config, given: frozenset[str]) -> None:
        self.directory = RunDirectory(config)
        if not self.directory.flags.exists():
            raise self.directory.no_run(
                f"there is no run in {self.directory.path}",
                remedy=f"set {option('run_dir')} to the folder of a run, or give the flags that started the run",
            )
        self._given = given
        self.config = self.directory.resolve_config(config, given)
        networks.check(self.config.model)
        self._temporary = tempfile.TemporaryDirectory(prefix="hourglass-")
        self.entry = self._link_checkpoint()

    def _link_checkpoint(self) -> catalog.Entry:
        """Links the checkpoint into the temporary folder, because a training process deletes old checkpoints."""
        folder = pathlib.Path(self._temporary.name)
        for tries_left in reversed(range(TRIES)):
            entry = self._find_checkpoint()
            try:
                retention.link_into(entry.folder, entry.step, folder)
                return dataclasses.replace(entry, folder=folder)
            except FileNotFoundError:
                if not tries_left:
                    raise
        raise AssertionError

    def _find_checkpoint(self) -> catalog.Entry:
        step = self.config.command.at_step
        if step is None:
            damaged: list[str] = []
            entry = catalog.find(self.directory.path, damaged)
            for problem in damaged:
                log.warning(f"{problem}; using the checkpoint of step {entry.step:,}")
            return entry
        try:
            return catalog.committed_entry(self.directory.checkpoints, step)
        except CheckpointError as error:
            remedy = f"give another {option('at_step')}, or omit it"
            raise CheckpointError(error.what, found=error.found, remedy=remedy) from error

    @contextlib.contextmanager
    def network(self) -> Iterator["TrainedModel"]:
        """Yields the model that TensorFlow computes. Messages of TensorFlow go to the log of the run."""
        run_log = self.directory.log  # It may be another user's file.
        with logs.redirect_native_stderr(run_log if os.access(run_log, os.W_OK) else pathlib.Path(os.devnull)):
            frameworks.load()  # Imports TensorFlow, after all checks of flags.
            from trainer.runs import trained

            self._log()
            yield trained.TrainedModel.load(self.config, self.entry)

    @contextlib.contextmanager
    def model(self, num_examples: int) -> Iterator[Model]:
        """Yields the model for a number of examples: NumPy computes few, without importing TensorFlow.

        TensorFlow computes more examples, everything with --device=gpu, and networks that have no form for NumPy.
        """
        if self.config.compute.device != "gpu" and self._has_portable_form():
            model = portable_model.PortableModel.load(self.config, self.entry)
            if num_examples * model.cost <= MAX_COST:
                self._log()
                yield model
                return
            del model
        with self.network() as trained:
            yield trained

    def _has_portable_form(self) -> bool:
        if portable_model.is_available(self.config):
            return True
        log.info(f"{option('model', self.config.model.model)} has no form without TensorFlow, which is imported now")
        return False

    def _log(self) -> None:
        log.info(f"network     {self.directory.path}, step {self.entry.step:,}")

    @functools.cached_property
    def statistics(self) -> bundle.Statistics:
        """Statistics of the training set in the checkpoint, without the data set and without TensorFlow."""
        return bundle.statistics(self.entry.prefix)

    def depth(self) -> Depth:
        """Returns the depth of 16-bit images; see `RunDirectory.read_depth`."""
        return self.directory.read_depth(self.config)

    def schema(self) -> Schema | None:
        """Returns the columns of the table that the run was trained on, or None. Older versions did not store them.

        Raises:
          CheckpointError: as `stored_schema`.
          DataError, UsageError: as `data`, for a run of an older version.
        """
        if self.config.data.loader != "table":
            return None
        return self.stored_schema() or self.data().schema

    def stored_schema(self) -> Schema | None:
        """Returns the stored columns of rows; None for images, built-in data sets and runs of older versions.

        Raises:
          CheckpointError: the file is damaged, or missing although the checkpoint was saved with it.
        """
        return self.directory.read_schema(self.entry.manifest.columns if self.entry.manifest else "")

    def calibration(self, scoring: str) -> Calibration | None:
        """Returns the calibration of anomaly scores, or None; `scoring` is `squared` or `relative`.

        Without one in the checkpoint, computes it from the data of the run if they can be read. Logs what it does.
        """
        manifest, missing = self.entry.manifest, f"the checkpoint of step {self.entry.step:,} has no {scoring} scores"
        if manifest and manifest.scores and manifest.scores.get("scoring") == scoring:
            return Calibration.from_json(manifest.scores)
        try:
            data = self.data()
        except HourglassError as error:
            log.info(f"note        there are no thresholds: {missing}, and {error.what}")
            return None
        if data.evaluation is data.train:
            log.info("note        there are no thresholds: no examples were held out from training")
            return None
        with self.network() as trained:
            values = trained.held_out_scores(data, scoring)
        log.info(f"note        {missing}; they were computed for the {len(values):,} evaluation examples")
        return None if np.isnan(values).all() else Calibration.of(values, scoring)

    def data(self) -> Dataset:
        """Loads the data set that the run was trained on.

        Raises:
          DataError: the data set does not exist, or has changed.
          UsageError: an older version read the data set in another way; see `changed_data_error`.
        """
        data, manifest = load(self.config, self._given), self.entry.manifest
        if manifest and data.fingerprint != manifest.data:
            source = f"{data.name} in {data.source}"
            raise changed_data_error(source, data.fingerprint, manifest, "restore the original data")
        return data
