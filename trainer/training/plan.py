"""How long to train, and what is due when."""

import bisect
import dataclasses
from collections.abc import Sequence

from trainer.system.intervals import is_due, next_due


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to train, and what is due when, all in steps; an interval of 0 is never.

    Attributes:
      total_steps: of the whole run.
      steps_per_block: steps in a block of data.
      pictures: the steps after which pictures are due, ascending.
      traced: the first and the last step that the profiler is to see; None: none.
      batch_size: examples a step.
      has_loss_scale: whether it means something: under float16.
      keep_every: what is saved then is kept for good.
      save_first: save a checkpoint of step 0 too.
      stage_ends: the steps after which the stages before the last one end, ascending: layers trained one by one.
      loss_term_tags: tags of what steps report beside their loss.
    """

    total_steps: int
    steps_per_block: int
    log_every: int
    eval_every: int
    checkpoint_every: int
    pictures: Sequence[int] = ()
    traced: tuple[int, int] | None = None
    batch_size: int = 1
    has_loss_scale: bool = False
    keep_every: int = 0
    save_first: bool = False
    stage_ends: Sequence[int] = ()
    loss_term_tags: Sequence[str] = ()

    def is_scheduled(self, step: int) -> bool:
        """Whether a checkpoint of this step is due by steps."""
        by_interval = is_due(step, self.checkpoint_every) or is_due(step, self.keep_every)
        return by_interval or step == self.total_steps or (step == 0 and self.save_first)

    def next_stop(self, step: int) -> int:
        """The next step after which Python has something to do. Logging needs no stop: blocks report every step."""
        intervals = (self.eval_every, self.checkpoint_every, self.keep_every)
        due = (next_due(step, n) for n in intervals)
        single = [*self.pictures[bisect.bisect(self.pictures, step) :][:1]]
        single += [*self.stage_ends[bisect.bisect(self.stage_ends, step) :][:1]]
        if self.traced:
            single += [stop for stop in (self.traced[0] - 1, self.traced[1]) if stop > step]
        return int(min(self.total_steps, *due, *single))

    def is_logged(self, step: int) -> bool:
        """Whether there is a point of this step: no mean is taken over more than one stage."""
        return is_due(step, self.log_every) or step == self.total_steps or step in self.stage_ends

    def loss_tag(self, step: int) -> str:
        """What the loss of a step is called: those of single layers are no loss of the network."""
        stage = bisect.bisect_left(self.stage_ends, step)
        return "loss" if stage == len(self.stage_ends) else f"pretrain/stage_{stage + 1}"

    def has_images(self, step: int) -> bool:
        """Whether pictures are due."""
        place = bisect.bisect_left(self.pictures, step)
        return place < len(self.pictures) and self.pictures[place] == step
