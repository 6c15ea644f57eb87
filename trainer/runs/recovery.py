"""Where a run goes on: from its newest checkpoint, from another run's weights, or back after a divergence."""

import pathlib

from trainer.checkpoints import catalog, retention
from trainer.checkpoints.manager import CheckpointManager
from trainer.checkpoints.manifest import Manifest
from trainer.errors import DivergedError, option
from trainer.runs.builder import Objects
from trainer.system.logs import log

MAX_ROLLBACKS = 3
DAMPING = 0.25  # what a rollback multiplies the learning rate by
DROPPED = "curves: the disk did not take some points"


class Recovery:
    """Restores checkpoints into a run's objects.

    Args:
      objects: of the run.
      store: its checkpoints.

    Attributes:
      rollbacks: how often the run has gone back, after a divergence, to a lower learning rate.
      changes: what has changed since the first start that bits depend on.
      begun_with: the checkpoint of another run whose weights it began with; empty where it did not just now.
    """

    def __init__(self, objects: Objects, store: CheckpointManager) -> None:
        self._objects, self._store = objects, store
        self.rollbacks = 0
        self.changes: list[str] = []
        self.begun_with = ""

    def restore(self) -> Manifest | None:
        """Restores the newest checkpoint; or, in a run without one, the weights that it is to begin with."""
        objects = self._objects
        restored = self._store.restore_newest(objects.provenance.check_compatible)
        if restored is None:
            if objects.config.run.init_from is not None:
                self.begun_with = self._store.load_weights_from(
                    pathlib.Path(objects.config.run.init_from), objects.model
                )
            return None
        manifest = restored.manifest
        for words in restored.passed_over:
            log.warning(words)
            objects.directory.append_history(manifest.step, words)
        self.rollbacks, self.changes = manifest.rollbacks, objects.provenance.differences(manifest)
        return manifest

    def dropped_points(self) -> None:
        """Notes that the disk did not take some points: the curves are no longer those of an uninterrupted run."""
        if DROPPED not in self.changes:
            self.changes = [*self.changes, DROPPED]

    def damp(self) -> None:
        """Lowers the learning rate as often as the run has gone back."""
        self._objects.state.damping.assign(DAMPING**self.rollbacks)

    def metrics(self, restored: Manifest) -> dict[str, float]:
        """The last evaluation's; in a run that is older than its `best/`, from the best checkpoint."""
        best = catalog.best(self._objects.directory.checkpoints)
        if "eval/best/rmse" in restored.metrics or best is None or best.manifest is None or best.manifest.error is None:
            return dict(restored.metrics)
        return {**restored.metrics, "eval/best/rmse": best.manifest.error**0.5, "eval/best/step": best.step}

    def due(self) -> list[int]:
        """The steps of the checkpoints that were due by steps, newest first.

        Those that a signal or a clock has caused are left out: so a rollback does not depend on them where a run goes
        on. The number of rollbacks is in the next checkpoint; a run that is killed before that comes to the same
        divergence again.
        """
        committed = catalog.committed(self._objects.directory.checkpoints)
        return [step for step, _ in committed if self._objects.plan.is_scheduled(step)]

    def roll_back(self, error: DivergedError) -> tuple[Manifest, str]:
        """Restores the last checkpoint that was due by steps.

        Returns:
          Its manifest, and what happened, in words.

        Raises:
          DivergedError: that is not wanted, there is none, or it was done often enough.
        """
        due = self.due()
        if self._objects.config.training.on_divergence != "rollback" or not due:
            raise error
        if self.rollbacks == MAX_ROLLBACKS:
            raise DivergedError(
                error.what,
                found=f"{MAX_ROLLBACKS} rollbacks were made; the last good checkpoint is of step {due[0]:,}",
                remedy=f"{option('restart', True)} with a lower {option('learning_rate')}",
            ) from error
        count = self.rollbacks + 1
        retention.roll_back(self._objects.directory.checkpoints, due[0])
        restored = self.restore()
        assert restored is not None
        self.rollbacks = count
        rate = self._objects.config.training.learning_rate * DAMPING**count
        words = f"{error.what}; rollback {count} of {MAX_ROLLBACKS}: the learning rate is now {rate:g}"
        log.warning(f"{words}, from step {restored.step:,} on")
        return restored, words
