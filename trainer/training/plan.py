"""The length of a run, and the steps at which something is due."""

import bisect
import dataclasses
from collections.abc import Sequence

from trainer.system.intervals import is_due, next_due


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The length of a run, and the steps at which something is due. Intervals are in steps; 0 means never.

    Attributes:
      total_steps: steps of the whole run.
      steps_per_block: steps per block of data.
      log_every, eval_every, checkpoint_every: intervals in steps; 0: only at the start and the end.
      image_steps: steps after which images are written, ascending.
      profiled: first and last profiled step; None: no profile.
      batch_size: examples per step.
      has_loss_scale: True in float16, where the loss scale is logged.
      keep_every: interval of the checkpoints that are kept for good.
      save_initial: save a checkpoint at step 0 too.
      stage_ends: last step of each pretraining stage, ascending; empty without layerwise pretraining.
      loss_term_tags: tags of the loss terms that each step reports beside its loss.
      early_stopping: evaluations in a row without a lower error after which the run ends; 0: only at `total_steps`.
    """

    total_steps: int
    steps_per_block: int
    log_every: int
    eval_every: int
    checkpoint_every: int
    image_steps: Sequence[int] = ()
    profiled: tuple[int, int] | None = None
    batch_size: int = 1
    has_loss_scale: bool = False
    keep_every: int = 0
    save_initial: bool = False
    stage_ends: Sequence[int] = ()
    loss_term_tags: Sequence[str] = ()
    early_stopping: int = 0

    @property
    def pretraining_end(self) -> int:
        """The last step of layerwise pretraining; 0 without."""
        return self.stage_ends[-1] if self.stage_ends else 0

    def is_scheduled(self, step: int) -> bool:
        """Returns True if the plan requires a checkpoint at this step; others are saved by time or by their error."""
        by_interval = is_due(step, self.checkpoint_every) or is_due(step, self.keep_every)
        return by_interval or step == self.total_steps or (step == 0 and self.save_initial)

    def next_stop(self, step: int) -> int:
        """Returns the next step after which Python code must run. Logging needs no stop: blocks report every step."""
        intervals = (self.eval_every, self.checkpoint_every, self.keep_every)
        due = (next_due(step, interval) for interval in intervals)
        others = [*self.image_steps[bisect.bisect(self.image_steps, step) :][:1]]
        others += [*self.stage_ends[bisect.bisect(self.stage_ends, step) :][:1]]
        if self.profiled:
            others += [stop for stop in (self.profiled[0] - 1, self.profiled[1]) if stop > step]
        return int(min(self.total_steps, *due, *others))

    def is_logged(self, step: int) -> bool:
        """Returns True if a point is logged at this step. A stage ends with a point, so no mean spans two stages."""
        return is_due(step, self.log_every) or step == self.total_steps or step in self.stage_ends

    def loss_tag(self, step: int) -> str:
        """Returns the tag of the loss of a step; the loss of a pretraining stage is not a loss of the whole network."""
        stage = bisect.bisect_left(self.stage_ends, step)
        return "loss" if stage == len(self.stage_ends) else f"pretrain/stage_{stage + 1}"

    def has_images(self, step: int) -> bool:
        """Returns True if images are due at this step."""
        index = bisect.bisect_left(self.image_steps, step)
        return index < len(self.image_steps) and self.image_steps[index] == step
