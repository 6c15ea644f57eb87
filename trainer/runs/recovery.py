"""Restores the newest checkpoint, loads initial weights from another run, or rolls back after a divergence."""

import pathlib

from trainer.checkpoints import catalog, retention
from trainer.checkpoints.manager import CheckpointManager
from trainer.checkpoints.manifest import Manifest
from trainer.errors import DivergedError, option
from trainer.evaluation import stopping
from trainer.runs import builder
from trainer.runs.builder import RunComponents
from trainer.system.logs import log

MAX_ROLLBACKS = 3
DAMPING = 0.25  # A rollback multiplies the learning rate by this factor.
DROPPED = "curves: the disk did not take some points"  # stored in manifests


class Recovery:
    """Restores checkpoints into the components of a run.

    Args:
      components: the components of the run.
      store: the checkpoints of the run.

    Attributes:
      rollbacks: number of rollbacks after a divergence, over all starts.
      changes: changes since the first start that the bits of the result depend on.
      initial_checkpoint: path of the checkpoint of another run whose weights were loaded; empty if none was loaded.
    """

    def __init__(self, components: RunComponents, store: CheckpointManager) -> None:
        self._components, self._store = components, store
        self.rollbacks = 0
        self.changes: list[str] = []
        self.initial_checkpoint = ""

    def restore(self) -> Manifest | None:
        """Restores the newest checkpoint. Without a checkpoint, loads the weights of --init_from and returns None."""
        components = self._components
        restored = self._store.restore_newest(components.provenance.check_compatible)
        if restored is None:
            if components.config.run.init_from is not None:
                self.initial_checkpoint = self._store.load_weights_from(
                    pathlib.Path(components.config.run.init_from), components.model
                )
                builder.restore_units(components.model, components.data)
            return None
        manifest = restored.manifest
        for message in restored.skipped:
            log.warning(message)
            components.directory.append_history(manifest.step, message)
        self.rollbacks, self.changes = manifest.rollbacks, components.provenance.differences(manifest)
        return manifest

    def record_dropped_points(self) -> None:
        """Records that points could not be written, so the curves differ from those of an uninterrupted run."""
        if DROPPED not in self.changes:
            self.changes = [*self.changes, DROPPED]

    def apply_damping(self) -> None:
        """Multiplies the learning rate by `DAMPING` once for each rollback."""
        self._components.state.damping.assign(DAMPING**self.rollbacks)

    def last_metrics(self, restored: Manifest) -> dict[str, float]:
        """Returns the metrics of the last evaluation, with the best error, which manifests of older versions lack."""
        best = catalog.best(self._components.directory.checkpoints)
        if "eval/best/rmse" in restored.metrics or best is None or best.manifest is None or best.manifest.error is None:
            return dict(restored.metrics)
        return {**restored.metrics, "eval/best/rmse": best.manifest.error**0.5, "eval/best/step": best.step}

    def scheduled_steps(self) -> list[int]:
        """Returns the steps of the checkpoints that the plan schedules, or early stopping needs, newest first.

        Rollbacks ignore checkpoints that were saved because of a signal or the time, because their steps depend on
        interruptions. The next checkpoint stores the number of rollbacks. A run that is killed before the next
        checkpoint diverges at the same step again.
        """
        committed = catalog.committed(self._components.directory.checkpoints)
        return [step for step, folder in committed if self._is_scheduled(step, folder)]

    def _is_scheduled(self, step: int, folder: pathlib.Path) -> bool:
        plan = self._components.plan
        if plan.is_scheduled(step) or not plan.early_stopping:
            return plan.is_scheduled(step)
        manifest = catalog.verify(folder, step, rehash=False).manifest
        return manifest is not None and stopping.is_best(manifest.metrics, step)

    def roll_back(self, error: DivergedError) -> tuple[Manifest, str]:
        """Restores the newest scheduled checkpoint.

        Returns:
          Manifest of the checkpoint, and a description of the rollback.

        Raises:
          DivergedError: rollbacks are disabled, there is no scheduled checkpoint, or the maximum is reached.
        """
        scheduled = self.scheduled_steps()
        if self._components.config.training.on_divergence != "rollback" or not scheduled:
            raise error
        if self.rollbacks == MAX_ROLLBACKS:
            raise DivergedError(
                error.what,
                found=f"rolled back {MAX_ROLLBACKS} times; the last good checkpoint is of step {scheduled[0]:,}",
                remedy=f"resume with a lower {option('learning_rate_from_now')}; or give {option('restart', True)} and"
                f" a lower {option('learning_rate')}",
            ) from error
        count = self.rollbacks + 1
        retention.roll_back(self._components.directory.checkpoints, scheduled[0])
        restored = self.restore()
        assert restored is not None
        self.rollbacks = count
        rate = self._components.config.training.learning_rate * DAMPING**count
        message = f"{error.what}; rollback {count} of {MAX_ROLLBACKS}: the learning rate is now {rate:g}"
        log.warning(f"{message}, from step {restored.step:,} on")
        return restored, message
